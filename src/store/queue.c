/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spans that wait for the writer's thread, and those who wait for spans to be on disk.
 *
 *	row ─► ticket ◄─ row		one for each clew_store_append_durable(); the last of its
 *	row ───┘			spans that is settled calls back
 *
 * They wait as rows (rows.h), made by who appends them: under queue_lock there is found room for some (coming), then
 * without it the rows are made, then they are put there.
 *
 * While somebody waits, a batch is taken CLEW_STORE_GROUP_NS after the first such span came: many
 * requests share one commit. Else spans wait for opts.flush_ns or a full batch.
 *
 * Limits: opts.queue_spans and opts.queue_bytes. Before they are reached whole traces are left out (shed.h);
 * what does not fit all the same is dropped and counted (dropped_queue), or refused to who would have waited
 * (refused).
 */
#include <inttypes.h>
#include <time.h>

#include "base/log.h"
#include "store/internal.h"
#include "store/rows.h"

#define QUIET_NS      (1000ull * 1000 * 1000)
#define FLUSH_WAIT_NS (60ull * 1000 * 1000 * 1000)
#define FLUSH_LOOK_NS (200ull * 1000 * 1000)
/* ... or so many failures: who waits for a full disk waits for a person. */
#define FLUSH_TRIES 5
/* Of one batch; its frame of the log holds it a second time. */
#define BATCH_BYTES (64ull << 20)
/* Of captured spans room is found for so many at a time. */
#define APPEND_SPANS 64u

struct clew_store_ticket {
	size_t pending;
	int err; /* of the first of its spans that is not stored */
	clew_store_done_fn done;
	void *user;
};

/* Its memory is not needed any more. */
static void let_go(struct clew_store *st, const struct queued *q)
{
	rows_give(st, q->chunk);
	clew_span_free(q->span);
}

int queue_init(struct clew_store *st)
{
	pthread_condattr_t attr;

	st->queue = calloc(st->opts.queue_spans, sizeof(*st->queue));
	st->batch = calloc(st->opts.batch_spans, sizeof(*st->batch));
	if (!st->queue || !st->batch)
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
	for (uint32_t i = 0; i < st->queue_n; i++)
		let_go(st, &st->queue[(st->queue_head + i) % st->opts.queue_spans]);
	st->queue_n = 0;
	free(st->queue);
	free(st->batch);
	st->queue = NULL;
	st->batch = NULL;
	shed_done(&st->shed);
}

struct timespec queue_time(uint64_t ns)
{
	return (struct timespec){.tv_sec = (time_t)(ns / 1000000000u),
				 .tv_nsec = (long)(ns % 1000000000u)};
}

/* ---- in ---- */

/* Under the lock; there is room. */
static void put(struct clew_store *st, const struct queued *q)
{
	if (!st->queue_n)
		st->oldest_ns = clew_mono_ns();
	st->queue[(st->queue_head + st->queue_n++) % st->opts.queue_spans] = *q;
	st->queue_bytes += q->bytes;
	st->queued_seq++;
}

static bool full(const struct clew_store *st)
{
	return st->queue_n + st->coming >= st->opts.queue_spans ||
	       st->queue_bytes >= st->opts.queue_bytes || st->opts.read_only;
}

/* How full the queue is. */
static uint32_t permille(const struct clew_store *st)
{
	uint64_t spans = (uint64_t)(st->queue_n + st->coming) * 1000 / st->opts.queue_spans;
	uint64_t bytes = st->queue_bytes * 1000 / st->opts.queue_bytes;

	return (uint32_t)(spans > bytes ? spans : bytes);
}

/* Under the lock. A span of a trace is left out. */
static void count_left_out(struct clew_store *st, enum shed_fate fate)
{
	st->stats.shed_spans++;
	st->stats.shed_traces += fate == SHED_NEW;
}

/* Under the lock. There is no room for a span whose trace is kept. */
static void count_dropped(struct clew_store *st, const struct clew_span *span, uint32_t trace)
{
	bool told, first = st->shed.n_cuts == 0;

	st->stats.dropped_queue++;
	st->stats.cut_traces += shed_cut(&st->shed, &span->trace_id, trace, &told);
	st->stats.cut_untold += !told;
	if (first && st->shed.n_cuts)
		pthread_cond_signal(&st->queue_cond);
}

