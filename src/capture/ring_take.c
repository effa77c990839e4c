/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records out of the rings, merged by time. Each stream is in the order of time but for what an
 * interrupt wrote in the middle of a claim, so looking at the first record of each is enough.
 */
#include <errno.h>
#include <stdlib.h>

#include "capture/ring_internal.h"

/* Cache lines of the next record: its head, its counters, and a small message's head. */
#define AHEAD_LINES 6

/* All of s's first segment was handed out: on to the next. */
static void next_segment(struct ring *r, struct stream *s)
{
	struct segment *done = s->taken;

	pthread_mutex_lock(&r->lock);
	s->first = done->next;
	if (!s->first)
		s->last = NULL;
	if (s->spilled == done)
		s->spilled = NULL;
	s->taken = s->first;
	s->at = 0;
	pthread_mutex_unlock(&r->lock);
	ring_give_back(r, done);
}

/* Finds s's next record; false: none that is known of. */
static bool find_next(struct ring *r, struct stream *s)
{
	while (s->taken) {
		bool closed = atomic_load(&s->taken->closed); /* before used: then used is final */
		uint32_t used = atomic_load(&s->taken->used);
		uint32_t end = used < s->taken->end ? used : s->taken->end;

		while (s->at < end) {
			uint32_t room = rec_room(r, s->taken, s->at);

			if (!room || room == UINT32_MAX) {
				r->bad |= room != 0;
				s->rec = NULL;
				return false;
			}
			s->rec = (const struct clew_rec *)(s->taken->bytes + s->at);
			if (s->rec->type != CLEW_RING_PAD) {
				s->time_ns = rec_time(s->rec);
				return true;
			}
			s->at += s->rec->len;
		}
		if (!closed)
			break;
		next_segment(r, s);
	}
	s->rec = NULL;
	return false;
}

static void begin(struct ring *r)
{
	pthread_mutex_lock(&r->lock);
	r->taking = true;
	for (uint32_t i = 0; i < r->n_streams; i++)
		r->streams[i].taken = r->streams[i].first;
	pthread_mutex_unlock(&r->lock);
	for (uint32_t i = 0; i < r->n_streams; i++)
		find_next(r, &r->streams[i]);
}

static void end(struct ring *r)
{
	pthread_mutex_lock(&r->lock);
	r->taking = false;
	pthread_mutex_unlock(&r->lock);
}

/* The pool is empty: the chunks that are first would stay in use until their turn comes. */
static void copy_firsts(struct ring *r)
{
	pthread_mutex_lock(&r->lock);
	for (uint32_t i = 0; i < r->n_streams && r->spilled < RING_SPILL_BYTES; i++) {
		struct stream *s = &r->streams[i];

		if (!s->first || s->first->chunk < 0 || !s->first->closed ||
		    !ring_whole(r, s->first) || !ring_spill(r, s, NULL))
			continue;
		s->taken = s->first;
		if (s->rec)
			s->rec = (const struct clew_rec *)(s->taken->bytes + s->at);
	}
	pthread_mutex_unlock(&r->lock);
}

/*
 * What comes next in this stream was written on another CPU: it is fetched while this one is worked on. Behind
 * the last record lies the chunk's slack, or nothing; a prefetch may go anywhere.
 */
static void fetch_ahead(const struct clew_rec *rec)
{
	const char *next = (const char *)rec + rec->len;

	for (int i = 0; i < AHEAD_LINES; i++)
		__builtin_prefetch(next + 64 * i);
}

/* The stream whose next record is the oldest, and how long that stays so. */
static struct stream *oldest(struct ring *r, uint64_t *ret_until)
{
	struct stream *first = NULL;
	uint64_t until = UINT64_MAX;

	for (uint32_t i = 0; i < r->n_streams; i++) {
		struct stream *s = &r->streams[i];

		if (!s->rec)
			continue;
		if (!first || s->time_ns < first->time_ns) {
			if (first && first->time_ns < until)
				until = first->time_ns;
			first = s;
		} else if (s->time_ns < until) {
			until = s->time_ns;
		}
	}
	*ret_until = until;
	return first;
}

int ring_take(struct ring *r, int max, ring_record_fn fn, void *user)
{
	uint64_t upto = atomic_load(&r->upto_ns), until;
	struct stream *s;
	int n = 0, err = 0;

	begin(r);
	while (err >= 0 && n < max && (s = oldest(r, &until)) && s->time_ns <= upto) {
		if (until > upto)
			until = upto + 1;
		do {
			fetch_ahead(s->rec);
			err = fn(user, s->rec);
			s->at += s->rec->len;
			n++;
		} while (find_next(r, s) && s->time_ns < until && err >= 0 && n < max &&
			 !atomic_load(&r->want_firsts));
		if (atomic_exchange(&r->want_firsts, false))
			copy_firsts(r);
	}
	end(r);
	if (err >= 0 && r->bad)
		err = -EBADMSG;
	return err < 0 ? err : n;
}
