/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/agent/java_agent.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include "abi/java_agent.h"
#include "base/clock.h"
#include "base/log.h"
#include "capture/inside.h"
#include "capture/runtime/proc.h"
#ifdef CLEW_HAVE_JAVA_AGENT
#include "java_agent_so.h"
#else
static const char java_agent_so[] = "";
#endif

#define MS	      1000000ull
#define SOCKET_NS     (5000 * MS) /* until the VM opens its socket */
#define REPLY_S	      15	  /* until it has loaded the agent */
#define POLL_NS	      (20 * MS)
#define LEASE_NS      (10000 * MS)
#define LAST_NS	      (JAVA_AGENT_RENEW_NS + 1000 * MS) /* what is left of it when we leave */
#define LIBRARY	      ".clew-java-"
#define GLIBC_KEYS    0x310 /* see hotspot.c */
#define MAX_FAST_KEYS 32

struct java_agent {
	int mem; /* /proc/PID/mem: of this image of the process, whatever becomes of the number */
	uint64_t lease;
	uint64_t until_ns; /* as we wrote it last */
};

/* One attachment, while it goes on. */
struct attach {
	const struct runtime_proc *proc;
	struct runtime_info *info;
	uint32_t nspid;	  /* its own id for itself */
	int tmp;	  /* its /tmp */
	char library[48]; /* there */
};

/* As the VM's user may read it. */
static int copy_library(struct attach *t)
{
	_cleanup_(closep) int fd = -1;
	uint64_t random;
	ssize_t n;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return -EIO;
	snprintf(t->library, sizeof(t->library), LIBRARY "%016llx.so", (unsigned long long)random);
	fd = inside_create(t->tmp, t->library, 0444);
	if (fd < 0)
		return fd;
	(void)fchmod(fd, 0444);
	n = write(fd, java_agent_so, sizeof(java_agent_so) - 1);
	if (n == (ssize_t)sizeof(java_agent_so) - 1)
		return 0;
	n = n < 0 ? -errno : -ENOSPC;
	unlinkat(t->tmp, t->library, 0);
	return (int)n;
}

static int connect_vm(const struct attach *t)
{
	const struct timeval limit = {.tv_sec = REPLY_S};
	_cleanup_(closep) int fd = -1;
	char name[32];
	int ret;

	snprintf(name, sizeof(name), ".java_pid%u", t->nspid);
	fd = inside_connect(t->tmp, name);
	if (fd < 0)
		return fd;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)))
		return -errno;
	ret = fd;
	fd = -1;
	return ret;
}

static int send_sigquit(uint32_t tgid)
{
	_cleanup_(closep) int fd = (int)syscall(SYS_pidfd_open, tgid, 0);

	if (fd < 0)
		return -errno;
	return syscall(SYS_pidfd_send_signal, fd, SIGQUIT, NULL, 0) ? -errno : 0;
}

/* The file that turns SIGQUIT from "print all stacks" into "open your socket". */
static int ask_for_socket(const struct attach *t)
{
	const struct timespec pause = {.tv_nsec = POLL_NS};
	_cleanup_(closep) int file = -1;
	uint64_t end = clew_mono_ns() + SOCKET_NS;
	char name[32];
	int err, fd;

	snprintf(name, sizeof(name), ".attach_pid%u", t->nspid);
	file = inside_create(t->tmp, name, 0600);
	if (file < 0 && file != -EEXIST)
		return file;
	err = send_sigquit(t->proc->tgid);
	do {
		fd = err ? err : connect_vm(t);
		if (fd >= 0 || (fd != -ENOENT && fd != -ECONNREFUSED))
			break;
		nanosleep(&pause, NULL);
	} while (clew_mono_ns() < end);
	if (file >= 0)
		unlinkat(t->tmp, name, 0);
	return fd;
}

