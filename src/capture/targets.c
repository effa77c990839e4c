/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Targets: options become map entries; walks (bpf/iter.bpf.h) mark what already runs.
 */
#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <bpf/bpf.h>

#include "bpf/pure.bpf.h"
#include "capture/internal.h"
#include "clew.skel.h"

#define CGROUP2_MAGIC 0x63677270
#define MAX_WALKS     64 /* generations of processes born during the walks */

int errorf(char **ret_error, int err, const char *fmt, ...)
{
	va_list ap;

	if (ret_error) {
		va_start(ap, fmt);
		if (vasprintf(ret_error, fmt, ap) < 0)
			*ret_error = NULL;
		va_end(ap);
	}
	return err;
}

static size_t count(char *const *list)
{
	size_t n = 0;

	while (list && list[n])
		n++;
	return n;
}

int targets_prepare(struct clew_bpf *skel, const struct clew_target_opts *t, char **ret_error)
{
	skel->rodata->opt_self = getpid();
	skel->rodata->opt_all = t->all;
	skel->rodata->opt_cgroups = count(t->cgroups);
	skel->rodata->opt_ports = t->n_ports;
	skel->rodata->opt_netns = count(t->netns);
	skel->rodata->opt_globs = count(t->exes);
	if (count(t->exes) > CLEW_MAX_GLOBS)
		return errorf(ret_error, -EINVAL, "--exe: at most %d patterns", CLEW_MAX_GLOBS);
	for (size_t i = 0; t->exes && t->exes[i]; i++)
		if (!t->exes[i][0] || strlen(t->exes[i]) >= CLEW_MAX_GLOB)
			return errorf(ret_error, -EINVAL, "--exe %s: a pattern has 1 to %d bytes",
				      t->exes[i], CLEW_MAX_GLOB - 1);
	if (count(t->cgroups) > CLEW_MAX_TARGETS || count(t->netns) > CLEW_MAX_TARGETS ||
	    t->n_ports > CLEW_MAX_TARGETS)
		return errorf(ret_error, -EINVAL, "at most %d targets of a kind", CLEW_MAX_TARGETS);
	return 0;
}

static int put(struct bpf_map *map, const void *key, size_t key_size, const void *value,
	       size_t size)
{
	return bpf_map__update_elem(map, key, key_size, value, size, BPF_ANY);
}

static int want(struct clew_capture *c, uint32_t tgid)
{
	uint8_t one = 1;

	return put(c->skel->maps.wanted, &tgid, sizeof(tgid), &one, sizeof(one));
}

static int fill_pids(struct clew_capture *c, const struct clew_target_opts *t, char **ret_error)
{
	for (size_t i = 0; i < t->n_pids; i++) {
		char path[64];
		int err;

		snprintf(path, sizeof(path), "/proc/%u/stat", t->pids[i]);
		if (access(path, F_OK))
			return errorf(ret_error, -ENOENT, "--pid %u: no such process", t->pids[i]);
		if (t->pids[i] == (uint32_t)getpid())
			return errorf(ret_error, -EINVAL, "--pid %u: that is this tracer",
				      t->pids[i]);
		err = want(c, t->pids[i]);
		if (err)
			return errorf(ret_error, err, "--pid %u: %s", t->pids[i], strerror(-err));
	}
	return 0;
}

