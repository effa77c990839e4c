/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Partitions: a file for the spans that began in one hour, attached under a catalog name of its
 * own. The files in the directory are the truth: one that is unlinked between two openings is
 * simply gone.
 */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <time.h>

#include "base/log.h"
#include "store/damaged.h"

/* DuckDB's 256 KiB blocks make small partitions large; 16 KiB doubled large ones. */
#define NEW_PARTITION_BLOCK 65536

uint64_t span_hash(const struct clew_span *s)
{
	uint8_t id[24];

	memcpy(id, s->trace_id.b, 16);
	memcpy(id + 16, s->span_id.b, 8);
	return clew_hash64(id, sizeof(id), 0) | 1;
}

static void hour_text(int64_t hour, char *out, size_t size)
{
	time_t t = (time_t)(hour * 3600);
	struct tm tm;

	strftime(out, size, "%Y%m%dT%H", gmtime_r(&t, &tm));
}

void part_file(int64_t hour, char *out, size_t size)
{
	char text[32];

	hour_text(hour, text, sizeof(text));
	snprintf(out, size, "spans-%s.duckdb", text);
}

/* "spans-YYYYMMDDTHH.duckdb" to the hour; -EINVAL for any other name. */
static int parse_file(const char *name, int64_t *ret_hour)
{
	struct tm tm = {0};
	const char *end;

	if (strncmp(name, "spans-", 6))
		return -EINVAL;
	end = strptime(name + 6, "%Y%m%dT%H", &tm);
	if (!end || strcmp(end, ".duckdb"))
		return -EINVAL;
	*ret_hour = (int64_t)timegm(&tm) / 3600;
	return 0;
}

static int attach(struct clew_store *st, struct part *p, char **ret_error)
{
	struct clew_buf path = {0};
	char file[64];
	int r;

	part_file(p->hour, file, sizeof(file));
	clew_buf_addf(&path, "%s/%s", st->dir, file);
	r = path.err ? path.err
		     : duck_attach(st->conn, path.data, p->name, st->opts.read_only,
				   NEW_PARTITION_BLOCK, CLEW_STORE_GROUP_SPANS, ret_error);
	clew_buf_done(&path);
	return r;
}

static int count_rows(struct clew_store *st, struct part *p, char **ret_error)
{
	char sql[160];
	int64_t rows, indexed, newest, last_run, digested = 0;
	int r;

	snprintf(sql, sizeof(sql), "SELECT sum(spans)::BIGINT FROM %s.run", p->name);
	r = duck_int(st->conn, sql, 0, &rows, ret_error);
	snprintf(sql, sizeof(sql), "SELECT sum(spans)::BIGINT FROM %s.run WHERE indexed", p->name);
	if (r == 0)
		r = duck_int(st->conn, sql, 0, &indexed, ret_error);
	snprintf(sql, sizeof(sql), "SELECT max(max_start_ns) FROM %s.run", p->name);
	if (r == 0)
		r = duck_int(st->conn, sql, INT64_MIN, &newest, ret_error);
	snprintf(sql, sizeof(sql), "SELECT max(first_row) FROM %s.run", p->name);
	if (r == 0)
		r = duck_int(st->conn, sql, 0, &last_run, ret_error);
	if (r < 0)
		return r;
	if (p->has_rollups) {
		/* What an older writer sealed in between ends what can be believed. */
		snprintf(sql, sizeof(sql), "SELECT coalesce(sum(spans), 0)::BIGINT FROM %s.digest",
			 p->name);
		r = duck_int(st->conn, sql, 0, &digested, ret_error);
		if (r < 0)
			return r;
	}
	p->digested = (uint64_t)digested;
	p->rows = (uint64_t)rows;
	p->indexed = (uint64_t)indexed;
	p->last_run = (uint64_t)last_run;
	p->sealed_max_ns = newest;
	p->last_max_ns = INT64_MIN;
	return 0;
}

static int has_table(struct clew_store *st, const struct part *p, const char *table, bool *ret,
		     char **ret_error)
{
	char sql[192];
	int64_t n = 0;
	int r;

	snprintf(sql, sizeof(sql),
		 "SELECT count(*) FROM duckdb_tables() WHERE database_name = '%s'"
		 " AND table_name = '%s'",
		 p->name, table);
	r = duck_int(st->conn, sql, 0, &n, ret_error);
	*ret = n > 0;
	return r;
}

