/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The embedded store, inside.
 *
 *	DIR/catalog.duckdb              names, resources, aliases, fragments, the schema's version
 *	DIR/spans-YYYYMMDDTHH.duckdb    a partition: spans that began in that hour (UTC)
 *	DIR/tmp/                        the engine's spill files
 *	DIR/writer.lock, readers.lock   lock.h
 *	DIR/clew.sock                   the server's
 *
 *	DIR/spans-YYYYMMDDTHH-N.log     its newest spans: hot.h
 *
 * A partition has `span`, runs of spans sorted by trace with a block index, and hot spans as they came, in
 * memory and in a log. Sealing turns a generation of these into a run.
 *
 *	queue ─► writer ─► log and memory ─► sealer ─► run
 *
 * Threads: the writer's alone changes dictionaries, partitions and their list; the sealer writes one
 * partition's file at a time, while the writer leaves all of these files alone. Queries connect
 * on their own and hold `gate` shared; only recovery, which replaces the engine, takes it
 * exclusively, and interrupts them first.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "store/dict.h"
#include "store/duck.h"
#include "store/error.h"
#include "store/hot.h"
#include "store/lock.h"
#include "store/schema.h"
#include "store/store.h"

#define HOUR_NS (3600ll * 1000 * 1000 * 1000)

/* Generations of a partition's newest spans: one that is written, one that is sealed; after a crash there may
 * be more. */
#define HOT_GENERATIONS 4

/* What a query sees of a generation. */
struct hot_view {
	struct hot *hot; /* a reference */
	uint32_t n;
};

struct part {
	int64_t hour;	   /* since the epoch */
	char name[24];	   /* the catalog name of the attached file */
	uint64_t rows;	   /* of span */
	uint64_t indexed;  /* of them, in the block index (a whole number of runs) */
	uint64_t digested; /* of them, from the first on: in the rollups */
	struct hot *
		hots[HOT_GENERATIONS]; /* the newest spans, oldest generation first; the writer adds
					    * under state_lock, who seals takes out under ids_lock too */
	uint32_t n_hots;
	uint64_t hot_rows;     /* of all of them */
	int64_t sealed_max_ns; /* newest start in span but for its last run; INT64_MIN if empty */
	int64_t last_max_ns;   /* ... in the last run */
	struct id_set
		last_ids; /* of the last run: most of what comes twice comes soon; under ids_lock */
	uint64_t used_ns; /* monotonic time of the last append */
	bool has_rollups; /* the tables are there */
	bool has_filters; /* ... and trace_filter */
	bool dirty;	  /* changed since its last checkpoint */
	bool late_checkpoint;	     /* one is due as soon as no query is in its way */
	bool has_old_hot;	     /* version 1: a table `hot` in the file */
	bool traces_left_out;	     /* traces had no room in memory; under filter_lock */
	struct trace_filter *traces; /* NULL: not loaded; under filter_lock */
	uint64_t left_seq;	     /* when it left: queries up to this one may read it */
	struct part *next_leaving;
};

/*
 * What a query sees of a partition. Of one with hot spans the engine's snapshot of the file is of the same
 * moment (publish_lock): a span is in one of the two.
 */
struct part_ref {
	struct part *part; /* for trace_filter.c */
	int64_t hour;
	char name[24];
	char hot[32]; /* "clew_hot(490923)": a table with span's columns */
	struct hot_view hots[HOT_GENERATIONS];
	uint32_t n_hots;
	uint64_t indexed;
	uint64_t rows;	   /* sealed and hot together */
	uint64_t digested; /* rows of span in the rollups; query_digested() makes it exact */
	bool has_rollups;
	bool has_tail; /* sealed rows without an index */
	bool has_hot;
};

struct alias_table {
	struct clew_store_alias *rows;
	uint32_t *next; /* of each row: the next one with its canonical id, + 1 */
	_Atomic size_t n;
	size_t cap;
	uint32_t *heads; /* by the hash of canonical: row + 1; as many as slots */
	uint32_t *slots; /* by the hash of trace_id: row + 1; a power of two, at least twice cap */
};

struct query;

/* An amendment that waits, and since when. */
struct amend_item {
	struct clew_store_amendment a;
	uint64_t since_ns;
};

