/* SPDX-License-Identifier: Apache-2.0 */
/* Spans as a Parquet file: the engine writes it below tmp/, and it loses its name at once. And the store's
 * size. */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "store/internal.h"

/* "SELECT * FROM rows that match ORDER BY start LIMIT n" */
static int matching_rows(struct query *q, const struct clew_span_filter *f, struct clew_buf *out,
			 char **ret_error)
{
	struct clew_buf where = {0}, source = {0};
	size_t from, to;
	int r;

	filter_hours(q, f->since_ns, f->until_ns, &from, &to);
	r = filter_where(q->st, f, &where, ret_error);
	for (size_t i = from; r == 0 && i < to; i++) {
		if (i > from)
			clew_buf_adds(&source, " UNION ALL ");
		r = filter_source(q, &q->parts[i], f, "*", where.data, &source, NULL, ret_error);
	}
	if (r == 0 && source.len)
		clew_buf_addf(out, "SELECT * FROM (%s) ORDER BY start_ns, span_id LIMIT %" PRIu64,
			      source.data, f->limit);
	if (r == -ENODATA || (r == 0 && !source.len)) {
		clew_buf_adds(out, "SELECT *, false AS hot FROM c.no_spans");
		r = 0;
	}
	clew_buf_done(&where);
	clew_buf_done(&source);
	return r < 0 ? r : out->err;
}

static int none(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	return 0;
}

int clew_store_parquet(struct clew_store *st, const struct clew_span_filter *f, int *ret_fd,
		       char **ret_error)
{
	struct clew_buf rows = {0}, sql = {0}, path = {0};
	struct query q;
	int fd, r = query_begin(st, &q, ret_error);

	if (r < 0)
		return r;
	/* The query's address is its own while it runs. */
	clew_buf_addf(&path, "%s/tmp/download-%d-%p.parquet", st->dir, (int)getpid(), (void *)&q);
	r = matching_rows(&q, f, &rows, ret_error);
	clew_buf_adds(&sql, "COPY (");
	if (r == 0)
		r = schema_select(&sql, rows.data);
	clew_buf_adds(&sql, ") TO ");
	duck_quote(&sql, clew_buf_slice(&path));
	clew_buf_adds(&sql, " (FORMAT parquet, COMPRESSION zstd)");
	if (r == 0)
		r = sql.err || path.err ? -ENOMEM : query_each(&q, sql.data, none, NULL, ret_error);
	query_end(&q);
	if (r == 0) {
		fd = open(path.data, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			r = -errno;
		else
			*ret_fd = fd;
	}
	if (path.data)
		(void)!unlink(path.data);
	clew_buf_done(&rows);
	clew_buf_done(&sql);
	clew_buf_done(&path);
	return r;
}

/* ---- the size ---- */

static uint64_t count_bytes(struct clew_store *st)
{
	int fd = openat(st->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	uint64_t bytes = 0;
	struct dirent *e;
	struct stat sb;

	if (!d) {
		closep(&fd);
		return 0;
	}
	while ((e = readdir(d)))
		if ((strstr(e->d_name, ".duckdb") || strstr(e->d_name, ".log")) &&
		    !fstatat(st->dir_fd, e->d_name, &sb, AT_SYMLINK_NOFOLLOW))
			bytes += (uint64_t)sb.st_blocks * 512;
	closedir(d);
	return bytes;
}

static int keep_count(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct duck_col n = duck_col(chunk, 0);

	for (idx_t i = 0; i < rows; i++)
		*(uint64_t *)user += (uint64_t)((int64_t *)n.data)[i];
	return 0;
}

int clew_store_size(struct clew_store *st, struct clew_store_size *ret, char **ret_error)
{
	struct clew_store_size size = {.bytes = count_bytes(st), .read_only = st->opts.read_only};
	struct clew_buf sql = {0};
	struct query q;
	int r = query_begin(st, &q, ret_error);

	if (r < 0)
		return r;
	size.partitions = q.n_parts;
	for (size_t i = 0; i < q.n_parts; i++) {
		size.spans += q.parts[i].rows;
		if (q.parts[i].has_rollups)
			clew_buf_addf(&sql,
				      "%sSELECT count(*) FILTER (NOT continued) FROM %s.trace",
				      sql.len ? " UNION ALL " : "", q.parts[i].name);
	}
	if (sql.len)
		r = sql.err ? sql.err
			    : query_each(&q, sql.data, keep_count, &size.traces, ret_error);
	query_end(&q);
	clew_buf_done(&sql);
	if (r == 0)
		*ret = size;
	return r;
}
