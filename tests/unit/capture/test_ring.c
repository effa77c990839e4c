/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both halves of the rings' protocol, without a kernel: bpf/claim.bpf.h writes, src/capture/ring.c
 * reads.
 */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "bpf/claim.bpf.h"
#include "capture/ring.h"

#define CHUNK	 4096u
#define RECORD	 1024u
#define STRIDE	 (CHUNK + 16)
#define MAX_CPUS 4
#define SLACK	 1000000u

/* A record of the tests: its bytes follow from writer and number. */
struct note {
	struct clew_rec hdr;
	uint64_t ts_ns;
	uint32_t writer, number;
	uint8_t bytes[];
};

struct sim {
	struct ring_area area;
	struct ring *ring;
	/* what was taken */
	uint32_t next[16], taken, ours, threads;
	uint64_t last_ns;
	bool in_order;
};

/* A claimed place. */
struct place {
	struct note *note;
	uint32_t bytes;
};

static void sim_begin(struct sim *m, uint32_t cpus, uint32_t chunks)
{
	memset(m, 0, sizeof(*m));
	m->area = (struct ring_area){
		.cpus = calloc(cpus, sizeof(struct clew_ring_cpu)),
		.n_cpus = cpus,
		.n_used = cpus,
		.chunks = calloc(chunks, STRIDE),
		.stride = STRIDE,
		.n_chunks = chunks,
		.limit = CHUNK - RECORD,
	};
	m->in_order = true;
	assert_int_equal(ring_new(&m->area, &m->ring), 0);
}

/* What was given back is zero: every chunk but those that CPUs still write into. */
static void sim_end(struct sim *m)
{
	uint32_t dirty = 0;

	for (uint32_t i = 0; i < m->area.n_chunks; i++) {
		const char *c = m->area.chunks + (size_t)i * STRIDE;

		dirty += memchr(c, 1, STRIDE) || c[0] || memcmp(c, c + 1, STRIDE - 1);
	}
	assert_true(dirty <= m->area.n_cpus);
	ring_free(m->ring);
	free(m->area.cpus);
	free(m->area.chunks);
}

static bool sim_claim(struct sim *m, uint32_t cpu, uint32_t bytes, struct place *ret)
{
	uint32_t chunk, at;

	bytes = (sizeof(struct note) + bytes + 7) & ~7u;
	if (!clew_ring_claim(&m->area.cpus[cpu], bytes, m->area.limit, &chunk, &at))
		return false;
	ret->note = (struct note *)(m->area.chunks + (size_t)chunk * STRIDE + at);
	ret->bytes = bytes;
	return true;
}

static uint8_t byte_of(uint32_t writer, uint32_t number, uint32_t i)
{
	return writer * 31 + number * 7 + i + 1;
}

/* As ring_commit() of bpf/ring.bpf.h does it. */
static void sim_commit(struct place *p, uint32_t writer, uint32_t number, uint64_t ns,
		       uint32_t used)
{
	uint32_t len = (sizeof(struct note) + used + 7) & ~7u;
	struct note *n = p->note;

	assert_int_equal(n->hdr.len, 0);
	n->hdr.type = CLEW_REC_EVENT;
	n->ts_ns = ns;
	n->writer = writer;
	n->number = number;
	for (uint32_t i = 0; i < used; i++)
		n->bytes[i] = byte_of(writer, number, i);
	if (len < p->bytes) {
		struct clew_rec *pad = (struct clew_rec *)((char *)n + len);

		pad->type = CLEW_RING_PAD;
		ring_store_len(pad, p->bytes - len);
	}
	ring_store_len(&n->hdr, len);
}

static bool sim_write(struct sim *m, uint32_t cpu, uint32_t number, uint64_t ns, uint32_t bytes)
{
	struct place p;

	if (!sim_claim(m, cpu, bytes, &p))
		return false;
	sim_commit(&p, cpu, number, ns, bytes);
	return true;
}

static int on_thread(void *user, struct clew_rec *rec)
{
	struct sim *m = user;

	m->threads++;
	rec->type = CLEW_RING_PAD;
	return 0;
}

/* Checks that nothing is torn, missing or out of its writer's order. */
static int on_record(void *user, const struct clew_rec *rec)
{
	const struct note *n = (const struct note *)rec;
	struct sim *m = user;

	m->taken++;
	if (n->ts_ns < m->last_ns)
		m->in_order = false;
	m->last_ns = n->ts_ns;
	if (rec->type == CLEW_REC_LOSS) {
		m->ours++;
		return 0;
	}
	assert_int_equal(rec->type, CLEW_REC_EVENT);
	assert_int_equal(n->number, m->next[n->writer]);
	m->next[n->writer]++;
	/* The last up to 7 bytes may be padding: zero. */
	for (uint32_t i = 0; i + 8 <= rec->len - sizeof(*n); i++)
		assert_int_equal(n->bytes[i], byte_of(n->writer, n->number, i));
	return 0;
}