/* Returns the bytes of the answer, NUL behind them; -errno. */
static int ask(const struct attach *t, int fd, char *ret, size_t size)
{
	char text[256];
	size_t have = 0;
	ssize_t n;
	/* Protocol 1, "load", library, its path is absolute, options. */
	int len = snprintf(text, sizeof(text), "1%cload%c/tmp/%s%ctrue%c%c", 0, 0, t->library, 0, 0,
			   0);

	if (send(fd, text, len, MSG_NOSIGNAL) != len)
		return -EIO;
	while (have < size - 1 && (n = recv(fd, ret + have, size - 1 - have, 0)) != 0) {
		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		have += n;
	}
	ret[have] = 0;
	return have;
}

/* "0\nreturn code: N\n"; before JDK 9 "0\nN\n"; else an error in words. */
static int judge(const struct attach *t, char *reply)
{
	char *body = strchr(reply, '\n');
	long code = -1;

	if (body && !strncmp(reply, "0\n", 2)) {
		body++;
		if (!strncmp(body, "return code: ", 13))
			body += 13;
		if (*body >= '0' && *body <= '9')
			code = strtol(body, NULL, 10);
	}
	for (char *c = reply; *c; c++)
		if (*c < ' ')
			*c = ' ';
	switch (code) {
	case CLEW_JAVA_OK:
		return 0;
	case CLEW_JAVA_THERE:
		return runtime_fail(t->info, -EEXIST,
				    "another version of the agent is in it: restart it");
	case -1:
		return runtime_fail(t->info, -EPERM, "it does not load the agent: %.100s", reply);
	default:
		return runtime_fail(t->info, -ENOTSUP,
				    "the agent cannot work in this version (%ld)", code);
	}
}

static int load(struct attach *t)
{
	_cleanup_(closep) int fd = connect_vm(t);
	char reply[1024];
	int err;

	if (fd == -ENOENT || fd == -ECONNREFUSED)
		fd = ask_for_socket(t);
	if (fd < 0)
		return runtime_fail(t->info, fd, "its attach socket did not open: %s",
				    strerror(-fd));
	err = copy_library(t);
	if (err)
		return runtime_fail(t->info, err, "cannot write to its /tmp: %s", strerror(-err));
	err = ask(t, fd, reply, sizeof(reply));
	unlinkat(t->tmp, t->library, 0);
	if (err < 0)
		return runtime_fail(t->info, err, "it did not answer: %s", strerror(-err));
	return judge(t, reply);
}

static int add_probe(const struct runtime_elf *e, struct runtime_info *info, const char *program,
		     const char *symbol)
{
	struct runtime_probe *probe = &info->probes[info->n_probes];
	uint64_t addr, size;
	int err = info->n_probes < RUNTIME_MAX_PROBES ? runtime_elf_symbol(e, symbol, &addr, &size)
						      : -ENOSPC;

	if (!err)
		err = runtime_elf_offset(e, addr, &probe->offset);
	if (err)
		return err;
	probe->program = program;
	snprintf(probe->path, sizeof(probe->path), "%s", runtime_elf_path(e));
	info->n_probes++;
	return 0;
}

/* The library in the process as it is now; -ENOENT: it is not there. */
static int find(const struct runtime_proc *p, struct runtime_info *info, struct java_agent *a,
		int32_t *ret_cell)
{
	const struct runtime_map *m = runtime_map_named(p, LIBRARY);
	_cleanup_(runtime_elf_closep) struct runtime_elf *e = NULL;
	struct clew_java_state state;
	uint64_t addr, size;
	int err;

	if (!m)
		return -ENOENT;
	err = runtime_elf_open(p, m, &e);
	if (!err)
		err = runtime_elf_symbol(e, "clew_java_state", &addr, &size);
	if (!err)
		err = runtime_read(p, addr, &state, sizeof(state));
	if (err)
		return runtime_fail(info, -EIO, "the agent in it cannot be read: %s",
				    strerror(-err));
	if (state.magic != CLEW_JAVA_MAGIC || state.version != CLEW_JAVA_VERSION)
		return runtime_fail(info, -EEXIST,
				    "another version of the agent is in it: restart it");
	if (state.key >= MAX_FAST_KEYS)
		return runtime_fail(info, -ENOTSUP, "it uses more than 32 thread keys");
	*ret_cell = GLIBC_KEYS + state.key * 16 + 8;
	a->lease = addr + offsetof(struct clew_java_state, until_ns);
	err = add_probe(e, info, "on_java_handed", "clew_java_handed");
	if (!err)
		err = add_probe(e, info, "on_java_joined", "clew_java_joined");
	return err ? runtime_fail(info, err, "the agent's probes are not there") : 0;
}

