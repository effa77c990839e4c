/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store: spans in, spans and summaries out. Nothing here says which engine keeps them; the
 * embedded one (DuckDB, docs/store.md) is behind it.
 *
 * One writer owns a directory; it may be read through the same handle by any number of threads
 * while it writes. Without a writer the directory can be opened read-only, by several processes.
 *
 *	store.h        opening it, its limits, what becomes old, how it is
 *	store_write.h  spans and what is found out about them later, in
 *	store_find.h   spans and traces out, by id or by what they are
 *	store_sums.h   what many of them come to: services, times, who calls whom, shapes
 *
 * Errors: functions return 0 or -errno; where there is a ret_error, it is a text for the user that
 * the caller frees, set on failure only (it may stay NULL when memory is short).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "store/store_find.h"
#include "store/store_sums.h"
#include "store/store_write.h"

struct clew_store;

struct clew_store_opts {
	bool read_only;
	const char *command;   /* writer: what the lock file says of us; NULL: "clew" */
	uint64_t flush_ns;     /* 0: CLEW_STORE_FLUSH_NS */
	uint32_t batch_spans;  /* 0: CLEW_STORE_BATCH_SPANS */
	uint32_t queue_spans;  /* 0: CLEW_STORE_QUEUE_SPANS */
	uint64_t queue_bytes;  /* 0: CLEW_STORE_QUEUE_BYTES */
	uint32_t hot_spans;    /* 0: CLEW_STORE_HOT_SPANS */
	uint32_t max_hours;    /* 0: CLEW_STORE_MAX_HOURS */
	uint64_t memory_bytes; /* 0: as below; of the engine, a part of our own */
	uint32_t threads;      /* 0: 1 for a writer, else 2; of the engine */
	uint64_t timeout_ns;   /* 0: CLEW_STORE_TIMEOUT_NS; of one query */
	uint64_t exact_spans;  /* 0: CLEW_STORE_EXACT_SPANS */
	uint64_t filter_bytes; /* 0: CLEW_STORE_FILTER_BYTES */
};

/* A span is on disk at the latest this long after clew_store_append(), plus one commit. */
#define CLEW_STORE_FLUSH_NS (1000u * 1000 * 1000)
/* A commit holds at most this many spans; a full batch does not wait for the interval. */
#define CLEW_STORE_BATCH_SPANS 10000u
/* Spans that wait for the writer. From 3/4 of it on whole traces are left out (stats: shed_spans); beyond it the
 * newest are dropped (stats: dropped_queue). */
#define CLEW_STORE_QUEUE_SPANS 65536u
/* ... and their bytes in memory. */
#define CLEW_STORE_QUEUE_BYTES (256ull << 20)
/* While somebody waits for a span to be on disk, a batch begins this long after that span came. */
#define CLEW_STORE_GROUP_NS (5u * 1000 * 1000)
/* Rows of one of the engine's row groups: what it holds uncompressed, then compresses and writes at once. */
#define CLEW_STORE_GROUP_SPANS 30720u
/* Spans of a partition that are not sorted and indexed yet; more of them are sealed into a run. */
#define CLEW_STORE_HOT_SPANS (3 * CLEW_STORE_GROUP_SPANS)
/* Hours that a store has (two descriptors each); beyond it the oldest go, or new ones are refused. */
#define CLEW_STORE_MAX_HOURS	       400u
#define CLEW_STORE_MEMORY_BYTES	       (256ull << 20)
#define CLEW_STORE_READER_MEMORY_BYTES (512ull << 20)
/* Sums over at most so many spans are made from the spans themselves; over more, from what was summed
 * up by the minute when they were sealed: then percentiles are within a bucket (latency.h), and times
 * are rounded to minutes. */
#define CLEW_STORE_EXACT_SPANS 300000u
/* What says which hours cannot hold a trace, in memory: about 2.3 bytes a trace. Hours for which there is no
 * room are asked themselves. */