/* What waits to be changed; under queue_lock, but for what the writer has taken. */
struct amend_queue {
	struct amend_item *v;
	size_t n, cap;
	struct clew_store_alias *aliases;
	size_t n_aliases, cap_aliases;
	uint64_t due_ns; /* when the writer looks at it */
	bool is_new;	 /* something was not tried yet */
};

struct clew_store {
	char *dir;
	int dir_fd;
	struct clew_store_opts opts;
	struct clew_lock lock;

	pthread_rwlock_t gate;
	duckdb_database db; /* NULL while recovery has not succeeded */

	struct dict dicts[N_DICTS];
	struct dict resource_ids; /* the 8 bytes of clew_resource.id ─► small id */
	struct clew_resource *
		*resources; /* by small id; DICT_MAX slots, published by resource_ids.n */

	uint64_t last_resource; /* the hash that was asked for last, and its small id */
	uint32_t last_resource_id;

	pthread_mutex_t state_lock; /* parts, aliases, queries */
	struct part **parts;	    /* by hour, ascending */
	size_t n_parts;
	uint64_t left_out_parts;
	struct part *leaving; /* dropped, and perhaps still read */
	uint64_t query_seq;   /* of the query that began last */
	struct alias_table aliases;
	pthread_mutex_t filter_lock; /* part.traces */
	uint64_t filter_bytes;	     /* of all of them */
	struct query *queries;

	duckdb_connection conn; /* the writer's */

	duckdb_connection seal_conn; /* of the thread that seals; idx_t: its number */
	idx_t seal_connection;
	struct hot *sealing;	      /* what clew_hot() is on it; under state_lock */
	pthread_mutex_t publish_lock; /* a commit that moves hot spans, and what says so in parts */
	pthread_mutex_t ids_lock;     /* sets of ids, and the generations that have them */
	struct part *seal_job;	      /* under queue_lock: what is to be sealed, or is just now */
	int seal_err;		      /* of the last job; under queue_lock */
	uint64_t seals_begun, seals_done; /* under queue_lock */

	pthread_t writer, sealer, watchdog;
	bool has_writer, has_sealer, has_watchdog;
	bool sealer_ends; /* under queue_lock */
	pthread_mutex_t queue_lock;
	pthread_cond_t queue_cond, done_cond;
	pthread_cond_t seal_cond; /* a job came, or is done */
	struct clew_span **queue; /* ring of opts.queue_spans */
	uint32_t queue_head, queue_n;
	uint64_t queued_seq, done_seq; /* spans ever queued, spans ever dealt with */
	uint64_t queue_bytes;	       /* of the spans in it */
	uint32_t flush_waiters;
	bool writing;	    /* a batch was taken and is not dealt with */
	uint32_t urgent_n;  /* spans in it that somebody waits for */
	uint64_t urgent_ns; /* when the first of them came */
	uint64_t oldest_ns; /* when the queue's first span came */
	struct amend_queue amend;
	_Atomic bool stop;
	struct clew_store_stats stats;	       /* under queue_lock */
	struct clew_store_retention retention; /* under queue_lock */
	uint64_t retention_ns;		       /* when it was last looked at */
	bool size_said;
	pthread_mutex_t stored_lock; /* held while stored_fn runs */
	clew_store_stored_fn stored_fn;
	void *stored_user;
};

/* ---- open.c: the engine ---- */
int engine_open(struct clew_store *st, char **ret_error);
void engine_close(struct clew_store *st);
/** fix_modes() - 0600 for the files of the directory (the engine goes by the umask). */
void fix_modes(struct clew_store *st);

/* ---- part.c ---- */
int parts_attach_all(struct clew_store *st, char **ret_error);
/** part_get() - the partition of an hour, made if need be. Writer only. */
int part_get(struct clew_store *st, int64_t hour, struct part **ret, char **ret_error);
void part_free(struct clew_store *st, struct part *p);
void parts_free(struct clew_store *st);
uint64_t span_hash(const struct clew_span *s);

/* ---- hot_part.c: the newest spans of partitions ---- */
/** hots_load() - the logs of a directory whose partitions are attached. */
int hots_load(struct clew_store *st, char **ret_error);
/**
 * hot_to_fill() - the generation that takes the next spans, made if need be. Waits while a partition has as
 * many generations as it may; the error of sealing if that does not help. Writer only.
 */
