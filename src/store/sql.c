/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A user's SQL. What holds it back, each enough against most:
 *
 *  - the engine may open no file outside the store's directory, load no extension, change no
 * setting (open.c), for all connections;
 *  - the transaction is read-only;
 *  - one statement only, and DuckDB's own parser says that it is a SELECT or an EXPLAIN: no COPY,
 * no ATTACH, no SET, no PRAGMA, no CALL;
 *  - functions that read files are refused by name, so that not even the store's own files are
 * read;
 *  - time, memory and rows are limited.
 */
#include <ctype.h>
#include <inttypes.h>
#include <math.h>

#include "base/json.h"
#include "store/internal.h"

#define MAX_STATEMENT (1u << 20)
#define MAX_ANSWER    (256u << 20)

enum shape { AS_IS, AS_TEXT, AS_JSON };

/* How a column of this type is given: by its own kind of JSON, or cast by the engine first. */
static enum shape shape_of(duckdb_type t)
{
	switch (t) {
	case DUCKDB_TYPE_BOOLEAN:
	case DUCKDB_TYPE_TINYINT:
	case DUCKDB_TYPE_SMALLINT:
	case DUCKDB_TYPE_INTEGER:
	case DUCKDB_TYPE_BIGINT:
	case DUCKDB_TYPE_UTINYINT:
	case DUCKDB_TYPE_USMALLINT:
	case DUCKDB_TYPE_UINTEGER:
	case DUCKDB_TYPE_UBIGINT:
	case DUCKDB_TYPE_FLOAT:
	case DUCKDB_TYPE_DOUBLE:
	case DUCKDB_TYPE_VARCHAR:
		return AS_IS;
	case DUCKDB_TYPE_LIST:
	case DUCKDB_TYPE_STRUCT:
	case DUCKDB_TYPE_MAP:
	case DUCKDB_TYPE_ARRAY:
		return AS_JSON;
	default:
		return AS_TEXT;
	}
}

static const char *type_name(duckdb_type t)
{
	static const char *const names[] = {
		[DUCKDB_TYPE_BOOLEAN] = "boolean",
		[DUCKDB_TYPE_TINYINT] = "tinyint",
		[DUCKDB_TYPE_SMALLINT] = "smallint",
		[DUCKDB_TYPE_INTEGER] = "integer",
		[DUCKDB_TYPE_BIGINT] = "bigint",
		[DUCKDB_TYPE_UTINYINT] = "utinyint",
		[DUCKDB_TYPE_USMALLINT] = "usmallint",
		[DUCKDB_TYPE_UINTEGER] = "uinteger",
		[DUCKDB_TYPE_UBIGINT] = "ubigint",
		[DUCKDB_TYPE_FLOAT] = "float",
		[DUCKDB_TYPE_DOUBLE] = "double",
		[DUCKDB_TYPE_VARCHAR] = "varchar",
		[DUCKDB_TYPE_HUGEINT] = "hugeint",
		[DUCKDB_TYPE_UHUGEINT] = "uhugeint",
		[DUCKDB_TYPE_DECIMAL] = "decimal",
		[DUCKDB_TYPE_TIMESTAMP] = "timestamp",
		[DUCKDB_TYPE_TIMESTAMP_NS] = "timestamp_ns",
		[DUCKDB_TYPE_DATE] = "date",
		[DUCKDB_TYPE_TIME] = "time",
		[DUCKDB_TYPE_INTERVAL] = "interval",
		[DUCKDB_TYPE_BLOB] = "blob",
		[DUCKDB_TYPE_LIST] = "list",
		[DUCKDB_TYPE_STRUCT] = "struct",
		[DUCKDB_TYPE_MAP] = "map",
		[DUCKDB_TYPE_UUID] = "uuid",
	};

	if ((size_t)t < sizeof(names) / sizeof(*names) && names[t])
		return names[t];
	return "other";
}

struct answer {
	struct clew_buf *out;
	enum shape *shapes;
	duckdb_type *types; /* of what is fetched */
	idx_t n_cols;
	uint64_t rows;
	bool truncated;
};

