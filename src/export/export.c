/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue and the thread that empties it.
 *
 *	queue ─take─► batch [ settled | being sent | to be sent ]
 *	                                └── its body, made once, for all attempts
 *
 * The spans of a batch are kept until they are settled, so that a request that is too large for the
 * receiver can be made again with fewer.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "export/internal.h"

struct clew_export {
	struct clew_export_opts opts; /* limits; the texts are target's */
	struct target target;
	struct sender sender;
	struct body body;

	pthread_mutex_t lock;
	pthread_cond_t more; /* spans, or the end */
	pthread_cond_t less; /* of them wait; the thread has ended */
	pthread_t thread;
	bool thread_runs;	  /* there is one to join */
	struct clew_span **queue; /* a ring of opts.queue_spans */
	uint32_t head, n;
	uint64_t bytes, oldest_ns;
	bool ended;
	struct clew_export_stats stats;
	_Atomic uint64_t until_ns; /* the thread stops then */
	atomic_bool finish;

	/* The thread's own. */
	struct clew_span **batch;
	uint64_t span_bytes;  /* of a span in a request, as measured */
	uint64_t limit_bytes; /* of a request, as far as the receiver takes it */
};

static void set_default(uint64_t *v, uint64_t def)
{
	if (!*v)
		*v = def;
}

static void set_defaults(struct clew_export_opts *o)
{
	o->queue_spans = o->queue_spans ? o->queue_spans : CLEW_EXPORT_QUEUE_SPANS;
	o->batch_spans = o->batch_spans ? o->batch_spans : CLEW_EXPORT_BATCH_SPANS;
	set_default(&o->queue_bytes, CLEW_EXPORT_QUEUE_BYTES);
	set_default(&o->batch_bytes, CLEW_EXPORT_BATCH_BYTES);
	set_default(&o->linger_ns, CLEW_EXPORT_LINGER_NS);
	set_default(&o->backoff_ns, CLEW_EXPORT_BACKOFF_NS);
	set_default(&o->backoff_max_ns, CLEW_EXPORT_BACKOFF_MAX_NS);
	set_default(&o->give_up_ns, CLEW_EXPORT_GIVE_UP_NS);
}

static struct timespec time_of(uint64_t ns)
{
	return (struct timespec){.tv_sec = (time_t)(ns / 1000000000u),
				 .tv_nsec = (long)(ns % 1000000000u)};
}

static uint64_t after_ms(int ms)
{
	return clew_mono_ns() + (uint64_t)(ms > 0 ? ms : 0) * 1000000u;
}

/* ---- in ---- */

void clew_export_append(struct clew_export *e, struct clew_span *const *spans, size_t n)
{
	uint32_t before;
	size_t taken = 0;

	pthread_mutex_lock(&e->lock);
	before = e->n;
	if (!before)
		e->oldest_ns = clew_mono_ns();
	while (taken < n && e->n < e->opts.queue_spans && e->bytes < e->opts.queue_bytes &&
	       !e->ended) {
		struct clew_span *s = clew_span_ref(spans[taken++]);

		e->queue[(e->head + e->n++) % e->opts.queue_spans] = s;
		e->bytes += clew_span_bytes(s);
	}
	e->stats.appended += n;
	e->stats.queued += taken;
	e->stats.dropped_queue += n - taken;
	if (taken && (!before || (before < e->opts.batch_spans && e->n >= e->opts.batch_spans)))
		pthread_cond_signal(&e->more);
	pthread_mutex_unlock(&e->lock);
}

bool clew_export_wait_room(struct clew_export *e, int timeout_ms)
{
	struct timespec until = time_of(after_ms(timeout_ms));
	bool room;
	int r = 0;

	pthread_mutex_lock(&e->lock);
	for (;;) {
		room = e->n <= e->opts.queue_spans / 2 && e->bytes <= e->opts.queue_bytes / 2;
		room = room || e->stats.failing || e->ended;
		if (room || r)
			break;
		r = pthread_cond_timedwait(&e->less, &e->lock, &until);
	}
	pthread_mutex_unlock(&e->lock);
	return room;
}

void clew_export_finish(struct clew_export *e, uint64_t until_ns)
{
	pthread_mutex_lock(&e->lock);
	if (until_ns < atomic_load(&e->until_ns))
		atomic_store(&e->until_ns, until_ns);
	atomic_store(&e->finish, true);
	pthread_cond_broadcast(&e->more);
	sender_wake(&e->sender);
	pthread_mutex_unlock(&e->lock);
}

bool clew_export_wait_finished(struct clew_export *e, int timeout_ms)
{
	struct timespec until = time_of(after_ms(timeout_ms));
	bool ended;
	int r = 0;

	pthread_mutex_lock(&e->lock);
	while (!e->ended && r == 0)
		r = pthread_cond_timedwait(&e->less, &e->lock, &until);
	ended = e->ended;
	pthread_mutex_unlock(&e->lock);
	return ended;
}

void clew_export_stats(struct clew_export *e, struct clew_export_stats *ret)
{
	pthread_mutex_lock(&e->lock);
	*ret = e->stats;
	pthread_mutex_unlock(&e->lock);
}