/* Where is the v2 hierarchy mounted? */
static int cgroup2_mount(char *buf, size_t size)
{
	static const char *const usual[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
	struct statfs fs;

	for (size_t i = 0; i < sizeof(usual) / sizeof(*usual); i++) {
		if (statfs(usual[i], &fs) || fs.f_type != CGROUP2_MAGIC)
			continue;
		snprintf(buf, size, "%s", usual[i]);
		return 0;
	}
	return -ENOENT;
}

static int fill_cgroup(struct clew_capture *c, const char *name, char **ret_error)
{
	char path[4096], mount[64];
	struct statfs fs;
	struct stat st;
	uint64_t id;
	uint8_t one = 1;

	snprintf(path, sizeof(path), "%s", name);
	if (stat(path, &st) || statfs(path, &fs) || fs.f_type != CGROUP2_MAGIC) {
		if (cgroup2_mount(mount, sizeof(mount)))
			return errorf(ret_error, -ENOENT,
				      "--cgroup %s: the cgroup v2 hierarchy is not mounted; mount "
				      "it with `mount -t cgroup2 none /sys/fs/cgroup/unified`",
				      name);
		snprintf(path, sizeof(path), "%s/%s", mount, name + strspn(name, "/"));
		if (stat(path, &st))
			return errorf(
				ret_error, -ENOENT,
				"--cgroup %s: not a directory of the cgroup v2 hierarchy at %s",
				name, mount);
	}
	/* A v2 cgroup's id is its inode number. */
	id = st.st_ino;
	return put(c->skel->maps.cgroups, &id, sizeof(id), &one, sizeof(one));
}

static int fill_netns(struct clew_capture *c, const char *name, char **ret_error)
{
	char path[4096];
	struct stat st;
	uint32_t inum;
	uint8_t one = 1;

	if (strchr(name, '/'))
		snprintf(path, sizeof(path), "%s", name);
	else
		snprintf(path, sizeof(path), "/run/netns/%s", name);
	if (stat(path, &st))
		return errorf(ret_error, -errno, "--netns %s: %s: %s (see `ip netns`)", name, path,
			      strerror(errno));
	inum = st.st_ino;
	return put(c->skel->maps.netnss, &inum, sizeof(inum), &one, sizeof(one));
}

static int fill_glob(struct clew_capture *c, uint32_t i, const char *pattern)
{
	struct clew_glob g = {.len = strlen(pattern), .has_slash = !!strchr(pattern, '/')};

	memcpy(g.pattern, pattern, g.len);
	return put(c->skel->maps.globs, &i, sizeof(i), &g, sizeof(g));
}

/* The kernel matches future processes by the same rules (bpf/pure.bpf.h), at exec. */
static bool glob_matches(const char *pattern, const char *exe)
{
	struct clew_glob_run g = {.pattern = pattern, .p_len = strlen(pattern)};
	const char *base = strrchr(exe, '/');

	g.text = strchr(pattern, '/') || !base ? exe : base + 1;
	g.t_len = strlen(g.text);
	for (int i = 0; i < CLEW_GLOB_STEPS; i++)
		if (clew_glob_step(&g, g.p < g.p_len ? g.pattern[g.p] : 0,
				   g.t < g.t_len ? g.text[g.t] : 0))
			break;
	return g.matched;
}

/* Processes whose executable matches and that run already. */
static int want_running(struct clew_capture *c, char *const *globs)
{
	DIR *proc = opendir("/proc");
	struct dirent *d;

	if (!proc)
		return -errno;
	while ((d = readdir(proc))) {
		char path[64], exe[4096];
		uint32_t pid = strtoul(d->d_name, NULL, 10);
		ssize_t n;

		if (!pid || pid == (uint32_t)getpid())
			continue;
		snprintf(path, sizeof(path), "/proc/%u/exe", pid);
		n = readlink(path, exe, sizeof(exe) - 1);
		if (n <= 0)
			continue;
		exe[n] = 0;
		for (size_t i = 0; globs[i]; i++)
			if (glob_matches(globs[i], exe))
				want(c, pid);
	}
	closedir(proc);
	return 0;
}

int targets_fill(struct clew_capture *c, const struct clew_target_opts *t, char **ret_error)
{
	int err = fill_pids(c, t, ret_error);

	for (size_t i = 0; !err && i < count(t->cgroups); i++)
		err = fill_cgroup(c, t->cgroups[i], ret_error);
	for (size_t i = 0; !err && i < count(t->netns); i++)
		err = fill_netns(c, t->netns[i], ret_error);
	for (size_t i = 0; !err && i < count(t->exes); i++)
		err = fill_glob(c, i, t->exes[i]);
	for (size_t i = 0; !err && i < t->n_ports; i++) {
		uint8_t one = 1;

		err = put(c->skel->maps.ports, &t->ports[i], sizeof(t->ports[i]), &one,
			  sizeof(one));
	}
	if (!err && count(t->exes))
		err = want_running(c, t->exes);
	return err;
}

static int walk_with(struct bpf_program *prog, const struct bpf_iter_attach_opts *opts)
{
	_cleanup_(closep) int fd = -1;
	struct bpf_link *link;
	char buf[64];
	ssize_t n;

	link = bpf_program__attach_iter(prog, opts);
	if (!link)
		return -errno;
	fd = bpf_iter_create(bpf_link__fd(link));
	if (fd < 0) {
		bpf_link__destroy(link);
		return -errno;
	}
	do
		n = read(fd, buf, sizeof(buf));
	while (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)));
	bpf_link__destroy(link);
	return n < 0 ? -errno : 0;
}

static int walk(struct bpf_program *prog)
{
	return walk_with(prog, NULL);
}

int targets_walk_self(struct bpf_program *prog)
{
	union bpf_iter_link_info which = {.task.tid = gettid()};
	DECLARE_LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &which,
			    .link_info_len = sizeof(which));

	return walk_with(prog, &opts);
}

int targets_walk_tasks(struct clew_capture *c)
{
	int err = 0;

	for (int i = 0; !err && i < MAX_WALKS; i++) {
		c->skel->bss->walk_marked = 0;
		c->skel->bss->walk_alive = 0;
		err = walk(c->skel->progs.walk_tasks);
		if (!c->skel->bss->walk_marked)
			break;
	}
	return err;
}

/* The process ids that are wanted now. */
static int wanted_pids(struct clew_capture *c, struct clew_buf *pids)
{
	struct bpf_map *map = c->skel->maps.wanted;
	uint32_t key, *last = NULL;

	while (!bpf_map__get_next_key(map, last, &key, sizeof(key))) {
		clew_buf_add(pids, &key, sizeof(key));
		last = &key;
	}
	return pids->err;
}

/* Pids are used again: once a process is marked, its number is not wanted any more. */
static void forget_pids(struct clew_capture *c, const struct clew_buf *pids)
{
	for (size_t i = 0; i + sizeof(uint32_t) <= pids->len; i += sizeof(uint32_t))
		bpf_map__delete_elem(c->skel->maps.wanted, pids->data + i, sizeof(uint32_t), 0);
}

int targets_walk(struct clew_capture *c)
{
	struct clew_buf pids;
	int err = 0;

	clew_buf_init(&pids, CLEW_MAX_WANTED * sizeof(uint32_t));
	if (c->skel->rodata->opt_ports)
		err = walk(c->skel->progs.walk_ports);
	if (!err)
		err = wanted_pids(c, &pids);
	if (!err)
		err = targets_walk_tasks(c);
	if (!err)
		err = walk(c->skel->progs.walk_sockets);
	if (!err)
		forget_pids(c, &pids);
	clew_buf_done(&pids);
	return err;
}
