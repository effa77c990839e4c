/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine: one in-memory DuckDB instance with the catalog and the partitions attached.
 *
 * It may touch no file outside the store's directory and load no extension, and after opening its
 * settings are locked, so that whatever a user's SQL says holds for all connections alike.
 */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "store/internal.h"
#include "store/latency.h"

static int config_set(duckdb_config config, const char *name, const char *value, char **ret_error)
{
	if (duckdb_set_config(config, name, value) == DuckDBSuccess)
		return 0;
	return set_error(ret_error, -EINVAL, "DuckDB does not take %s = %s", name, value);
}

static int make_config(const struct clew_store *st, duckdb_config *ret, char **ret_error)
{
	char memory[32], threads[16];
	const char *const settings[][2] = {
		{"memory_limit", memory},
		{"threads", threads},
		/* A checkpoint is taken by hand, after sealing. */
		{"checkpoint_threshold", "1TB"},
		{"autoinstall_known_extensions", "false"},
		{"autoload_known_extensions", "false"},
		{"allow_community_extensions", "false"},
		{"allow_persistent_secrets", "false"},
		{"max_temp_directory_size", "8GB"},
	};
	int r = 0;

	snprintf(memory, sizeof(memory), "%" PRIu64 "B", st->opts.memory_bytes);
	snprintf(threads, sizeof(threads), "%u", st->opts.threads);
	if (duckdb_create_config(ret) != DuckDBSuccess)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < sizeof(settings) / sizeof(*settings); i++)
		r = config_set(*ret, settings[i][0], settings[i][1], ret_error);
	if (r < 0)
		duckdb_destroy_config(ret);
	return r;
}

/* Settings that need the engine to run, then the lock. */
static int confine(struct clew_store *st, char **ret_error)
{
	struct clew_buf sql = {0}, tmp = {0};
	int r;

	/* Where nothing can be written, nothing is spilled: what needs more memory says so. */
	if (!st->opts.read_only || faccessat(st->dir_fd, ".", W_OK, 0) == 0)
		clew_buf_addf(&tmp, "%s/tmp", st->dir);
	/* Rows that a list names are looked up rather than scanned for, also in long lists. */
	clew_buf_adds(&sql, "SET GLOBAL dynamic_or_filter_threshold=100000;");
	clew_buf_adds(&sql, "SET temp_directory=");
	duck_quote(&sql, clew_buf_slice(&tmp));
	clew_buf_adds(&sql, ";SET allowed_directories=[");
	duck_quote(&sql, slice_str(st->dir));
	clew_buf_adds(&sql, "];SET enable_external_access=false;SET lock_configuration=true;");
	r = sql.err ? sql.err : duck_exec(st->conn, sql.data, ret_error);
	clew_buf_done(&sql);
	clew_buf_done(&tmp);
	return r;
}

/* clew_key(id): the name of an attribute's key, for the views. */
static void key_names(duckdb_function_info info, duckdb_data_chunk in, duckdb_vector out)
{
	struct clew_store *st = duckdb_scalar_function_get_extra_info(info);
	struct duck_col ids = duck_col(in, 0);
	idx_t n = duckdb_data_chunk_get_size(in);

	for (idx_t i = 0; i < n; i++) {
		struct slice name = {0};

		if (!duck_null(&ids, i))
			name = names_get(st, DICT_KEY, ((uint32_t *)ids.data)[i]);
		duckdb_vector_assign_string_element_len(out, i, name.p ? name.p : "", name.n);
	}
}

static int register_functions(struct clew_store *st, char **ret_error)
{
	duckdb_scalar_function fn = duckdb_create_scalar_function();
	duckdb_logical_type id = duckdb_create_logical_type(DUCKDB_TYPE_UINTEGER);
	duckdb_logical_type text = duckdb_create_logical_type(DUCKDB_TYPE_VARCHAR);
	int r = 0;

	duckdb_scalar_function_set_name(fn, "clew_key");
	duckdb_scalar_function_add_parameter(fn, id);
	duckdb_scalar_function_set_return_type(fn, text);
	duckdb_scalar_function_set_extra_info(fn, st, NULL);
	duckdb_scalar_function_set_function(fn, key_names);
	if (duckdb_register_scalar_function(st->conn, fn) != DuckDBSuccess)
		r = set_error(ret_error, -EIO, "cannot register clew_key() with DuckDB");
	duckdb_destroy_logical_type(&id);
	duckdb_destroy_logical_type(&text);
	duckdb_destroy_scalar_function(&fn);
	return r;
}