int hot_to_fill(struct clew_store *st, struct part *p, struct hot **ret, char **ret_error);
/** hot_left() - how many spans its newest generation still takes; 0: none is begun, or it is full. */
uint32_t hot_left(struct clew_store *st, const struct part *p);
/** hot_bytes() - of a partition's logs. */
uint64_t hot_bytes(struct clew_store *st, const struct part *p);
/** hot_unlink() - the logs of a partition that is dropped. */
void hot_unlink(struct clew_store *st, const struct part *p);
/** hot_sealed() - the oldest generation is in span now; under publish_lock. Its reference is the caller's. */
void hot_sealed(struct clew_store *st, struct part *p, bool digested);

/* ---- hot_scan.c ---- */
/** hot_register() - the table function clew_hot(). */
int hot_register(struct clew_store *st, char **ret_error);

/* ---- old.c: stores of version 1 ---- */
/** old_take_over() - what version 1 kept otherwise: its hot spans, runs without an index. Names are loaded.
 * Read-only: in memory. */
int old_take_over(struct clew_store *st, char **ret_error);

/* ---- names.c: dictionaries and resources ---- */
int names_load(struct clew_store *st, char **ret_error);
/** names_save() - new rows into the catalog, one transaction; nothing to do if there are none. */
int names_save(struct clew_store *st, char **ret_error);
/** names_resource() - the small id of a span's resource. Writer only. */
int names_resource(struct clew_store *st, struct clew_resource *r, uint32_t *ret_id);
struct clew_resource *names_resource_get(const struct clew_store *st, uint32_t id);
struct slice names_get(const struct clew_store *st, enum dict_kind kind, uint32_t id);
void names_free(struct clew_store *st);
/** attr_text() - an attribute's value as stored: text; buf holds numbers (32 bytes). */
struct slice attr_text(const struct clew_attr *a, char *buf, size_t size);

/* ---- append.c ---- */
/** append_batch() - store spans that are sorted by hour: one transaction for each hour. */
int append_batch(struct clew_store *st, struct clew_span **spans, size_t n, char **ret_error);

/** part_file() - the name of an hour's file. */
void part_file(int64_t hour, char *out, size_t size);

/* ---- retention.c: writer only ---- */
/** retention_look() - drop what is too old or too much; now and then. */
void retention_look(struct clew_store *st);
/** retention_make_room() - drop the oldest hour for a newer one. False: it is not to be. */
bool retention_make_room(struct clew_store *st, int64_t hour);
/** leaving_free() - when the engine closes. */
void leaving_free(struct clew_store *st);

/* ---- sealer.c: the thread that seals ---- */
int sealer_start(struct clew_store *st, char **ret_error);
void sealer_stop(struct clew_store *st);
/** seal_begin() - have the oldest generation of p sealed; nothing is added to it any more. False: another
 * job runs. Writer only. */
bool seal_begin(struct clew_store *st, struct part *p);
/** seal_busy() - does a job run? */
bool seal_busy(struct clew_store *st);
/** seal_wait() - until none does. The last one's result. */
int seal_wait(struct clew_store *st);

/* ---- seal.c ---- */
/** seal_hot() - the oldest generation of hot spans becomes a sorted, indexed run. */
int seal_hot(struct clew_store *st, struct part *p, char **ret_error);
/** index_tail() - version 1: h is the rows of a run without an index. Writer only. */
int index_tail(struct clew_store *st, struct part *p, struct hot *h, char **ret_error);
/** digest_part() - some of the rows that an older writer sealed, into the rollups. */
int digest_part(struct clew_store *st, struct part *p, char **ret_error);
/** checkpoint() - of an attached file. -EBUSY: a query is in the way. */
int checkpoint(struct clew_store *st, duckdb_connection conn, const char *name, char **ret_error);
/** checkpoint_part() - the same; when a query is in the way, it is put off (late_checkpoint). */
int checkpoint_part(struct clew_store *st, duckdb_connection conn, struct part *p,
		    char **ret_error);
/** index_hash() - of an entry of the block index. */
uint32_t index_hash_attr(uint32_t key_id, struct slice value);
uint32_t index_hash_id(enum dict_kind kind, uint32_t id);
uint32_t index_hash_resource(uint32_t id);
uint32_t index_hash_trace(const struct clew_id128 *id);

