/* SPDX-License-Identifier: Apache-2.0 */
#include "store/duck.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store/error.h"

int duck_error(duckdb_error_type type, const char *text)
{
	if (text &&
	    (strstr(text, "No space left on device") || strstr(text, "Disk quota exceeded")))
		return -ENOSPC;
	switch (type) {
	case DUCKDB_ERROR_OUT_OF_MEMORY:
		return -ENOMEM;
	case DUCKDB_ERROR_INTERRUPT:
		return -EINTR;
	case DUCKDB_ERROR_IO:
	case DUCKDB_ERROR_FATAL:
	case DUCKDB_ERROR_INTERNAL:
	case DUCKDB_ERROR_TRANSACTION:
		return -EIO;
	default:
		return -EINVAL;
	}
}

static int result_error(duckdb_result *res, char **ret_error)
{
	const char *text = duckdb_result_error(res);
	int r = duck_error(duckdb_result_error_type(res), text);

	return set_error(ret_error, r, "%s", text ? text : "DuckDB failed without a word");
}

int duck_append_error(duckdb_appender a, char **ret_error)
{
	duckdb_error_data e = duckdb_appender_error_data(a);
	const char *text = duckdb_error_data_message(e);
	int r = duck_error(duckdb_error_data_error_type(e), text);

	set_error(ret_error, r, "%s", text ? text : "cannot append");
	duckdb_destroy_error_data(&e);
	return r;
}

int duck_exec(duckdb_connection conn, const char *sql, char **ret_error)
{
	duckdb_result res;
	int r = 0;

	if (duckdb_query(conn, sql, &res) != DuckDBSuccess)
		r = result_error(&res, ret_error);
	duckdb_destroy_result(&res);
	return r;
}

int duck_execf(duckdb_connection conn, char **ret_error, const char *fmt, ...)
{
	_cleanup_(freep) char *sql = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&sql, fmt, ap);
	va_end(ap);
	if (n < 0) {
		sql = NULL;
		return -ENOMEM;
	}
	return duck_exec(conn, sql, ret_error);
}

static int see_chunks(duckdb_result *res, duck_chunk_fn fn, void *user, char **ret_error)
{
	duckdb_data_chunk chunk;
	int r = 0;

	while (r == 0 && (chunk = duckdb_fetch_chunk(*res))) {
		idx_t rows = duckdb_data_chunk_get_size(chunk);

		if (rows)
			r = fn(user, chunk, rows);
		duckdb_destroy_data_chunk(&chunk);
		if (!rows)
			break;
	}
	if (r == 0 && duckdb_result_error(res))
		r = result_error(res, ret_error);
	return r > 0 ? 0 : r;
}

static int each(duckdb_connection conn, const char *sql, bool whole, duck_chunk_fn fn, void *user,
		char **ret_error)
{
	duckdb_prepared_statement stmt = NULL;
	duckdb_pending_result pending = NULL;
	duckdb_result res;
	int r;

	if (duckdb_prepare(conn, sql, &stmt) != DuckDBSuccess) {
		const char *text = duckdb_prepare_error(stmt);

		r = set_error(ret_error, duck_error(DUCKDB_ERROR_INVALID_INPUT, text), "%s",
			      text ? text : "cannot prepare a statement");
	} else if ((whole ? duckdb_pending_prepared(stmt, &pending)
			  : duckdb_pending_prepared_streaming(stmt, &pending)) != DuckDBSuccess) {
		const char *text = duckdb_pending_error(pending);

		r = set_error(ret_error, duck_error(DUCKDB_ERROR_IO, text), "%s",
			      text ? text : "cannot start a statement");
	} else {
		if (duckdb_execute_pending(pending, &res) != DuckDBSuccess)
			r = result_error(&res, ret_error);
		else
			r = see_chunks(&res, fn, user, ret_error);
		duckdb_destroy_result(&res);
	}
	duckdb_destroy_pending(&pending);
	duckdb_destroy_prepare(&stmt);
	return r;
}

int duck_each(duckdb_connection conn, const char *sql, duck_chunk_fn fn, void *user,
	      char **ret_error)
{
	return each(conn, sql, false, fn, user, ret_error);
}

int duck_each_whole(duckdb_connection conn, const char *sql, duck_chunk_fn fn, void *user,
		    char **ret_error)
{
	return each(conn, sql, true, fn, user, ret_error);
}

int duck_int(duckdb_connection conn, const char *sql, int64_t dflt, int64_t *ret, char **ret_error)
{
	duckdb_result res;
	int r = 0;

	if (duckdb_query(conn, sql, &res) != DuckDBSuccess)
		r = result_error(&res, ret_error);
	else if (duckdb_row_count(&res) && !duckdb_value_is_null(&res, 0, 0))
		*ret = duckdb_value_int64(&res, 0, 0);
	else
		*ret = dflt;
	duckdb_destroy_result(&res);
	return r;
}

/* The length of the UTF-8 sequence at p, or 0. RFC 3629, section 4. */
static size_t utf8_len(const unsigned char *p, size_t n)
{
	size_t len = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

	if (!len || len > n || p[0] > 0xf4 || !p[0])
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return len;
}

/* How many bytes from p on are ASCII without NUL, eight at a time: nearly always all of them. */
static size_t plain_bytes(const char *p, size_t n)
{
	const uint64_t high = UINT64_C(0x8080808080808080), low = UINT64_C(0x0101010101010101);
	size_t i = 0;

	for (; i + 8 <= n; i += 8) {
		uint64_t w;

		memcpy(&w, p + i, 8);
		if ((w & high) || ((w - low) & ~w & high))
			break;
	}
	while (i < n && (signed char)p[i] > 0)
		i++;
	return i;
}

struct slice duck_utf8(struct slice s, struct clew_buf *scratch)
{
	const unsigned char *p = (const unsigned char *)s.p;
	size_t i = s.n ? plain_bytes(s.p, s.n) : 0, len;

	while (i < s.n && (len = utf8_len(p + i, s.n - i)))
		i += len;
	if (i == s.n)
		return s;
	clew_buf_clear(scratch);
	for (i = 0; i < s.n; i += len ? len : 1) {
		len = utf8_len(p + i, s.n - i);
		clew_buf_add(scratch, len ? s.p + i : "\xef\xbf\xbd", len ? len : 3);
	}
	return scratch->err ? slice_of("", 0) : clew_buf_slice(scratch);
}

int duck_quote(struct clew_buf *b, struct slice s)
{
	struct clew_buf scratch = {0};

	s = duck_utf8(s, &scratch);
	clew_buf_addc(b, '\'');
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\'')
			clew_buf_addc(b, '\'');
		clew_buf_addc(b, s.p[i]);
	}
	clew_buf_done(&scratch);
	return clew_buf_addc(b, '\'');
}

int duck_attach(duckdb_connection conn, const char *path, const char *name, bool read_only,
		unsigned int block_bytes, unsigned int group_rows, char **ret_error)
{
	struct clew_buf sql = {0};
	int r;

	clew_buf_adds(&sql, "ATTACH ");
	duck_quote(&sql, slice_str(path));
	clew_buf_addf(&sql, " AS %s (ROW_GROUP_SIZE %u", name, group_rows);
	if (read_only)
		clew_buf_adds(&sql, ", READ_ONLY)");
	else if (access(path, F_OK) < 0)
		clew_buf_addf(&sql, ", BLOCK_SIZE %u)", block_bytes);
	else
		clew_buf_addc(&sql, ')');
	r = sql.err ? sql.err : duck_exec(conn, sql.data, ret_error);
	clew_buf_done(&sql);
	return r;
}
