/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of single rules share. */
#include "rig.h"

struct rig_got got;
struct clew_causality *c;
uint64_t now;

static void on_decide(void *user, uint64_t id, const struct clew_link *l)
{
	assert_in_range(id, 1, MAX - 1);
	got.link[id] = *l;
	got.times[id]++;
	got.order[got.n++] = id;
}

void start(const struct clew_causality_opts *opts)
{
	memset(&got, 0, sizeof(got));
	now = SEC;
	assert_int_equal(clew_causality_new(on_decide, NULL, opts, &c), 0);
}

void stop(void)
{
	clew_causality_free(c);
	c = NULL;
}

uint64_t tick(void)
{
	return now += MS / 10;
}

struct fab_thread thread(uint32_t tgid, uint32_t tid)
{
	return (struct fab_thread){.tgid = tgid, .tid = tid, .start_ns = tgid * 10ull};
}

struct fab_thread python(uint32_t id)
{
	struct fab_thread t = thread(10, 10);

	t.task = id ? CLEW_TASK(CLEW_TASK_PYTHON, id) : 0;
	return t;
}

struct fab_thread goroutine(uint32_t id)
{
	struct fab_thread t = thread(10, 10 + id);

	t.task = id ? CLEW_TASK(CLEW_TASK_GO, id) : 0;
	return t;
}

void wakes(const struct fab_thread *from, const struct fab_thread *to, uint64_t key)
{
	fab_handoff(c, from, to, CLEW_HANDOFF_FUTEX, key, tick());
}

void request(struct fab_exchange *f, uint64_t id, struct fab_thread *t)
{
	fab_init(f, id, CLEW_ROLE_SERVER, 1000 + id);
	fab_io(c, f, CLEW_PART_REQUEST, t, tick());
}

void answer(struct fab_exchange *f, struct fab_thread *t)
{
	fab_io(c, f, CLEW_PART_RESPONSE, t, tick());
	fab_end(c, f, 0);
}

void call(struct fab_exchange *f, uint64_t id, struct fab_thread *t)
{
	fab_init(f, id, CLEW_ROLE_CLIENT, 1000 + id);
	fab_io(c, f, CLEW_PART_REQUEST, t, tick());
}

void response(struct fab_exchange *f, struct fab_thread *t)
{
	t->nvcsw++;
	fab_io(c, f, CLEW_PART_RESPONSE, t, tick());
	fab_end(c, f, 0);
}

void eof(const struct fab_exchange *f, const struct fab_thread *t)
{
	struct {
		struct clew_rec_io io;
		uint64_t cnt[FAB_COUNTERS];
	} r = {.io = {.hdr = {sizeof(r), CLEW_REC_IO, CLEW_IO_EOF},
		      .begin_ns = now,
		      .end_ns = now,
		      .conn = f->conn.cookie,
		      .offset = f->rx,
		      .proc_start_ns = t->start_ns,
		      .tgid = t->tgid,
		      .tid = t->tid,
		      .hdr_bytes = sizeof(struct clew_rec_io),
		      .dir = CLEW_DIR_RX,
		      .n_counters = FAB_COUNTERS}};

	r.cnt[CLEW_CNT_NVCSW] = t->nvcsw;
	clew_causality_record(c, &r.io.hdr);
}

void warm_up(struct fab_thread *t, uint64_t first_id, uint32_t n)
{
	struct fab_exchange a, b, x, y;
	uint64_t id = first_id;

	for (uint32_t i = 0; i < n; i++) {
		request(&a, id++, t);
		call(&x, id++, t);
		request(&b, id++, t);
		call(&y, id++, t);
		response(&x, t);
		answer(&a, t);
		response(&y, t);
		answer(&b, t);
	}
}
