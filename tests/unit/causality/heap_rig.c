/* SPDX-License-Identifier: Apache-2.0 */
#include "heap_rig.h"

uint64_t server_room, top;
uint32_t collections;

void tell(const struct fab_thread *t, uint64_t id, uint64_t room, uint64_t used,
	  const struct word *words, uint16_t n)
{
	struct {
		struct clew_rec_heap h;
		uint64_t object[8];
	} r = {.h = {.hdr = {sizeof(r.h) + n * 8u, CLEW_REC_HEAP, 0},
		     .ts_ns = now,
		     .conn = id ? 1000 + id : 0,
		     .proc_start_ns = t->start_ns,
		     .room_start = room,
		     .room_top = used,
		     .room_end = room + (ROOM_END - ROOM),
		     .tgid = t->tgid,
		     .tid = t->tid,
		     .collections = collections,
		     .hdr_bytes = sizeof(r.h),
		     .n_objects = n}};

	for (uint16_t i = 0; i < n; i++)
		r.object[i] = words[i].addr | (uint64_t)words[i].slot << 48;
	clew_causality_record(c, &r.h.hdr);
}

void tell_room(const struct fab_thread *t, uint64_t room, uint64_t used)
{
	tell(t, 0, room, used, NULL, 0);
}

uint64_t take(struct fab_exchange *f, uint64_t id, struct fab_thread *server)
{
	tell(server, id, server_room, top, NULL, 0);
	request(f, id, server);
	top += 256;
	return top - 128;
}

uint64_t room_of(const struct fab_thread *t)
{
	return ROOM * t->tid;
}

void call_with(struct fab_exchange *f, uint64_t id, struct fab_thread *t,
	       const struct word *words, uint16_t n)
{
	tell(t, id, room_of(t), room_of(t) + 64, words, n);
	call(f, id, t);
}

void answer_with(struct fab_exchange *f, struct fab_thread *t, const struct word *words,
		 uint16_t n)
{
	tell(t, f->x.id, room_of(t), room_of(t) + 64, words, n);
	answer(f, t);
}

void keep(struct fab_exchange *f, struct fab_thread *server)
{
	tell(server, f->x.id, server_room, top, NULL, 0);
	answer(f, server);
}

uint64_t learn(uint64_t id, uint32_t n, struct fab_thread *server, struct fab_thread *worker,
	       uint64_t itself)
{
	struct fab_exchange a, x;

	for (uint32_t i = 0; i < n; i++, id += 2) {
		struct word w[] = {{ITSELF, itself}, {TASK, take(&a, id, server)}};

		call_with(&x, id + 1, worker, w, 2);
		response(&x, worker);
		answer_with(&a, worker, w, 2);
	}
	return id;
}

void begin(uint32_t without)
{
	start(&(struct clew_causality_opts){.without = without});
	server_room = top = ROOM;
	collections = 7;
}

void finish(void)
{
	now += 10 * SEC;
	clew_causality_advance(c, now);
	stop();
}