/* Under the lock. What is not kept any more leaves the queue; the others close up. */
static void purge(struct clew_store *st)
{
	uint32_t size = st->opts.queue_spans, kept = 0;

	for (uint32_t i = 0; i < st->queue_n; i++) {
		struct queued q = st->queue[(st->queue_head + i) % size];
		enum shed_fate fate = q.ticket ? SHED_KEEP : shed_fate(&st->shed, q.trace);

		if (fate == SHED_KEEP) {
			st->queue[(st->queue_head + kept++) % size] = q;
			continue;
		}
		st->queue_bytes -= q.bytes;
		count_left_out(st, fate);
		let_go(st, &q);
	}
	st->done_seq += st->queue_n - kept;
	st->queue_n = kept;
	pthread_cond_broadcast(&st->done_cond);
}

/* Under the lock: is there room for a captured span? It is counted as coming, or lost. */
static bool find_room(struct clew_store *st, const struct clew_span *span)
{
	bool watching = st->shed.watching || full(st);
	uint32_t trace = watching ? index_hash_trace(&span->trace_id) : 0;
	enum shed_fate fate = st->shed.watching ? shed_fate(&st->shed, trace) : SHED_KEEP;

	if (fate != SHED_KEEP) {
		count_left_out(st, fate);
		return false;
	}
	while (full(st) && !st->opts.read_only && shed_raise(&st->shed, clew_mono_ns(), true))
		purge(st);
	if (full(st)) {
		count_dropped(st, span, trace);
		return false;
	}
	st->coming++;
	return true;
}

/* It begins to be told which traces were written lately: those of the newest hot spans. */
static void look_back(struct clew_store *st)
{
	struct hot_view *views;
	size_t n = hots_newest(st, &views);

	for (size_t i = 0; i < n; i++) {
		const struct hot_view *v = &views[i];
		uint32_t from = v->n > SHED_TRACES / 2 ? v->n - SHED_TRACES / 2 : 0;

		pthread_mutex_lock(&st->queue_lock);
		for (uint32_t k = from; k < v->n; k++)
			shed_written(&st->shed, HOT_TRACE(v->hot, k));
		pthread_mutex_unlock(&st->queue_lock);
		hot_unref(v->hot);
	}
	free(views);
}

/* Said when it begins. */
static void say_shed(struct clew_store *st, double kept)
{
	log_warn("%s cannot keep up with what is captured: about %.0f %% of the traces are kept, "
		 "the others are left out whole and counted",
		 st->dir, kept * 100);
}

/* The spans become rows, up to the first for which there is no memory. Returns how many. */
static size_t make_rows(struct clew_store *st, struct clew_span *const *spans, size_t n,
			struct queued *rows)
{
	bool told = atomic_load(&st->stored_told);
	size_t i;

	pthread_mutex_lock(&st->names_lock);
	for (i = 0; i < n && rows_make(st, spans[i], &rows[i]) == 0; i++)
		rows[i].span = told ? spans[i] : NULL;
	pthread_mutex_unlock(&st->names_lock);
	return i;
}

/* Nobody is told of them when they are stored: the rows are all that is needed. */
static void free_spans(struct clew_span *const *spans, const struct queued *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!rows[i].span)
			clew_span_free(spans[i]);
}

/* The same of captured spans: those without memory are lost. */
static size_t make_captured(struct clew_store *st, struct clew_span *const *spans, size_t n,
			    struct queued *rows)
{
	size_t made = 0, some;

	for (size_t i = 0; i < n; i += some + 1) {
		some = make_rows(st, spans + i, n - i, rows + made);
		free_spans(spans + i, rows + made, some);
		made += some;
		if (i + some < n)
			clew_span_free(spans[i + some]);
	}
	return made;
}

/* Under the lock: is it now that traces are left out for the first time? */
static bool shed_began(struct clew_store *st, uint32_t before, double *ret_kept)
{
	if (before || !st->shed.threshold)
		return false;
	st->shed.said_spans = st->stats.shed_spans;
	st->shed.said_traces = st->stats.shed_traces;
	*ret_kept = shed_kept(&st->shed);
	return true;
}

/* Those for which there is room; the others are let go of, and counted. */
static size_t find_places(struct clew_store *st, struct clew_span *const *spans, size_t n,
			  struct clew_span **ret)
{
	double part = 1;
	size_t kept = 0;
	uint32_t before;
	bool began;

