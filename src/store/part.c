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
#include "store/internal.h"

/* DuckDB's 256 KiB blocks make small partitions large; 16 KiB doubled large ones. */
#define NEW_PARTITION_BLOCK 65536

uint64_t span_hash(const struct clew_span *s)
{
	uint8_t id[24];

	memcpy(id, s->trace_id.b, 16);
	memcpy(id + 16, s->span_id.b, 8);
	return clew_hash64(id, sizeof(id), 0) | 1;
}

bool id_set_has(const struct id_set *s, uint64_t h)
{
	if (!s->cap)
		return false;
	for (uint32_t i = (uint32_t)(h >> 1) & (s->cap - 1); s->slots[i];
	     i = (i + 1) & (s->cap - 1))
		if (s->slots[i] == h)
			return true;
	return false;
}

static int id_set_grow(struct id_set *s)
{
	struct id_set bigger = {.cap = s->cap ? s->cap * 2 : 4096};

	bigger.slots = calloc(bigger.cap, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	for (uint32_t i = 0; i < s->cap; i++)
		if (s->slots[i])
			(void)id_set_add(&bigger, s->slots[i]);
	free(s->slots);
	*s = bigger;
	return 0;
}

int id_set_add(struct id_set *s, uint64_t h)
{
	uint32_t i;

	if (s->n * 2 >= s->cap && id_set_grow(s) < 0)
		return -ENOMEM;
	for (i = (uint32_t)(h >> 1) & (s->cap - 1); s->slots[i]; i = (i + 1) & (s->cap - 1))
		if (s->slots[i] == h)
			return 0;
	s->slots[i] = h;
	s->n++;
	return 1;
}

void id_set_done(struct id_set *s)
{
	free(s->slots);
	*s = (struct id_set){0};
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
				   NEW_PARTITION_BLOCK, ret_error);
	clew_buf_done(&path);
	return r;
}

static int count_rows(struct clew_store *st, struct part *p, char **ret_error)
{
	char sql[160];
	int64_t rows, indexed, newest, digested = 0;
	int r;

	snprintf(sql, sizeof(sql), "SELECT sum(spans)::BIGINT FROM %s.run", p->name);
	r = duck_int(st->conn, sql, 0, &rows, ret_error);
	snprintf(sql, sizeof(sql), "SELECT sum(spans)::BIGINT FROM %s.run WHERE indexed", p->name);
	if (r == 0)
		r = duck_int(st->conn, sql, 0, &indexed, ret_error);
	snprintf(sql, sizeof(sql), "SELECT max(max_start_ns) FROM %s.run", p->name);
	if (r == 0)
		r = duck_int(st->conn, sql, INT64_MIN, &newest, ret_error);
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
			st->left_out_parts = (uint64_t)(n - i);
			/* Rare, and nothing else would tell: the answers lack these hours. */
			log_warn("%s has more than %u hours: the oldest %zd are left out; remove "
				 "spans-*.duckdb that are not needed",
				 st->dir, st->opts.max_hours, n - i);
			break;
		}
		r = add_part(st, hours[i], NULL, ret_error);
		if (r == -ENODATA) /* made by a writer that died before its first commit */
			continue;
		if (r < 0)
			return r;
	}
	return 0;
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