static void put_value(struct clew_buf *out, const struct duck_col *c, duckdb_type type, bool raw,
		      idx_t row)
{
	if (duck_null(c, row)) {
		clew_buf_adds(out, "null");
		return;
	}
#define NUM(T, ctype, fmt, cast)                                            \
	case DUCKDB_TYPE_##T:                                               \
		clew_buf_addf(out, "%" fmt, (cast)((ctype *)c->data)[row]); \
		break
	switch (type) {
	case DUCKDB_TYPE_BOOLEAN:
		clew_buf_adds(out, ((bool *)c->data)[row] ? "true" : "false");
		break;
		NUM(TINYINT, int8_t, PRId64, int64_t);
		NUM(SMALLINT, int16_t, PRId64, int64_t);
		NUM(INTEGER, int32_t, PRId64, int64_t);
		NUM(BIGINT, int64_t, PRId64, int64_t);
		NUM(UTINYINT, uint8_t, PRIu64, uint64_t);
		NUM(USMALLINT, uint16_t, PRIu64, uint64_t);
		NUM(UINTEGER, uint32_t, PRIu64, uint64_t);
		NUM(UBIGINT, uint64_t, PRIu64, uint64_t);
	case DUCKDB_TYPE_FLOAT:
		clew_json_double(out, (double)((float *)c->data)[row]);
		break;
	case DUCKDB_TYPE_DOUBLE:
		clew_json_double(out, ((double *)c->data)[row]);
		break;
	case DUCKDB_TYPE_VARCHAR:
		if (raw) {
			struct slice s = duck_str(c, row);

			clew_buf_add(out, s.p, s.n);
		} else {
			clew_json_str(out, duck_str(c, row));
		}
		break;
	default:
		clew_buf_adds(out, "null");
	}
#undef NUM
}

static int put_rows(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct answer *a = user;

	for (idx_t i = 0; i < rows; i++) {
		if (a->rows == CLEW_SQL_MAX_ROWS) {
			a->truncated = true;
			return 1;
		}
		clew_buf_adds(a->out, a->rows++ ? ",\n[" : "[");
		for (idx_t k = 0; k < a->n_cols; k++) {
			struct duck_col c = duck_col(chunk, k);

			if (k)
				clew_buf_addc(a->out, ',');
			put_value(a->out, &c, a->types[k], a->shapes[k] == AS_JSON, i);
		}
		clew_buf_addc(a->out, ']');
	}
	return a->out->err;
}

/* Functions that open files by name. The engine refuses all but those of the store's own directory.
 */
static const char *const refused[] = {
	"read_csv",
	"read_csv_auto",
	"sniff_csv",
	"read_text",
	"read_blob",
	"read_json",
	"read_json_auto",
	"read_json_objects",
	"read_json_objects_auto",
	"read_ndjson",
	"read_ndjson_auto",
	"read_ndjson_objects",
	"read_parquet",
	"parquet_scan",
	"parquet_metadata",
	"parquet_schema",
	"parquet_file_metadata",
	"parquet_kv_metadata",
	"parquet_bloom_probe",
	"glob",
	"read_duckdb",
	"query",
	"query_table",
	"which_secret",
	"duckdb_secrets",
	"arrow_scan",
	"arrow_scan_dumb",
	"pandas_scan",
	"force_checkpoint",
	"checkpoint",
	"getenv",
	"write_log",
	"parse_duckdb_log_message",
};

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

/* Any of the refused names as a word, quoted or not, followed by '('. Strings are not told apart.
 */
static const char *find_refused(struct slice sql)
{
	for (size_t i = 0; i < sql.n; i++) {
		size_t end = i, after;

		if (!is_word(sql.p[i]) || (i && is_word(sql.p[i - 1])))
			continue;
		while (end < sql.n && is_word(sql.p[end]))
			end++;
		after = end;
		while (after < sql.n &&
		       (isspace((unsigned char)sql.p[after]) || sql.p[after] == '"'))
			after++;
		if (after < sql.n && sql.p[after] == '(')
			for (size_t k = 0; k < sizeof(refused) / sizeof(*refused); k++)
				if (slice_ieq(slice_of(sql.p + i, end - i), slice_str(refused[k])))
					return refused[k];
	}
	return NULL;
}