/* ---- trace_filter.c: which hours cannot hold a trace ---- */
struct fuse;
/** trace_filter_store() - of the run of rows [from, to), into its partition; inside of a transaction. */
int trace_filter_store(duckdb_connection conn, struct part *p, const struct fuse *run,
		       uint64_t from, uint64_t to, char **ret_error);
/** trace_filter_sealed() - the run is committed. Takes its filter, which may be NULL. */
void trace_filter_sealed(struct clew_store *st, struct part *p, struct fuse *run, uint64_t from,
			 uint64_t to);
/** trace_filter_ask() - which of the partitions [from, to) may have indexed rows of a trace with one of
 * these hashes: ret_may[0] is of from. */
int trace_filter_ask(struct query *q, size_t from, size_t to, const uint32_t *hashes, size_t n,
		     bool *ret_may, char **ret_error);
/** trace_filter_drop() - before a part is freed. */
void trace_filter_drop(struct clew_store *st, struct part *p);

/* ---- queue.c ---- */
int queue_init(struct clew_store *st);
void queue_free(struct clew_store *st);
/** queue_time() - a monotonic time for the conditions. */
struct timespec queue_time(uint64_t ns);
/**
 * queue_take() - wait for work. Returns how many spans were moved to batch (room for
 * opts.batch_spans); 0: nothing for now.
 */
size_t queue_take(struct clew_store *st, struct clew_span **batch);
/** queue_settle() - whoever waits for these spans is told: r 0, they are on disk. */
void queue_settle(struct clew_span *const *spans, size_t n, int r);
/** queue_done() - what queue_take() gave is dealt with; the spans are freed. */
void queue_done(struct clew_store *st, struct clew_span *const *batch, size_t n);

/* ---- rollup.c: what sealed spans add up to ---- */
struct digest;
/** rollup_store() - of the rows [from, to) of a partition's span, which source has too ("x WHERE true");
 * inside of a transaction of conn. */
int rollup_store(duckdb_connection conn, struct part *p, const struct digest *d, const char *source,
		 uint64_t from, uint64_t to, char **ret_error);
/** rollup_continue() - add the old rows of traces that began in runs that are digested already. */
int rollup_continue(struct query *q, struct digest *d, const char *new_ids, int64_t hour,
		    char **ret_error);

/* ---- red.c: sums of spans ---- */
/** spans_between() - about how many spans began then; until 0: no end. */
uint64_t spans_between(const struct query *q, uint64_t since_ns, uint64_t until_ns);
/** beside_rollups() - append "SELECT cols FROM ... WHERE ..." of a partition's rows that are in no
 * rollup, after *sep, which becomes " UNION ALL ". Nothing if there are none. */
void beside_rollups(const struct part_ref *p, const char *cols, const char *where,
		    struct clew_buf *out, const char **sep);
/** minute_window() - hours [from, to) whose rollups may have minutes of these times, for spans that
 * were counted with a later run as well. */
void minute_window(const struct query *q, uint64_t since_ns, uint64_t until_ns, size_t *ret_from,
		   size_t *ret_to);

/** rollup_rows() - append "SELECT cols FROM table WHERE where UNION ALL ..." of the partitions [from, to), with
 * what is in no rollup: "SELECT beside FROM spans WHERE spans_where". After query_digested(). */
void rollup_rows(struct query *q, size_t from, size_t to, const char *table, const char *cols,
		 const char *where, const char *beside, const char *spans_where,
		 struct clew_buf *out);

/* ---- map.c ---- */
/** spans_of() - append "SELECT cols FROM all spans that began in [since, until] WHERE where". */
void spans_of(struct query *q, uint64_t since_ns, uint64_t until_ns, const char *cols,
	      const char *where, struct clew_buf *out);

#define NO_SERVICE UINT32_MAX

struct map_edge {
	uint32_t client, server; /* NO_SERVICE: not traced */
	struct clew_edge_stats s;
};

/* The edges with the most calls, limit of them (and some more while they are collected). */
struct map_edges {
	struct clew_store *st;
	struct map_edge *v;
	size_t n, cap, limit;
	uint64_t total;
};
/** map_add() - an edge with its figures; ends as in struct map_edge, peer where the server is not traced. */
int map_add(struct map_edges *l, uint32_t client, uint32_t server, struct slice peer,
	    const struct clew_edge_stats *figures);

