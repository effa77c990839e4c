/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store when it is killed and when its disk is full.
 *
 * Killed: what a flush answered for is there afterwards, the store opens, and nothing is there
 * twice. Full: one error, loss that is counted, writing again by itself when there is space, no
 * broken store.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "util.h"

/* Write traces for ever; after each flush say how many are safe. */
static void write_until_killed(const char *dir, uint64_t first, int out)
{
	struct clew_store_opts opts = {.hot_spans = 900, .flush_ns = 5 * MS};
	struct clew_store *st = open_store(dir, &opts);

	for (uint64_t n = first;; n++) {
		put_shop(st, n, T0 + n * MS);
		if (n % 40)
			continue;
		if (clew_store_flush(st) < 0 || write(out, &n, sizeof(n)) != sizeof(n))
			_exit(1);
	}
}

static void test_kill(void **state)
{
	struct clew_store_opts ro = {.read_only = true};
	char *dir = tmp_dir();
	uint64_t safe = 0;

	for (int round = 0; round < 8; round++) {
		struct clew_store *st;
		uint64_t n, stored;
		int fds[2], status;
		pid_t pid;

		assert_int_equal(pipe(fds), 0);
		pid = fork();
		if (pid == 0) {
			close(fds[0]);
			write_until_killed(dir, safe + 1, fds[1]);
		}
		close(fds[1]);
		/* at another moment each time: somewhere in a batch, a seal, a checkpoint */
		for (int i = 0; i < 4 + round * 3; i++)
			if (read(fds[0], &n, sizeof(n)) == sizeof(n))
				safe = n;
		nanosleep(&(struct timespec){.tv_nsec = (long)(round * 1700000)}, NULL);
		kill(pid, SIGKILL);
		while (read(fds[0], &n, sizeof(n)) == sizeof(n))
			safe = n;
		close(fds[0]);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		/* first by a reader, who must not write, then by a writer */
		st = open_store(dir, &ro);
		stored = count_spans(st);
		clew_store_close(st);
		assert_true(stored >= safe * 3);
		/* at most what was not flushed yet */
		assert_true(stored <= safe * 3 + 40 * 3 * 2);
	}
	{
		struct clew_store *st = open_store(dir, NULL);

		/* All again: only what was never stored is new. */
		for (uint64_t n = 1; n <= safe + 100; n++)
			put_shop(st, n, T0 + n * MS);
		assert_int_equal(clew_store_flush(st), 0);
		assert_int_equal(count_spans(st), (safe + 100) * 3);
		clew_store_close(st);
	}
	rm_dir(dir);
}

static void write_file(const char *path, size_t bytes)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	char block[65536] = {1};

	assert_true(fd >= 0);
	while (bytes) {
		size_t n = bytes < sizeof(block) ? bytes : sizeof(block);
		ssize_t w = write(fd, block, n);

		if (w < 0)
			break; /* full: that is what is wanted */
		bytes -= (size_t)w;
	}
	close(fd);
}

/* A small tmpfs. */
static void full_disk(const char *dir)
{
	struct clew_store_opts opts = {.flush_ns = 5 * MS, .queue_spans = 3000, .hot_spans = 3000};
	struct clew_store_stats s;
	struct clew_store *st;
	char ballast[300], sub[300];
	uint64_t n = 0, stored, limit;

	assert_int_equal(mount("tmpfs", dir, "tmpfs", 0, "size=24m"), 0);
	snprintf(ballast, sizeof(ballast), "%s/ballast", dir);
	snprintf(sub, sizeof(sub), "%s/db", dir);
	st = open_store(sub, &opts);
	for (n = 1; n <= 300; n++)
		put_shop(st, n, T0 + n * MS);
	assert_int_equal(clew_store_flush(st), 0);
	write_file(ballast, 64 << 20);
	/* until the disk says no, and then until the queue does */
	for (limit = n + 200000; n < limit; n++) {
		put_shop(st, n, T0 + n * MS);
		if (n % 200)
			continue;
		nanosleep(&(struct timespec){.tv_nsec = 5 * MS}, NULL);
		clew_store_stats(st, &s);
		if (s.failing && s.shed_spans + s.dropped_queue)
			break;
	}
	clew_store_stats(st, &s);
	assert_true(s.failing);
	assert_true(s.shed_spans + s.dropped_queue > 0);
	assert_non_null(strstr(s.last_error, "space"));
	/* space again */
	assert_int_equal(unlink(ballast), 0);
	assert_int_equal(clew_store_flush(st), 0);
	clew_store_stats(st, &s);
	assert_false(s.failing);
	assert_true(s.recoveries > 0);
	for (uint64_t i = 1; i <= 100; i++)
		put_shop(st, 1000000 + i, T0 + i * MS);
	assert_int_equal(clew_store_flush(st), 0);
	clew_store_stats(st, &s);
	stored = count_spans(st);
	/* every span is stored, or counted as lost */
	assert_int_equal(s.dropped_error, 0);
	assert_int_equal(stored + s.shed_spans + s.dropped_queue, s.appended - s.duplicates);
	clew_store_close(st);
	st = open_store(sub, NULL);
	assert_int_equal(count_spans(st), stored);
	clew_store_close(st);
}

/* What is in a mount namespace of its own. Needs root. */
static void in_child(void (*fn)(const char *dir))
{
	char *dir = tmp_dir();
	int status;
	pid_t pid;

	if (geteuid()) {
		print_message("mounts need root: not tested\n");
		skip();
	}
	pid = fork();
	if (pid == 0) {
		assert_int_equal(unshare(CLONE_NEWNS), 0);
		assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
		fn(dir);
		_exit(0); /* a failed assertion ends the child otherwise: cmocka has no test to fail
			   */
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	rm_dir(dir);
}

static void test_full_disk(void **state)
{
	in_child(full_disk);
}

static void put_some(const char *dir, const struct clew_store_opts *opts, uint64_t from,
		     uint64_t to)
{
	struct clew_store *st = open_store(dir, opts);

	for (uint64_t n = from; n < to; n++)
		put_shop(st, n, T0 + n * MS);
	assert_int_equal(clew_store_flush(st), 0);
	clew_store_close(st);
}

/* Sealed spans and hot ones, with the files that keep writers and readers apart and without. */
static void read_only_disk(const char *dir)
{
	struct clew_store_opts ro = {.read_only = true}, seals = {.hot_spans = 1};
	struct clew_store *st = NULL;
	char *error = NULL;

	put_some(dir, &seals, 1, 101);
	put_some(dir, NULL, 101, 111);
	for (int i = 0; i < 2; i++) {
		char path[300];

		assert_int_equal(mount(dir, dir, NULL, MS_BIND, NULL), 0);
		assert_int_equal(mount(NULL, dir, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), 0);
		st = open_store(dir, &ro);
		assert_int_equal(count_spans(st), 330);
		clew_store_close(st);
		assert_int_equal(clew_store_open(dir, NULL, &st, &error), -EROFS);
		free(error);
		error = NULL;
		assert_int_equal(umount(dir), 0);
		snprintf(path, sizeof(path), "%s/writer.lock", dir);
		assert_int_equal(unlink(path), i ? -1 : 0);
		snprintf(path, sizeof(path), "%s/readers.lock", dir);
		assert_int_equal(unlink(path), i ? -1 : 0);
	}
}

static void test_read_only_disk(void **state)
{
	in_child(read_only_disk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kill),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_read_only_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
