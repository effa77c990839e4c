/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logs of the newest spans: what is left of them when they are cut or damaged, when the writer died while it
 * sealed, and stores of version 1, which had none. And queries beside the sealing.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

#include <duckdb.h>

#include "util.h"

static uint64_t count_dir(const char *dir, bool read_only)
{
	struct clew_store_opts opts = {.read_only = read_only};
	struct clew_store *st = open_store(dir, &opts);
	uint64_t n = count_spans(st);

	clew_store_close(st);
	return n;
}

static uint64_t found(struct clew_store *st, const struct clew_span_filter *f)
{
	uint64_t n = 0;

	assert_int_equal(clew_store_find_spans(st, f, count_one, &n, NULL), 0);
	return n;
}

/* n traces, each a batch of its own; they stay in the log. */
static void fill(const char *dir, uint64_t n)
{
	struct clew_store *st = open_store(dir, NULL);

	for (uint64_t i = 1; i <= n; i++) {
		put_shop(st, i, T0 + i * MS);
		assert_int_equal(clew_store_flush(st), 0);
	}
	clew_store_close(st);
}

/* The only file that matches. */
static void one_file(const char *dir, const char *pattern, char *out, size_t size)
{
	char path[300];
	glob_t g;

	snprintf(path, sizeof(path), "%s/%s", dir, pattern);
	assert_int_equal(glob(path, 0, NULL, &g), 0);
	assert_int_equal(g.gl_pathc, 1);
	snprintf(out, size, "%s", g.gl_pathv[0]);
	globfree(&g);
}

static size_t file_size(const char *path)
{
	struct stat sb;

	assert_int_equal(stat(path, &sb), 0);
	return (size_t)sb.st_size;
}

/* Cut at any place: whole batches stay, a reader and a writer agree, and the writer goes on. */
static void test_cut(void **state)
{
	char *dir = tmp_dir(), log[300];
	uint64_t before = 30;

	fill(dir, 10);
	one_file(dir, "spans-*.log", log, sizeof(log));
	for (int i = 0; i < 12; i++) {
		size_t size = file_size(log), cut = size > 257 ? size - 257 : 3;
		uint64_t n;

		assert_int_equal(truncate(log, (off_t)cut), 0);
		n = count_dir(dir, true);
		assert_true(n <= before && n % 3 == 0);
		assert_int_equal(count_dir(dir, false), n);
		before = n;
		if (!n)
			break;
		/* The writer has taken away what was no whole batch: the next cut goes into one. */
		assert_true(file_size(log) <= cut);
	}
	fill(dir, 12);
	assert_int_equal(count_dir(dir, true), 36);
	rm_dir(dir);
}

static void flip(const char *path, off_t at)
{
	int fd = open(path, O_RDWR);
	char c;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &c, 1, at), 1);
	c ^= 0x40;
	assert_int_equal(pwrite(fd, &c, 1, at), 1);
	close(fd);
}

/* A byte that is not what was written costs the batch that it is in, nothing else; nothing wrong is shown. */
static void test_damaged(void **state)
{
	struct clew_store_opts ro = {.read_only = true};

	for (int i = 0; i < 20; i++) {
		char *dir = tmp_dir(), log[300];
		struct clew_store_stats s;
		struct clew_store *st;
		size_t size;

		fill(dir, 4);
		one_file(dir, "spans-*.log", log, sizeof(log));
		size = file_size(log);
		flip(log, (off_t)(16 + (size - 17) * (size_t)i / 19));
		assert_int_equal(count_dir(dir, true), 9);
		assert_int_equal(count_dir(dir, false), 9);
		st = open_store(dir, &ro);
		clew_store_stats(st, &s);
		assert_int_equal(count_spans(st), 9);
		/* The last one may as well be what a crash left: it was taken away. */
		assert_int_equal(s.damaged_places, file_size(log) == size);
		assert_true(s.damaged_bytes < size / 3);
		clew_store_close(st);
		rm_dir(dir);
	}
}

