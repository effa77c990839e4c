/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/ring.h"

#include <errno.h>
#include <stdlib.h>

#include "capture/ring_internal.h"

#define CHUNK_MIN (16u << 10)
#define CHUNK_MAX (128u << 10)
/* Chunks that a busy CPU is ahead at the least: what it cycles through stays in its cache. */
#define AHEAD_MIN 4
/* Looks after which a CPU's need is estimated anew. */
#define PEAK_LOOKS 256
/* A record is written at most this long after the moment of which it tells. */
#define SLACK_NS  1000000
#define OWN_BYTES (64u << 20)

void ring_plan(uint64_t ring_bytes, uint32_t cpus, uint32_t payload, struct ring_sizes *ret)
{
	uint32_t io = sizeof(struct clew_rec_io) + 8 * CLEW_CNT_MAX + ((payload + 7) & ~7u);
	uint32_t record = io > CLEW_RING_FIXED ? io : CLEW_RING_FIXED;
	uint64_t chunk = CHUNK_MIN, n;

	cpus = cpus ? cpus : 1;
	while ((chunk < CHUNK_MAX && chunk * 8 * cpus < ring_bytes) || chunk < 3 * record)
		chunk <<= 1;
	n = ring_bytes / chunk;
	if (n < 2 * cpus)
		n = 2 * cpus;
	*ret = (struct ring_sizes){
		.record = record,
		.limit = chunk - record,
		/* The verifier wants payload to spare: it cannot add up pieces. */
		.stride = (chunk + payload + 15) & ~7u,
		.n_chunks = n > UINT16_MAX ? UINT16_MAX : n,
	};
}

static void pool_put(struct ring *r, int32_t chunk)
{
	pthread_mutex_lock(&r->lock);
	r->pool[r->n_pool++] = chunk;
	pthread_mutex_unlock(&r->lock);
}

/* ---- segments ---- */

static struct segment *copy_make(const char *bytes, size_t n)
{
	struct segment *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->bytes = malloc(n);
	if (!g->bytes) {
		free(g);
		return NULL;
	}
	if (bytes)
		memcpy(g->bytes, bytes, n);
	atomic_init(&g->used, n);
	atomic_init(&g->closed, true);
	g->end = n;
	g->chunk = -1;
	return g;
}

static void append(struct ring *r, struct stream *s, struct segment *g)
{
	pthread_mutex_lock(&r->lock);
	if (s->first)
		s->last->next = g;
	else
		s->first = g;
	s->last = g;
	if (g->chunk < 0)
		r->spilled += g->used;
	pthread_mutex_unlock(&r->lock);
}

void ring_give_back(struct ring *r, struct segment *g)
{
	if (g->chunk < 0) {
		pthread_mutex_lock(&r->lock);
		r->spilled -= g->used;
		pthread_mutex_unlock(&r->lock);
		free(g->bytes);
		free(g);
		return;
	}
	/* All of it: behind the last record may be its pad. */
	memset(g->bytes, 0, r->area.stride);
	pool_put(r, g->chunk);
}

bool ring_whole(const struct ring *r, struct segment *g)
{
	uint32_t at = 0, used = g->used < g->end ? g->used : g->end;

	while (at < used) {
		uint32_t room = rec_room(r, g, at);

		if (!room || room == UINT32_MAX)
			return false;
		at += room;
	}
	atomic_store(&g->used, at);
	return true;
}

bool ring_spill(struct ring *r, struct stream *s, struct segment *prev)
{
	struct segment *g = prev ? prev->next : s->first;
	struct segment *copy = copy_make(g->bytes, g->used);

	if (!copy)
		return false;
	copy->next = g->next;
	if (prev)
		prev->next = copy;
	else
		s->first = copy;
	if (s->last == g)
		s->last = copy;
	if (!s->spilled || s->spilled == prev)
		s->spilled = copy;
	r->spilled += copy->used;
	memset(g->bytes, 0, r->area.stride);
	r->pool[r->n_pool++] = g->chunk;
	return true;
}

/* What may be copied next of this stream, and what is before it. Under the lock. */
static struct segment *spillable(const struct ring *r, const struct stream *s,
				 struct segment **ret_prev)
{
	struct segment *prev = s->spilled, *g;

	if (!prev && r->taking)
		prev = s->first;
	if (!prev && !r->taking) {
		g = s->first;
	} else {
		if (!prev)
			return NULL;
		g = prev->next;
	}
	if (!g || g->chunk < 0 || !g->closed || !ring_whole(r, g))
		return NULL;
	*ret_prev = prev;
	return g;
}