	pthread_mutex_lock(&st->queue_lock);
	before = st->shed.threshold;
	st->stats.appended += n;
	for (size_t i = 0; i < n; i++)
		if (find_room(st, spans[i]))
			ret[kept++] = spans[i];
		else
			clew_span_free(spans[i]);
	began = shed_began(st, before, &part);
	pthread_mutex_unlock(&st->queue_lock);
	if (began)
		say_shed(st, part);
	return kept;
}

/* Rows of so many spans for which there was room. */
static void put_rows(struct clew_store *st, const struct queued *rows, size_t n, size_t expected)
{
	double part = 1;
	uint32_t before;
	bool watch, began;

	pthread_mutex_lock(&st->queue_lock);
	st->coming -= (uint32_t)expected;
	st->stats.dropped_error += expected - n;
	for (size_t i = 0; i < n; i++)
		put(st, &rows[i]);
	watch = shed_busy(&st->shed, clew_mono_ns(), permille(st));
	for (size_t i = 0; watch && i < st->n_taken; i++)
		shed_written(&st->shed, st->taken[i].trace);
	before = st->shed.threshold;
	if (permille(st) >= SHED_PERMILLE && shed_raise(&st->shed, clew_mono_ns(), false))
		purge(st);
	began = shed_began(st, before, &part);
	/* The thread sleeps until the oldest span is due; it is woken for the first and a full
	 * batch. */
	if (st->queue_n && (st->queue_n <= n || st->queue_n >= st->opts.batch_spans))
		pthread_cond_signal(&st->queue_cond);
	pthread_mutex_unlock(&st->queue_lock);
	if (watch)
		look_back(st);
	if (began)
		say_shed(st, part);
}

void clew_store_append(struct clew_store *st, struct clew_span *const *spans, size_t n)
{
	struct clew_span *kept[APPEND_SPANS];
	struct queued rows[APPEND_SPANS];

	for (size_t i = 0; i < n; i += APPEND_SPANS) {
		size_t some = n - i < APPEND_SPANS ? n - i : APPEND_SPANS;

		some = find_places(st, spans + i, some, kept);
		if (some)
			put_rows(st, rows, make_captured(st, kept, some, rows), some);
	}
}

/*
 * Failing: what is taken now would only wait behind a batch that the disk does not
 * take; where none waits, it is the attempt that shows whether it works again.
 */
static int find_places_for_all(struct clew_store *st, size_t n)
{
	int r = 0;

	pthread_mutex_lock(&st->queue_lock);
	if (st->stats.failing && (st->queue_n || st->coming || st->writing))
		r = -EIO;
	else if (full(st) || n > st->opts.queue_spans - st->queue_n - st->coming)
		r = -ENOBUFS;
	else
		st->coming += (uint32_t)n;
	pthread_mutex_unlock(&st->queue_lock);
	return r;
}

/* All rows, or none where one of them could not be made. */
static int put_durable(struct clew_store *st, struct queued *rows, size_t made, size_t n,
		       struct clew_store_ticket *t)
{
	for (size_t i = 0; made < n && i < made; i++)
		rows_give(st, rows[i].chunk);
	pthread_mutex_lock(&st->queue_lock);
	st->coming -= (uint32_t)n;
	if (made == n) {
		if (!st->urgent_n)
			st->urgent_ns = clew_mono_ns();
		for (size_t i = 0; i < n; i++) {
			rows[i].ticket = t;
			put(st, &rows[i]);
		}
		st->urgent_n += (uint32_t)n;
		st->stats.appended += n;
		if (st->urgent_n == n || st->queue_n >= st->opts.batch_spans)
			pthread_cond_signal(&st->queue_cond);
	}
	pthread_mutex_unlock(&st->queue_lock);
	return made == n ? 0 : -ENOMEM;
}