/* What is written and amended behind a damaged batch finds its rows, now and when it is read again. */
static void test_amended_behind_damage(void **state)
{
	struct clew_amendment a = {.what = CLEW_AMEND_PARENT,
				   .trace_id = trace_id(3),
				   .span_id = clew_id64_from(33),
				   .to_trace_id = trace_id(3),
				   .start_ns = T0 + 5 * MS};
	struct clew_store_opts seals = {.hot_spans = 1};
	struct clew_id128 three = trace_id(3), five = trace_id(5);
	struct clew_span *s = NULL;
	char *dir = tmp_dir(), log[300];
	struct clew_store *st;

	a.parent_span_id = clew_id64_from(31);
	fill(dir, 4);
	st = open_store(dir, NULL);
	clew_store_amend(st, &a, 1, NULL, 0);
	assert_int_equal(clew_store_flush(st), 0);
	clew_store_close(st);
	one_file(dir, "spans-*.log", log, sizeof(log));
	flip(log, 200);
	st = open_store(dir, NULL);
	put_shop(st, 5, T0 + 5 * MS);
	assert_int_equal(clew_store_flush(st), 0);
	a = (struct clew_amendment){.what = CLEW_AMEND_PARENT,
				    .trace_id = five,
				    .span_id = clew_id64_from(53),
				    .to_trace_id = five,
				    .parent_span_id = clew_id64_from(51),
				    .start_ns = T0 + 7 * MS};
	clew_store_amend(st, &a, 1, NULL, 0);
	assert_int_equal(clew_store_flush(st), 0);
	clew_store_close(st);
	for (int i = 0; i < 2; i++) {
		struct clew_id64 id = clew_id64_from(33), parent = clew_id64_from(31);

		st = open_store(dir, i ? &seals : NULL); /* sealed at the end, too */
		assert_int_equal(count_spans(st), 12);
		assert_int_equal(clew_store_get_span(st, &three, &id, &s, NULL), 0);
		assert_memory_equal(&s->parent_span_id, &parent, sizeof(parent));
		clew_span_free(s);
		id = clew_id64_from(53);
		parent = clew_id64_from(51);
		assert_int_equal(clew_store_get_span(st, &five, &id, &s, NULL), 0);
		assert_memory_equal(&s->parent_span_id, &parent, sizeof(parent));
		clew_span_free(s);
		clew_store_close(st);
	}
	assert_int_equal(count_dir(dir, true), 12);
	rm_dir(dir);
}

/* A damaged head costs nothing; a file without a batch is set aside. */
static void test_no_log_of_ours(void **state)
{
	char *dir = tmp_dir(), log[300], aside[320];
	struct clew_store_stats s;
	struct clew_store *st;
	int fd;

	fill(dir, 1);
	one_file(dir, "spans-*.log", log, sizeof(log));
	flip(log, 0);
	assert_int_equal(count_dir(dir, true), 3);
	assert_int_equal(count_dir(dir, false), 3);
	fd = open(log, O_WRONLY | O_TRUNC);
	assert_int_equal(write(fd, "this is somebody else's, and long enough", 40), 40);
	close(fd);
	assert_int_equal(count_dir(dir, true), 0);
	st = open_store(dir, NULL);
	assert_int_equal(count_spans(st), 0);
	clew_store_stats(st, &s);
	assert_int_equal(s.damaged_files, 1);
	clew_store_close(st);
	snprintf(aside, sizeof(aside), "%s.damaged", log);
	assert_int_equal(access(aside, F_OK), 0);
	rm_dir(dir);
}

static void copy_file(const char *from, const char *to)
{
	int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	char buf[4096];
	ssize_t n;

	assert_true(in >= 0 && out >= 0);
	while ((n = read(in, buf, sizeof(buf))) > 0)
		assert_int_equal(write(out, buf, (size_t)n), n);
	close(in);
	close(out);
}

/* Killed after the run was committed and before its log was unlinked: nothing is there twice. */
static void test_sealed_log_stays_behind(void **state)
{
	struct clew_store_opts seals = {.hot_spans = 1};
	char *dir = tmp_dir(), log[300], kept[320];
	struct clew_store *st;

	fill(dir, 5);
	one_file(dir, "spans-*.log", log, sizeof(log));
	snprintf(kept, sizeof(kept), "%s.kept", log);
	copy_file(log, kept);
	st = open_store(dir, &seals);
	put_shop(st, 6, T0 + 6 * MS);
	assert_int_equal(clew_store_flush(st), 0);
	assert_int_equal(count_spans(st), 18);
	clew_store_close(st);
	assert_int_equal(access(log, F_OK), -1);
	copy_file(kept, log);
	assert_int_equal(count_dir(dir, true), 18);
	assert_int_equal(access(log, F_OK), 0); /* a reader changes nothing */
	assert_int_equal(count_dir(dir, false), 18);
	assert_int_equal(access(log, F_OK), -1);
	rm_dir(dir);
}