/* After the load its mappings are others. */
static int find_again(const struct runtime_proc *p, struct runtime_info *info, struct java_agent *a,
		      int32_t *ret_cell)
{
	struct runtime_proc_data *d = calloc(1, sizeof(*d));
	int err;

	if (!d)
		return -ENOMEM;
	clew_buf_init(&d->text, RUNTIME_MAPS_BYTES);
	err = runtime_proc_init(d, p->tgid, p->start_ns);
	if (!err && d->proc.image != p->image)
		err = -ESRCH;
	d->proc.capture = p->capture;
	d->proc.opts = p->opts;
	if (!err)
		err = find(&d->proc, info, a, ret_cell);
	if (err == -ENOENT)
		err = runtime_fail(info, err, "the agent was loaded and is not there");
	clew_buf_done(&d->text);
	free(d);
	return err;
}

static int load_into(const struct runtime_proc *p, struct runtime_info *info, uint32_t nspid)
{
	struct attach t = {.proc = p, .info = info, .nspid = nspid};
	char root[32];
	int err;

	snprintf(root, sizeof(root), "/proc/%u/root", p->tgid);
	t.tmp = inside_dir(root, "/tmp");
	if (t.tmp < 0)
		return runtime_fail(info, t.tmp, "its /tmp cannot be opened: %s", strerror(-t.tmp));
	err = load(&t);
	close(t.tmp);
	return err;
}

int java_agent_attach(const struct runtime_proc *p, struct runtime_info *info,
		      struct java_agent **ret, int32_t *ret_cell)
{
	struct runtime_status status;
	struct java_agent *a;
	char path[64];
	int err;

	if (sizeof(java_agent_so) == 1)
		return runtime_fail(info, -ENOTSUP,
				    "this clew was built without a JDK, so without its Java agent");
	err = runtime_status(p->tgid, &status);
	if (err || !(status.caught >> (SIGQUIT - 1) & 1)) /* which kills who does not catch it */
		return runtime_fail(
			info, err ? err : -EAGAIN,
			"it does not catch SIGQUIT, which opens its attach socket (-Xrs?)");
	a = calloc(1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	snprintf(path, sizeof(path), "/proc/%u/mem", p->tgid);
	a->mem = open(path, O_RDWR | O_CLOEXEC);
	err = a->mem < 0 ? -errno : find(p, info, a, ret_cell);
	if (a->mem >= 0 && err == -ENOENT) {
		err = load_into(p, info, status.nspid);
		if (!err)
			err = find_again(p, info, a, ret_cell);
	}
	if (!err)
		err = java_agent_renew(a);
	if (err) {
		java_agent_detach(a);
		return err == -EAGAIN || err == -ENOENT ? -EIO : err;
	}
	log_debug("process %u: the Java agent is in it", p->tgid);
	*ret = a;
	return 0;
}

static int write_lease(struct java_agent *a, uint64_t until_ns)
{
	if (pwrite(a->mem, &until_ns, sizeof(until_ns), (off_t)a->lease) != sizeof(until_ns))
		return -ESRCH;
	a->until_ns = until_ns;
	return 0;
}

/* The latest lease of several captures stands. */
int java_agent_renew(struct java_agent *a)
{
	return write_lease(a, clew_mono_ns() + LEASE_NS);
}

/* Only if it is still ours. Another capture may be there: it renews before this runs out. */
void java_agent_detach(struct java_agent *a)
{
	uint64_t until_ns;

	if (!a)
		return;
	if (a->until_ns &&
	    pread(a->mem, &until_ns, sizeof(until_ns), (off_t)a->lease) == sizeof(until_ns) &&
	    until_ns == a->until_ns)
		(void)write_lease(a, clew_mono_ns() + LAST_NS);
	if (a->mem >= 0)
		close(a->mem);
	free(a);
}
