/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process that is looked at: its files, memory and threads.
 *
 * It goes on running and may be gone or another one at any moment; everything here then fails, and
 * what was found is dropped when its image turns out to have changed.
 */
#include <stdio.h>
#include <sys/uio.h>

#include <bpf/bpf.h>

#include "capture/internal.h"
#include "capture/runtime/proc.h"
#include "clew.skel.h"

int runtime_read(const struct runtime_proc *p, uint64_t addr, void *ret, size_t n)
{
	struct iovec local = {ret, n}, remote = {(void *)addr, n};
	ssize_t got = process_vm_readv(p->tgid, &local, 1, &remote, 1, 0);

	if (got < 0)
		return -errno;
	return (size_t)got == n ? 0 : -EFAULT;
}

int runtime_read_u64(const struct runtime_proc *p, uint64_t addr, uint64_t *ret)
{
	return runtime_read(p, addr, ret, sizeof(*ret));
}

/* Field 28 of /proc/PID/stat. The command's name may hold blanks and brackets: count from the last one. */
uint64_t runtime_image(uint32_t tgid)
{
	_cleanup_(closep) int fd = -1;
	char path[64], text[1024], *at;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%u/stat", tgid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = 0;
	at = strrchr(text, ')');
	for (int field = 2; at && field < 28; field++)
		at = strchr(at + 1, ' ');
	return at ? strtoull(at + 1, NULL, 10) : 0;
}

int runtime_status(uint32_t tgid, struct runtime_status *ret)
{
	struct runtime_status s = {};
	char path[64], line[512];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%u/status", tgid);
	f = fopen(path, "re");
	if (!f)
		return errno == ENOENT ? -ESRCH : -errno;
	while (fgets(line, sizeof(line), f)) {
		const char *last = strrchr(line, '\t');

		if (!strncmp(line, "NSpid:", 6) && last)
			s.nspid = strtoul(last + 1, NULL, 10);
		(void)sscanf(line, "SigCgt: %" SCNx64, &s.caught);
	}
	fclose(f);
	if (!s.nspid)
		return -ESRCH;
	*ret = s;
	return 0;
}

int runtime_fail(struct runtime_info *info, int err, const char *fmt, ...)
{
	va_list ap;

	if (!info)
		return err;
	va_start(ap, fmt);
	vsnprintf(info->why_not, sizeof(info->why_not), fmt, ap);
	va_end(ap);
	return err;
}

/* One line of /proc/PID/maps; path points into it. Returns whether it maps a file. */
static bool parse_map(char *line, struct runtime_map *ret)
{
	static const char deleted[] = " (deleted)";
	char perms[5] = "";
	int at = 0;
	size_t n;

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64 " %n",
		   &ret->start, &ret->end, perms, &ret->offset, &ret->dev_major, &ret->dev_minor,
		   &ret->inode, &at) != 7 ||
	    !at || line[at] != '/' || !ret->inode)
		return false;
	n = strlen(line + at);
	if (n > sizeof(deleted) && !strcmp(line + at + n - sizeof(deleted) + 1, deleted))
		line[at + n - sizeof(deleted) + 1] = 0;
	ret->exec = perms[2] == 'x';
	ret->first = ret->offset == 0;
	ret->path = line + at;
	return true;
}

static int read_maps(struct runtime_proc *p, struct clew_buf *text)
{
	char path[64], chunk[65536];
	_cleanup_(closep) int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%u/maps", p->tgid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while ((n = read(fd, chunk, sizeof(chunk))) > 0)
		if (clew_buf_add(text, chunk, n))
			break;
	if (n < 0)
		return -errno;
	return text->err == -ENOMEM ? -ENOMEM : 0;
}

int runtime_proc_init(struct runtime_proc_data *d, uint32_t tgid, uint64_t start_ns)
{
	struct runtime_proc *p = &d->proc;
	char path[64];
	ssize_t n;
	int err;

	p->tgid = tgid;
	p->start_ns = start_ns;
	p->image = runtime_image(tgid);
	if (!p->image)
		return -ESRCH;
	snprintf(path, sizeof(path), "/proc/%u/exe", tgid);
	n = readlink(path, d->exe, sizeof(d->exe) - 1);
	if (n <= 0)
		return -ESRCH;
	d->exe[n] = 0;
	p->exe = d->exe;
	p->maps = d->maps;
	p->n_maps = 0;
	clew_buf_clear(&d->text);
	err = read_maps(p, &d->text);
	if (err)
		return err;
	for (char *line = d->text.data, *next; line && *line && p->n_maps < RUNTIME_MAX_MAPS;
	     line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		if (parse_map(line, &d->maps[p->n_maps]))
			p->n_maps++;
	}
	return 0;
}

const struct runtime_map *runtime_map_named(const struct runtime_proc *p, const char *prefix)
{
	for (size_t i = 0; i < p->n_maps; i++) {
		const char *base = strrchr(p->maps[i].path, '/');

		if (p->maps[i].first && base && !strncmp(base + 1, prefix, strlen(prefix)))
			return &p->maps[i];
	}
	return NULL;
}

const struct runtime_map *runtime_map_exe(const struct runtime_proc *p)
{
	size_t n = strlen(p->exe);

	if (n > 10 && !strcmp(p->exe + n - 10, " (deleted)"))
		n -= 10;
	for (size_t i = 0; i < p->n_maps; i++)
		if (p->maps[i].first && strlen(p->maps[i].path) == n &&
		    !memcmp(p->maps[i].path, p->exe, n))
			return &p->maps[i];
	return NULL;
}

int runtime_threads(const struct runtime_proc *p, struct runtime_thread *ret, size_t max)
{
	union bpf_iter_link_info which = {.task.pid = p->tgid};
	DECLARE_LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &which,
			    .link_info_len = sizeof(which));
	_cleanup_(closep) int fd = -1;
	struct clew_thread_base base;
	struct bpf_link *link;
	size_t n = 0;
	int err = 0;

	link = bpf_program__attach_iter(p->capture->skel->progs.walk_bases, &opts);
	if (!link)
		return -errno;
	fd = bpf_iter_create(bpf_link__fd(link));
	if (fd < 0)
		err = -errno;
	/* Reads give whole elements: a buffer of one gets one at a time. */
	while (!err && n < max) {
		ssize_t got = read(fd, &base, sizeof(base));

		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (got != sizeof(base))
			break;
		if (base.tgid == p->tgid && base.fsbase) {
			ret[n].tid = base.tid;
			ret[n++].fsbase = base.fsbase;
		}
	}
	bpf_link__destroy(link);
	return err ? err : (int)n;
}
