/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The newest spans of a partition: rows in memory, and the same bytes in a log on disk, so that each is
 * written once before it is sealed.
 *
 *	spans-YYYYMMDDTHH-N.log     N: how many rows of the hour come before its first one
 *
 *	head     "clewhot1", 8 bytes of zeros
 *	frame    magic, rows, bytes, sum      one batch; sum: of the rows, with the frame's place as the seed
 *	         row row row ...              each a struct hot_row with its tail
 *	frame    magic, rows, bytes, sum      amendments
 *	         n row n row ...              n, 8 bytes: the number in the log of the row whose place it takes;
 *	                                      trace_id 0: the span is gone
 *	frame    ...
 *
 *	row      struct hot_row │ hot_text × n_attrs │ their texts │ hot_more │ links, events, texts │ 0 to 7 zeros
 *	                          └ key, length                     └ only with HOT_MORE
 *
 * Integers are in the machine's order (little endian). A log whose N is less than the partition's sealed
 * rows was sealed: it is of no use any more. What follows the last whole frame was never acknowledged. What lies
 * between whole frames and is none was damaged: the rows behind it have lesser numbers then, so that amendments find
 * theirs by the span.
 *
 * One thread appends; rows are published to others by `n` under the store's state_lock. A row never changes, but
 * another one may take its place. Whoever reads holds a reference.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <duckdb.h>

#include "base/buf.h"
#include "base/slice.h"
#include "store/id_set.h"

enum {
	HOT_ROOT = 1 << 0,     /* is_root */
	HOT_RESOURCE = 1 << 1, /* resource is one */
	HOT_MORE = 1 << 2,     /* there is a struct hot_more */
};

#define HOT_UNKNOWN   UINT32_MAX /* of a time */
#define HOT_MAX_LISTS 255	 /* attributes, links and events of a row, each */

struct hot_row {
	uint32_t bytes; /* of the row with its tail; a multiple of 8 */
	uint8_t flags, n_attrs, n_links, n_events;
	duckdb_uhugeint trace_id, wire_key; /* wire_key 0: none */
	uint64_t span_id, parent_id;	    /* parent_id 0: none */
	int64_t start_ns, duration_ns, proc_start_ns;
	uint32_t service, operation, resource, scope;
	uint8_t kind, status, link_class, zero;
	uint32_t evidence, incomplete;
	float confidence;
	uint32_t pid, tid;
	uint32_t times[7]; /* of clew_span_times; the longer ones are in hot_more */
	uint32_t more_at;  /* from the row's begin */
};
_Static_assert(sizeof(struct hot_row) == 152, "the format of the log");

struct hot_text {
	uint32_t key, len;
};

/* What few spans have. Then follow hot_link × n_links, hot_event × n_events, and the texts: status, state,
 * each link's attributes, each event's name and attributes. */
struct hot_more {
	uint64_t sampling;
	int64_t clock_offset_ns;
	int64_t times[7]; /* -1: not known */
	uint32_t dropped[3];
	uint32_t status_len, state_len, zero;
};
_Static_assert(sizeof(struct hot_more) == 96, "the format of the log");

struct hot_link {
	duckdb_uhugeint trace_id;
	uint64_t span_id;
	float confidence;
	uint32_t attrs_len;
};

struct hot_event {
	int64_t time_ns;
	uint32_t name_len, attrs_len;
};

static inline const struct hot_text *hot_attrs(const struct hot_row *r)
{
	return (const struct hot_text *)(r + 1);
}

/* The first attribute's value; the next one's follows. */
static inline const char *hot_values(const struct hot_row *r)
{
	return (const char *)(hot_attrs(r) + r->n_attrs);
}

static inline const struct hot_more *hot_more(const struct hot_row *r)
{
	return r->flags & HOT_MORE ? (const struct hot_more *)((const char *)r + r->more_at) : NULL;
}

static inline const struct hot_link *hot_links(const struct hot_more *m)
{
	return (const struct hot_link *)(m + 1);
}

static inline const struct hot_event *hot_events(const struct hot_row *r, const struct hot_more *m)
{
	return (const struct hot_event *)(hot_links(m) + r->n_links);
}

/* The texts of hot_more: its status message. */
static inline const char *hot_texts(const struct hot_row *r, const struct hot_more *m)
{
	return (const char *)(hot_events(r, m) + r->n_events);
}

static inline int64_t hot_time(const struct hot_row *r, int i)
{
	const struct hot_more *m = hot_more(r);

	if (m)
		return m->times[i];
	return r->times[i] == HOT_UNKNOWN ? -1 : (int64_t)r->times[i];
}

