/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fabricated exchanges and operations, as the stream layer would report them.
 */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "causality/causality.h"

#define FAB_COUNTERS (CLEW_CNT_NVCSW + 1)

struct fab_thread {
	uint32_t tgid, tid;
	uint64_t start_ns, task;
	uint64_t nvcsw, runq_ns;
	bool no_counters;
	uint16_t flags; /* of its records */
	uint16_t lost;	/* records of it lost before the next one */
};

struct fab_exchange {
	struct clew_exchange x;
	struct clew_conn conn;
	uint64_t rx, tx; /* offsets */
};

static inline void fab_init(struct fab_exchange *f, uint64_t id, enum clew_role role,
			    uint64_t cookie)
{
	memset(f, 0, sizeof(*f));
	f->x.id = id;
	f->x.role = role;
	f->x.conn = &f->conn;
	f->x.proto = CLEW_PROTO_HTTP1;
	f->conn.cookie = cookie;
	f->conn.role = role;
}

static inline void fab_connect(struct clew_causality *c, struct fab_exchange *f,
			       const struct fab_thread *t, uint64_t ns)
{
	f->conn.connector = (struct clew_thread_ref){t->start_ns, t->task, t->tgid, t->tid};
	f->conn.connect_ns = ns;
	f->x.began_by_connect = true;
	clew_causality_connect(c, &f->conn);
}

static inline void fab_io(struct clew_causality *c, struct fab_exchange *f, enum clew_part part,
			  struct fab_thread *t, uint64_t ns)
{
	bool tx = (f->x.role == CLEW_ROLE_CLIENT) == (part == CLEW_PART_REQUEST);
	struct clew_message *m = part == CLEW_PART_REQUEST ? &f->x.req : &f->x.resp;
	bool first = !m->seen;
	struct {
		struct clew_rec_io io;
		uint64_t cnt[FAB_COUNTERS];
	} r = {.io = {.hdr = {sizeof(r), CLEW_REC_IO, t->flags},
		      .begin_ns = ns,
		      .end_ns = ns + 1000,
		      .conn = f->conn.cookie,
		      .offset = tx ? f->tx : f->rx,
		      .task = t->task,
		      .proc_start_ns = t->start_ns,
		      .tgid = t->tgid,
		      .tid = t->tid,
		      .bytes = 100,
		      .hdr_bytes = sizeof(struct clew_rec_io),
		      .dir = tx ? CLEW_DIR_TX : CLEW_DIR_RX,
		      .n_counters = FAB_COUNTERS,
		      .lost_thread = t->lost}};

	r.cnt[CLEW_CNT_NVCSW] = t->nvcsw;
	r.cnt[CLEW_CNT_RUNQ_NS] = t->runq_ns;
	if (t->no_counters) {
		r.io.n_counters = 0;
		r.io.hdr.len = sizeof(r.io);
	}
	t->lost = 0;
	*(tx ? &f->tx : &f->rx) += 100;
	m->seen = true;
	if (first)
		m->first_ns = ns + 1000;
	m->last_ns = ns + 1000;
	if (first && part == CLEW_PART_REQUEST)
		clew_causality_begin(c, &f->x);
	clew_causality_io(c, &f->x, part, first, &r.io);
}

static inline void fab_end(struct clew_causality *c, struct fab_exchange *f, uint32_t incomplete)
{
	f->x.incomplete = incomplete;
	clew_causality_end(c, &f->x);
}

static inline void fab_thread_event(struct clew_causality *c, enum clew_thread_event event,
				    const struct fab_thread *t, uint32_t ptgid, uint32_t ptid,
				    uint64_t ns)
{
	struct clew_rec_thread r = {.hdr = {sizeof(r), CLEW_REC_THREAD, 0},
				    .ts_ns = ns,
				    .proc_start_ns = t->start_ns,
				    .tgid = t->tgid,
				    .tid = t->tid,
				    .ptgid = ptgid,
				    .ptid = ptid,
				    .hdr_bytes = sizeof(r),
				    .event = event};

	clew_causality_record(c, &r.hdr);
}

/* What tells at ns of two tasks, on the threads that have them; the key is the task told of. */
static inline struct clew_rec_handoff fab_handoff_record(const struct fab_thread *from,
							 const struct fab_thread *to,
							 enum clew_handoff_kind kind, uint64_t ns)
{
	return (struct clew_rec_handoff){
		.hdr = {sizeof(struct clew_rec_handoff), CLEW_REC_HANDOFF, 0},
		.ts_ns = ns,
		.key = to->task,
		.from_task = from->task,
		.from_start_ns = from->start_ns,
		.to_start_ns = to->start_ns,
		.from_tgid = from->tgid,
		.from_tid = from->tid,
		.to_tgid = to->tgid,
		.to_tid = to->tid,
		.hdr_bytes = sizeof(struct clew_rec_handoff),
		.kind = kind};
}

static inline void fab_handoff(struct clew_causality *c, const struct fab_thread *from,
			       const struct fab_thread *to, enum clew_handoff_kind kind,
			       uint64_t key, uint64_t ns)
{
	struct clew_rec_handoff h = fab_handoff_record(from, to, kind, ns);

	h.key = key;
	if (kind != CLEW_HANDOFF_TASK)
		h.from_task = 0;
	clew_causality_record(c, &h.hdr);
}