/* clew_bucket(ns): where a duration stands in a histogram (latency.h). */
static void buckets(duckdb_function_info info, duckdb_data_chunk in, duckdb_vector out)
{
	struct duck_col ns = duck_col(in, 0);
	idx_t n = duckdb_data_chunk_get_size(in);
	uint8_t *to = duckdb_vector_get_data(out);

	for (idx_t i = 0; i < n; i++) {
		int64_t v = duck_null(&ns, i) ? 0 : ((int64_t *)ns.data)[i];

		to[i] = clew_latency_bucket(v > 0 ? (uint64_t)v : 0);
	}
}

static int register_buckets(struct clew_store *st, char **ret_error)
{
	duckdb_scalar_function fn = duckdb_create_scalar_function();
	duckdb_logical_type ns = duckdb_create_logical_type(DUCKDB_TYPE_BIGINT);
	duckdb_logical_type bucket = duckdb_create_logical_type(DUCKDB_TYPE_UTINYINT);
	int r = 0;

	duckdb_scalar_function_set_name(fn, "clew_bucket");
	duckdb_scalar_function_add_parameter(fn, ns);
	duckdb_scalar_function_set_return_type(fn, bucket);
	duckdb_scalar_function_set_function(fn, buckets);
	if (duckdb_register_scalar_function(st->conn, fn) != DuckDBSuccess)
		r = set_error(ret_error, -EIO, "cannot register clew_bucket() with DuckDB");
	duckdb_destroy_logical_type(&ns);
	duckdb_destroy_logical_type(&bucket);
	duckdb_destroy_scalar_function(&fn);
	return r;
}

static int check_version(struct clew_store *st, char **ret_error)
{
	int64_t version;
	int r = duck_int(st->conn, "SELECT value::BIGINT FROM c.meta WHERE key = 'schema_version'",
			 -1, &version, ret_error);

	if (r < 0)
		return set_error(ret_error, r, "%s/catalog.duckdb is not a catalog of clew",
				 st->dir);
	if (version < 1)
		return set_error(ret_error, -EUCLEAN, "%s/catalog.duckdb names no schema version",
				 st->dir);
	if (version > SCHEMA_VERSION)
		return set_error(ret_error, -EPROTO,
				 "%s was written by a newer clew (schema %" PRId64
				 ", this one reads up to %d): use that clew, or another directory",
				 st->dir, version, SCHEMA_VERSION);
	/* From here on an older clew would not find all spans. */
	if (version < SCHEMA_VERSION && !st->opts.read_only)
		return duck_execf(st->conn, ret_error,
				  "UPDATE c.meta SET value = '%d' WHERE key = 'schema_version';",
				  SCHEMA_VERSION);
	return 0;
}

/* The catalog is small. */
#define NEW_CATALOG_BLOCK 16384

static int attach_catalog(struct clew_store *st, char **ret_error)
{
	struct clew_buf sql = {0}, path = {0};
	int64_t tables = 0;
	int r;

	if (faccessat(st->dir_fd, "catalog.duckdb", F_OK, 0) < 0 && parts_exist(st))
		return set_error(
			ret_error, -EUCLEAN,
			"%s has spans and no catalog.duckdb, which has their names: bring that "
			"file back, or use another directory",
			st->dir);
	clew_buf_addf(&path, "%s/catalog.duckdb", st->dir);
	r = path.err ? path.err
		     : duck_attach(st->conn, path.data, "c", st->opts.read_only, NEW_CATALOG_BLOCK,
				   CLEW_STORE_GROUP_SPANS, ret_error);
	if (r == 0)
		r = duck_int(st->conn,
			     "SELECT count(*) FROM duckdb_tables() WHERE database_name = 'c'", 0,
			     &tables, ret_error);
	if (r == 0 && !tables && st->opts.read_only)
		r = set_error(ret_error, -ENOENT, "%s holds no store yet", st->dir);
	if (r == 0 && !tables) {
		clew_buf_clear(&sql);
		clew_buf_adds(&sql, "BEGIN TRANSACTION;");
		schema_catalog(&sql);
		clew_buf_adds(&sql, "COMMIT;");
		r = sql.err ? sql.err : duck_exec(st->conn, sql.data, ret_error);
		if (r < 0)
			(void)duck_exec(st->conn, "ROLLBACK;", NULL);
	}
	clew_buf_done(&sql);
	clew_buf_done(&path);
	if (r == 0)
		r = check_version(st, ret_error);
	return r == 0 && !st->opts.read_only ? duck_exec(st->conn, schema_later, ret_error) : r;
}