/* One statement, and only one that reads. */
static int check(struct query *q, const char *sql, bool *ret_explain, char **ret_error)
{
	duckdb_extracted_statements list = NULL;
	duckdb_prepared_statement stmt = NULL;
	idx_t n = duckdb_extract_statements(q->conn, sql, &list);
	duckdb_statement_type type;
	int r = 0;

	if (!n) {
		const char *text = duckdb_extract_statements_error(list);

		r = set_error(ret_error, -EINVAL, "%s",
			      text && *text ? text : "there is no statement");
	} else if (n > 1) {
		r = set_error(ret_error, -EINVAL, "one statement at a time; these are %" PRIu64,
			      (uint64_t)n);
	} else if (duckdb_prepare_extracted_statement(q->conn, list, 0, &stmt) != DuckDBSuccess) {
		const char *text = duckdb_prepare_error(stmt);

		r = set_error(ret_error, -EINVAL, "%s", text ? text : "cannot be prepared");
	} else {
		type = duckdb_prepared_statement_type(stmt);
		*ret_explain = type == DUCKDB_STATEMENT_TYPE_EXPLAIN;
		if (type != DUCKDB_STATEMENT_TYPE_SELECT && !*ret_explain)
			r = set_error(ret_error, -EINVAL,
				      "only statements that read are allowed: SELECT, WITH, "
				      "EXPLAIN, DESCRIBE, SHOW TABLES, SUMMARIZE");
		else if (duckdb_nparams(stmt))
			r = set_error(ret_error, -EINVAL, "parameters (?, $1) are not supported");
	}
	duckdb_destroy_prepare(&stmt);
	duckdb_destroy_extracted(&list);
	return r;
}

static void put_column(struct answer *a, idx_t i, const char *name, duckdb_type type)
{
	clew_buf_adds(a->out, i ? ",{\"name\":" : "{\"name\":");
	clew_json_str(a->out, slice_str(name ? name : ""));
	clew_buf_addf(a->out, ",\"type\":\"%s\"}", type_name(type));
}

/* "SELECT c0, c1::VARCHAR, to_json(c2) FROM (statement) t(c0, c1, c2)" */
static void wrap(const struct answer *a, const char *statement, struct clew_buf *sql)
{
	for (idx_t i = 0; i < a->n_cols; i++)
		clew_buf_addf(sql,
			      a->shapes[i] == AS_IS	? "%s c%" PRIu64
			      : a->shapes[i] == AS_TEXT ? "%s c%" PRIu64 "::VARCHAR"
							: "%s to_json(c%" PRIu64 ")::VARCHAR",
			      i ? "," : "SELECT", (uint64_t)i);
	clew_buf_addf(sql, " FROM (%s\n) AS t(", statement);
	for (idx_t i = 0; i < a->n_cols; i++)
		clew_buf_addf(sql, "%sc%" PRIu64, i ? ", " : "", (uint64_t)i);
	clew_buf_adds(sql, ")");
}

/* Columns into the answer, their shapes, and the statement that will be run. */
static int describe(struct query *q, struct answer *a, const char *statement, bool explain,
		    struct clew_buf *sql, char **ret_error)
{
	duckdb_prepared_statement stmt = NULL;

	if (duckdb_prepare(q->conn, statement, &stmt) != DuckDBSuccess) {
		const char *text = duckdb_prepare_error(stmt);
		int r = set_error(ret_error, -EINVAL, "%s", text ? text : "cannot be prepared");

		duckdb_destroy_prepare(&stmt);
		return r;
	}
	a->n_cols = duckdb_prepared_statement_column_count(stmt);
	a->shapes = calloc(a->n_cols + 1, sizeof(*a->shapes));
	a->types = calloc(a->n_cols + 1, sizeof(*a->types));
	clew_buf_adds(a->out, "{\"columns\":[");
	for (idx_t i = 0; a->shapes && a->types && i < a->n_cols; i++) {
		const char *name = duckdb_prepared_statement_column_name(stmt, i);
		duckdb_type type = duckdb_prepared_statement_column_type(stmt, i);

		put_column(a, i, name, type);
		duckdb_free((void *)(uintptr_t)name);
		a->shapes[i] = explain ? AS_IS : shape_of(type);
		a->types[i] = a->shapes[i] == AS_IS ? type : DUCKDB_TYPE_VARCHAR;
	}
	clew_buf_adds(a->out, "],\"rows\":[");
	duckdb_destroy_prepare(&stmt);
	if (!a->shapes || !a->types)
		return -ENOMEM;
	if (explain)
		clew_buf_adds(sql, statement);
	else
		wrap(a, statement, sql);
	return sql->err;
}

