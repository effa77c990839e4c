/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/agent/node_agent.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "capture/agent/inspector.h"
#include "node_agent_js.h"

/* Words of the agent's memory, as in agent.js. */
enum {
	WORD_CELL = 0,
	WORD_MAGIC = 2,
	WORD_CHALLENGE = 10,
	WORD_HITS = 12,
	WORD_MISSES = 13,
	WORD_STATE = 14,
	WORD_LEASES = 16,
	N_LEASES = 8,
	N_MAGIC = 8,
};
#define STATE_MIXED 2 /* the application mixes its contexts: only answers are numbered */

#define MS_NS	      1000000ull
#define OPEN_NS	      (3000 * MS_NS) /* until the inspector listens, and until it answers */
#define CLOSE_NS      (2000 * MS_NS)
#define POLL_NS	      (10 * MS_NS)
#define MAX_LISTENERS 256
#define MAX_FDS	      65536	    /* descriptors that are looked at for listeners */
#define MAX_SCAN      (16ull << 30) /* bytes of memory that are searched for the magic */
#define CHUNK	      (1u << 20)
#define MAX_FOUND     16
#define AGENT	      "globalThis[Symbol.for('clew.agent')]"
#define CLOSING	      "globalThis[Symbol.for('clew.inspector')]"
/* Only while an expression is evaluated is there a require(), and nothing else before Node 20.16: what runs
 * later must have what it needs, or it throws in the application. */
#define INSPECTOR \
	"(typeof require === 'function' ? require : process.getBuiltinModule)('inspector')"

struct attach;

struct node_agent {
	uint32_t tgid;
	int mem; /* /proc/PID/mem: of this image of the process, whatever becomes of the number */
	uint64_t cell;
	uint32_t slot, beat;
	bool mixed;	     /* was told */
	struct attach *late; /* SIGUSR1 was sent, and nothing listens yet: there is no agent */
	char version[32];
};

struct listener {
	uint64_t inode;
	uint16_t port;
	char address[INET_ADDRSTRLEN];
};

/* One attachment, while it goes on. */
struct attach {
	uint32_t tgid;
	struct listener before[MAX_LISTENERS];
	size_t n_before;
	struct inspector *inspector;
	struct listener at; /* where it listens */
	uint32_t magic[N_MAGIC];
	struct runtime_info *info; /* NULL: nobody asks for reasons any more */
};

static void pause_ns(uint64_t ns)
{
	const struct timespec ts = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};

	nanosleep(&ts, NULL);
}

/* What listens on IPv4 in the process's network namespace. Returns how many, or -errno. */
static int list_namespace(uint32_t tgid, struct listener *ret)
{
	char path[64], line[512];
	unsigned address, port, state;
	unsigned long inode;
	int n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%u/net/tcp", tgid);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (n < MAX_LISTENERS && fgets(line, sizeof(line), f)) {
		if (sscanf(line, " %*u: %x:%x %*x:%*x %x %*x:%*x %*x:%*x %*x %*u %*u %lu", &address,
			   &port, &state, &inode) != 4 ||
		    state != 10 /* TCP_LISTEN */)
			continue;
		ret[n].inode = inode;
		ret[n].port = (uint16_t)port;
		if (!address)
			address = htonl(INADDR_LOOPBACK);
		inet_ntop(AF_INET, &address, ret[n].address, sizeof(ret[n].address));
		n++;
	}
	fclose(f);
	return n;
}

/* Leaves those of the list that are the process's own. Returns how many. */
static int keep_own(uint32_t tgid, struct listener *list, int n)
{
	char path[64], target[64];
	struct dirent *d;
	int kept = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%u/fd", tgid);
	dir = opendir(path);
	if (!dir)
		return -errno;
	for (int seen = 0; seen < MAX_FDS && kept < n && (d = readdir(dir)); seen++) {
		ssize_t len = readlinkat(dirfd(dir), d->d_name, target, sizeof(target) - 1);
		unsigned long inode;

		target[len < 0 ? 0 : len] = 0;
		if (sscanf(target, "socket:[%lu]", &inode) != 1)
			continue;
		for (int i = kept; i < n; i++) {
			struct listener l = list[i];

			if (l.inode != inode)
				continue;
			list[i] = list[kept];
			list[kept++] = l;
			break;
		}
	}
	closedir(dir);
	return kept;
}

static int list_own(uint32_t tgid, struct listener *ret)
{
	int n = list_namespace(tgid, ret);

	return n > 0 ? keep_own(tgid, ret, n) : n;
}