/* The hour's file was taken away: what is in the log is not lost, nor is it taken for sealed later. */
static void test_log_without_its_hour(void **state)
{
	struct clew_store_opts seals = {.hot_spans = 1};
	char *dir = tmp_dir(), file[300];
	struct clew_store *st = open_store(dir, &seals);

	put_shop(st, 1, T0 + MS);
	assert_int_equal(clew_store_flush(st), 0);
	clew_store_close(st);
	fill(dir, 3); /* the first is known */
	one_file(dir, "spans-*.duckdb", file, sizeof(file));
	assert_int_equal(unlink(file), 0);
	assert_int_equal(count_dir(dir, false), 6);
	st = open_store(dir, &seals);
	put_shop(st, 4, T0);
	assert_int_equal(clew_store_flush(st), 0);
	clew_store_close(st);
	assert_int_equal(count_dir(dir, true), 9);
	rm_dir(dir);
}

/* ---- version 1 ---- */

static void run_sql(duckdb_connection conn, const char *sql)
{
	duckdb_result res;

	if (duckdb_query(conn, sql, &res) != DuckDBSuccess)
		fail_msg("%s: %s", sql, duckdb_result_error(&res));
	duckdb_destroy_result(&res);
}

/*
 * Make a store what version 1 left: of its sealed spans those from row `hot` on are in a table `hot`; indexed:
 * the rest has its index.
 */
static void make_old(const char *dir, int hot, bool indexed)
{
	static const char *const tables[] = {"block_index", "trace_index", "red",
					     "edge",	    "trace",	   "seen",
					     "attr_count",  "attr_range",  "digest"};
	duckdb_connection conn;
	duckdb_database db;
	char file[300], sql[700];

	one_file(dir, "spans-*.duckdb", file, sizeof(file));
	assert_int_equal(duckdb_open(NULL, &db), DuckDBSuccess);
	assert_int_equal(duckdb_connect(db, &conn), DuckDBSuccess);
	snprintf(sql, sizeof(sql), "ATTACH '%s/catalog.duckdb' AS c", dir);
	run_sql(conn, sql);
	run_sql(conn, "UPDATE c.meta SET value = '1' WHERE key = 'schema_version'");
	snprintf(sql, sizeof(sql), "ATTACH '%s' AS h", file);
	run_sql(conn, sql);
	snprintf(sql, sizeof(sql), "CREATE TABLE h.hot AS SELECT * FROM h.span WHERE rowid >= %d",
		 hot);
	run_sql(conn, sql);
	snprintf(sql, sizeof(sql), "CREATE TABLE h.rest AS SELECT * FROM h.span WHERE rowid < %d",
		 hot);
	run_sql(conn, sql);
	run_sql(conn, "DROP TABLE h.span");
	run_sql(conn, "CREATE TABLE h.span AS SELECT * FROM h.rest");
	run_sql(conn, "DROP TABLE h.rest");
	run_sql(conn, "DELETE FROM h.run");
	snprintf(sql, sizeof(sql),
		 "INSERT INTO h.run SELECT 0, count(*), min(start_ns), max(start_ns), %s FROM"
		 " h.span HAVING count(*) > 0",
		 indexed ? "true" : "false");
	run_sql(conn, sql);
	for (size_t i = 0; !indexed && i < sizeof(tables) / sizeof(*tables); i++) {
		snprintf(sql, sizeof(sql), "DELETE FROM h.%s", tables[i]);
		run_sql(conn, sql);
	}
	duckdb_disconnect(&conn);
	duckdb_close(&db);
}

static void check_old(struct clew_store *st, uint64_t n)
{
	struct clew_span_filter item = {.n_attrs = 1, .attrs = {{SLICE("item"), SLICE("7")}}};
	struct clew_span_filter back = {.service = SLICE("back")};
	struct clew_span_filter few = {.limit = 5, .service = SLICE("front")};
	struct clew_id128 id = trace_id(n);
	uint64_t spans = 0;

	assert_int_equal(count_spans(st), 3 * n);
	assert_int_equal(found(st, &item), 1);
	assert_int_equal(found(st, &back), n);
	assert_int_equal(found(st, &few), 5);
	assert_int_equal(clew_store_get_trace(st, &id, count_one, &spans, NULL), 0);
	assert_int_equal(spans, 3);
}

