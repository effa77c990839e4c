/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Process records: what naming needs and only /proc tells, read as soon as a process is first heard
 * of.
 *
 * Everything here may fail at any moment, as the process may be gone: then the fields are absent,
 * and file name and arguments come from the kernel's exec record.
 */
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>

#include "capture/internal.h"

#define MAX_CMDLINE (16u << 10) /* of arguments kept; more are cut off */

static void put_tag(struct clew_buf *b, uint16_t tag, const char *p, size_t n)
{
	uint16_t head[2] = {tag, n > 0xffff ? 0xffff : n};

	clew_buf_add(b, head, sizeof(head));
	clew_buf_add(b, p, head[1]);
}

/* Returns the bytes read, at most size - 1; a NUL follows them. -errno. */
static ssize_t read_proc(uint32_t tgid, const char *name, char *buf, size_t size)
{
	_cleanup_(closep) int fd = -1;
	char path[64];
	ssize_t n;
	size_t have = 0;

	snprintf(path, sizeof(path), "/proc/%u/%s", tgid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (have < size - 1 && (n = read(fd, buf + have, size - 1 - have)) > 0)
		have += n;
	buf[have] = 0;
	return have;
}

static ssize_t read_link(uint32_t tgid, const char *name, char *buf, size_t size)
{
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%u/%s", tgid, name);
	n = readlink(path, buf, size - 1);
	if (n < 0)
		return -errno;
	buf[n] = 0;
	return n;
}

/* 64 hex digits, as Docker, containerd, CRI-O and podman name containers. */
static const char *find_container(const char *path, size_t n)
{
	size_t run = 0;

	for (size_t i = 0; i <= n; i++) {
		if (i < n && isxdigit((unsigned char)path[i])) {
			run++;
			continue;
		}
		if (run == 64)
			return path + i - 64;
		run = 0;
	}
	return NULL;
}

/*
 * The line of /proc/PID/cgroup that names containers and units best: one with a container's id;
 * else one with a unit; else v2's; else systemd's; else the longest. Machines with v1, v2 or both.
 */
static struct slice best_cgroup(char *text)
{
	struct slice best = {0};
	int best_score = -1;

	for (char *line = text, *next; line && *line; line = next) {
		char *controllers, *path;
		int score;

		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		controllers = strchr(line, ':');
		path = controllers ? strchr(controllers + 1, ':') : NULL;
		if (!path)
			continue;
		path++;
		score = strlen(path) > 1;
		if (score && !strncmp(line, "0::", 3))
			score = 3;
		else if (score && !strncmp(controllers, ":name=systemd:", 14))
			score = 2;
		if (strstr(path, ".service") || strstr(path, ".scope"))
			score += 4;
		if (find_container(path, strlen(path)))
			score += 8;
		if (score > best_score || (score == best_score && strlen(path) > best.n)) {
			best = slice_str(path);
			best_score = score;
		}
	}
	return best;
}

static void put_cgroup(uint32_t tgid, struct clew_buf *out)
{
	char text[8192];
	struct slice path;
	const char *id;

	if (read_proc(tgid, "cgroup", text, sizeof(text)) <= 0)
		return;
	path = best_cgroup(text);
	if (!path.n)
		return;
	put_tag(out, CLEW_TAG_CGROUP, path.p, path.n);
	id = find_container(path.p, path.n);
	if (id)
		put_tag(out, CLEW_TAG_CONTAINER, id, 64);
}

static int put_args(const char *args, size_t n, struct clew_buf *out)
{
	struct clew_buf clean;
	int err;

	clew_buf_init(&clean, 0);
	err = redact_args(args, n, &clean);
	for (size_t at = 0; !err && at < clean.len;) {
		size_t len = strnlen(clean.data + at, clean.len - at);

		put_tag(out, CLEW_TAG_ARG, clean.data + at, len);
		at += len + 1;
	}
	clew_buf_done(&clean);
	return err;
}

static struct slice exec_tail(const struct clew_rec_thread *t)
{
	return slice_of((const char *)t + t->hdr_bytes,
			t->event == CLEW_THREAD_EXEC ? t->tail_len : 0);
}

static int put_strings(const struct clew_rec_thread *t, struct clew_buf *out)
{
	struct slice tail = exec_tail(t);
	size_t name = strnlen(tail.p, tail.n);
	char path[4096], args[MAX_CMDLINE];
	ssize_t n;
	int err = 0;

	n = read_link(t->tgid, "exe", path, sizeof(path));
	if (n > 0)
		put_tag(out, CLEW_TAG_EXE, path, n);
	else if (name)
		put_tag(out, CLEW_TAG_EXE, tail.p, name);
	n = read_proc(t->tgid, "cmdline", args, sizeof(args));
	if (n > 0)
		err = put_args(args, n, out);
	else if (tail.n > name + 1)
		err = put_args(tail.p + name + 1, tail.n - name - 1, out);
	put_cgroup(t->tgid, out);
	n = read_link(t->tgid, "cwd", path, sizeof(path));
	if (n > 0)
		put_tag(out, CLEW_TAG_CWD, path, n);
	put_tag(out, CLEW_TAG_COMM, t->comm, strnlen(t->comm, sizeof(t->comm)));
	return err ? err : out->err;
}

static int finish(struct clew_buf *out)
{
	static const char zeros[8];

	return clew_buf_add(out, zeros, -out->len & 7);
}

int procinfo_record(const struct clew_rec_thread *t, const char *runtime, struct clew_buf *out)
{
	struct clew_rec_process p = {
		.hdr.type = CLEW_REC_PROCESS,
		.ts_ns = t->ts_ns,
		.proc_start_ns = t->proc_start_ns,
		.tgid = t->tgid,
		.nspid = t->nspid,
		.ppid = t->ptgid,
		.uid = t->uid,
		.hdr_bytes = sizeof(p),
	};
	int err;

	clew_buf_clear(out);
	clew_buf_add(out, &p, sizeof(p));
	err = put_strings(t, out);
	if (err)
		return err;
	if (runtime)
		put_tag(out, CLEW_TAG_RUNTIME, runtime, strlen(runtime));
	p.tail_len = out->len - sizeof(p);
	err = finish(out);
	if (err)
		return err;
	p.hdr.len = out->len;
	memcpy(out->data, &p, sizeof(p));
	return 0;
}

int procinfo_redact_exec(const struct clew_rec_thread *t, struct clew_buf *out)
{
	struct slice tail = exec_tail(t);
	size_t name = strnlen(tail.p, tail.n);
	struct clew_rec_thread copy = *t;
	int err;

	name += name < tail.n;
	clew_buf_clear(out);
	clew_buf_add(out, &copy, sizeof(copy));
	clew_buf_add(out, tail.p, name);
	err = redact_args(tail.p + name, tail.n - name, out);
	if (err)
		return err;
	copy.hdr_bytes = sizeof(copy);
	copy.tail_len = out->len - sizeof(copy);
	err = finish(out);
	if (err)
		return err;
	copy.hdr.len = out->len;
	memcpy(out->data, &copy, sizeof(copy));
	return 0;
}