#define CLEW_STORE_FILTER_BYTES (32ull << 20)
#define CLEW_STORE_TIMEOUT_NS	(30ull * 1000 * 1000 * 1000)

/**
 * clew_store_open() - open the store in a directory; a writer makes it (0700, files 0600).
 *
 * -EBUSY: another writer lives (writer: the error names it; reader: ask its socket).
 * -ENOENT: reader: there is no store. -EPROTO: the store is of a newer version than we read.
 * -EUCLEAN: the store cannot be read. Others from the file system, -ENOMEM.
 */
int clew_store_open(const char *dir, const struct clew_store_opts *opts, struct clew_store **ret,
		    char **ret_error);
/** clew_store_close() - commit what is queued, write a checkpoint, give the directory back. Takes
 * NULL. */
void clew_store_close(struct clew_store *st);
CLEW_DEFINE_CLEANUP(struct clew_store *, clew_store_close)

/* Hours (by the starts of their spans) that are dropped whole. */
struct clew_store_retention {
	uint64_t max_age_ns; /* those that ended so long ago, by a clock that can be believed
			      * (retention_clock.h); 0: any age */
	uint64_t max_bytes;  /* the oldest, while the files are larger; 0: any size */
	bool rolling; /* the oldest, when a newer one has no room (max_hours); else it is refused */
};

/** clew_store_set_retention() - from now on; looked at every 10 s. Any thread. */
void clew_store_set_retention(struct clew_store *st, const struct clew_store_retention *r);

struct clew_store_stats {
	uint64_t appended;   /* spans given to clew_store_append() */
	uint64_t stored;     /* committed */
	uint64_t duplicates; /* were stored already */
	uint64_t shed_spans,
		shed_traces;	/* left out while the store could not keep up: whole traces */
	uint64_t dropped_queue; /* the queue was full: spans of traces that were kept */
	uint64_t cut_traces;	/* ... how many */
	uint64_t cut_untold;	/* ... spans of which no note was made */
	double kept;		/* now: the part of traces that is kept, 1: all */
	uint64_t refused;	/* not taken by clew_store_append_durable() */
	uint64_t dropped_error; /* could not be stored: see last_error */
	uint64_t queued;	/* now */
	uint64_t unwritten;	/* now: these, and those that are being written */
	uint64_t amended, amend_missed, amend_dropped; /* amendments; the last with aliases */
	uint64_t batches, seals, failures, recoveries;
	uint64_t write_ns;     /* time of the writer thread in batches, seals and checkpoints */
	uint64_t write_cpu_ns; /* ... its processor time (the engine's own threads not counted) */
	uint64_t retention_partitions, retention_spans, retention_bytes; /* dropped by it */
	bool retention_waits;	/* the clock has gone ahead: nothing is dropped by it for a day */
	uint64_t damaged_files; /* cannot be used: set aside (*.damaged), or left out by a reader */
	uint64_t damaged_bytes, damaged_places; /* of logs, found when the store was opened */
	uint64_t damaged_hours; /* that are used, and have blocks that could not be read */
	uint64_t left_out;	/* times that a query was answered without one of these */
	bool failing;		/* the last attempt to write failed */
	char last_error[256];
};

void clew_store_stats(struct clew_store *st, struct clew_store_stats *ret);
/** clew_store_dir() - the directory that was opened. */
const char *clew_store_dir(const struct clew_store *st);
/** clew_store_fd() - a descriptor of the directory, owned by the store. */
int clew_store_fd(const struct clew_store *st);

struct clew_store_size {
	uint64_t spans, traces; /* traces: sealed ones */
	uint64_t bytes;		/* of all files */
	uint64_t partitions;
	bool read_only;
};

int clew_store_size(struct clew_store *st, struct clew_store_size *ret, char **ret_error);

/** clew_store_bounds() - when the first and the last span began; 0, 0 in an empty store. */
int clew_store_bounds(struct clew_store *st, uint64_t *ret_first_ns, uint64_t *ret_last_ns,
		      char **ret_error);
