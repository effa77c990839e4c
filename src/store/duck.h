/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The little of DuckDB's C API that we use, with our way of saying errors.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <duckdb.h>

#include "base/buf.h"

/** duck_error() - the errno for an error of DuckDB: -ENOSPC, -ENOMEM, -EINTR, -EINVAL, -EIO. */
int duck_error(duckdb_error_type type, const char *text);

/** duck_append_error() - the errno and the text of what an appender failed with. */
int duck_append_error(duckdb_appender a, char **ret_error);

/** duck_exec() - run statements whose results nobody needs. */
int duck_exec(duckdb_connection conn, const char *sql, char **ret_error);
/** duck_execf() - the same, formatted as printf does. */
int duck_execf(duckdb_connection conn, char **ret_error, const char *fmt, ...) CLEW_PRINTF(3, 4);

/** duck_chunk_fn - rows of an answer. 0 to go on; a negative errno ends it; 1 ends it with success.
 */
typedef int (*duck_chunk_fn)(void *user, duckdb_data_chunk chunk, idx_t rows);

/** duck_each() - run one statement and see its rows, a chunk at a time, without keeping them all.
 */
int duck_each(duckdb_connection conn, const char *sql, duck_chunk_fn fn, void *user,
	      char **ret_error);

/** duck_each_whole() - the same; all rows are there before the first is seen, so none is of an answer that fails. */
int duck_each_whole(duckdb_connection conn, const char *sql, duck_chunk_fn fn, void *user,
		    char **ret_error);

/** duck_int() - the first column of the first row, as an integer; dflt where there is none or NULL.
 */
int duck_int(duckdb_connection conn, const char *sql, int64_t dflt, int64_t *ret, char **ret_error);

/** duck_quote() - append as an SQL string literal, quotes included; not UTF-8 and NUL become
 * U+FFFD. */
int duck_quote(struct clew_buf *b, struct slice s);

/**
 * duck_attach() - attach the database file at path as name. block_bytes is the size of a new file's
 * blocks: DuckDB refuses to open a file that is there with another size than it has. group_rows: of the row groups
 * that are added, a multiple of its vectors' size.
 */
int duck_attach(duckdb_connection conn, const char *path, const char *name, bool read_only,
		unsigned int block_bytes, unsigned int group_rows, char **ret_error);

/** duck_utf8() - s itself where it is UTF-8 without NULs, else a mended copy in *scratch. */
struct slice duck_utf8(struct slice s, struct clew_buf *scratch);

/* A column of a chunk, ready to be read. */
struct duck_col {
	void *data;
	uint64_t *valid;
	duckdb_vector vector;
};

static inline struct duck_col duck_col(duckdb_data_chunk chunk, idx_t i)
{
	duckdb_vector v = duckdb_data_chunk_get_vector(chunk, i);

	return (struct duck_col){duckdb_vector_get_data(v), duckdb_vector_get_validity(v), v};
}

static inline bool duck_null(const struct duck_col *c, idx_t row)
{
	return c->valid && !(c->valid[row / 64] >> (row % 64) & 1);
}

static inline struct slice duck_str(const struct duck_col *c, idx_t row)
{
	duckdb_string_t *s = (duckdb_string_t *)c->data + row;

	return slice_of(duckdb_string_t_data(s), duckdb_string_t_length(*s));
}
