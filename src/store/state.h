/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an open store holds, and which lock each part of it is under.
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
#include "store/retention_clock.h"
#include "store/schema.h"
#include "store/shed.h"
#include "store/store.h"

struct clew_store_ticket;
struct query;
struct row_chunk;

#define HOUR_NS (3600ll * 1000 * 1000 * 1000)

/* Generations of a partition's newest spans: one that is written, one that is sealed; after a crash there may
 * be more. */
#define HOT_GENERATIONS 4

/* Partitions whose last_ids are kept, 2 MB each; of the others the files are asked, none is stored twice. */
#define KNOWN_RUNS 8u

/* A span that waits to be written. */
struct queued {
	const struct hot_row *row;
	struct row_chunk *chunk;	  /* that it lies in */
	struct clew_store_ticket *ticket; /* of who waits for it; NULL: nobody */
	struct clew_span *span;		  /* for who is told when it is stored; NULL: nobody is */
	uint32_t trace, bytes;		  /* hot_trace_hash(); of the row */
};

/* Keys of which it is remembered what follows them. */
#define NEXT_KEYS 256u

/* Under names_lock. */
struct row_maker {
	struct row_chunk *open; /* takes the next rows */
	struct clew_buf row, scratch, json;
	uint32_t keys[HOT_MAX_LISTS];
	uint32_t next_key[NEXT_KEYS]; /* by the key before, + 1; 0: by none */
	pthread_mutex_t spare_lock;
	struct row_chunk *spare;
	uint32_t n_spare;
};

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
	uint64_t last_run;     /* its first row; under state_lock */
	struct id_set
		last_ids; /* of the last run: most of what comes twice comes soon; under ids_lock */
	uint64_t last_seq;    /* of the sealing that they are of */
	uint64_t used_ns;     /* monotonic time of the last append */
	bool has_rollups;     /* the tables are there */
	bool has_filters;     /* ... and trace_filter */
	bool dirty;	      /* changed since its last checkpoint */
	uint64_t unchecked;   /* spans that were sealed since */
	bool late_checkpoint; /* one is due as soon as no query is in its way */
	bool has_old_hot;     /* version 1: a table `hot` in the file */
	bool has_gone;	      /* some of its rows are gone: gone.c; under state_lock */
	bool has_damage;      /* a query could not read a block of its file; under state_lock */
	bool unwritable; /* nor could who writes it: recover() sets it aside; under state_lock */
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
	uint64_t last_run; /* the first row of the newest run */
	uint64_t sealed;   /* rows of span */
	uint64_t rows;	   /* sealed and hot together */
	uint64_t digested; /* rows of span in the rollups; query_digested() makes it exact */
	bool has_rollups;
	bool has_tail; /* sealed rows without an index */
	bool has_hot;
	bool has_gone; /* ... or may be */
	bool left_out; /* a block cannot be read: from then on it has no sealed rows */
};

struct alias_table {
	struct clew_store_alias *rows;
	uint32_t *next; /* of each row: the next one with its canonical id, + 1 */
	_Atomic size_t n;
	size_t cap;
	uint32_t *heads; /* by the hash of canonical: row + 1; as many as slots */
	uint32_t *slots; /* by the hash of trace_id: row + 1; a power of two, at least twice cap */
};

/* Traces that are cut, by their ids, open addressing; spans 0: empty. */
struct shed_notes {
	struct shed_cut *v;
	size_t n, cap;
};

/* An amendment that waits. */
struct amend_item {
	struct clew_amendment a;
	uint64_t seq;	   /* of the spans that were queued before it */
	uint64_t tried_ns; /* when it was tried first; 0: not yet */
};

/* What waits to be changed; under queue_lock, but for what the writer has taken. */
struct amend_queue {
	struct amend_item *v;
	size_t n, cap;
	struct clew_store_alias *aliases;
	size_t n_aliases, cap_aliases;
	uint64_t due_ns;     /* when the writer looks at it */
	uint64_t blocked_ns; /* since when sealing is in the way; 0: it is not */
	bool is_new;	     /* something was not tried yet */
	bool aliases_added;  /* of what was taken */
};