uint64_t clew_export_lost(const struct clew_export_stats *st)
{
	return st->rejected + st->refused + st->dropped_queue + st->dropped_error + st->gave_up +
	       st->lost_end;
}

const char *clew_export_url(const struct clew_export *e)
{
	return e->target.shown;
}

/* ---- the thread ---- */

static uint64_t until(void *user)
{
	struct clew_export *e = user;

	return atomic_load(&e->until_ns);
}

static bool time_over(struct clew_export *e)
{
	return clew_mono_ns() >= until(e);
}

/* The next batch; 0: the end has come and nothing waits, or its time is over. */
static size_t take(struct clew_export *e)
{
	size_t n = 0;

	pthread_mutex_lock(&e->lock);
	while (e->n < e->opts.batch_spans && !atomic_load(&e->finish)) {
		struct timespec due = time_of(e->oldest_ns + e->opts.linger_ns);

		if (e->n && clew_mono_ns() >= e->oldest_ns + e->opts.linger_ns)
			break;
		if (e->n)
			pthread_cond_timedwait(&e->more, &e->lock, &due);
		else
			pthread_cond_wait(&e->more, &e->lock);
	}
	while (n < e->opts.batch_spans && e->n && !time_over(e)) {
		struct clew_span *s = e->queue[e->head];

		e->bytes -= clew_span_bytes(s);
		e->batch[n++] = s;
		e->head = (e->head + 1) % e->opts.queue_spans;
		e->n--;
	}
	e->oldest_ns = clew_mono_ns();
	pthread_cond_broadcast(&e->less);
	pthread_mutex_unlock(&e->lock);
	return n;
}

/* n spans are settled: counter is a member of e->stats. */
static void settle(struct clew_export *e, struct clew_span *const *spans, size_t n,
		   uint64_t *counter)
{
	pthread_mutex_lock(&e->lock);
	*counter += n;
	e->stats.queued -= n;
	pthread_mutex_unlock(&e->lock);
	for (size_t i = 0; i < n; i++)
		clew_span_free(spans[i]);
}

static void settle_sent(struct clew_export *e, struct clew_span *const *spans, size_t n,
			uint64_t rejected)
{
	rejected = rejected < n ? rejected : n;
	pthread_mutex_lock(&e->lock);
	e->stats.sent -= rejected;
	e->stats.rejected += rejected;
	pthread_mutex_unlock(&e->lock);
	settle(e, spans, n, &e->stats.sent);
}

static void note_request(struct clew_export *e, const struct judgement *j, unsigned int attempt)
{
	struct timespec cpu;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
	pthread_mutex_lock(&e->lock);
	e->stats.requests++;
	e->stats.retries += attempt > 1;
	e->stats.bytes += e->body.bytes.len;
	e->stats.cpu_ns = (uint64_t)cpu.tv_sec * 1000000000u + (uint64_t)cpu.tv_nsec;
	e->stats.failing = j->verdict != VERDICT_SENT;
	if (j->why[0])
		snprintf(e->stats.last_error, sizeof(e->stats.last_error), "%s", j->why);
	if (e->stats.failing)
		pthread_cond_broadcast(&e->less);
	pthread_mutex_unlock(&e->lock);
}

/* Sleep, or until the time is over. */
static void pause_ns(struct clew_export *e, uint64_t ns)
{
	uint64_t end = clew_mono_ns() + ns;

	pthread_mutex_lock(&e->lock);
	for (;;) {
		uint64_t last = until(e), at = end < last ? end : last;
		struct timespec t = time_of(at);

		if (clew_mono_ns() >= at)
			break;
		pthread_cond_timedwait(&e->more, &e->lock, &t);
	}
	pthread_mutex_unlock(&e->lock);
}

/*
 * At the end the waits are short: what is left of the time is better used. A receiver that asked to be
 * left alone for longer than that is left alone.
 */
static uint64_t wait_of(struct clew_export *e, const struct judgement *j, unsigned int attempt)
{
	uint64_t max = e->opts.backoff_max_ns, own;

	if (atomic_load(&e->finish) && max > 2 * e->opts.backoff_ns)
		max = 2 * e->opts.backoff_ns;
	own = backoff_ns(attempt, e->opts.backoff_ns, max, arc4random());
	return j->wait_ns > own ? j->wait_ns : own;
}

/* One body, until it is settled or must be made anew. */
static enum verdict send_body(struct clew_export *e, struct judgement *j)
{
	uint64_t begin = clew_mono_ns();

	for (unsigned int attempt = 1;; attempt++) {
		sender_send(&e->sender, clew_buf_slice(&e->body.bytes), until, e, j);
		if (j->verdict == VERDICT_STOPPED)
			return j->verdict;
		note_request(e, j, attempt);
		if (j->verdict != VERDICT_RETRY)
			return j->verdict;
		if (clew_mono_ns() - begin >= e->opts.give_up_ns)
			return VERDICT_RETRY;
		pause_ns(e, wait_of(e, j, attempt));
		if (time_over(e))
			return VERDICT_STOPPED;
	}
}

