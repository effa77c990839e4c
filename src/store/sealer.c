/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that seals, one generation at a time, so that spans go on being written meanwhile.
 *
 *	writer: seal_begin() ─► seal_job ─► sealer: seal_hot() ─► seal_err, seal_job NULL
 */
#include "store/internal.h"

static void run_job(struct clew_store *st, struct part *p)
{
	uint64_t t0 = clew_mono_ns(), cpu0 = clew_clock_ns(CLOCK_THREAD_CPUTIME_ID);
	_cleanup_(freep) char *error = NULL;
	int r = st->seal_conn ? seal_hot(st, p, &error) : -EIO;

	/* Users' queries share the engine's memory: who writes goes first. */
	if (r == -ENOMEM)
		queries_interrupt(st, -ENOMEM);
	if (r < 0)
		note_failure(st, r, error);
	pthread_mutex_lock(&st->queue_lock);
	st->stats.write_ns += clew_mono_ns() - t0;
	st->stats.write_cpu_ns += clew_clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu0;
	st->seal_err = r;
	st->seal_job = NULL;
	st->seals_done++;
	pthread_cond_broadcast(&st->seal_cond);
	pthread_cond_broadcast(&st->done_cond);
	pthread_mutex_unlock(&st->queue_lock);
}

static void *sealer_main(void *arg)
{
	struct clew_store *st = arg;

	(void)pthread_setname_np(pthread_self(), "clew-seal");
	for (;;) {
		struct part *p;

		pthread_mutex_lock(&st->queue_lock);
		while (!st->seal_job && !st->sealer_ends)
			pthread_cond_wait(&st->seal_cond, &st->queue_lock);
		p = st->seal_job;
		pthread_mutex_unlock(&st->queue_lock);
		if (!p)
			break;
		run_job(st, p);
	}
	return NULL;
}

bool seal_begin(struct clew_store *st, struct part *p)
{
	bool begun;

	pthread_mutex_lock(&st->queue_lock);
	begun = !st->seal_job && st->has_sealer;
	if (begun) {
		p->hots[0]->frozen = true;
		st->seal_job = p;
		st->seals_begun++;
		pthread_cond_broadcast(&st->seal_cond);
	}
	pthread_mutex_unlock(&st->queue_lock);
	return begun;
}

bool seal_busy(struct clew_store *st)
{
	bool busy;

	pthread_mutex_lock(&st->queue_lock);
	busy = st->seal_job != NULL;
	pthread_mutex_unlock(&st->queue_lock);
	return busy;
}

int seal_wait(struct clew_store *st)
{
	int r;

	pthread_mutex_lock(&st->queue_lock);
	while (st->seal_job)
		pthread_cond_wait(&st->seal_cond, &st->queue_lock);
	r = st->seal_err;
	pthread_mutex_unlock(&st->queue_lock);
	return r;
}

int sealer_start(struct clew_store *st, char **ret_error)
{
	int r = pthread_create(&st->sealer, NULL, sealer_main, st);

	if (r)
		return set_error(ret_error, -r, "cannot start the thread that seals: %s",
				 strerror(r));
	st->has_sealer = true;
	return 0;
}

void sealer_stop(struct clew_store *st)
{
	if (!st->has_sealer)
		return;
	pthread_mutex_lock(&st->queue_lock);
	st->sealer_ends = true;
	pthread_cond_broadcast(&st->seal_cond);
	pthread_mutex_unlock(&st->queue_lock);
	pthread_join(st->sealer, NULL);
	st->has_sealer = false;
}