static int sim_look(struct sim *m, uint64_t now_ns)
{
	return ring_look(m->ring, now_ns, on_thread, m);
}

static int sim_take(struct sim *m)
{
	return ring_take(m->ring, INT_MAX, on_record, m);
}

static void test_goes_round(void **state)
{
	struct sim m;

	sim_begin(&m, 1, 4);
	for (uint32_t i = 0; i < 20000; i++) {
		assert_true(sim_write(&m, 0, i, i, i * 37 % 900));
		if (i % 3)
			continue;
		assert_int_equal(sim_look(&m, UINT64_MAX), 0);
		assert_int_equal(sim_take(&m), i ? 3 : 1);
	}
	assert_int_equal(sim_look(&m, UINT64_MAX), 0);
	sim_take(&m);
	assert_int_equal(m.taken, 20000);
	assert_true(m.in_order);
	sim_end(&m);
}

static void test_no_room(void **state)
{
	struct sim m;
	uint32_t n = 0, refused;

	sim_begin(&m, 1, 8);
	for (int round = 0; round < 50; round++) {
		refused = m.area.cpus[0].refused;
		while (sim_write(&m, 0, n, n, 200))
			n++;
		assert_int_equal(m.area.cpus[0].refused, refused + 1);
		assert_int_equal(sim_look(&m, UINT64_MAX), 0);
		/* Nothing was taken, and there is room again: it was copied. */
		assert_true(sim_write(&m, 0, n, n, 200));
		n++;
		if (round % 3 == 0)
			sim_take(&m);
	}
	assert_int_equal(sim_look(&m, UINT64_MAX), 0);
	sim_take(&m);
	assert_int_equal(m.taken, n);
	assert_int_equal(ring_spill_full(m.ring), 0);
	sim_end(&m);
}

static void test_not_committed(void **state)
{
	struct place a, b;
	struct sim m;

	sim_begin(&m, 2, 8);
	assert_true(sim_claim(&m, 0, 100, &a));
	assert_true(sim_write(&m, 1, 0, 5, 10));
	/* An interrupt in the middle of a. */
	assert_true(sim_claim(&m, 0, 100, &b));
	sim_commit(&b, 0, 1, 10, 100);
	assert_int_equal(sim_look(&m, UINT64_MAX), 1);
	assert_int_equal(sim_take(&m), 1);
	assert_int_equal(m.next[1], 1);
	sim_commit(&a, 0, 0, 10, 30); /* the rest of it is a pad */
	assert_int_equal(sim_look(&m, UINT64_MAX), 0);
	assert_int_equal(sim_take(&m), 2);
	assert_int_equal(m.next[0], 2);
	sim_end(&m);
}

/* One that was claimed at the end of a chunk is not committed while the writer goes far on. */
static void test_stalled_far_behind(void **state)
{
	struct place a;
	struct sim m;
	uint32_t n = 1;

	sim_begin(&m, 1, 256);
	assert_true(sim_claim(&m, 0, 100, &a));
	for (int i = 0; i < 100; i++) {
		while (sim_write(&m, 0, n, n, 500))
			n++;
		assert_int_equal(sim_look(&m, UINT64_MAX), 1);
		assert_int_equal(sim_take(&m), 0);
	}
	sim_commit(&a, 0, 0, 0, 100);
	assert_int_equal(sim_look(&m, UINT64_MAX), 0);
	assert_int_equal(sim_take(&m), n);
	assert_true(m.in_order);
	sim_end(&m);
}

static void test_merged_by_time(void **state)
{
	struct clew_rec_loss loss = {
		.hdr = {.len = sizeof(loss), .type = CLEW_REC_LOSS}, .ts_ns = 14, .where = 1};
	uint32_t n[3] = {0};
	struct sim m;

	sim_begin(&m, 3, 192);
	for (uint64_t ns = 1; ns < 2000; ns++) {
		uint32_t cpu = ns * ns % 7 % 3;

		assert_true(sim_write(&m, cpu, n[cpu]++, ns, ns % 64));
		if (ns == 20)
			assert_int_equal(ring_add(m.ring, &loss.hdr), 0);
	}
	/* Nothing of the last millisecond. */
	assert_int_equal(sim_look(&m, SLACK + 1000), 0);
	assert_int_equal(ring_take(m.ring, 7, on_record, &m), 7);
	assert_int_equal(ring_take(m.ring, 1, on_record, &m), 1);
	assert_int_equal(sim_take(&m), 993);
	assert_int_equal(sim_take(&m), 0);
	assert_int_equal(sim_look(&m, UINT64_MAX), 0);
	assert_int_equal(sim_take(&m), 999);
	assert_int_equal(m.ours, 1);
	assert_true(m.in_order);
	sim_end(&m);
}