struct clew_store {
	char *dir;
	int dir_fd;
	struct clew_store_opts opts;
	struct clew_lock lock;

	pthread_rwlock_t gate;
	duckdb_database db; /* NULL while recovery has not succeeded */

	pthread_mutex_t names_lock; /* who gives numbers to names, and makes rows */
	struct row_maker rows;
	struct dict dicts[N_DICTS];
	struct dict resource_ids; /* the 8 bytes of clew_resource.id ─► small id */
	struct clew_resource *
		*resources; /* by small id; DICT_MAX slots, published by resource_ids.n */

	uint64_t last_resource; /* the hash that was asked for last, and its small id */
	uint32_t last_resource_id;

	pthread_mutex_t state_lock; /* parts, aliases, queries */
	struct part **parts;	    /* by hour, ascending */
	size_t n_parts;
	int64_t *
		damaged_hours; /* whose files cannot be used and are there all the same: damaged.h */
	size_t n_damaged_hours;
	bool is_open;	      /* clew_store_open() is done */
	struct part *leaving; /* dropped, and perhaps still read */
	uint64_t query_seq;   /* of the query that began last */
	struct alias_table aliases;
	struct shed_notes notes;
	pthread_mutex_t filter_lock; /* part.traces */
	uint64_t filter_bytes;	     /* of all of them */
	struct query *queries;
	pthread_cond_t watch_cond; /* one began, or the store closes; with state_lock */

	duckdb_connection conn; /* the writer's */

	duckdb_connection seal_conn; /* of the thread that seals; idx_t: its number */
	idx_t seal_connection;
	struct hot *sealing;	      /* what clew_hot() is on it; under state_lock */
	pthread_mutex_t publish_lock; /* a commit that moves hot spans, and what says so in parts */
	pthread_mutex_t ids_lock;     /* sets of ids, and the generations that have them */
	uint64_t last_seq;	      /* sealings so far; under ids_lock */
	struct part *seal_job;	      /* under queue_lock: what is to be sealed, or is just now */
	int seal_err;		      /* of the last job; under queue_lock */
	uint64_t seals_begun, seals_done; /* under queue_lock */

	pthread_t writer, sealer, watchdog;
	bool has_writer, has_sealer, has_watchdog;
	bool sealer_ends; /* under queue_lock */
	pthread_mutex_t queue_lock;
	pthread_cond_t queue_cond, done_cond;
	pthread_cond_t seal_cond; /* a job came, or is done */
	struct queued *queue;	  /* ring of opts.queue_spans */
	uint32_t queue_head, queue_n;
	uint32_t coming; /* spans for which there is room in it, while they become rows */
	uint64_t queued_seq, done_seq; /* spans ever queued, spans ever dealt with */
	uint64_t queue_bytes;	       /* of the rows in it */
	uint32_t flush_waiters;
	struct queued *batch;	    /* the writer's, of opts.batch_spans */
	const struct queued *taken; /* the batch that is written */
	size_t n_taken;
	bool writing;	    /* a batch was taken and is not dealt with */
	uint32_t urgent_n;  /* spans in it that somebody waits for */
	uint64_t urgent_ns; /* when the first of them came */
	uint64_t oldest_ns; /* when the queue's first span came */
	struct amend_queue amend;
	struct shed shed; /* under queue_lock */
	bool amending;	  /* some of it was taken and is not dealt with */
	_Atomic bool stop;
	struct clew_store_stats stats;	       /* under queue_lock */
	struct clew_store_retention retention; /* under queue_lock */
	uint64_t retention_ns;		       /* when it was last looked at */
	struct retention_clock clock;
	uint64_t clock_kept_ns; /* when it was last written into the catalog */
	bool size_said;
	pthread_mutex_t stored_lock; /* held while stored_fn runs */
	clew_store_stored_fn stored_fn;
	_Atomic bool stored_told; /* there is one */
	void *stored_user;
};