/* How many of n spans fit into a request. */
static size_t fitting(const struct clew_export *e, size_t n)
{
	uint64_t fit = e->span_bytes ? e->limit_bytes / e->span_bytes : n;

	return fit < 1 ? 1 : fit < n ? (size_t)fit : n;
}

/*
 * A body of the first of n spans: as many as fit. Returns how many; -errno: not even one, of which the
 * caller counts the loss.
 */
static ssize_t make_body(struct clew_export *e, struct clew_span *const *spans, size_t n)
{
	size_t k = fitting(e, n);

	for (;;) {
		int r = body_make(&e->body, &e->target, spans, k, e->limit_bytes);

		if (r == 0 || r == -EFBIG)
			e->span_bytes = e->body.plain.len / k + 1;
		if (r == 0)
			return (ssize_t)k;
		if (k == 1)
			return r;
		k = k / 2 < fitting(e, n) ? k / 2 : fitting(e, n);
		k = k ? k : 1;
	}
}

/* Settle at least one of the n spans; returns how many. */
static size_t send_some(struct clew_export *e, struct clew_span *const *spans, size_t n)
{
	ssize_t k = make_body(e, spans, n);
	struct judgement j = {0};

	if (k < 0) {
		settle(e, spans, 1, &e->stats.dropped_error);
		return 1;
	}
	switch (send_body(e, &j)) {
	case VERDICT_SENT:
		settle_sent(e, spans, (size_t)k, j.rejected);
		return (size_t)k;
	case VERDICT_NO_GZIP:
		e->target.gzip = false;
		return 0;
	case VERDICT_TOO_LARGE:
		if (k > 1) {
			e->limit_bytes = e->body.plain.len / 2;
			return 0;
		}
		settle(e, spans, 1, &e->stats.refused);
		return 1;
	case VERDICT_REFUSED:
		settle(e, spans, (size_t)k, &e->stats.refused);
		return (size_t)k;
	case VERDICT_RETRY:
		settle(e, spans, (size_t)k, &e->stats.gave_up);
		return (size_t)k;
	case VERDICT_STOPPED:
		break;
	}
	settle(e, spans, n, &e->stats.lost_end);
	return n;
}

static void lose_rest(struct clew_export *e)
{
	pthread_mutex_lock(&e->lock);
	e->ended = true;
	e->stats.lost_end += e->n;
	e->stats.queued -= e->n;
	for (; e->n; e->n--, e->head = (e->head + 1) % e->opts.queue_spans)
		clew_span_free(e->queue[e->head]);
	e->bytes = 0;
	pthread_cond_broadcast(&e->less);
	pthread_mutex_unlock(&e->lock);
}

/*
 * Made with the first batch, not before: libcurl's own descriptors are not closed on exec, and the
 * command of `clew run` has been started by then.
 */
static int open_sender(struct clew_export *e)
{
	int r = 0;

	pthread_mutex_lock(&e->lock);
	if (!e->sender.multi)
		r = sender_init(&e->sender, &e->target);
	pthread_mutex_unlock(&e->lock);
	return r;
}

static void *run(void *user)
{
	struct clew_export *e = user;
	size_t n;

	pthread_setname_np(pthread_self(), "clew-export");
	while ((n = take(e)) > 0) {
		if (open_sender(e) < 0) {
			settle(e, e->batch, n, &e->stats.dropped_error);
			continue;
		}
		for (size_t at = 0; at < n;)
			at += send_some(e, e->batch + at, n - at);
	}
	lose_rest(e);
	return NULL;
}

/* ---- the object ---- */

static int init(struct clew_export *e)
{
	pthread_condattr_t attr;
	int r;

	e->queue = calloc(e->opts.queue_spans, sizeof(struct clew_span *));
	e->batch = calloc(e->opts.batch_spans, sizeof(struct clew_span *));
	if (!e->queue || !e->batch)
		return -ENOMEM;
	e->limit_bytes = e->opts.batch_bytes;
	e->until_ns = UINT64_MAX;
	pthread_mutex_init(&e->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&e->more, &attr);
	pthread_cond_init(&e->less, &attr);
	pthread_condattr_destroy(&attr);
	r = -pthread_create(&e->thread, NULL, run, e);
	e->thread_runs = r == 0;
	return r;
}

int clew_export_open(const struct clew_export_opts *opts, struct clew_export **ret,
		     char **ret_error)
{
	struct clew_export *e = calloc(1, sizeof(*e));
	int r;

	if (!e)
		return -ENOMEM;
	e->opts = *opts;
	set_defaults(&e->opts);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	r = target_init(&e->target, opts, ret_error);
	if (r == 0)
		r = init(e);
	if (r < 0) {
		clew_export_close(e);
		return r;
	}
	*ret = e;
	return 0;
}

void clew_export_close(struct clew_export *e)
{
	if (!e)
		return;
	if (e->thread_runs) {
		clew_export_finish(e, 0);
		pthread_join(e->thread, NULL);
	}
	sender_done(&e->sender);
	body_done(&e->body);
	target_done(&e->target);
	free(e->queue);
	free(e->batch);
	free(e);
}