static int make_views(struct query *q, char **ret_error)
{
	struct clew_buf sql = {0};
	char(*sealed)[64] = calloc(q->n_parts ? q->n_parts : 1, sizeof(*sealed));
	char(*hots)[32] = calloc(q->n_parts ? q->n_parts : 1, sizeof(*hots));
	int r = sealed && hots ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < q->n_parts; i++) {
		snprintf(sealed[i], sizeof(sealed[i]), "%s.span WHERE true%s",
			 q->parts[i].left_out ? EMPTY_HOUR : q->parts[i].name,
			 not_gone(&q->parts[i]));
		memcpy(hots[i], q->parts[i].hot, sizeof(hots[i]));
	}
	if (r == 0) {
		schema_views(&sql, (const char(*)[64])sealed, (const char(*)[32])hots, q->n_parts);
		r = sql.err ? sql.err : duck_exec(q->conn, sql.data, ret_error);
	}
	free(sealed);
	free(hots);
	clew_buf_done(&sql);
	return r;
}

static int run_once(struct query *q, const char *statement, struct clew_buf *out, char **ret_error)
{
	struct answer a = {.out = out};
	struct clew_buf sql = {0};
	bool explain = false;
	int r = make_views(q, ret_error);

	if (r == 0)
		r = check(q, statement, &explain, ret_error);
	if (r == 0)
		r = describe(q, &a, statement, explain, &sql, ret_error);
	if (r == 0)
		r = query_each(q, sql.data, put_rows, &a, ret_error);
	if (r == 0)
		r = clew_buf_adds(out, a.truncated ? "],\"truncated\":true}" : "]}");
	free(a.shapes);
	free(a.types);
	clew_buf_done(&sql);
	if (r == -EFBIG)
		set_error(ret_error, r, "the answer is larger than %u MiB: ask for less",
			  MAX_ANSWER >> 20);
	return r;
}

/* The views name hours, the statement does not: where one was left out, they are made anew. */
static int run(struct query *q, const char *statement, struct clew_buf *out, char **ret_error)
{
	_cleanup_(freep) char *error = NULL;
	size_t before, left_out;
	int r;

	before = out->len;
	do {
		free(error);
		error = NULL;
		left_out = q->n_left_out;
		out->len = before;
		r = run_once(q, statement, out, &error);
	} while (r < 0 && q->n_left_out > left_out);
	if (r < 0 && error && ret_error)
		*ret_error = clew_steal(error);
	return r;
}

int clew_store_sql(struct clew_store *st, struct slice statement, struct clew_buf *out,
		   char **ret_error)
{
	_cleanup_(freep) char *text = NULL;
	const char *bad;
	struct query q;
	int r;

	while (statement.n && (isspace((unsigned char)statement.p[statement.n - 1]) ||
			       statement.p[statement.n - 1] == ';'))
		statement.n--;
	if (statement.n > MAX_STATEMENT)
		return set_error(ret_error, -EINVAL, "a statement of more than 1 MiB");
	if (statement.n && memchr(statement.p, '\0', statement.n))
		return set_error(ret_error, -EINVAL, "a statement with a NUL byte");
	bad = find_refused(statement);
	if (bad)
		return set_error(ret_error, -EINVAL, "%s() is not allowed here", bad);
	text = strndup(statement.p ? statement.p : "", statement.n);
	if (!text)
		return -ENOMEM;
	if (!out->limit)
		out->limit = MAX_ANSWER;
	r = query_begin(st, &q, ret_error);
	if (r < 0)
		return r;
	r = run(&q, text, out, ret_error);
	query_end(&q);
	return r;
}