/* A span that another one tells: its row stays in its place and is shown to nobody. */
static inline bool hot_is_gone(const struct hot_row *r)
{
	return !r->trace_id.lower && !r->trace_id.upper;
}

/* Row i, and the hash of its trace: another may take its place just now. */
#define HOT_TRACE(h, i) __atomic_load_n(&(h)->traces[i], __ATOMIC_RELAXED)
#define HOT_ROW(h, i)	__atomic_load_n(&(h)->rows[i], __ATOMIC_ACQUIRE)

/** hot_row_hash() - of its ids: what span_hash() gives for the span. */
uint64_t hot_row_hash(const struct hot_row *r);
/** hot_trace_hash() - of a trace's id: what the index has of it. */
uint32_t hot_trace_hash(duckdb_uhugeint id);

struct hot_block {
	struct hot_block *next;
	char *bytes;
};

/* A generation: what becomes one run. */
struct hot {
	_Atomic uint32_t refs;
	int fd;		/* of the log; -1: none */
	uint64_t bytes; /* of whole frames in the log */
	char file[64];
	struct hot_block *blocks;
	const struct hot_row **rows;
	uint32_t *traces; /* hot_trace_hash() of each row */
	uint32_t n, cap;
	int64_t min_ns, max_ns; /* of start */
	bool frozen;		/* nothing is added any more */
	struct id_set ids;	/* of the rows; the writer's */
	uint32_t *order;	/* of the rows, for the run; while it is sealed */
};

/** hot_new() - an empty one for max rows. NULL: no memory. */
struct hot *hot_new(uint32_t max);
struct hot *hot_ref(struct hot *h);
/** hot_unref() - the last one frees it, and closes its log. Takes NULL. */
void hot_unref(struct hot *h);

/* Room before the rows of a frame. */
#define HOT_FRAME_HEAD 24

/** hot_add_row() - row i; n is the caller's. */
void hot_add_row(struct hot *h, uint32_t i, const struct hot_row *r);
/** hot_replace_row() - r takes the place of row i. */
void hot_replace_row(struct hot *h, uint64_t i, const struct hot_row *r);
/** hot_frame_begin() - an empty buffer gets room for a frame's head; rows are appended to it. */
int hot_frame_begin(struct clew_buf *frame);
/**
 * hot_append() - the rows of a frame, on disk when it returns, become h's, and frame is empty. n is left to
 * the caller, who adds rows to it under the lock. What was written in part is taken back. -ENOBUFS: h has no
 * room; -ENOSPC and others of the file system; -ENOMEM.
 */
int hot_append(struct hot *h, struct clew_buf *frame, uint32_t rows);
/** hot_keep() - the same in memory only. */
int hot_keep(struct hot *h, struct clew_buf *frame, uint32_t rows);
/**
 * hot_change() - the rows of a frame, each behind its number (8 bytes), take the places of others; on disk when
 * it returns. Their ids are added to the set.
 */
int hot_change(struct hot *h, struct clew_buf *frame, uint32_t rows);
/** hot_changed_row() - append old as a row with row's values and these times (-1: not known); the rest of it
 * stays. */
int hot_changed_row(struct clew_buf *out, const struct hot_row *old, const struct hot_row *row,
		    const int64_t times[7]);
/** hot_read_ids() - make the set of ids from the rows. */
int hot_read_ids(struct hot *h);
/** hot_sort() - make order: traces as they began, each by start. 0 or -ENOMEM. */
int hot_sort(struct hot *h);

/** hot_log_write() - a frame at the log's end, synced; else the log is as it was. 0 or -errno. */
int hot_log_write(struct hot *h, struct clew_buf *frame, uint32_t rows, bool changes);
/** hot_log_cut() - what is behind these bytes was not written. */
void hot_log_cut(struct hot *h, uint64_t bytes);
/** hot_log_create() - the log of an empty h, for rows from first_row on. */
int hot_log_create(struct hot *h, int dir_fd, int64_t hour, uint64_t first_row);
/* Bytes of a log that are no frames: between some, in so many places; and behind the last one. */
struct hot_damage {
	uint64_t bytes, places, end;
};

/**
 * hot_log_load() - read a log; writer: it is open for more afterwards, without what is behind the last whole frame.
 * What is damaged before it is passed over. -EUCLEAN: there is no frame of ours in it.
 */
int hot_log_load(int dir_fd, const char *file, bool writer, uint32_t max, struct hot **ret,
		 struct hot_damage *ret_lost);
/** hot_log_name() - the file's name; size 64. */
void hot_log_name(int64_t hour, uint64_t first_row, char *out, size_t size);
/** hot_log_parse() - a file's name to hour and row. -EINVAL: it is something else. */
int hot_log_parse(const char *file, int64_t *ret_hour, uint64_t *ret_first_row);