static void check_version_1(int hot, bool indexed)
{
	struct clew_store_opts seals = {.hot_spans = 1}, ro = {.read_only = true};
	char *dir = tmp_dir();
	struct clew_store *st = open_store(dir, &seals);

	for (uint64_t i = 1; i <= 40; i++)
		put_shop(st, i, T0 + i * MS);
	assert_int_equal(clew_store_flush(st), 0);
	clew_store_close(st);
	make_old(dir, hot, indexed);
	st = open_store(dir, &ro);
	check_old(st, 40);
	clew_store_close(st);
	/* twice: taken over, and as it is then */
	for (int i = 0; i < 2; i++) {
		st = open_store(dir, NULL);
		check_old(st, 40);
		for (uint64_t k = 1; k <= 40 + (uint64_t)i; k++)
			put_shop(st, k, T0 + k * MS);
		assert_int_equal(clew_store_flush(st), 0);
		check_old(st, 40 + (uint64_t)i);
		clew_store_close(st);
	}
	st = open_store(dir, &seals);
	put_shop(st, 42, T0 + 42 * MS);
	assert_int_equal(clew_store_flush(st), 0);
	check_old(st, 42);
	clew_store_close(st);
	rm_dir(dir);
}

static void test_version_1(void **state)
{
	check_version_1(0, false);   /* nothing sealed */
	check_version_1(120, true);  /* nothing hot */
	check_version_1(120, false); /* a run without its index */
	check_version_1(60, false);  /* both */
}

static void test_newer_is_refused(void **state)
{
	char *dir = tmp_dir(), *error = NULL, sql[400];
	struct clew_store *st = NULL;
	duckdb_connection conn;
	duckdb_database db;

	fill(dir, 1);
	assert_int_equal(duckdb_open(NULL, &db), DuckDBSuccess);
	assert_int_equal(duckdb_connect(db, &conn), DuckDBSuccess);
	snprintf(sql, sizeof(sql), "ATTACH '%s/catalog.duckdb' AS c", dir);
	run_sql(conn, sql);
	run_sql(conn, "UPDATE c.meta SET value = '3' WHERE key = 'schema_version'");
	duckdb_disconnect(&conn);
	duckdb_close(&db);
	assert_int_equal(clew_store_open(dir, NULL, &st, &error), -EPROTO);
	assert_non_null(strstr(error, "newer clew"));
	free(error);
	rm_dir(dir);
}

/* ---- queries beside the sealing ---- */

struct reading {
	struct clew_store *st;
	_Atomic bool stop;
	uint64_t rounds, wrong;
};

/* What is stored is seen once, wherever it is just now. */
static void *read_on(void *user)
{
	struct reading *r = user;

	while (!atomic_load(&r->stop)) {
		struct clew_store_stats before, after;
		uint64_t n = 0;

		clew_store_stats(r->st, &before);
		if (clew_store_find_spans(r->st, &(struct clew_span_filter){0}, count_one, &n,
					  NULL) < 0)
			r->wrong++;
		clew_store_stats(r->st, &after);
		/* The counter follows the spans, by at most the batch of one trace. */
		if (n < before.stored || n > after.stored + 3)
			r->wrong++;
		r->rounds++;
	}
	return NULL;
}

static void test_queries_beside_sealing(void **state)
{
	struct clew_store_opts opts = {.hot_spans = 60, .batch_spans = 30};
	struct reading r = {0};
	struct clew_store_stats stats;
	char *dir = tmp_dir();
	pthread_t thread;

	r.st = open_store(dir, &opts);
	assert_int_equal(pthread_create(&thread, NULL, read_on, &r), 0);
	for (uint64_t i = 1; i <= 600; i++) {
		put_shop(r.st, i, T0 + i * MS);
		assert_int_equal(clew_store_flush(r.st), 0);
	}
	atomic_store(&r.stop, true);
	pthread_join(thread, NULL);
	clew_store_stats(r.st, &stats);
	assert_true(stats.seals >= 25);
	assert_true(r.rounds > 0);
	assert_int_equal(r.wrong, 0);
	assert_int_equal(count_spans(r.st), 1800);
	clew_store_close(r.st);
	rm_dir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_amended_behind_damage),
		cmocka_unit_test(test_no_log_of_ours),
		cmocka_unit_test(test_sealed_log_stays_behind),
		cmocka_unit_test(test_log_without_its_hour),
		cmocka_unit_test(test_version_1),
		cmocka_unit_test(test_newer_is_refused),
		cmocka_unit_test(test_queries_beside_sealing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