static void test_threads_are_shown(void **state)
{
	struct place p;
	struct sim m;

	sim_begin(&m, 1, 4);
	m.area.cpus[0].threads++;
	assert_true(sim_claim(&m, 0, sizeof(struct clew_rec_thread), &p));
	p.note->hdr.type = CLEW_REC_THREAD;
	ring_store_len(&p.note->hdr, p.bytes);
	m.area.cpus[0].threads_told++;
	assert_true(sim_write(&m, 0, 0, 1, 8));
	assert_int_equal(sim_look(&m, UINT64_MAX), 0);
	assert_int_equal(m.threads, 1);
	assert_int_equal(sim_take(&m), 1); /* it was taken out */
	sim_end(&m);
}

/* It is shown before it can be taken, however late it is claimed and committed. */
static void test_late_thread_is_shown(void **state)
{
	struct place p;
	struct sim m;
	uint32_t n = 0;

	sim_begin(&m, 1, 64);
	assert_true(sim_write(&m, 0, n++, 1, 8));
	assert_int_equal(sim_look(&m, SLACK + 1), 0);
	assert_int_equal(sim_take(&m), 1);
	m.area.cpus[0].threads++;
	for (int i = 0; i < 2; i++) {
		assert_true(sim_write(&m, 0, n++, 1, 8));
		assert_int_equal(sim_look(&m, SLACK + 1), 0);
		assert_int_equal(sim_take(&m), 1);
	}
	assert_true(sim_claim(&m, 0, sizeof(struct clew_rec_thread), &p));
	while (n < 40)
		assert_true(sim_write(&m, 0, n++, 1, 500));
	assert_int_equal(sim_look(&m, SLACK + 1), 1);
	assert_int_equal(sim_take(&m), 0);
	p.note->hdr.type = CLEW_REC_THREAD;
	ring_store_len(&p.note->hdr, p.bytes);
	assert_int_equal(sim_take(&m), 0);
	m.area.cpus[0].threads_told++;
	assert_int_equal(m.threads, 0);
	assert_int_equal(sim_look(&m, SLACK + 1), 0);
	assert_int_equal(m.threads, 1);
	assert_int_equal(sim_take(&m), 37);
	/* From now on records may be taken as they are committed. */
	assert_true(sim_claim(&m, 0, 8, &p));
	assert_int_equal(sim_look(&m, SLACK + 1), 0);
	assert_int_equal(sim_take(&m), 0);
	sim_commit(&p, 0, n, 1, 8);
	assert_int_equal(sim_take(&m), 1);
	sim_end(&m);
}

/* A CPU that is started later has no chunks until it asked. */
static void test_late_cpu(void **state)
{
	struct sim m;

	sim_begin(&m, 2, 8);
	ring_free(m.ring);
	memset(m.area.cpus, 0, 2 * sizeof(*m.area.cpus));
	m.area.n_used = 1;
	assert_int_equal(ring_new(&m.area, &m.ring), 0);
	assert_false(sim_write(&m, 1, 0, 1, 8));
	assert_int_equal(sim_look(&m, UINT64_MAX), 0);
	assert_true(sim_write(&m, 1, 0, 1, 8));
	assert_int_equal(sim_look(&m, UINT64_MAX), 0);
	assert_int_equal(sim_take(&m), 1);
	sim_end(&m);
}

struct slow {
	struct sim *m;
	uint32_t n[2];
	bool nested;
};

/* Whoever takes is so slow that the writers go round the pool for each record. */
static int on_record_slowly(void *user, const struct clew_rec *rec)
{
	struct slow *s = user;

	for (int round = 0; round < 8 && s->n[0] < 4000; round++) {
		for (uint32_t cpu = 0; cpu < 2; cpu++)
			for (int i = 0; i < 3; i++)
				if (sim_write(s->m, cpu, s->n[cpu], 10 + s->n[cpu], 300))
					s->n[cpu]++;
		assert_int_equal(sim_look(s->m, UINT64_MAX), 0);
	}
	return on_record(s->m, rec);
}