/* A listener that was not there before. */
static int find_new(const struct attach *t, struct listener *ret)
{
	struct listener now[MAX_LISTENERS];
	int n = list_own(t->tgid, now);

	for (int i = 0; i < n; i++) {
		size_t k = 0;

		while (k < t->n_before && t->before[k].inode != now[i].inode)
			k++;
		if (k < t->n_before)
			continue;
		*ret = now[i];
		return 0;
	}
	return n < 0 ? n : -ENOENT;
}

/* Runs in the namespace of the process; the way back is *ret_home, -1: we never left. */
static int enter_netns(uint32_t tgid, int *ret_home)
{
	_cleanup_(closep) int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	_cleanup_(closep) int there = -1;
	struct stat a, b;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%u/ns/net", tgid);
	there = open(path, O_RDONLY | O_CLOEXEC);
	*ret_home = -1;
	if (home < 0 || there < 0 || fstat(home, &a) || fstat(there, &b))
		return -errno;
	if (a.st_ino == b.st_ino && a.st_dev == b.st_dev)
		return 0;
	if (setns(there, CLONE_NEWNET))
		return -errno;
	*ret_home = home;
	home = -1;
	return 0;
}

static int leave_netns(int home)
{
	int err;

	if (home < 0)
		return 0;
	err = setns(home, CLONE_NEWNET) ? -errno : 0;
	close(home);
	return err;
}

static int send_sigusr1(uint32_t tgid)
{
	_cleanup_(closep) int fd = (int)syscall(SYS_pidfd_open, tgid, 0);

	if (fd < 0)
		return -errno;
	return syscall(SYS_pidfd_send_signal, fd, SIGUSR1, NULL, 0) ? -errno : 0;
}

/*
 * Is this the inspector? A process that starts opens its own ports at the same time; those that do not
 * answer as an inspector are not asked again.
 */
static int connect_inspector(struct attach *t, const struct listener *l)
{
	int home, left, err = enter_netns(t->tgid, &home);

	if (err)
		return runtime_fail(t->info, err, "cannot enter its network namespace: %s",
				    strerror(-err));
	err = inspector_open(l->address, l->port, OPEN_NS, &t->inspector);
	left = leave_netns(home);
	if (left)
		return runtime_fail(t->info, left, "cannot return to the own network namespace: %s",
				    strerror(-left));
	t->at = *l;
	if (err && t->n_before < MAX_LISTENERS)
		t->before[t->n_before++] = *l;
	if (err)
		return runtime_fail(t->info, -EAGAIN, "what listens on port %u is no inspector: %s",
				    l->port, strerror(-err));
	return 0;
}

static int open_inspector(struct attach *t)
{
	uint64_t end = clew_mono_ns() + OPEN_NS;
	struct listener l;
	int n = list_own(t->tgid, t->before);
	int err = n < 0 ? n : send_sigusr1(t->tgid);

	if (err)
		return runtime_fail(t->info, err, "cannot signal it: %s", strerror(-err));
	t->n_before = (size_t)n;
	do {
		err = find_new(t, &l);
		if (!err)
			err = connect_inspector(t, &l);
		else if (err == -ENOENT)
			pause_ns(POLL_NS);
		else
			return runtime_fail(t->info, err, "cannot see its listeners: %s",
					    strerror(-err));
	} while ((err == -ENOENT || err == -EAGAIN) && clew_mono_ns() < end);
	if (err == -ENOENT || err == -EAGAIN)
		return runtime_fail(
			t->info, -EINPROGRESS,
			"its inspector did not open within 3 s: its port (9229, or what "
			"--inspect-port says) is taken, it is open already, or the process is "
			"busy");
	return err;
}

static bool still_open(const struct attach *t)
{
	struct listener now[MAX_LISTENERS];
	int n = list_own(t->tgid, now);

	for (int i = 0; i < n; i++)
		if (now[i].inode == t->at.inode)
			return true;
	return false;
}

/* Node closes it by itself once we are gone. */
static int close_inspector(struct attach *t)
{
	uint64_t end = clew_mono_ns() + CLOSE_NS;
	json_t *value = NULL;

	(void)inspector_eval(t->inspector,
			     "clearTimeout(" CLOSING "); delete " CLOSING ";"
			     "((i) => setTimeout(() => i.close(), 10))(" INSPECTOR "); 0",
			     OPEN_NS, &value);

	json_decref(value);
	inspector_close(t->inspector);
	t->inspector = NULL;
	while (still_open(t) && clew_mono_ns() < end)
		pause_ns(POLL_NS);
	if (still_open(t))
		return runtime_fail(t->info, -EBUSY,
				    "its inspector stays open on %s:%u: close it with "
				    "require('inspector').close() in `node inspect -p %u`",
				    t->at.address, t->at.port, t->tgid);
	return 0;
}

