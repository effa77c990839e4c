/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spans that wait for the writer's thread, and those who wait for spans to be on disk.
 *
 *	span ─► ticket ◄─ span		one for each clew_store_append_durable(); the last of its
 *	span ───┘			spans that is settled calls back
 *
 * While somebody waits, a batch is taken CLEW_STORE_GROUP_NS after the first such span came: many
 * requests share one commit. Else spans wait for opts.flush_ns or a full batch.
 *
 * Limits: opts.queue_spans and opts.queue_bytes; what does not fit is dropped and counted
 * (dropped_queue), or refused to who would have waited (refused).
 */
#include <time.h>

#include "store/internal.h"

#define QUIET_NS      (1000ull * 1000 * 1000)
#define FLUSH_WAIT_NS (60ull * 1000 * 1000 * 1000)
/* Of one batch; the engine holds it a second time. */
#define BATCH_BYTES (64ull << 20)

struct clew_store_ticket {
	size_t pending;
	int err; /* of the first of its spans that is not stored */
	clew_store_done_fn done;
	void *user;
};

int queue_init(struct clew_store *st)
{
	pthread_condattr_t attr;

	st->queue = calloc(st->opts.queue_spans, sizeof(*st->queue));
	if (!st->queue)
		return -ENOMEM;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&st->queue_cond, &attr);
	pthread_cond_init(&st->done_cond, &attr);
	pthread_cond_init(&st->seal_cond, &attr);
	pthread_condattr_destroy(&attr);
	return 0;
}

void queue_free(struct clew_store *st)
{
	free(st->queue);
	st->queue = NULL;
}

struct timespec queue_time(uint64_t ns)
{
	return (struct timespec){.tv_sec = (time_t)(ns / 1000000000u),
				 .tv_nsec = (long)(ns % 1000000000u)};
}

/* ---- in ---- */

/* Under the lock; there is room. */
static void put(struct clew_store *st, struct clew_span *span, struct clew_store_ticket *ticket)
{
	uint32_t at = (st->queue_head + st->queue_n++) % st->opts.queue_spans;

	span->ticket = ticket;
	st->queue[at] = span;
	st->queue_bytes += clew_span_bytes(span);
}

static bool full(const struct clew_store *st)
{
	return st->queue_n >= st->opts.queue_spans || st->queue_bytes >= st->opts.queue_bytes ||
	       st->opts.read_only;
}

void clew_store_append(struct clew_store *st, struct clew_span *const *spans, size_t n)
{
	size_t taken = 0;

	pthread_mutex_lock(&st->queue_lock);
	st->stats.appended += n;
	if (!st->queue_n && n)
		st->oldest_ns = clew_mono_ns();
	while (taken < n && !full(st))
		put(st, spans[taken++], NULL);
	st->queued_seq += taken;
	st->stats.dropped_queue += n - taken;
	/* The thread sleeps until the oldest span is due; it is woken for the first and a full
	 * batch. */
	if (taken && (st->queue_n == taken || st->queue_n >= st->opts.batch_spans))
		pthread_cond_signal(&st->queue_cond);
	pthread_mutex_unlock(&st->queue_lock);
	for (; taken < n; taken++)
		clew_span_free(spans[taken]);
}

/*
 * Under the lock. Failing: what is taken now would only wait behind a batch that the disk does not
 * take; where none waits, it is the attempt that shows whether it works again.
 */
static int take_durable(struct clew_store *st, struct clew_span *const *spans, size_t n,
			struct clew_store_ticket *t)
{
	if (st->stats.failing && (st->queue_n || st->writing))
		return -EIO;
	if (full(st) || n > st->opts.queue_spans - st->queue_n)
		return -ENOBUFS;
	if (!st->queue_n)
		st->oldest_ns = clew_mono_ns();
	if (!st->urgent_n)
		st->urgent_ns = clew_mono_ns();
	for (size_t i = 0; i < n; i++)
		put(st, spans[i], t);
	st->urgent_n += (uint32_t)n;
	st->queued_seq += n;
	st->stats.appended += n;
	if (st->urgent_n == n || st->queue_n >= st->opts.batch_spans)
		pthread_cond_signal(&st->queue_cond);
	return 0;
}