/* Copies the chunk that waits longest. False: none may be, or there is no room for copies. */
static bool spill_oldest(struct ring *r)
{
	struct segment *oldest_prev = NULL;
	struct stream *oldest = NULL;
	uint64_t least = UINT64_MAX;
	bool done = false;

	pthread_mutex_lock(&r->lock);
	for (uint32_t i = 0; i < r->n_streams; i++) {
		struct segment *prev = NULL;
		struct segment *g = spillable(r, &r->streams[i], &prev);
		uint64_t t = g ? rec_time((const struct clew_rec *)g->bytes) : UINT64_MAX;

		if (t < least) {
			least = t;
			oldest = &r->streams[i];
			oldest_prev = prev;
		}
	}
	if (oldest && r->spilled >= RING_SPILL_BYTES)
		atomic_fetch_add(&r->spill_full, 1);
	else if (oldest)
		done = ring_spill(r, oldest, oldest_prev);
	else if (r->taking)
		atomic_store(&r->want_firsts, true);
	pthread_mutex_unlock(&r->lock);
	return done;
}

/* ---- looking ---- */

static uint64_t head_of(const struct ring *r, uint32_t cpu)
{
	return __atomic_load_n(&r->area.cpus[cpu].head, __ATOMIC_ACQUIRE);
}

/* Up to end, or up to what is not committed. 0 or an errno. */
static int show_chunk(struct ring *r, struct stream *s, uint32_t end, ring_thread_fn fn, void *user)
{
	int err = 0;

	while (s->offset < end && s->offset <= r->area.limit && err >= 0) {
		struct clew_rec *rec = (struct clew_rec *)(s->open->bytes + s->offset);
		uint32_t room = rec_room(r, s->open, s->offset);

		if (!room)
			break;
		if (room == UINT32_MAX)
			return -EBADMSG;
		if (rec->type == CLEW_REC_THREAD)
			err = fn(user, rec);
		s->offset += room;
	}
	atomic_store(&s->open->used, s->offset);
	return err < 0 ? err : 0;
}

static void open_next(struct ring *r, struct stream *s, uint32_t cpu)
{
	uint16_t chunk = r->area.cpus[cpu].chunk[s->seq % CLEW_RING_SLOTS];
	struct segment *g = &r->segments[chunk];

	g->next = NULL;
	g->bytes = r->area.chunks + chunk * r->area.stride;
	g->chunk = chunk;
	g->end = r->area.limit + 1;
	atomic_store(&g->used, 0);
	atomic_store(&g->closed, false);
	s->open = g;
	append(r, s, g);
}

/* Record by record, up to head. 1: something is not committed yet. */
static int show(struct ring *r, uint32_t cpu, uint64_t head, ring_thread_fn fn, void *user)
{
	struct stream *s = &r->streams[cpu];
	uint32_t seq = head >> 32, offset = head;

	for (;;) {
		uint32_t end;
		int err;

		if (s->offset > r->area.limit) {
			/* Full; we stay behind it until the next is begun. */
			if (s->seq == seq)
				return 0;
			s->seq++;
			s->offset = 0;
		}
		end = s->seq == seq ? offset : UINT32_MAX;
		if (s->offset >= end)
			return 0;
		if (!s->open)
			open_next(r, s, cpu);
		err = show_chunk(r, s, end, fn, user);
		if (err)
			return err;
		if (s->offset <= r->area.limit)
			return s->offset < end;
		atomic_store(&s->open->closed, true);
		s->open = NULL;
	}
}

/* All up to head may be taken as it gets committed; no record is looked at. */
static void pass(struct ring *r, uint32_t cpu, uint64_t head)
{
	struct stream *s = &r->streams[cpu];
	uint32_t seq = head >> 32, offset = head;

	for (;;) {
		if (s->offset > r->area.limit) {
			if (s->seq == seq)
				return;
			s->seq++;
			s->offset = 0;
		}
		if (s->seq == seq && s->offset >= offset)
			return;
		if (!s->open)
			open_next(r, s, cpu);
		s->offset = s->seq == seq ? offset : UINT32_MAX;
		atomic_store(&s->open->used, s->offset);
		if (s->offset <= r->area.limit)
			return;
		atomic_store(&s->open->closed, true);
		s->open = NULL;
	}
}

