/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between who takes records and the thread that finds runtimes: events go in, finished records come out.
 *
 * Limits: RUNTIME_MAX_PROCS events wait, RUNTIME_OUT_BYTES of records; beyond them they are dropped and counted.
 */
#include "capture/runtime/hotspot_moved.h"
#include "capture/runtime/runtimes.h"
#include "capture/runtime/state.h"

void event_free(struct event *e)
{
	if (e)
		free(e->moved);
	free(e);
}

void inbox_done(struct runtimes *r)
{
	struct event *e, *after;

	for (e = r->inbox; e; e = after) {
		after = e->next;
		event_free(e);
	}
	r->inbox = NULL;
}

/* Takes e, which may be NULL for want of memory. */
static void put_event(struct runtimes *r, struct event *e)
{
	bool taken = false;

	if (e) {
		pthread_mutex_lock(&r->lock);
		taken = r->n_inbox < RUNTIME_MAX_PROCS;
		if (taken) {
			*r->inbox_end = e;
			r->inbox_end = &e->next;
			if (!r->n_inbox++)
				pthread_cond_signal(&r->more);
		}
		pthread_mutex_unlock(&r->lock);
	}
	if (!taken) {
		event_free(e);
		atomic_fetch_add(&r->dropped, 1);
	}
}

void runtimes_process(struct runtimes *r, const struct clew_rec_thread *t)
{
	struct event *e = calloc(1, sizeof(*e));

	if (e)
		e->t = *t;
	put_event(r, e);
}

void runtimes_heap(struct runtimes *r, const struct clew_rec_heap *h)
{
	struct moved_rooms *rooms = moved_note(&r->watched, h);
	struct event *e = rooms ? calloc(1, sizeof(*e)) : NULL;

	if (!rooms)
		return;
	if (e)
		e->moved = rooms;
	else
		free(rooms);
	put_event(r, e);
}

bool runtimes_settled(struct runtimes *r)
{
	bool settled;

	pthread_mutex_lock(&r->lock);
	settled = !r->inbox && !r->busy;
	pthread_mutex_unlock(&r->lock);
	return settled;
}

int runtimes_take(struct runtimes *r, clew_record_fn fn, void *user)
{
	struct clew_buf out;
	int err = 0;

	/* Whoever holds it is quick, but may have been preempted: the next poll will do. */
	if (pthread_mutex_trylock(&r->lock))
		return 0;
	out = r->out;
	if (out.len)
		clew_buf_init(&r->out, RUNTIME_OUT_BYTES);
	pthread_mutex_unlock(&r->lock);
	if (!out.len)
		return 0;
	for (size_t at = 0; err >= 0 && at < out.len;) {
		const struct clew_rec *rec = (const struct clew_rec *)(out.data + at);

		err = fn(user, rec);
		at += rec->len;
	}
	clew_buf_done(&out);
	return err < 0 ? err : 0;
}