/* Tables of a partition that is new, or that was made and not committed before a crash. */
static int make_tables(struct clew_store *st, struct part *p, char **ret_error)
{
	struct clew_buf sql = {0};
	bool made;
	int r = has_table(st, p, "span", &made, ret_error);

	if (r == 0)
		r = has_table(st, p, "hot", &p->has_old_hot, ret_error);
	if (r == 0)
		r = has_table(st, p, "digest", &p->has_rollups, ret_error);
	if (r == 0)
		r = has_table(st, p, "trace_filter", &p->has_filters, ret_error);
	if (r < 0)
		return r;
	if (!made && st->opts.read_only)
		return -ENODATA;
	if (st->opts.read_only || (p->has_rollups && p->has_filters))
		return 0;
	clew_buf_adds(&sql, "BEGIN TRANSACTION;");
	if (!made)
		schema_partition(&sql, p->name);
	schema_rollups(&sql, p->name);
	clew_buf_adds(&sql, "COMMIT;");
	r = sql.err ? sql.err : duck_exec(st->conn, sql.data, ret_error);
	if (r < 0)
		(void)duck_exec(st->conn, "ROLLBACK;", NULL);
	else
		p->has_rollups = p->has_filters = true;
	clew_buf_done(&sql);
	return r;
}

/* Into st->parts, by hour. */
static int publish(struct clew_store *st, struct part *p)
{
	struct part **parts;
	size_t i;

	pthread_mutex_lock(&st->state_lock);
	parts = realloc(st->parts, (st->n_parts + 1) * sizeof(*parts));
	if (!parts) {
		pthread_mutex_unlock(&st->state_lock);
		return -ENOMEM;
	}
	st->parts = parts;
	for (i = st->n_parts; i && parts[i - 1]->hour > p->hour; i--)
		parts[i] = parts[i - 1];
	parts[i] = p;
	st->n_parts++;
	pthread_mutex_unlock(&st->state_lock);
	return 0;
}

static int add_part(struct clew_store *st, int64_t hour, struct part **ret, char **ret_error)
{
	struct part *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->hour = hour;
	snprintf(p->name, sizeof(p->name), "h%" PRId64, hour);
	p->used_ns = clew_mono_ns();
	r = attach(st, p, ret_error);
	if (r < 0)
		goto fail;
	r = make_tables(st, p, ret_error);
	if (r == 0)
		r = count_rows(st, p, ret_error);
	if (r == 0)
		r = publish(st, p);
	if (r < 0) {
		(void)duck_execf(st->conn, NULL, "DETACH %s;", p->name);
		goto fail;
	}
	if (ret)
		*ret = p;
	return 0;
fail:
	free(p);
	return r;
}

int part_get(struct clew_store *st, int64_t hour, struct part **ret, char **ret_error)
{
	for (size_t i = st->n_parts; i > 0; i--)
		if (st->parts[i - 1]->hour == hour) {
			*ret = st->parts[i - 1];
			return 0;
		}
	if (damaged_is(st, hour))
		return set_error(
			ret_error, -EMFILE,
			"the file of that hour in %s is damaged and could not be set aside",
			st->dir);
	if (st->n_parts >= st->opts.max_hours && !retention_make_room(st, hour))
		return set_error(ret_error, -EMFILE,
				 "the store has %u hours already: remove the oldest spans-*.duckdb "
				 "while nothing runs",
				 st->opts.max_hours);
	return add_part(st, hour, ret, ret_error);
}

static int by_hour_desc(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x > y ? -1 : x < y;
}

