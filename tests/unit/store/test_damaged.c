/* SPDX-License-Identifier: Apache-2.0 */
/* Hours whose files cannot be used: the store opens without them, sets them aside, and says and counts it. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util.h"

#define HOUR  (3600ull * 1000000000)
#define HOURS 3
#define EACH  200 /* traces of an hour */

/* Three hours, sealed; the path of the one in the middle. */
static char *fill(char *file, size_t size)
{
	struct clew_store_opts seals = {.hot_spans = 1};
	char *dir = tmp_dir();
	struct clew_store *st = open_store(dir, &seals);

	for (uint64_t h = 0; h < HOURS; h++)
		for (uint64_t i = 1; i <= EACH; i++)
			put_shop(st, h * EACH + i, T0 + h * HOUR + i * MS);
	assert_int_equal(clew_store_flush(st), 0);
	clew_store_close(st);
	snprintf(file, size, "%s/spans-20260102T04.duckdb", dir);
	return dir;
}

static size_t file_size(const char *path)
{
	struct stat sb;

	assert_int_equal(stat(path, &sb), 0);
	return (size_t)sb.st_size;
}

static void overwrite(const char *path, off_t at, size_t n)
{
	int fd = open(path, O_RDWR);

	assert_true(fd >= 0);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(pwrite(fd, "\xa5", 1, at + (off_t)i), 1);
	close(fd);
}

static void truncate_to_nothing(const char *file)
{
	assert_int_equal(truncate(file, 0), 0);
}

static void truncate_head(const char *file)
{
	assert_int_equal(truncate(file, 5000), 0);
}

/* What is said of the tables is still there. */
static void truncate_end(const char *file)
{
	assert_int_equal(truncate(file, (off_t)file_size(file) - 70000), 0);
}

static void truncate_middle(const char *file)
{
	assert_int_equal(truncate(file, (off_t)file_size(file) / 2), 0);
}

static void damage_head(const char *file)
{
	overwrite(file, 0, 16);
}

static void damage_all(const char *file)
{
	overwrite(file, 12288, file_size(file) - 12288);
}

/* The version of the engine's file format: behind the checksum and the magic bytes. */
static void damage_version(const char *file)
{
	overwrite(file, 12, 1);
}

static void become_a_directory(const char *file)
{
	assert_int_equal(unlink(file), 0);
	assert_int_equal(mkdir(file, 0700), 0);
}

static void check_damage(void (*damage)(const char *file))
{
	struct clew_store_opts ro = {.read_only = true};
	char file[300], aside[320];
	char *dir = fill(file, sizeof(file));
	struct clew_store_stats s;
	struct clew_store *st;

	damage(file);
	snprintf(aside, sizeof(aside), "%s.damaged", file);
	st = open_store(dir, &ro);
	assert_int_equal(count_spans(st), 2 * EACH * 3);
	clew_store_stats(st, &s);
	assert_int_equal(s.damaged_files, 1);
	clew_store_close(st);
	assert_int_equal(access(file, F_OK), 0); /* a reader changes nothing */
	st = open_store(dir, NULL);
	assert_int_equal(count_spans(st), 2 * EACH * 3);
	assert_int_equal(access(aside, F_OK), 0);
	/* Its hour goes on. */
	put_shop(st, 10000, T0 + HOUR + MS);
	assert_int_equal(clew_store_flush(st), 0);
	assert_int_equal(count_spans(st), 2 * EACH * 3 + 3);
	clew_store_close(st);
	/* It is counted as long as it lies there. */
	st = open_store(dir, &ro);
	clew_store_stats(st, &s);
	assert_int_equal(s.damaged_files, 1);
	assert_int_equal(count_spans(st), 2 * EACH * 3 + 3);
	clew_store_close(st);
	rm_dir(dir);
}

static void test_damaged(void **state)
{
	check_damage(truncate_to_nothing);
	check_damage(truncate_head);
	check_damage(truncate_middle);
	check_damage(truncate_end);
	check_damage(damage_head);
	check_damage(damage_all);
	check_damage(damage_version);
	check_damage(become_a_directory);
}

/* ---- blocks inside of a file that can be attached ---- */

#define BLOCK 65536

/* Where the engine keeps its blocks, in a file of ours: behind three heads of 4,096 bytes. */
static off_t block_at(size_t i)
{
	return 12288 + (off_t)i * BLOCK;
}

#define SAVED 64

static void damage_block(const char *file, size_t i)
{
	overwrite(file, block_at(i) + 4096, SAVED);
}