void fix_modes(struct clew_store *st)
{
	int fd = openat(st->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;
	struct stat sb;

	if (!d) {
		closep(&fd);
		return;
	}
	/* The directory is 0700: this is the second lock on the same door, so errors are let go. */
	while ((e = readdir(d)))
		if (strstr(e->d_name, ".duckdb") &&
		    fstatat(st->dir_fd, e->d_name, &sb, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(sb.st_mode) && (sb.st_mode & 077))
			(void)!fchmodat(st->dir_fd, e->d_name, 0600, 0);
	closedir(d);
}

/* What a query reads instead of an hour that cannot be read: query_each(). */
static int make_empty_hour(struct clew_store *st, char **ret_error)
{
	struct clew_buf sql = {0};
	int r;

	clew_buf_adds(&sql, "CREATE SCHEMA " EMPTY_HOUR ";");
	schema_partition(&sql, EMPTY_HOUR);
	schema_rollups(&sql, EMPTY_HOUR);
	r = sql.err ? sql.err : duck_exec(st->conn, sql.data, ret_error);
	clew_buf_done(&sql);
	return r;
}

static int open_once(struct clew_store *st, char **ret_error)
{
	duckdb_config config = NULL;
	char *text = NULL;
	int r = make_config(st, &config, ret_error);

	if (r < 0)
		return r;
	if (duckdb_open_ext(NULL, &st->db, config, &text) != DuckDBSuccess)
		r = set_error(ret_error, -EIO, "cannot start DuckDB: %s", text ? text : "?");
	duckdb_free(text);
	duckdb_destroy_config(&config);
	if (r == 0 && duckdb_connect(st->db, &st->conn) != DuckDBSuccess)
		r = set_error(ret_error, -ENOMEM, "cannot connect to DuckDB");
	if (r == 0 && duckdb_connect(st->db, &st->seal_conn) != DuckDBSuccess)
		r = set_error(ret_error, -ENOMEM, "cannot connect to DuckDB");
	if (r == 0)
		st->seal_connection = query_connection(st->seal_conn);
	if (r == 0)
		r = register_functions(st, ret_error);
	if (r == 0)
		r = hot_register(st, ret_error);
	if (r == 0)
		r = register_buckets(st, ret_error);
	if (r == 0)
		r = confine(st, ret_error);
	if (r == 0)
		r = make_empty_hour(st, ret_error);
	if (r == 0)
		r = attach_catalog(st, ret_error);
	if (r == 0)
		r = parts_attach_all(st, ret_error);
	if (r == 0)
		r = gone_load(st, ret_error);
	if (r == 0)
		r = hots_load(st, ret_error);
	if (r < 0)
		engine_close(st);
	else if (!st->opts.read_only)
		fix_modes(st);
	return r;
}

int engine_open(struct clew_store *st, char **ret_error)
{
	int r;

	/* The file that the engine has given up with is out of its way the next time. */
	do
		r = open_once(st, ret_error);
	while (r == -ESTALE);
	return r;
}

void engine_close(struct clew_store *st)
{
	pthread_mutex_lock(&st->state_lock);
	parts_free(st);
	leaving_free(st);
	pthread_mutex_unlock(&st->state_lock);
	if (st->seal_conn)
		duckdb_disconnect(&st->seal_conn);
	if (st->conn)
		duckdb_disconnect(&st->conn);
	if (st->db)
		duckdb_close(&st->db);
	st->conn = NULL;
	st->seal_conn = NULL;
	st->db = NULL;
}
