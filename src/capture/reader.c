/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/reader.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <time.h>

#include "base/log.h"

/* The ring is sized for many missed polls. */
#define POLL_NS	    5000000
#define CHUNK_BYTES (256u << 10)
/* Empty chunks that are kept for the next bytes. */
#define SPARE_CHUNKS 32

struct chunk {
	struct chunk *next;
	size_t used, cap;
	char bytes[] __attribute__((aligned(8)));
};

struct clew_reader {
	struct clew_capture *capture;
	pthread_t thread;
	bool joined;
	struct chunk *filling; /* the reader's own */
	pthread_mutex_t lock;  /* of the three below */
	struct chunk *first, **last;
	struct chunk *spare;
	size_t n_spare;
	atomic_size_t queued; /* bytes in chunks that wait */
	atomic_ullong alive, shed;
	atomic_int err;
	atomic_bool stop;
};

static struct chunk *chunk_get(struct clew_reader *r, size_t bytes)
{
	size_t cap = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
	struct chunk *c = NULL;

	pthread_mutex_lock(&r->lock);
	if (r->spare && cap == CHUNK_BYTES) {
		c = r->spare;
		r->spare = c->next;
		r->n_spare--;
	}
	pthread_mutex_unlock(&r->lock);
	if (!c)
		c = malloc(sizeof(*c) + cap);
	if (c) {
		c->next = NULL;
		c->used = 0;
		c->cap = cap;
	}
	return c;
}

static void chunk_put(struct clew_reader *r, struct chunk *c)
{
	pthread_mutex_lock(&r->lock);
	if (r->n_spare < SPARE_CHUNKS && c->cap == CHUNK_BYTES) {
		c->next = r->spare;
		r->spare = c;
		r->n_spare++;
		c = NULL;
	}
	pthread_mutex_unlock(&r->lock);
	free(c);
}

/* What was read goes where it can be taken. */
static void hand_over(struct clew_reader *r)
{
	struct chunk *c = r->filling;

	if (!c || !c->used)
		return;
	r->filling = NULL;
	atomic_fetch_add(&r->queued, c->used);
	pthread_mutex_lock(&r->lock);
	*r->last = c;
	r->last = &c->next;
	pthread_mutex_unlock(&r->lock);
}

static int keep(void *user, const struct clew_rec *rec)
{
	struct clew_reader *r = user;
	struct chunk *c = r->filling;

	if (c && c->cap - c->used < rec->len) {
		hand_over(r);
		c = NULL;
	}
	if (!c && atomic_load(&r->queued) < CLEW_READER_QUEUE_BYTES)
		c = r->filling = chunk_get(r, rec->len);
	if (!c) {
		atomic_fetch_add(&r->shed, 1);
		return 0;
	}
	memcpy(c->bytes + c->used, rec, rec->len);
	c->used += rec->len;
	return 0;
}

static void go_first(void)
{
	const struct sched_param p = {.sched_priority = 1};

	if (!sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &p))
		return;
	if (setpriority(PRIO_PROCESS, 0, -10) < 0)
		log_debug("the reader has no priority: %s", strerror(errno));
}

static void *read_all(void *user)
{
	const struct timespec pause = {.tv_nsec = POLL_NS};
	struct clew_reader *r = user;
	int err = 0;

	go_first();
	while (err >= 0 && !atomic_load(&r->stop)) {
		nanosleep(&pause, NULL);
		err = clew_capture_poll(r->capture, keep, r);
		hand_over(r);
		atomic_store(&r->alive, clew_capture_targets_alive(r->capture));
	}
	clew_capture_stop(r->capture);
	if (err >= 0)
		err = clew_capture_poll(r->capture, keep, r);
	hand_over(r);
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
	r->last = &r->first;
	r->alive = UINT64_MAX;
	pthread_mutex_init(&r->lock, NULL);
	err = pthread_create(&r->thread, NULL, read_all, r);
	if (err) {
		pthread_mutex_destroy(&r->lock);
		free(r);
		return -err;
	}
	*ret = r;
	return 0;
}

static int hand_out(const struct chunk *c, clew_record_fn fn, void *user)
{
	int n = 0, err;

	for (size_t at = 0; at < c->used; n++) {
		const struct clew_rec *rec = (const struct clew_rec *)(c->bytes + at);

		err = fn(user, rec);
		if (err < 0)
			return err;
		at += rec->len;
	}
	return n;
}

int clew_reader_take(struct clew_reader *r, clew_record_fn fn, void *user)
{
	int failed = atomic_load(&r->err), n = 0, got = 0;
	struct chunk *c, *next;

	pthread_mutex_lock(&r->lock);
	c = r->first;
	r->first = NULL;
	r->last = &r->first;
	pthread_mutex_unlock(&r->lock);
	for (; c; c = next) {
		next = c->next;
		if (got >= 0)
			got = hand_out(c, fn, user);
		n += got > 0 ? got : 0;
		atomic_fetch_sub(&r->queued, c->used);
		chunk_put(r, c);
	}
	if (got < 0)
		return got;
	return failed ? failed : n;
}

uint64_t clew_reader_targets_alive(const struct clew_reader *r)
{
	return atomic_load(&r->alive);
}

uint64_t clew_reader_shed(const struct clew_reader *r)
{
	return atomic_load(&r->shed);
}

void clew_reader_stop(struct clew_reader *r)
{
	if (r->joined)
		return;
	atomic_store(&r->stop, true);
	pthread_join(r->thread, NULL);
	r->joined = true;
}

static void free_chunks(struct chunk *c)
{
	struct chunk *next;

	for (; c; c = next) {
		next = c->next;
		free(c);
	}
}

void clew_reader_free(struct clew_reader *r)
{
	if (!r)
		return;
	clew_reader_stop(r);
	free_chunks(r->first);
	free_chunks(r->spare);
	free(r->filling);
	pthread_mutex_destroy(&r->lock);
	free(r);
}