int clew_store_append_durable(struct clew_store *st, struct clew_span *const *spans, size_t n,
			      clew_store_done_fn done, void *user)
{
	_cleanup_(freep) struct queued *rows = malloc((n + 1) * sizeof(*rows));
	struct clew_store_ticket *t;
	int r;

	if (!n) {
		done(user, 0);
		return 0;
	}
	t = malloc(sizeof(*t));
	if (!rows || !t) {
		free(t);
		return -ENOMEM;
	}
	*t = (struct clew_store_ticket){.pending = n, .done = done, .user = user};
	r = find_places_for_all(st, n);
	if (r == 0)
		r = put_durable(st, rows, make_rows(st, spans, n, rows), n, t);
	if (r == 0) {
		free_spans(spans, rows, n);
		return 0;
	}
	free(t);
	pthread_mutex_lock(&st->queue_lock);
	st->stats.refused += n;
	pthread_mutex_unlock(&st->queue_lock);
	return r;
}

void clew_store_on_stored(struct clew_store *st, clew_store_stored_fn fn, void *user)
{
	pthread_mutex_lock(&st->stored_lock);
	st->stored_fn = fn;
	st->stored_user = user;
	atomic_store(&st->stored_told, fn != NULL);
	pthread_mutex_unlock(&st->stored_lock);
}

/* Under the lock; for something to be done, or another failure. */
static int wait_a_little(struct clew_store *st, uint64_t until_ns, uint64_t failures)
{
	uint64_t now = clew_mono_ns();
	struct timespec until = queue_time(now + FLUSH_LOOK_NS);

	if (now >= until_ns || st->stats.failures - failures >= FLUSH_TRIES)
		return ETIMEDOUT;
	pthread_cond_timedwait(&st->done_cond, &st->queue_lock, &until);
	return 0;
}

int clew_store_flush(struct clew_store *st)
{
	uint64_t until_ns = clew_mono_ns() + FLUSH_WAIT_NS, failures, want;
	int r = 0;

	if (st->opts.read_only)
		return 0;
	pthread_mutex_lock(&st->queue_lock);
	want = st->queued_seq;
	failures = st->stats.failures;
	st->flush_waiters++;
	pthread_cond_signal(&st->queue_cond);
	/* What it changes is tried once at least. */
	while ((st->done_seq < want || st->amend.is_new || st->amending) && r == 0)
		r = wait_a_little(st, until_ns, failures);
	st->flush_waiters--;
	/* What these spans made due. */
	want = st->seals_begun;
	while (st->seals_done < want && r == 0)
		r = wait_a_little(st, until_ns, failures);
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

/* Said when it is over. */
static void say_calm(struct clew_store *st, uint64_t spans, uint64_t traces)
{
	log_warn("%s keeps up again: all traces are kept; %" PRIu64 " spans of %" PRIu64
		 " traces were left out",
		 st->dir, spans, traces);
}

size_t queue_take(struct clew_store *st, struct queued *batch)
{
	uint64_t bytes = 0, spans, traces;
	bool calm;
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
		const struct queued *q = &st->queue[st->queue_head];

		bytes += q->bytes;
		st->urgent_n -= q->ticket != NULL;
		if (st->shed.watching)
			shed_written(&st->shed, q->trace);
		batch[n++] = *q;
		st->queue_head = (st->queue_head + 1) % st->opts.queue_spans;
		st->queue_n--;
	}
	st->queue_bytes -= bytes;
	st->taken = batch;
	st->n_taken = n;
	st->writing = n > 0;
	st->oldest_ns = st->urgent_ns = clew_mono_ns();
	calm = shed_calm(&st->shed, clew_mono_ns(), permille(st));
	spans = st->stats.shed_spans - st->shed.said_spans;
	traces = st->stats.shed_traces - st->shed.said_traces;
	pthread_mutex_unlock(&st->queue_lock);
	if (calm)
		say_calm(st, spans, traces);
	return n;
}

void queue_settle(struct queued *spans, size_t n, int r)
{
	for (size_t i = 0; i < n; i++) {
		struct clew_store_ticket *t = spans[i].ticket;

		if (!t)
			continue;
		spans[i].ticket = NULL;
		if (r < 0 && !t->err)
			t->err = r;
		if (--t->pending)
			continue;
		t->done(t->user, t->err);
		free(t);
	}
}

void queue_done(struct clew_store *st, struct queued *batch, size_t n)
{
	pthread_mutex_lock(&st->queue_lock);
	st->done_seq += n;
	st->n_taken = 0;
	st->writing = false;
	pthread_cond_broadcast(&st->done_cond);
	pthread_mutex_unlock(&st->queue_lock);
	for (size_t i = 0; i < n; i++)
		let_go(st, &batch[i]);
}