static int eval(struct attach *t, const char *expression, json_t **ret)
{
	int err = inspector_eval(t->inspector, expression, OPEN_NS, ret);
	json_t *value = *ret;

	if (err == -EPROTO)
		return runtime_fail(t->info, err, "the agent failed: %.120s",
				    json_is_string(value) ? json_string_value(value)
							  : "no reason given");
	if (err)
		return runtime_fail(t->info, err, "its inspector: %s", strerror(-err));
	return 0;
}

static int eval_integer(struct attach *t, const char *expression, json_int_t *ret)
{
	json_t *value = NULL;
	int err = eval(t, expression, &value);

	*ret = json_integer_value(value);
	json_decref(value);
	return err;
}

static int inject(struct attach *t, struct node_agent *a)
{
	struct clew_buf text;
	json_t *value = NULL;
	int err;

	clew_buf_init(&text, 1 << 20);
	clew_buf_add(&text, node_agent_js, sizeof(node_agent_js) - 1);
	clew_buf_adds(&text, "([");
	for (int i = 0; i < N_MAGIC; i++)
		clew_buf_addf(&text, "%u,", t->magic[i]);
	clew_buf_adds(&text, "]).version");
	err = clew_buf_addc(&text, 0) < 0 ? -ENOMEM : eval(t, (const char *)text.data, &value);
	if (!err && json_is_string(value))
		snprintf(a->version, sizeof(a->version), "%s", json_string_value(value));
	json_decref(value);
	clew_buf_done(&text);
	return err;
}

struct search {
	int mem;
	const uint32_t *magic;
	uint64_t found[MAX_FOUND];
	size_t n;
	uint64_t left; /* bytes that may still be searched */
	uint8_t *chunk;
};

static void search_range(struct search *s, uint64_t start, uint64_t end)
{
	const size_t n_magic = N_MAGIC * sizeof(uint32_t);

	while (start + n_magic <= end && s->left && s->n < MAX_FOUND) {
		size_t want = end - start < CHUNK ? end - start : CHUNK;
		ssize_t got = pread(s->mem, s->chunk, want, (off_t)start);
		const uint8_t *at = s->chunk;

		if (got < (ssize_t)n_magic)
			return;
		s->left -= (uint64_t)got < s->left ? (uint64_t)got : s->left;
		while ((at = memmem(at, s->chunk + got - at, s->magic, n_magic)) &&
		       s->n < MAX_FOUND) {
			s->found[s->n++] =
				start + (uint64_t)(at - s->chunk) - WORD_MAGIC * sizeof(uint32_t);
			at += n_magic;
		}
		if ((size_t)got == end - start)
			return;
		start += (uint64_t)got - n_magic + 1; /* it may lie across the edge */
	}
}

static int search_memory(struct search *s, uint32_t tgid)
{
	char path[64], line[512];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%u/maps", tgid);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f)) {
		unsigned long start, end, inode;
		char perms[8];

		/* Private, written, of no file. */
		if (sscanf(line, "%lx-%lx %7s %*s %*s %lu", &start, &end, perms, &inode) == 4 &&
		    !inode && !strncmp(perms, "rw", 2) && perms[3] == 'p')
			search_range(s, start, end);
	}
	fclose(f);
	return 0;
}

/* Of the places that hold the magic, the one that changes when the agent is told to. */
static int prove(struct attach *t, const struct search *s, uint64_t *ret_cell)
{
	uint32_t number, word;
	char text[128];
	json_int_t unused;
	size_t proved = 0;
	int err;

	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return runtime_fail(t->info, -EIO, "no random numbers");
	snprintf(text, sizeof(text), AGENT ".challenge(%u); 0", number);
	err = eval_integer(t, text, &unused);
	for (size_t i = 0; !err && i < s->n; i++) {
		if (pread(s->mem, &word, sizeof(word),
			  (off_t)(s->found[i] + WORD_CHALLENGE * sizeof(word))) != sizeof(word) ||
		    word != number)
			continue;
		*ret_cell = s->found[i];
		proved++;
	}
	if (!err && proved != 1)
		return runtime_fail(t->info, -ENOENT, "the agent's memory was not found");
	return err;
}

static int find_cell(struct attach *t, struct node_agent *a)
{
	struct search s = {.mem = a->mem, .magic = t->magic, .left = MAX_SCAN};
	int err;

	s.chunk = malloc(CHUNK);
	if (!s.chunk)
		return runtime_fail(t->info, -ENOMEM, "out of memory");
	err = search_memory(&s, t->tgid);
	if (err)
		runtime_fail(t->info, err, "cannot search its memory: %s", strerror(-err));
	else
		err = prove(t, &s, &a->cell);
	free(s.chunk);
	return err;
}

