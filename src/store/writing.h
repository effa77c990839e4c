/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the writer does, and what it keeps beside spans: names, aliases, amendments, notes of what was left out.
 */
#pragma once

#include "store/state.h"

/* ---- names.c: dictionaries and resources ---- */
int names_load(struct clew_store *st, char **ret_error);
/** names_save() - new rows into the catalog, one transaction; nothing to do if there are none. */
int names_save(struct clew_store *st, char **ret_error);
/** names_resource() - the small id of a span's resource. Under names_lock. */
int names_resource(struct clew_store *st, struct clew_resource *r, uint32_t *ret_id);
struct clew_resource *names_resource_get(const struct clew_store *st, uint32_t id);
struct slice names_get(const struct clew_store *st, enum dict_kind kind, uint32_t id);
void names_free(struct clew_store *st);
/** attr_text() - an attribute's value as stored: text; buf holds numbers (32 bytes). */
struct slice attr_text(const struct clew_attr *a, char *buf, size_t size);

static inline int64_t hour_of(const struct queued *q)
{
	return q->row->start_ns / HOUR_NS;
}

/* ---- append.c ---- */
/** append_batch() - store spans that are sorted by hour: one transaction for each hour. */
int append_batch(struct clew_store *st, struct queued *spans, size_t n, char **ret_error);

/** part_file() - the name of an hour's file. */
void part_file(int64_t hour, char *out, size_t size);

/* ---- queue.c ---- */
int queue_init(struct clew_store *st);
void queue_free(struct clew_store *st);
/** queue_time() - a monotonic time for the conditions. */
struct timespec queue_time(uint64_t ns);
/**
 * queue_take() - wait for work. Returns how many spans were moved to batch (room for
 * opts.batch_spans); 0: nothing for now.
 */
size_t queue_take(struct clew_store *st, struct queued *batch);
/** queue_settle() - whoever waits for these spans is told: r 0, they are on disk. */
void queue_settle(struct queued *spans, size_t n, int r);
/** queue_done() - what queue_take() gave is dealt with; its memory is given back. */
void queue_done(struct clew_store *st, struct queued *batch, size_t n);

/* ---- writer.c ---- */
int writer_start(struct clew_store *st, char **ret_error);
void writer_stop(struct clew_store *st);
/** note_failure() - something could not be written: count it and say it once. */
void note_failure(struct clew_store *st, int err, const char *text);

/* ---- amend.c ---- */
/** amend_apply() - by the writer, where no batch is on its way: what waits and can be done. */
void amend_apply(struct clew_store *st);

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

/** alias_members_locked() - the same under state_lock. */
int alias_members_locked(struct clew_store *st, struct clew_id128 canonical,
			 int (*fn)(void *user, const struct clew_id128 *id), void *user);

/* ---- shed_note.c: traces that are cut ---- */
int shed_notes_load(struct clew_store *st, char **ret_error);
void shed_notes_done(struct shed_notes *t);
/** shed_notes_keep() - what was noted since, into the catalog. Writer only. */
void shed_notes_keep(struct clew_store *st);