/* 1: a thread record may not be committed yet. */
static int follow(struct ring *r, uint32_t cpu, ring_thread_fn fn, void *user)
{
	const struct clew_ring_cpu *c = &r->area.cpus[cpu];
	struct stream *s = &r->streams[cpu];
	/* In this order: what was told is in front of head, and what is in front of head was counted. */
	uint32_t told = __atomic_load_n(&c->threads_told, __ATOMIC_ACQUIRE);
	uint64_t head = head_of(r, cpu);
	int err;

	if (__atomic_load_n(&c->threads, __ATOMIC_ACQUIRE) == s->threads) {
		pass(r, cpu, head);
		return 0;
	}
	err = show(r, cpu, head, fn, user);
	if (!err)
		s->threads = told;
	return err;
}

/* Is anything claimed that is not committed yet? While nobody takes. */
static bool all_committed(struct ring *r)
{
	bool all = true;

	pthread_mutex_lock(&r->lock);
	for (uint32_t i = 0; i < r->n_streams; i++)
		for (struct segment *g = r->streams[i].first; g && all; g = g->next)
			all = g->chunk < 0 || ring_whole(r, g);
	pthread_mutex_unlock(&r->lock);
	return all;
}

/* ---- giving ---- */

static bool give_one(struct ring *r, uint32_t cpu)
{
	struct clew_ring_cpu *c = &r->area.cpus[cpu];
	struct stream *s = &r->streams[cpu];
	bool got = false;
	uint16_t chunk = 0;

	if (s->given - s->seq >= CLEW_RING_AHEAD)
		return false;
	pthread_mutex_lock(&r->lock);
	if (r->n_pool) {
		chunk = r->pool[--r->n_pool];
		got = true;
	}
	pthread_mutex_unlock(&r->lock);
	if (!got)
		return false;
	__atomic_store_n(&c->chunk[s->given % CLEW_RING_SLOTS], chunk, __ATOMIC_RELAXED);
	__atomic_store_n(&c->avail, ++s->given, __ATOMIC_RELEASE);
	return true;
}

/* Chunks given that are not begun. */
static uint32_t ahead(const struct ring *r, uint32_t cpu)
{
	const struct stream *s = &r->streams[cpu];
	uint64_t head = head_of(r, cpu);

	return s->given - (uint32_t)(head >> 32) - (head ? 1 : 0);
}

static void give(struct ring *r, uint32_t cpu, uint32_t target)
{
	while ((int32_t)(target - ahead(r, cpu)) > 0)
		if (!give_one(r, cpu) && !(spill_oldest(r) && give_one(r, cpu)))
			break;
}

/* How far this CPU is to be ahead: four times what it lately began between two looks. */
static void estimate(struct ring *r, uint32_t cpu)
{
	struct stream *s = &r->streams[cpu];
	uint32_t seq = head_of(r, cpu) >> 32, begun = seq - s->begun_seq, want;

	s->begun_seq = seq;
	if (begun > s->peak)
		s->peak = begun;
	want = s->peak * 4 > r->base ? s->peak * 4 : r->base;
	if (want > r->deep)
		want = r->deep;
	if (++s->peak_looks == PEAK_LOOKS) {
		/* An idle one holds much: its chunks are cold anyway, and load may come at once. */
		s->target = s->peak ? want : r->deep;
		s->peak_looks = 0;
		s->peak = 0;
	} else if (want > s->target || s->target == r->deep) {
		s->target = want;
	}
}

static void refill(struct ring *r)
{
	uint32_t low = r->area.n_chunks / 4;

	for (uint32_t cpu = 0; cpu < r->area.n_cpus; cpu++) {
		struct stream *s = &r->streams[cpu];
		uint32_t refused = __atomic_load_n(&r->area.cpus[cpu].refused, __ATOMIC_RELAXED);

		/* One that came later has none until it asks. */
		if (!s->given && refused == s->refused)
			continue;
		s->refused = refused;
		estimate(r, cpu);
		if (s->target > r->base && r->n_pool < low)
			give(r, cpu, r->base);
		else
			give(r, cpu, s->target);
	}
	while (r->n_pool < low && spill_oldest(r))
		;
}

void ring_deepen(struct ring *r)
{
	for (uint32_t cpu = 0; cpu < r->area.n_cpus; cpu++)
		if (r->streams[cpu].given && r->n_pool > r->area.n_chunks / 4)
			give(r, cpu, r->deep);
}

/* ---- making ---- */

static int init_lock(pthread_mutex_t *lock)
{
	pthread_mutexattr_t attr;
	int err;

	/* Whoever looks has real-time priority and must not wait for whoever takes to be run. */
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
	err = pthread_mutex_init(lock, &attr);
	pthread_mutexattr_destroy(&attr);
	return -err;
}

