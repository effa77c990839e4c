/* SPDX-License-Identifier: Apache-2.0 */
#include "store/schema.h"

const char *const dict_tables[N_DICTS] = {"attr_key", "service", "operation", "scope", "host"};

static const char catalog_tables[] =
	"CREATE TABLE c.meta (key VARCHAR, value VARCHAR);"
	"CREATE TABLE c.attr_key (id UINTEGER, name VARCHAR, type UTINYINT);"
	"CREATE TABLE c.service (id UINTEGER, name VARCHAR, type UTINYINT);"
	"CREATE TABLE c.operation (id UINTEGER, name VARCHAR, type UTINYINT);"
	"CREATE TABLE c.scope (id UINTEGER, name VARCHAR, type UTINYINT);"
	"CREATE TABLE c.host (id UINTEGER, name VARCHAR, type UTINYINT);"
	"CREATE TABLE c.resource (id UINTEGER, hash UBIGINT, service UINTEGER, host UINTEGER,"
	" instance VARCHAR, boot_id UHUGEINT, attr_keys UINTEGER[], attr_values VARCHAR[]);"
	"CREATE TABLE c.alias (trace_id UHUGEINT, canonical UHUGEINT, evidence UINTEGER,"
	" confidence FLOAT, added_ns BIGINT);"
	"CREATE TABLE c.fragment (trace_id UHUGEINT, boot_id UHUGEINT, root_span_id UBIGINT,"
	" wire_key UHUGEINT, start_ns BIGINT, end_ns BIGINT, spans UINTEGER, complete BOOLEAN,"
	" added_ns BIGINT);"
	"INSERT INTO c.meta VALUES ('engine', 'duckdb');";

const char schema_later[] =
	"CREATE TABLE IF NOT EXISTS c.service_model (service VARCHAR, time_ns UBIGINT,"
	" runtime VARCHAR, runtime_version VARCHAR, task VARCHAR, model VARCHAR, groups UBIGINT,"
	" answers UBIGINT, hits UBIGINT, misses UBIGINT, roots UBIGINT, certain UBIGINT,"
	" probable UBIGINT, orphans UBIGINT, settled VARCHAR, orphaned VARCHAR, options VARCHAR);"
	"CREATE TABLE IF NOT EXISTS c.shed (trace_id UHUGEINT, spans UINTEGER, at_ns BIGINT);"
	"CREATE TABLE IF NOT EXISTS c.gone (hour BIGINT);";

static int span_table(struct clew_buf *sql, const char *part, const char *table);

int schema_catalog(struct clew_buf *sql)
{
	clew_buf_adds(sql, catalog_tables);
	/* Always empty: the view of a store without partitions. */
	span_table(sql, "c", "no_spans");
	return clew_buf_addf(sql, "INSERT INTO c.meta VALUES ('schema_version', '%d');",
			     SCHEMA_VERSION);
}

static int span_table(struct clew_buf *sql, const char *part, const char *table)
{
	const char *sep = "";

	clew_buf_addf(sql, "CREATE TABLE %s.%s (", part, table);
#define X(c, name, type)                               \
	clew_buf_addf(sql, "%s" #name " " #type, sep); \
	sep = ", ";
	SPAN_COLUMNS(X)
#undef X
#define X(c, name, type) clew_buf_addf(sql, ", " #name " " #type "[]");
	SPAN_LISTS(X)
#undef X
	return clew_buf_adds(sql, ");");
}

int schema_partition(struct clew_buf *sql, const char *part)
{
	span_table(sql, part, "span");
	clew_buf_addf(sql, "CREATE TABLE %s.block_index (hash UINTEGER, block UINTEGER);", part);
	clew_buf_addf(sql,
		      "CREATE TABLE %s.trace_index (hash UINTEGER, first_row UINTEGER,"
		      " spans UINTEGER);",
		      part);
	return clew_buf_addf(sql,
			     "CREATE TABLE %s.run (first_row BIGINT, spans BIGINT,"
			     " min_start_ns BIGINT, max_start_ns BIGINT, indexed BOOLEAN);",
			     part);
}

void schema_rollups(struct clew_buf *sql, const char *part)
{
	static const char *const tables[] = {
		"red (minute INTEGER, service UINTEGER, operation UINTEGER, kind UTINYINT,"
		" bucket UTINYINT, n INTEGER, errors INTEGER)",
		"edge (minute INTEGER, client UINTEGER, server UINTEGER, peer VARCHAR,"
		" bucket UTINYINT, n INTEGER, errors INTEGER)",
		"seen (service UINTEGER, resource UINTEGER, spans INTEGER, first_ns BIGINT,"
		" last_ns BIGINT)",
		"trace (trace_id UHUGEINT, root_span UBIGINT, shape UBIGINT, start_ns BIGINT,"
		" duration_ns BIGINT, last_ns BIGINT, service UINTEGER, operation UINTEGER,"
		" kind UTINYINT, status UTINYINT, spans UINTEGER, services UINTEGER,"
		" errors UINTEGER, orphans UINTEGER, incomplete BOOLEAN, continued BOOLEAN,"
		" service_bits UBIGINT, sealed_ns BIGINT)",
		"attr_count (service UINTEGER, key UINTEGER, spans UINTEGER)",
		"attr_range (key UINTEGER, block UINTEGER, lo DOUBLE, hi DOUBLE)",
		"digest (first_row BIGINT, spans BIGINT)",
		"trace_filter (first_row BIGINT, spans BIGINT, filter BLOB)",
	};

	for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++)
		clew_buf_addf(sql, "CREATE TABLE IF NOT EXISTS %s.%s;", part, tables[i]);
}

