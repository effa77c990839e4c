/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer's thread.
 *
 * A batch that cannot be written (disk full, memory short) stays in memory and is tried again every
 * second; meanwhile the queue fills, and what does not fit is dropped and counted. When DuckDB says
 * that its instance is beyond repair, it is closed and opened again: what was committed is in the
 * files.
 */
#include <inttypes.h>
#include <time.h>

#include "base/log.h"
#include "store/damaged.h"

#define RETRY_NS (1000ull * 1000 * 1000)
#define IDLE_SEAL_NS \
	(60ull * 1000 * 1000 * 1000)		   /* an hour that has passed is sealed after this \
						    */
#define IDLE_CHECK_NS (30ull * 1000 * 1000 * 1000) /* a partition at rest gets a checkpoint */
#define IDLE_DIGEST_NS \
	(2ull * 1000 * 1000 * 1000) /* what an older writer sealed goes into rollups */
#define KEEP_HOUSE_NS (1000ull * 1000 * 1000)
#define MAX_HOT_PARTS 3
/* When the store closes and the disk does not take the rest. */
#define LAST_TRIES 3

/* ---- failing and recovering ---- */

void note_failure(struct clew_store *st, int err, const char *text)
{
	bool first;

	pthread_mutex_lock(&st->queue_lock);
	first = !st->stats.failing;
	st->stats.failing = true;
	st->stats.failures++;
	/* DuckDB's first line says it; advice and stacks follow. */
	snprintf(st->stats.last_error, sizeof(st->stats.last_error), "%.*s",
		 text ? (int)strcspn(text, "\n") : 200, text ? text : strerror(-err));
	pthread_mutex_unlock(&st->queue_lock);
	if (!first)
		return;
	/* The one thing that this library says aloud: whoever records must hear it when it happens.
	 */
	if (err == -ENOSPC)
		log_error("the disk of %s is full: spans wait in memory, then are dropped and "
			  "counted, until there is space",
			  st->dir);
	else
		log_error("cannot write to %s, trying again: %.*s", st->dir,
			  text ? (int)strcspn(text, "\n") : 200, text ? text : strerror(-err));
}

static void note_success(struct clew_store *st)
{
	uint64_t lost = 0;
	bool was;

	pthread_mutex_lock(&st->queue_lock);
	was = st->stats.failing;
	st->stats.failing = false;
	if (was) {
		st->stats.recoveries++;
		lost = st->stats.dropped_queue + st->stats.dropped_error + st->stats.shed_spans;
	}
	pthread_mutex_unlock(&st->queue_lock);
	if (was)
		log_warn("%s can be written again; %" PRIu64 " spans were lost so far", st->dir,
			 lost);
}

/* Is the engine still of use? DuckDB refuses everything after an error that it calls fatal. */
static bool engine_works(struct clew_store *st)
{
	char sql[64];

	if (!st->conn || duck_exec(st->conn, "SELECT count(*) FROM c.meta;", NULL) < 0)
		return false;
	for (size_t i = 0; i < st->n_parts; i++) {
		snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s.run;", st->parts[i]->name);
		if (duck_exec(st->conn, sql, NULL) < 0)
			return false;
	}
	return true;
}

/* An hour whose file must be out of the way. Only this thread changes the list. */
static bool find_unwritable(struct clew_store *st, int64_t *ret_hour)
{
	bool found = false;

	pthread_mutex_lock(&st->state_lock);
	for (size_t i = 0; !found && i < st->n_parts; i++) {
		found = st->parts[i]->unwritable;
		*ret_hour = st->parts[i]->hour;
	}
	pthread_mutex_unlock(&st->state_lock);
	return found;
}