/* Should we be killed, it closes its inspector by itself. */
static int close_without_us(struct attach *t)
{
	json_int_t unused;
	int err = eval_integer(t,
			       CLOSING " = ((i) => setTimeout(() => { delete " CLOSING
				       "; i.close(); }, 10000))(" INSPECTOR ");" CLOSING
				       ".unref(); 0",
			       &unused);

	if (!err)
		log_debug("process %u: its inspector will close without us", t->tgid);
	return err;
}

/* With the inspector open. */
static int set_up(struct attach *t, struct node_agent *a)
{
	json_int_t slot = -1;
	int err = close_without_us(t);

	if (!err)
		err = inject(t, a);
	if (!err)
		err = find_cell(t, a);
	if (!err)
		err = eval_integer(t, AGENT ".start()", &slot);
	if (!err && (slot < 0 || slot >= N_LEASES))
		return runtime_fail(t->info, -EBUSY, "eight tracers use its agent already");
	a->slot = (uint32_t)slot;
	a->beat = 1;
	return err;
}

int node_agent_attach(uint32_t tgid, struct runtime_info *info, struct node_agent **ret)
{
	_cleanup_(node_agent_detachp) struct node_agent *a = calloc(1, sizeof(*a));
	_cleanup_(freep) struct attach *t = calloc(1, sizeof(*t));
	char path[64];
	int err;

	if (!a || !t)
		return runtime_fail(info, -ENOMEM, "out of memory");
	a->tgid = t->tgid = tgid;
	t->info = info;
	snprintf(path, sizeof(path), "/proc/%u/mem", tgid);
	a->mem = open(path, O_RDWR | O_CLOEXEC);
	if (a->mem < 0)
		return runtime_fail(t->info, -errno, "cannot open its memory: %s", strerror(errno));
	if (getrandom(t->magic, sizeof(t->magic), 0) != sizeof(t->magic))
		return runtime_fail(t->info, -EIO, "no random numbers");
	err = open_inspector(t);
	if (err == -EINPROGRESS) {
		t->info = NULL;
		a->late = clew_steal(t);
		*ret = clew_steal(a);
	}
	if (err)
		return err;
	err = set_up(t, a);
	/* Numbers are right all the same; but nothing may stay open. */
	if (close_inspector(t) && !err)
		err = -EBUSY;
	if (err)
		return err;
	log_debug("process %u: its agent's memory is at %llx", tgid, (unsigned long long)a->cell);
	*ret = clew_steal(a);
	return 0;
}

static bool read_word(const struct node_agent *a, uint32_t word, uint32_t *ret)
{
	return pread(a->mem, ret, sizeof(*ret), (off_t)(a->cell + word * sizeof(*ret))) ==
	       sizeof(*ret);
}

static bool write_lease(const struct node_agent *a, uint32_t value)
{
	return pwrite(a->mem, &value, sizeof(value),
		      (off_t)(a->cell + (WORD_LEASES + a->slot) * sizeof(value))) == sizeof(value);
}

/* A process that was held up opens its inspector when it goes on: then it is to be closed. */
static int close_late(struct attach *t)
{
	struct listener l;
	int err = find_new(t, &l);

	if (err)
		return err == -ENOENT ? 0 : -ESRCH;
	if (connect_inspector(t, &l))
		return 0;
	close_inspector(t);
	return -ESTALE;
}

int node_agent_renew(struct node_agent *a)
{
	uint32_t state, lease;

	if (a->late)
		return close_late(a->late);
	if (!read_word(a, WORD_STATE, &state) || !read_word(a, WORD_LEASES + a->slot, &lease))
		return -ESRCH;
	if (!state || lease != a->beat)
		return -ESTALE;
	if (state == STATE_MIXED && !a->mixed) {
		a->mixed = true;
		log_debug("process %u: the application mixes Node's asynchronous contexts; its "
			  "calls are not numbered any more",
			  a->tgid);
	}
	if (!++a->beat)
		a->beat = 1;
	return write_lease(a, a->beat) ? 0 : -ESRCH;
}

uint64_t node_agent_cell(const struct node_agent *a)
{
	return a->cell;
}

const char *node_agent_version(const struct node_agent *a)
{
	return a->version;
}

void node_agent_detach(struct node_agent *a)
{
	uint32_t lease;

	if (!a)
		return;
	if (a->late)
		close_late(a->late);
	free(a->late);
	if (a->beat && read_word(a, WORD_LEASES + a->slot, &lease) && lease == a->beat)
		write_lease(a, 0);
	if (a->mem > 0)
		close(a->mem);
	free(a);
}