/* ---- rollup_ask.c: the map from rollups ---- */
int rollup_map(struct query *q, uint64_t since_ns, uint64_t until_ns, struct map_edges *edges,
	       char **ret_error);
/** digest_beside() - a digest of the rows of [from, to) that are in no rollup, with the old rows of their
 * traces. The caller frees it. */
int digest_beside(struct query *q, size_t from, size_t to, struct digest **ret, char **ret_error);

/* ---- writer.c ---- */
int writer_start(struct clew_store *st, char **ret_error);
void writer_stop(struct clew_store *st);
/** note_failure() - something could not be written: count it and say it once. */
void note_failure(struct clew_store *st, int err, const char *text);

/* ---- query.c: a query's connection, limits and snapshot of the partitions ---- */
struct query {
	struct clew_store *st;
	uint64_t seq;
	duckdb_connection conn;
	idx_t connection;	/* its number */
	struct part_ref *parts; /* by hour, ascending */
	size_t n_parts;
	_Atomic uint64_t deadline_ns;
	_Atomic int stop; /* the errno for which it was interrupted, or 0 */
	struct query *next;
};

/** query_connection() - the number of a connection. */
idx_t query_connection(duckdb_connection conn);
int query_begin(struct clew_store *st, struct query *q, char **ret_error);
void query_end(struct query *q);
/** query_snapshot() - fill q->parts from q->st; under state_lock, or by the writer's thread. */
int query_snapshot(struct query *q);
void query_snapshot_done(struct query *q);
/**
 * query_digested() - of partitions [from, to): what the query's transaction sees of digested, which may
 * have grown since the snapshot. Before rollups and the rows beside them are added up.
 */
int query_digested(struct query *q, size_t from, size_t to, char **ret_error);
/** query_each() - duck_each() with the query's limits; says why it was stopped. */
int query_each(struct query *q, const char *sql, duck_chunk_fn fn, void *user, char **ret_error);
int watchdog_start(struct clew_store *st);
void watchdog_stop(struct clew_store *st);
/** queries_interrupt() - stop all that run, with this errno as the reason. */
void queries_interrupt(struct clew_store *st, int reason);

/*
 * The type of a key in the catalog: enum clew_attr_type, and behind them text that stands for something
 * else (enum clew_attr_form).
 */
#define KEY_TYPE_LAST (CLEW_ATTR_BOOL + CLEW_FORM_BYTES)

static inline uint8_t key_type(const struct clew_attr *a)
{
	return a->type == CLEW_ATTR_STR && a->form ? (uint8_t)(CLEW_ATTR_BOOL + a->form)
						   : (uint8_t)a->type;
}

static inline enum clew_attr_type key_attr_type(uint8_t type)
{
	return type > CLEW_ATTR_BOOL ? CLEW_ATTR_STR : (enum clew_attr_type)type;
}

static inline uint8_t key_form(uint8_t type)
{
	return type > CLEW_ATTR_BOOL ? (uint8_t)(type - CLEW_ATTR_BOOL) : 0;
}

/* ---- amend.c ---- */
/** amend_apply() - by the writer, where no batch is on its way: what waits and can be done. */
void amend_apply(struct clew_store *st);

/* ---- amend_hot.c ---- */
/** amend_part() - what of it is about hot spans of p that are not being sealed; found[i]: v[i] was. */
int amend_part(struct clew_store *st, struct part *p, const struct amend_queue *q, bool *found,
	       char **ret_error);

/* ---- alias.c ---- */
/** aliases_add() - by the writer: durable, and known from then on; those beyond the limit are counted. */
int aliases_add(struct clew_store *st, const struct clew_store_alias *v, size_t n,
		char **ret_error);
/** write_catalog() - beside the writer's thread: another connection, another file than the spans'. */
int write_catalog(struct clew_store *st, const char *sql, char **ret_error);
int aliases_load(struct clew_store *st, char **ret_error);
struct clew_id128 alias_canonical(struct clew_store *st, struct clew_id128 id);
/** alias_members() - the id and all that are aliases of it: fn for each. */
int alias_members(struct clew_store *st, struct clew_id128 canonical,
		  int (*fn)(void *user, const struct clew_id128 *id), void *user);

/* ---- read.c ---- */
/** read_span() - row i of a chunk with all span columns, in order. NULL: no memory. */
struct clew_span *read_span(struct clew_store *st, duckdb_data_chunk chunk, idx_t row);