static void test_slow_taker(void **state)
{
	struct sim m;
	struct slow s = {.m = &m};
	int got;

	sim_begin(&m, 2, 6);
	assert_true(sim_write(&m, 0, s.n[0]++, 1, 300));
	assert_true(sim_write(&m, 1, s.n[1]++, 1, 300));
	assert_int_equal(sim_look(&m, UINT64_MAX), 0);
	do
		got = ring_take(m.ring, INT_MAX, on_record_slowly, &s);
	while (got > 0);
	assert_true(s.n[0] >= 3000 && s.n[1] >= 3000);
	assert_int_equal(m.next[0], s.n[0]);
	assert_int_equal(m.next[1], s.n[1]);
	sim_end(&m);
}

/* ---- several threads ---- */

#define WRITERS 6
#define CPUS	3
#define WRITES	6000

struct writer {
	struct sim *m;
	uint32_t id, written, refused;
	pthread_t thread;
};

static atomic_uint writing;

/* Two share a CPU, as tasks and interrupts do, only worse. */
static void *write_all(void *user)
{
	struct writer *w = user;

	for (uint32_t i = 0; i < WRITES; i++) {
		uint32_t bytes = (i * 97 + w->id * 13) % 800;
		struct place p;

		while (!sim_claim(w->m, w->id % CPUS, bytes, &p)) {
			w->refused++;
			sched_yield();
		}
		sim_commit(&p, w->id, w->written++, i, i % 5 ? bytes : bytes / 2);
	}
	atomic_fetch_sub(&writing, 1);
	return NULL;
}

static atomic_bool looked_last;

static void *look_on(void *user)
{
	struct sim *m = user;
	int err = 0;

	while (atomic_load(&writing) && err >= 0)
		err = sim_look(m, UINT64_MAX);
	if (err >= 0)
		err = sim_look(m, UINT64_MAX);
	assert_int_equal(err, 0);
	atomic_store(&looked_last, true);
	return NULL;
}

static void test_nothing_is_torn(void **state)
{
	struct writer w[WRITERS] = {0};
	uint64_t refused = 0;
	pthread_t looker;
	struct sim m;
	bool last;

	sim_begin(&m, CPUS, 12);
	atomic_store(&writing, WRITERS);
	atomic_store(&looked_last, false);
	assert_int_equal(pthread_create(&looker, NULL, look_on, &m), 0);
	for (uint32_t i = 0; i < WRITERS; i++) {
		w[i].m = &m;
		w[i].id = i;
		assert_int_equal(pthread_create(&w[i].thread, NULL, write_all, &w[i]), 0);
	}
	do {
		last = atomic_load(&looked_last);
		assert_true(sim_take(&m) >= 0);
	} while (!last);
	pthread_join(looker, NULL);
	for (uint32_t i = 0; i < WRITERS; i++) {
		pthread_join(w[i].thread, NULL);
		assert_int_equal(w[i].written, WRITES);
		assert_int_equal(m.next[i], WRITES);
		refused += w[i].refused;
	}
	assert_int_equal(m.taken, WRITERS * WRITES);
	assert_true(refused > 0); /* the rings were full now and then */
	sim_end(&m);
}

static void test_plan(void **state)
{
	static const struct {
		uint64_t bytes;
		uint32_t cpus, payload;
	} rows[] = {
		{4096, 1, 0},	     {64 << 10, 2, 4096},   {64 << 10, 2, 16384},
		{16 << 20, 2, 4096}, {16 << 20, 128, 4096}, {1 << 30, 2, 16384},
		{1 << 30, 256, 0},   {64 << 10, 512, 4096},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct ring_sizes s;

		ring_plan(rows[i].bytes, rows[i].cpus, rows[i].payload, &s);
		assert_true(s.n_chunks >= 2 * rows[i].cpus);
		assert_true((uint64_t)s.n_chunks * s.stride >= rows[i].bytes);
		assert_true(s.record >= CLEW_RING_FIXED);
		assert_true(s.record >= sizeof(struct clew_rec_io) + 48 + rows[i].payload);
		/* What the verifier has to know: two payloads behind the head of the last record. */
		assert_true(s.limit + sizeof(struct clew_rec_io) + 48 + 2 * rows[i].payload <=
			    s.stride);
		assert_true(s.limit + s.record + 8 <= s.stride);
		assert_int_equal(s.stride % 8, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_goes_round),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_not_committed),
		cmocka_unit_test(test_stalled_far_behind),
		cmocka_unit_test(test_merged_by_time),
		cmocka_unit_test(test_threads_are_shown),
		cmocka_unit_test(test_late_thread_is_shown),
		cmocka_unit_test(test_late_cpu),
		cmocka_unit_test(test_slow_taker),
		cmocka_unit_test(test_nothing_is_torn),
		cmocka_unit_test(test_plan),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