/* Columns of the view `spans`, from a row s of span or clew_hot() joined with the catalog. */
static const char view_columns[] =
	"SELECT lower(lpad(hex(s.trace_id), 32, '0')) AS trace_id,"
	" lower(lpad(hex(s.span_id), 16, '0')) AS span_id,"
	" lower(lpad(hex(s.parent_id), 16, '0')) AS parent_span_id,"
	" sv.name AS service, op.name AS name,"
	" (['unspecified', 'internal', 'server', 'client', 'producer', 'consumer'])[s.kind + 1]"
	"  AS kind,"
	" (['unset', 'ok', 'error'])[s.status + 1] AS status, s.status_message,"
	" s.start_ns, s.duration_ns, make_timestamp_ns(s.start_ns) AS start_time,"
	" map(list_transform(coalesce(s.attr_keys, []), lambda k: clew_key(k)),"
	"  coalesce(s.attr_values, [])) AS attributes,"
	" map(list_transform(coalesce(r.attr_keys, []), lambda k: clew_key(k)),"
	"  coalesce(r.attr_values, [])) AS resource,"
	" r.instance, h.name AS host, lower(lpad(hex(r.boot_id), 32, '0')) AS boot_id,"
	" s.pid, s.tid, s.proc_start_ns,"
	" lower(lpad(hex(s.wire_key), 32, '0')) AS wire_key,"
	" s.evidence, (['root', 'certain', 'probable', 'orphan'])[s.link_class + 1] AS link_class,"
	" CASE WHEN s.confidence >= 0 THEN s.confidence END AS confidence,"
	" s.incomplete, s.is_root, s.sampling_threshold, s.clock_offset_ns,"
	" s.cpu_ns, s.runq_ns, s.futex_ns, s.disk_ns, s.net_ns, s.sleep_ns, s.other_ns,"
	" sc.name AS scope, s.trace_state, s.dropped_attrs, s.dropped_links, s.dropped_events,"
	" list_transform(coalesce(s.link_traces, []), lambda x, i:"
	"  {'trace_id': lower(lpad(hex(x), 32, '0')),"
	"   'span_id': lower(lpad(hex(s.link_spans[i]), 16, '0')),"
	"   'confidence': s.link_confidences[i]}) AS links,"
	" list_transform(coalesce(s.event_times, []), lambda x, i:"
	"  {'time_ns': x, 'name': s.event_names[i], 'attributes': s.event_attrs[i]}) AS events";

static const char traces_view[] =
	"CREATE TEMP VIEW traces AS SELECT trace_id,"
	" arg_min(service, (parent_span_id IS NOT NULL, start_ns)) AS service,"
	" arg_min(name, (parent_span_id IS NOT NULL, start_ns)) AS name,"
	" min(start_ns) AS start_ns,"
	" arg_min(duration_ns, (parent_span_id IS NOT NULL, start_ns)) AS duration_ns,"
	" count(*) AS spans, count(DISTINCT service) AS services,"
	" count(*) FILTER (status = 'error') AS errors,"
	" count(*) FILTER (link_class = 'orphan') AS orphans,"
	" bool_or(incomplete <> 0) AS incomplete FROM spans GROUP BY trace_id;";

static const char services_view[] =
	"CREATE TEMP VIEW services AS SELECT service, count(DISTINCT instance) AS instances,"
	" count(*) AS spans, count(*) FILTER (kind IN ('server', 'consumer')) AS requests,"
	" count(*) FILTER (kind IN ('server', 'consumer') AND status = 'error') AS errors,"
	" quantile_disc(duration_ns, 0.5) FILTER (kind IN ('server', 'consumer')) AS p50_ns,"
	" quantile_disc(duration_ns, 0.95) FILTER (kind IN ('server', 'consumer')) AS p95_ns,"
	" quantile_disc(duration_ns, 0.99) FILTER (kind IN ('server', 'consumer')) AS p99_ns,"
	" min(start_ns) AS first_ns, max(start_ns + duration_ns) AS last_ns"
	" FROM spans GROUP BY service;";

static const char view_joins[] = " LEFT JOIN c.service sv ON s.service = sv.id"
				 " LEFT JOIN c.operation op ON s.operation = op.id"
				 " LEFT JOIN c.scope sc ON s.scope = sc.id"
				 " LEFT JOIN c.resource r ON s.resource = r.id"
				 " LEFT JOIN c.host h ON r.host = h.id";

int schema_select(struct clew_buf *sql, const char *source)
{
	return clew_buf_addf(sql, "%s FROM (%s) s%s", view_columns, source, view_joins);
}

int schema_views(struct clew_buf *sql, const char (*sealed)[64], const char (*hots)[32],
		 size_t n_parts)
{
	clew_buf_adds(sql, "CREATE TEMP VIEW spans AS ");
	clew_buf_adds(sql, view_columns);
	clew_buf_adds(sql, " FROM (");
	for (size_t i = 0; i < n_parts; i++)
		clew_buf_addf(sql, "%sSELECT * FROM %s UNION ALL SELECT * FROM %s",
			      i ? " UNION ALL " : "", sealed[i], hots[i]);
	if (!n_parts)
		clew_buf_adds(sql, "SELECT * FROM c.no_spans");
	clew_buf_addf(sql, ") s%s;", view_joins);
	clew_buf_adds(sql, traces_view);
	return clew_buf_adds(sql, services_view);
}