static void recover(struct clew_store *st)
{
	_cleanup_(freep) char *error = NULL;
	bool unwritable;
	int64_t hour;
	int r = 0;

	(void)seal_wait(st);
	unwritable = find_unwritable(st, &hour);
	if (!unwritable && engine_works(st))
		return;
	/* Queries hold the gate; they end as soon as they see that they were stopped. */
	while (pthread_rwlock_trywrlock(&st->gate)) {
		queries_interrupt(st, -EAGAIN);
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	engine_close(st);
	if (unwritable)
		r = damaged_part(st, hour,
				 "more cannot be written to it, as a block of it cannot be read",
				 &error);
	if (r == 0)
		r = engine_open(st, &error);
	if (r == 0)
		r = old_take_over(st, &error);
	pthread_rwlock_unlock(&st->gate);
	if (r < 0)
		note_failure(st, r, error);
}

static int by_hour(const void *a, const void *b)
{
	int64_t x = hour_of(a), y = hour_of(b);

	return x < y ? -1 : x > y;
}

/* Spans of one hour together. Nearly always they are: then nothing is moved. */
static void group_by_hour(struct queued *batch, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (by_hour(&batch[i - 1], &batch[i])) {
			qsort(batch, n, sizeof(*batch), by_hour);
			return;
		}
}

/* One attempt. */
static int try_batch(struct clew_store *st, struct queued *batch, size_t n)
{
	_cleanup_(freep) char *error = NULL;
	uint64_t t0 = clew_mono_ns(), cpu0 = clew_clock_ns(CLOCK_THREAD_CPUTIME_ID);
	int r = st->conn ? append_batch(st, batch, n, &error) : -EIO;

	pthread_mutex_lock(&st->queue_lock);
	st->stats.batches++;
	st->stats.write_ns += clew_mono_ns() - t0;
	st->stats.write_cpu_ns += clew_clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu0;
	pthread_mutex_unlock(&st->queue_lock);
	if (r < 0)
		note_failure(st, r, error);
	else
		note_success(st);
	return r;
}

/* The partition that has rested longest of those with hot spans, if there are too many of them. */
static struct part *too_many_hot(struct clew_store *st)
{
	struct part *oldest = NULL;
	size_t n = 0;

	pthread_mutex_lock(&st->state_lock);
	for (size_t i = 0; i < st->n_parts; i++) {
		struct part *p = st->parts[i];

		if (!p->hot_rows)
			continue;
		n++;
		if (!oldest || p->used_ns < oldest->used_ns)
			oldest = p;
	}
	pthread_mutex_unlock(&st->state_lock);
	return n > MAX_HOT_PARTS ? oldest : NULL;
}

/* Did the last job fail? Once. */
static bool seal_failed(struct clew_store *st)
{
	bool failed;

	pthread_mutex_lock(&st->queue_lock);
	failed = !st->seal_job && st->seal_err < 0;
	if (failed)
		st->seal_err = 0;
	pthread_mutex_unlock(&st->queue_lock);
	return failed;
}

/* The partition whose oldest generation is to be sealed next. */
static struct part *next_to_seal(struct clew_store *st)
{
	for (size_t i = 0; i < st->n_parts; i++) {
		struct part *p = st->parts[i];

		if (p->n_hots > 1 || (p->n_hots && p->hots[0]->n >= st->opts.hot_spans))
			return p;
	}
	return too_many_hot(st);
}

/* Somebody waits until all is where it is to be. */
static bool is_flushed(struct clew_store *st)
{
	bool waits;

	pthread_mutex_lock(&st->queue_lock);
	waits = st->flush_waiters > 0;
	pthread_mutex_unlock(&st->queue_lock);
	return waits;
}

/*
 * Have sealed what has become large, and take checkpoints that a query was in the way of. Hot spans are in
 * memory, so only a few partitions may have them.
 */
static void seal_due(struct clew_store *st)
{
	_cleanup_(freep) char *error = NULL;
	struct part *p;
	int r = 0;

	if (seal_busy(st) && !too_many_hot(st) && !is_flushed(st))
		return;
	(void)seal_wait(st);
	if (seal_failed(st)) /* the spans are safe: it is tried again after the next batch */
		recover(st);
	for (size_t i = 0; r == 0 && st->conn && i < st->n_parts; i++) {
		p = st->parts[i];
		if (p->late_checkpoint)
			r = checkpoint_part(st, st->conn, p, &error);
		if (r < 0)
			(void)damaged_unwritable(st, p, error);
	}
	if (r < 0) {
		note_failure(st, r, error);
		recover(st);
	}
	/* Beside the writing, but for those that are too many: they are waited for. */
	while (st->conn && (p = next_to_seal(st)) && seal_begin(st, p) &&
	       (too_many_hot(st) || is_flushed(st)))
		if (seal_wait(st) < 0)
			break;
}

static void write_batch(struct clew_store *st, struct queued *batch, size_t n)
{
	int r, tries = 0;

	while ((r = try_batch(st, batch, n)) < 0) {
		struct timespec until = queue_time(clew_mono_ns() + RETRY_NS);

		/* -EINVAL is a fault of ours or of the data: it would not go away. */
		if (r == -EINVAL || (atomic_load(&st->stop) && ++tries >= LAST_TRIES))
			break;
		/* Who waits for these is told; they are tried again all the same. */
		queue_settle(batch, n, r);
		if (r ==
		    -ENOMEM) /* users' queries share the engine's memory: the writer goes first */
			queries_interrupt(st, -ENOMEM);
		pthread_mutex_lock(&st->queue_lock);
		if (!atomic_load(&st->stop))
			pthread_cond_timedwait(&st->done_cond, &st->queue_lock, &until);
		pthread_mutex_unlock(&st->queue_lock);
		recover(st);
	}
	queue_settle(batch, n, r);
	if (r == 0)
		seal_due(st);
	pthread_mutex_lock(&st->queue_lock);
	if (r < 0)
		st->stats.dropped_error += n;
	pthread_mutex_unlock(&st->queue_lock);
}

/*
 * How many of these make the hot spans of the first one's hour a run of whole row groups. The engine
 * writes those once, compressed, while they are sorted; a rest it would write at the checkpoint, and
 * again with the next run, leaving free blocks behind.
 */
static size_t up_to_full(struct clew_store *st, const struct queued *batch, size_t n)
{
	uint32_t left = 0;

	if (st->opts.hot_spans % CLEW_STORE_GROUP_SPANS)
		return n;
	for (size_t i = 0; i < st->n_parts; i++)
		if (st->parts[i]->hour == hour_of(batch))
			left = hot_left(st, st->parts[i]);
	return left && left < n ? left : n;
}

static void write_batches(struct clew_store *st, struct queued *batch, size_t n)
{
	group_by_hour(batch, n);
	for (size_t done = 0; done < n;) {
		size_t some = up_to_full(st, batch + done, n - done);

		write_batch(st, batch + done, some);
		done += some;
	}
	queue_done(st, batch, n);
}

/* ---- housekeeping ---- */

/* Old hours are sealed, partitions at rest get a checkpoint and give their set of ids back. */
static void keep_house(struct clew_store *st)
{
	_cleanup_(freep) char *error = NULL;
	uint64_t now = clew_mono_ns();
	int64_t hour = (int64_t)time(NULL) / 3600;
	bool digested = false;
	struct part *due;

	if (seal_busy(st))
		return;
	if (seal_failed(st))
		recover(st);
	due = st->conn ? next_to_seal(st) : NULL;
	if (due) { /* it came while another one was sealed */
		(void)seal_begin(st, due);
		return;
	}
	for (size_t i = 0; st->conn && i < st->n_parts; i++) {
		struct part *p = st->parts[i];
		uint64_t idle = now - p->used_ns;
		int r = 0;

		if (p->hour < hour && idle > IDLE_SEAL_NS && p->n_hots) {
			p->used_ns = now;
			(void)seal_begin(st, p);
			return;
		}
		if (!digested && p->has_rollups && p->digested < p->indexed &&
		    idle > IDLE_DIGEST_NS) {
			r = digest_part(st, p, &error);
			digested = true; /* not for long at a time: spans wait */
		} else if (p->dirty && idle > IDLE_CHECK_NS)
			r = checkpoint_part(st, st->conn, p, &error);
		else
			continue;
		p->used_ns = now;
		if (r < 0) {
			(void)damaged_unwritable(st, p, error);
			note_failure(st, r, error);
			recover(st);
			return;
		}
		ids_forget(st, p);
		note_success(st);
	}
}

static void *writer_main(void *arg)
{
	uint64_t kept_ns = clew_mono_ns();
	struct clew_store *st = arg;

	(void)pthread_setname_np(pthread_self(), "clew-store");
	for (;;) {
		size_t n = queue_take(st, st->batch);

		if (n)
			write_batches(st, st->batch, n);
		else if (atomic_load(&st->stop))
			break;
		amend_apply(st);
		shed_notes_keep(st);
		if (clew_mono_ns() - kept_ns < KEEP_HOUSE_NS)
			continue;
		keep_house(st);
		if (st->conn)
			retention_look(st);
		kept_ns = clew_mono_ns();
	}
	amend_apply(st);
	shed_notes_keep(st);
	return NULL;
}

/* Of a store that closes: fewer hot spans than this part of the limit stay in their log. */
#define LEFT_HOT 16

/* At the end: what is left in logs is quickly read again. */
static void last_checkpoints(struct clew_store *st)
{
	for (size_t i = 0; st->conn && i < st->n_parts; i++) {
		struct part *p = st->parts[i];
		_cleanup_(freep) char *error = NULL;
		int r = 0;

		while (r == 0 && p->n_hots &&
		       (p->n_hots > 1 || (uint64_t)p->hots[0]->n * LEFT_HOT >= st->opts.hot_spans))
			r = seal_hot(st, p, &error);
		if (r == 0 && (p->dirty || p->late_checkpoint))
			r = checkpoint_part(st, st->conn, p, &error);
		if (r < 0)
			note_failure(st, r, error);
	}
	if (st->conn)
		(void)checkpoint(st, st->conn, "c", NULL);
}

int writer_start(struct clew_store *st, char **ret_error)
{
	int r = queue_init(st);

	if (r == 0)
		r = sealer_start(st, ret_error);
	if (r < 0)
		return r;
	r = pthread_create(&st->writer, NULL, writer_main, st);
	if (r)
		return set_error(ret_error, -r, "cannot start the writer's thread: %s",
				 strerror(r));
	st->has_writer = true;
	return 0;
}

void writer_stop(struct clew_store *st)
{
	if (st->has_writer) {
		atomic_store(&st->stop, true);
		pthread_mutex_lock(&st->queue_lock);
		pthread_cond_broadcast(&st->queue_cond);
		pthread_cond_broadcast(&st->done_cond);
		pthread_mutex_unlock(&st->queue_lock);
		pthread_join(st->writer, NULL);
		st->has_writer = false;
		(void)seal_wait(st);
		sealer_stop(st);
		last_checkpoints(st);
	}
	sealer_stop(st);
	queue_free(st);
}