static void read_block(const char *file, size_t i, char saved[SAVED])
{
	int fd = open(file, O_RDONLY);

	assert_int_equal(pread(fd, saved, SAVED, block_at(i) + 4096), SAVED);
	close(fd);
}

static void mend_block(const char *file, size_t i, const char saved[SAVED])
{
	int fd = open(file, O_RDWR);

	assert_int_equal(pwrite(fd, saved, SAVED, block_at(i) + 4096), SAVED);
	close(fd);
}

struct asked {
	uint64_t n;
	int r;
	size_t left_out;
	int64_t hours[CLEW_STORE_LEFT_OUT];
};

/* All spans, whole; the store may want to be asked anew. */
static struct asked ask_all(struct clew_store *st)
{
	struct clew_span_filter all = {0};
	struct asked a = {.r = -ERESTART};

	for (int tries = 0; a.r == -ERESTART && tries < 3; tries++) {
		char *error = NULL;

		a.n = 0;
		(void)clew_store_left_out(a.hours);
		a.r = clew_store_find_spans(st, &all, count_one, &a.n, &error);
		a.left_out = clew_store_left_out(a.hours);
		if (a.r < 0)
			print_message("%d %s\n", a.r, error ? error : "");
		free(error);
	}
	return a;
}

/* One block after the other: of each hour that can be attached queries get what can be read, and say what not. */
static void test_damaged_blocks(void **state)
{
	struct clew_store_opts ro = {.read_only = true};
	char file[300];
	char *dir = fill(file, sizeof(file));
	size_t blocks = (file_size(file) - 12288) / BLOCK, found = 0;

	assert_true(blocks > 4);
	for (size_t i = 0; i < blocks; i++) {
		char saved[SAVED];
		struct clew_store *st;
		struct clew_store_stats s;
		struct asked a;

		read_block(file, i, saved);
		damage_block(file, i);
		st = open_store(dir, &ro);
		a = ask_all(st);
		assert_int_equal(a.r, 0);
		clew_store_stats(st, &s);
		if (a.left_out) {
			found++;
			assert_int_equal(a.left_out, 1);
			assert_int_equal(a.hours[0], T0 / HOUR + 1);
			assert_int_equal(a.n, 2 * EACH * 3);
			assert_int_equal(s.damaged_hours, 1);
			assert_true(s.left_out > 0);
		} else {
			assert_true(a.n == 2 * EACH * 3 || a.n == HOURS * EACH * 3);
			assert_int_equal(a.n == 2 * EACH * 3, s.damaged_files);
		}
		clew_store_close(st);
		mend_block(file, i, saved);
	}
	assert_true(found > 0);
	rm_dir(dir);
}

/* The block of the spans themselves: without it a query cannot read the hour. */
static size_t find_block(const char *dir, const char *file)
{
	struct clew_store_opts ro = {.read_only = true};
	size_t blocks = (file_size(file) - 12288) / BLOCK;
	size_t left_out = 0;

	for (size_t i = 0; i < blocks; i++) {
		struct clew_store *st;
		char saved[64];

		read_block(file, i, saved);
		damage_block(file, i);
		st = open_store(dir, &ro);
		left_out = ask_all(st).left_out;
		clew_store_close(st);
		if (left_out)
			return i;
		mend_block(file, i, saved);
	}
	fail_msg("no block of %s is read", file);
	return 0;
}

/* An hour that cannot be added to, as what is added stands with what cannot be read: new spans go into a new file,
 * those that were sealed last among them. */
static void test_damaged_where_it_is_written(void **state)
{
	char file[300], aside[320];
	char *dir = fill(file, sizeof(file));
	struct clew_store_stats s;
	struct clew_store *st;

	(void)find_block(dir, file); /* it stays damaged */
	st = open_store(dir, NULL);
	put_shop(st, 7000, T0 + HOUR + MS);
	assert_int_equal(clew_store_flush(st), 0);
	for (uint64_t h = HOURS; h < HOURS + 3; h++) /* too many for memory: the first is sealed */
		put_shop(st, 8000 + h, T0 + h * HOUR);
	assert_int_equal(clew_store_flush(st), 0);
	put_shop(st, 7001, T0 + HOUR + 2 * MS);
	assert_int_equal(clew_store_flush(st), 0);
	assert_int_equal(count_spans(st), 2 * EACH * 3 + 5 * 3);
	snprintf(aside, sizeof(aside), "%s.damaged", file);
	assert_int_equal(access(aside, F_OK), 0);
	clew_store_stats(st, &s);
	assert_int_equal(s.damaged_files, 2); /* with the engine's log of it */
	assert_false(s.failing);
	clew_store_close(st);
	st = open_store(dir, NULL);
	assert_int_equal(count_spans(st), 2 * EACH * 3 + 5 * 3);
	clew_store_close(st);
	rm_dir(dir);
}

