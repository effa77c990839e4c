/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/reader.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <time.h>

#include "base/log.h"

/* The rings are sized for many missed looks. */
#define LOOK_NS 5000000

struct clew_reader {
	struct clew_capture *capture;
	pthread_t thread;
	bool joined;
	atomic_ullong alive;
	atomic_int err;
	atomic_bool stop;
};

static void go_first(void)
{
	const struct sched_param p = {.sched_priority = 1};

	if (!sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &p))
		return;
	if (setpriority(PRIO_PROCESS, 0, -10) < 0)
		log_debug("the reader has no priority: %s", strerror(errno));
}

static void *look_on(void *user)
{
	const struct timespec pause = {.tv_nsec = LOOK_NS};
	struct clew_reader *r = user;
	int err = 0;

	go_first();
	while (err >= 0 && !atomic_load(&r->stop)) {
		nanosleep(&pause, NULL);
		err = clew_capture_look(r->capture);
		atomic_store(&r->alive, clew_capture_targets_alive(r->capture));
	}
	clew_capture_stop(r->capture);
	if (err >= 0)
		err = clew_capture_look(r->capture);
	if (err < 0)
		atomic_store(&r->err, err);
	return NULL;
}

int clew_reader_start(struct clew_capture *c, struct clew_reader **ret)
{
	struct clew_reader *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return -ENOMEM;
	r->capture = c;
	r->alive = UINT64_MAX;
	err = pthread_create(&r->thread, NULL, look_on, r);
	if (err) {
		free(r);
		return -err;
	}
	*ret = r;
	return 0;
}

int clew_reader_take(struct clew_reader *r, int max, clew_record_fn fn, void *user)
{
	int failed = atomic_load(&r->err);
	int n = clew_capture_take(r->capture, max, fn, user);

	return n >= 0 && failed ? failed : n;
}

uint64_t clew_reader_targets_alive(const struct clew_reader *r)
{
	return atomic_load(&r->alive);
}

void clew_reader_stop(struct clew_reader *r)
{
	if (r->joined)
		return;
	atomic_store(&r->stop, true);
	pthread_join(r->thread, NULL);
	r->joined = true;
}

void clew_reader_free(struct clew_reader *r)
{
	if (!r)
		return;
	clew_reader_stop(r);
	free(r);
}