/* The hours that have a file, newest first. Returns how many. */
static ssize_t list_hours(struct clew_store *st, int64_t **ret)
{
	int64_t *hours = NULL, *more, hour;
	int fd = openat(st->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	size_t n = 0;
	struct dirent *e;

	if (!d) {
		int r = -errno;

		closep(&fd);
		return r;
	}
	while ((e = readdir(d))) {
		if (parse_file(e->d_name, &hour) < 0)
			continue;
		more = realloc(hours, (n + 1) * sizeof(*hours));
		if (!more) {
			free(hours);
			closedir(d);
			return -ENOMEM;
		}
		hours = more;
		hours[n++] = hour;
	}
	closedir(d);
	if (n)
		qsort(hours, n, sizeof(*hours), by_hour_desc);
	*ret = hours;
	return (ssize_t)n;
}

bool parts_exist(struct clew_store *st)
{
	_cleanup_(freep) int64_t *hours = NULL;

	return list_hours(st, &hours) > 0;
}

/* The file can be opened: what cannot be (its rights, the disk) is as good as damaged. */
static int can_open(struct clew_store *st, int64_t hour, char **ret_error)
{
	_cleanup_(closep) int fd = -1;
	char file[64];
	int r;

	part_file(hour, file, sizeof(file));
	fd = openat(st->dir_fd, file, (st->opts.read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	r = fd < 0 ? -errno : 0;
	return r < 0 ? set_error(ret_error, r, "%s", strerror(-r)) : 0;
}

/* Perhaps it is only the engine's log of what is not in the file yet. */
static int attach_without_log(struct clew_store *st, int64_t hour, const char *why)
{
	char file[64], log[72];

	part_file(hour, file, sizeof(file));
	snprintf(log, sizeof(log), "%s.wal", file);
	if (st->opts.read_only || faccessat(st->dir_fd, log, F_OK, 0) < 0 ||
	    !damaged_file(st, log, why))
		return -EIO;
	return add_part(st, hour, NULL, NULL);
}

/*
 * An hour that is there. One that cannot be attached is set aside; -ESTALE: with it the engine has given up, so that
 * it must be opened again.
 */
static int attach_old(struct clew_store *st, int64_t hour, char **ret_error)
{
	_cleanup_(freep) char *error = NULL;
	int r = can_open(st, hour, &error);

	if (r == 0)
		r = add_part(st, hour, NULL, &error);
	if (r == 0 || r == -ENODATA) /* made by a writer that died before its first commit */
		return 0;
	if (!damaged_error(r, error))
		return set_error(ret_error, r, "%s", error ? error : strerror(-r));
	if (duck_exec(st->conn, "SELECT 1;", NULL) == 0 &&
	    attach_without_log(st, hour, error ? error : "?") == 0)
		return 0;
	r = damaged_part(st, hour, error ? error : "?", ret_error);
	return r == 0 && duck_exec(st->conn, "SELECT 1;", NULL) < 0 ? -ESTALE : r;
}

#define CUT_HOURS 64 /* that are left out at a time */

/* What was attached, and is shorter than its blocks. */
struct cut_hours {
	struct clew_store *st;
	size_t n;
	int64_t v[CUT_HOURS];
};

static int find_cut(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct duck_col hour = duck_col(chunk, 0), bytes = duck_col(chunk, 1);
	struct cut_hours *c = user;
	struct stat sb;
	char file[64];

	for (idx_t i = 0; i < rows && c->n < CUT_HOURS; i++) {
		part_file(((int64_t *)hour.data)[i], file, sizeof(file));
		if (fstatat(c->st->dir_fd, file, &sb, AT_SYMLINK_NOFOLLOW) == 0 &&
		    sb.st_size < ((int64_t *)bytes.data)[i])
			c->v[c->n++] = ((int64_t *)hour.data)[i];
	}
	return 0;
}

static int leave_out(struct clew_store *st, int64_t hour, char **ret_error)
{
	size_t at = 0;
	int r;

	while (at < st->n_parts && st->parts[at]->hour != hour)
		at++;
	if (at == st->n_parts)
		return 0;
	r = duck_execf(st->conn, ret_error, "DETACH %s;", st->parts[at]->name);
	if (r < 0)
		return r;
	part_free(st, st->parts[at]);
	memmove(&st->parts[at], &st->parts[at + 1], (--st->n_parts - at) * sizeof(*st->parts));
	return damaged_part(st, hour, "the file is shorter than it was", ret_error);
}

/* A file that was cut can be attached as long as what is said of its tables is there: queries would fail. */
static int leave_out_cut(struct clew_store *st, char **ret_error)
{
	struct cut_hours c = {.st = st};
	size_t before;
	int r;

	do {
		before = st->n_parts;
		c.n = 0;
		r = duck_each(st->conn,
			      "SELECT substr(database_name, 2)::BIGINT, block_size * used_blocks"
			      " FROM pragma_database_size() WHERE database_name LIKE 'h%'",
			      find_cut, &c, ret_error);
		for (size_t i = 0; r == 0 && i < c.n; i++)
			r = leave_out(st, c.v[i], ret_error);
	} while (r == 0 && c.n == CUT_HOURS && st->n_parts < before); /* there may be more */
	return r;
}

int parts_attach_all(struct clew_store *st, char **ret_error)
{
	_cleanup_(freep) int64_t *hours = NULL;
	ssize_t n = list_hours(st, &hours);
	int r;

	if (n < 0)
		return set_error(ret_error, (int)n, "cannot list %s: %s", st->dir,
				 strerror((int)-n));
	for (ssize_t i = 0; i < n; i++) {
		if (i >= (ssize_t)st->opts.max_hours) {
			/* Rare, and nothing else would tell: the answers lack these hours. */
			log_warn("%s has more than %u hours: the oldest %zd are left out; remove "
				 "spans-*.duckdb that are not needed",
				 st->dir, st->opts.max_hours, n - i);
			break;
		}
		r = damaged_is(st, hours[i]) ? 0 : attach_old(st, hours[i], ret_error);
		if (r < 0)
			return r;
	}
	return leave_out_cut(st, ret_error);
}

void part_free(struct clew_store *st, struct part *p)
{
	for (uint32_t i = 0; i < p->n_hots; i++)
		hot_unref(p->hots[i]);
	id_set_done(&p->last_ids);
	trace_filter_drop(st, p);
	free(p);
}

void parts_free(struct clew_store *st)
{
	for (size_t i = 0; i < st->n_parts; i++)
		part_free(st, st->parts[i]);
	free(st->parts);
	st->parts = NULL;
	st->n_parts = 0;
}
