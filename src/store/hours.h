/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Partitions, an hour each: their files, newest spans and runs; sealing, and dropping them.
 */
#pragma once

#include "store/state.h"

struct digest;
struct fuse;
struct query;

/* ---- open.c: the engine ---- */
int engine_open(struct clew_store *st, char **ret_error);
void engine_close(struct clew_store *st);
/** fix_modes() - 0600 for the files of the directory (the engine goes by the umask). */
void fix_modes(struct clew_store *st);

/* ---- part.c ---- */
int parts_attach_all(struct clew_store *st, char **ret_error);
/** parts_exist() - are there files of hours? */
bool parts_exist(struct clew_store *st);
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
/** hots_newest() - what the newest generation of each partition has now: references, in an array that the caller
 * frees. Returns how many. */
size_t hots_newest(struct clew_store *st, struct hot_view **ret);
/** hot_bytes() - of a partition's logs. */
uint64_t hot_bytes(struct clew_store *st, const struct part *p);
/** hot_unlink() - the logs of a partition that is dropped. */
void hot_unlink(struct clew_store *st, const struct part *p);
/** hot_sealed() - the oldest generation is in span now; under publish_lock. Its reference is the caller's. */
void hot_sealed(struct clew_store *st, struct part *p, bool digested);
/** ids_forget() - give p's last_ids back: from now on its file is asked for what is in the last run. */
void ids_forget(struct clew_store *st, struct part *p);

/* ---- hot_scan.c ---- */
/** hot_register() - the table function clew_hot(). */
int hot_register(struct clew_store *st, char **ret_error);

/* ---- old.c: stores of version 1 ---- */
/** old_take_over() - what version 1 kept otherwise: its hot spans, runs without an index. Names are loaded.
 * Read-only: in memory. */
int old_take_over(struct clew_store *st, char **ret_error);

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
/** index_hash_pair() - two of these in one span; index_hash_told() - of this one pairs are told: run_index.h. */
uint32_t index_hash_pair(uint32_t a, uint32_t b);
uint32_t index_hash_told(uint32_t a);
/** index_hash_told_part() - of what index_hash_told() gave: the same of the run's part of a block that is not full; the
 * next entry of the index, or the one before. */
static inline uint32_t index_hash_told_part(uint32_t told)
{
	return told ^ 1;
}

/* ---- trace_filter.c: which hours cannot hold a trace ---- */
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
/** trace_filter_known() - which of these traces' hashes may have indexed rows there: ret_may[i] is set, else it is
 * left as it is. */
int trace_filter_known(struct query *q, size_t from, size_t to, const uint32_t *hashes, size_t n,
		       bool *ret_may, char **ret_error);
/** trace_filter_drop() - before a part is freed. */
void trace_filter_drop(struct clew_store *st, struct part *p);

/* ---- rollup.c: what sealed spans add up to ---- */
/** rollup_store() - of the rows [from, to) of a partition's span, which source has too ("x WHERE true");
 * inside of a transaction of conn. */
int rollup_store(duckdb_connection conn, struct part *p, const struct digest *d, const char *source,
		 uint64_t from, uint64_t to, char **ret_error);
/** rollup_continue() - add the old rows of traces that began in runs that are digested already. */
int rollup_continue(struct query *q, struct digest *d, const char *new_ids, int64_t hour,
		    char **ret_error);

/* ---- gone.c: spans that are told by others ---- */
/** gone_note() - there may be such in this hour from now on; before the first. Writer only. */
int gone_note(struct clew_store *st, struct part *p, char **ret_error);
/** gone_load() - which hours have such. */
int gone_load(struct clew_store *st, char **ret_error);
/** not_gone() - a condition on rows of span, to follow another one. */
static inline const char *not_gone(const struct part_ref *p)
{
	return p->has_gone ? " AND trace_id <> 0" : "";
}