/* ---- filter.c ---- */
/** filter_bounds() - append the conditions on duration, start and error: columns of spans and of traces. */
void filter_bounds(const struct clew_span_filter *f, struct clew_buf *out);
/** filter_where() - the condition over span or hot. -ENODATA: nothing can match. */
int filter_where(struct clew_store *st, const struct clew_span_filter *f, struct clew_buf *out,
		 char **ret_error);
/** filter_after() - append the condition for what comes behind a cursor; ret: the filter with its times
 * narrowed. */
void filter_after(const struct clew_span_filter *f, struct clew_buf *out,
		  struct clew_span_filter *ret);
/** filter_column() - "tid = 7" for a column that is shown as an attribute; false if there is none or
 * it cannot have this value. */
bool filter_column(const struct clew_filter_attr *a, struct clew_buf *out);
/**
 * filter_source() - append "SELECT cols, hot FROM ... WHERE ..." over the partition's hot and span,
 * by the block index where that helps. hot says which of the two a row is from. ret_broad (may be
 * NULL): the filter asks for attributes and a good part of the partition may match.
 */
int filter_source(struct query *q, const struct part_ref *p, const struct clew_span_filter *f,
		  const char *cols, const char *where, struct clew_buf *out, bool *ret_broad,
		  char **ret_error);

/* ---- where.c: conditions other than equality ---- */
/** where_condition() - over span or hot. -ENODATA: nothing can match; -EINVAL: says why. */
int where_condition(struct clew_store *st, const struct clew_filter_where *w, struct clew_buf *out,
		    char **ret_error);
/** where_hashes() - "1,2,3": entries of the block index one of which a match must have. False: the
 * index does not help. */
bool where_hashes(struct clew_store *st, const struct clew_filter_where *w, struct clew_buf *out);
/** where_range() - "key IN (7) AND hi >= 500": which blocks of attr_range may hold a match. False: it does
 * not help. */
bool where_range(struct clew_store *st, const struct clew_filter_where *w, struct clew_buf *out);

/* ---- by_id.c ---- */

/* Ids of traces as SQL wants them. */
struct trace_list {
	struct clew_buf ids; /* "1,2,3" */
	uint32_t *hashes;    /* of the traces' index */
	size_t n, cap;
};
/** trace_list_add() - a canonical id with all its aliases. */
int trace_list_add(struct trace_list *l, struct clew_store *st, struct clew_id128 canonical);
void trace_list_done(struct trace_list *l);
/**
 * filter_traces() - append "SELECT cols FROM ..." for the spans of these traces in partitions [from, to);
 * a few of other traces may be among them. Nothing is appended where there can be none. out is empty.
 */
int filter_traces(struct query *q, size_t from, size_t to, const struct trace_list *l,
		  const char *cols, struct clew_buf *out, char **ret_error);
/** filter_hours() - the partitions that a filter's times may touch: [*ret_from, *ret_to). */
void filter_hours(const struct query *q, uint64_t since_ns, uint64_t until_ns, size_t *ret_from,
		  size_t *ret_to);

static inline duckdb_uhugeint id128_huge(const struct clew_id128 *id)
{
	uint64_t hi, lo;

	memcpy(&hi, id->b, 8);
	memcpy(&lo, id->b + 8, 8);
	return (duckdb_uhugeint){.lower = __builtin_bswap64(lo), .upper = __builtin_bswap64(hi)};
}

static inline struct clew_id128 huge_id128(duckdb_uhugeint v)
{
	struct clew_id128 id;
	uint64_t hi = __builtin_bswap64(v.upper), lo = __builtin_bswap64(v.lower);

	memcpy(id.b, &hi, 8);
	memcpy(id.b + 8, &lo, 8);
	return id;
}

static inline uint64_t id64_int(const struct clew_id64 *id)
{
	uint64_t v;

	memcpy(&v, id->b, 8);
	return __builtin_bswap64(v);
}

static inline struct clew_id64 int_id64(uint64_t v)
{
	struct clew_id64 id;

	v = __builtin_bswap64(v);
	memcpy(id.b, &v, 8);
	return id;
}

/** huge_sql() - an SQL literal of a 128-bit id; buf takes 64 bytes. DuckDB reads '0x..' not so
 * wide. */
const char *huge_sql(const struct clew_id128 *id, char *buf);