int clew_store_append_durable(struct clew_store *st, struct clew_span *const *spans, size_t n,
			      clew_store_done_fn done, void *user)
{
	struct clew_store_ticket *t;
	int r;

	if (!n) {
		done(user, 0);
		return 0;
	}
	t = malloc(sizeof(*t));
	if (!t)
		return -ENOMEM;
	*t = (struct clew_store_ticket){.pending = n, .done = done, .user = user};
	pthread_mutex_lock(&st->queue_lock);
	r = take_durable(st, spans, n, t);
	if (r < 0)
		st->stats.refused += n;
	pthread_mutex_unlock(&st->queue_lock);
	if (r < 0)
		free(t);
	return r;
}

void clew_store_on_stored(struct clew_store *st, clew_store_stored_fn fn, void *user)
{
	pthread_mutex_lock(&st->stored_lock);
	st->stored_fn = fn;
	st->stored_user = user;
	pthread_mutex_unlock(&st->stored_lock);
}

int clew_store_flush(struct clew_store *st)
{
	struct timespec until = queue_time(clew_mono_ns() + FLUSH_WAIT_NS);
	uint64_t want;
	int r = 0;

	if (st->opts.read_only)
		return 0;
	pthread_mutex_lock(&st->queue_lock);
	want = st->queued_seq;
	st->flush_waiters++;
	pthread_cond_signal(&st->queue_cond);
	/* What it changes is tried once at least. */
	while ((st->done_seq < want || st->amend.is_new) && r == 0)
		r = pthread_cond_timedwait(&st->done_cond, &st->queue_lock, &until);
	st->flush_waiters--;
	/* What these spans made due. */
	want = st->seals_begun;
	while (st->seals_done < want && r == 0)
		r = pthread_cond_timedwait(&st->done_cond, &st->queue_lock, &until);
	pthread_mutex_unlock(&st->queue_lock);
	return r ? -ETIMEDOUT : 0;
}

/* ---- out ---- */

/* When the next batch is due; now or earlier: at once. Under the lock. */
static uint64_t due(const struct clew_store *st, uint64_t now)
{
	uint64_t at = now + QUIET_NS;

	if (st->queue_n >= st->opts.batch_spans || st->flush_waiters || atomic_load(&st->stop))
		return now;
	if (st->queue_n)
		at = st->oldest_ns + st->opts.flush_ns;
	if (st->amend.due_ns && st->amend.due_ns < at)
		at = st->amend.due_ns;
	if (st->urgent_n && st->urgent_ns + CLEW_STORE_GROUP_NS < at)
		at = st->urgent_ns + CLEW_STORE_GROUP_NS;
	return at;
}

size_t queue_take(struct clew_store *st, struct clew_span **batch)
{
	uint64_t bytes = 0;
	size_t n = 0;

	pthread_mutex_lock(&st->queue_lock);
	for (;;) {
		uint64_t now = clew_mono_ns(), at = due(st, now);
		struct timespec until = queue_time(at);

		if (at <= now)
			break;
		if (pthread_cond_timedwait(&st->queue_cond, &st->queue_lock, &until) &&
		    !st->queue_n && !st->amend.due_ns)
			break; /* a quiet second: time for housekeeping */
	}
	while (n < st->opts.batch_spans && st->queue_n && bytes < BATCH_BYTES) {
		struct clew_span *s = st->queue[st->queue_head];

		bytes += clew_span_bytes(s);
		st->urgent_n -= s->ticket != NULL;
		batch[n++] = s;
		st->queue_head = (st->queue_head + 1) % st->opts.queue_spans;
		st->queue_n--;
	}
	st->queue_bytes -= bytes;
	st->writing = n > 0;
	st->oldest_ns = st->urgent_ns = clew_mono_ns();
	pthread_mutex_unlock(&st->queue_lock);
	return n;
}

void queue_settle(struct clew_span *const *spans, size_t n, int r)
{
	for (size_t i = 0; i < n; i++) {
		struct clew_store_ticket *t = spans[i]->ticket;

		if (!t)
			continue;
		spans[i]->ticket = NULL;
		if (r < 0 && !t->err)
			t->err = r;
		if (--t->pending)
			continue;
		t->done(t->user, t->err);
		free(t);
	}
}

void queue_done(struct clew_store *st, struct clew_span *const *batch, size_t n)
{
	pthread_mutex_lock(&st->queue_lock);
	st->done_seq += n;
	st->writing = false;
	pthread_cond_broadcast(&st->done_cond);
	pthread_mutex_unlock(&st->queue_lock);
	for (size_t i = 0; i < n; i++)
		clew_span_free(batch[i]);
}