/* What a CPU may hold, and the first chunks for those that run: the others get theirs on request. */
static void share(struct ring *r)
{
	uint32_t fair = r->area.n_chunks / (2 * r->area.n_used);

	fair = fair ? fair : 1;
	r->deep = fair < CLEW_RING_AHEAD - 2 ? fair : CLEW_RING_AHEAD - 2;
	r->base = r->deep < AHEAD_MIN ? r->deep : AHEAD_MIN;
	for (uint32_t cpu = 0; cpu < r->area.n_used; cpu++)
		give(r, cpu, r->deep);
}

int ring_new(const struct ring_area *area, struct ring **ret)
{
	struct ring *r;

	if (!area->n_used || area->n_used > area->n_cpus || !area->n_chunks ||
	    area->n_chunks > UINT16_MAX)
		return -EINVAL;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	if (init_lock(&r->lock)) {
		free(r);
		return -ENOMEM;
	}
	r->area = *area;
	r->n_streams = area->n_cpus + 1;
	r->streams = calloc(r->n_streams, sizeof(*r->streams));
	r->segments = calloc(area->n_chunks, sizeof(*r->segments));
	r->pool = calloc(area->n_chunks, sizeof(*r->pool));
	clew_buf_init(&r->own, OWN_BYTES);
	if (!r->streams || !r->segments || !r->pool) {
		ring_free(r);
		return -ENOMEM;
	}
	for (uint32_t i = area->n_chunks; i-- > 0;)
		r->pool[r->n_pool++] = i;
	share(r);
	*ret = r;
	return 0;
}

void ring_free(struct ring *r)
{
	if (!r)
		return;
	for (uint32_t i = 0; r->streams && i < r->n_streams; i++) {
		struct segment *g, *next;

		for (g = r->streams[i].first; g; g = next) {
			next = g->next;
			if (g->chunk < 0)
				free(g);
		}
	}
	clew_buf_done(&r->own);
	pthread_mutex_destroy(&r->lock);
	free(r->streams);
	free(r->segments);
	free(r->pool);
	free(r);
}

/* ---- records of our own ---- */

int ring_add(struct ring *r, const struct clew_rec *rec)
{
	int err = clew_buf_add(&r->own, rec, rec->len);

	/* What is there stays whole. */
	r->own.err = 0;
	return err;
}

struct own {
	uint64_t time_ns;
	size_t at;
};

static int by_time(const void *a, const void *b)
{
	const struct own *x = a, *y = b;

	if (x->time_ns != y->time_ns)
		return x->time_ns < y->time_ns ? -1 : 1;
	return x->at < y->at ? -1 : x->at > y->at;
}

/* What was added since the last look becomes a segment, in the order of time. */
static int publish_own(struct ring *r)
{
	_cleanup_(freep) struct own *all = NULL;
	struct segment *g;
	size_t n = 0, to = 0;

	if (!r->own.len)
		return 0;
	all = calloc(r->own.len / sizeof(struct clew_rec), sizeof(*all));
	g = copy_make(NULL, r->own.len);
	if (!all || !g) {
		if (g)
			free(g->bytes);
		free(g);
		return -ENOMEM;
	}
	for (size_t at = 0; at < r->own.len; n++) {
		const struct clew_rec *rec = (const struct clew_rec *)(r->own.data + at);

		all[n] = (struct own){rec_time(rec), at};
		at += rec->len;
	}
	qsort(all, n, sizeof(*all), by_time);
	for (size_t i = 0; i < n; i++) {
		const struct clew_rec *rec = (const struct clew_rec *)(r->own.data + all[i].at);

		memcpy(g->bytes + to, rec, rec->len);
		to += rec->len;
	}
	clew_buf_clear(&r->own);
	append(r, &r->streams[r->n_streams - 1], g);
	return 0;
}

int ring_look(struct ring *r, uint64_t now_ns, ring_thread_fn fn, void *user)
{
	int pending = 0;

	for (uint32_t cpu = 0; cpu < r->area.n_cpus; cpu++) {
		int err = follow(r, cpu, fn, user);

		if (err < 0)
			return err;
		pending |= err;
	}
	/* Without memory they wait for the next look. */
	publish_own(r);
	refill(r);
	atomic_store(&r->upto_ns, now_ns == UINT64_MAX ? now_ns : now_ns - SLACK_NS);
	return now_ns == UINT64_MAX ? !all_committed(r) : pending;
}

uint64_t ring_spill_full(const struct ring *r)
{
	return atomic_load(&r->spill_full);
}