/* Another parent for the call of a trace of this hour. */
static struct clew_amendment amendment(uint64_t hour)
{
	uint64_t n = hour * EACH + 1;

	return (struct clew_amendment){.trace_id = trace_id(n),
				       .to_trace_id = trace_id(n),
				       .span_id = clew_id64_from(n * 10 + 2),
				       .parent_span_id = clew_id64_from(7),
				       .start_ns = T0 + hour * HOUR + MS + MS};
}

/* What is found out later about spans of other hours is not lost for one that cannot be read. */
static void test_damaged_amended(void **state)
{
	struct clew_amendment v[2] = {amendment(1), amendment(2)};
	char file[300];
	char *dir = fill(file, sizeof(file));
	struct clew_store_stats s;
	struct clew_store *st;

	(void)find_block(dir, file);
	st = open_store(dir, NULL);
	clew_store_amend(st, v, 2, NULL, 0);
	assert_int_equal(clew_store_flush(st), 0);
	clew_store_stats(st, &s);
	assert_int_equal(s.amended, 1);
	assert_int_equal(s.damaged_hours, 1);
	clew_store_close(st);
	rm_dir(dir);
}

/* A writer that is killed when it has sealed more of the hour: that is in the engine's log. */
static void seal_and_die(const char *dir)
{
	struct clew_store_opts seals = {.hot_spans = 1};
	struct clew_store *st;
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		st = open_store(dir, &seals);
		for (uint64_t i = 1; i <= EACH; i++) {
			put_shop(st, 5000 + i, T0 + HOUR + i * MS);
			if (i % 50 == 0 && clew_store_flush(st) < 0)
				_exit(1);
		}
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* The engine's log of an hour: what is in its file is there without it, and it is never deleted. */
static void test_damaged_log(void **state)
{
	struct clew_store_opts ro = {.read_only = true};
	char file[300], log[320], aside[340];
	char *dir = fill(file, sizeof(file));
	struct clew_store_stats s;
	struct clew_store *st;
	uint64_t n;

	seal_and_die(dir);
	snprintf(log, sizeof(log), "%s.wal", file);
	snprintf(aside, sizeof(aside), "%s.damaged", log);
	overwrite(log, (off_t)file_size(log) / 2, 64);
	st = open_store(dir, &ro);
	n = count_spans(st);
	print_message("reader %d\n", (int)n);
	clew_store_close(st);
	st = open_store(dir, NULL);
	n = count_spans(st);
	print_message("writer %d\n", (int)n);
	assert_true(n >= HOURS * EACH * 3 && n < (HOURS + 1) * EACH * 3);
	assert_int_equal(access(aside, F_OK), 0);
	clew_store_stats(st, &s);
	assert_int_equal(s.damaged_files, 1);
	clew_store_close(st);
	/* One without its file is not deleted with the hour's next one. */
	assert_int_equal(rename(aside, log), 0);
	assert_int_equal(unlink(file), 0);
	st = open_store(dir, NULL);
	put_shop(st, 10000, T0 + HOUR + MS);
	assert_int_equal(clew_store_flush(st), 0);
	clew_store_close(st);
	assert_int_equal(access(aside, F_OK), 0);
	rm_dir(dir);
}

/* Without the names nothing can be told of the spans: no new catalog takes the place of a lost one. */
static void test_no_catalog(void **state)
{
	char file[300], *error = NULL;
	char *dir = fill(file, sizeof(file));
	struct clew_store *st = NULL;

	snprintf(file, sizeof(file), "%s/catalog.duckdb", dir);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(clew_store_open(dir, NULL, &st, &error), -EUCLEAN);
	assert_non_null(strstr(error, "catalog.duckdb"));
	free(error);
	assert_int_equal(access(file, F_OK), -1);
	rm_dir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_damaged_blocks),
		cmocka_unit_test(test_damaged_where_it_is_written),
		cmocka_unit_test(test_damaged_amended),
		cmocka_unit_test(test_damaged_log),
		cmocka_unit_test(test_no_catalog),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
