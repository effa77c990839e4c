/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Which objects a Java thread works with, and where it makes its own.
 *
 *	fsbase ─► JavaThread ─► its room (a TLAB): [start, top) used, [top, end) free
 *	       └─ stack:  end │ C frames │ Thread.run() │ the pool's frames │ the task's ...
 *	                          skip     └────────── HEAP_WINDOW words ─────────┘
 *
 * A pool's thread keeps what it works on in its oldest Java frames as long as it runs. Any aligned word
 * that points into the heap is told; what of it means something is found out in user space.
 *
 * While the collector works nothing is told, and a collection between the first and the last read drops
 * what was read: then objects were moving.
 *
 * Who makes many objects between two operations fills rooms that no operation tells of. So where one thread wakes
 * another, the rooms of both are told, if they are new: of who gave work, and of who slept since it had.
 */
#pragma once

#define HEAP_WINDOW 256 /* words that are looked at */
#define HEAP_TOLD   32	/* a power of two */

struct heap_scratch {
	__u64 word[HEAP_WINDOW];
	__u64 found[HEAP_TOLD];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct heap_scratch);
} heap_scratches SEC(".maps");

struct heap_rec {
	struct clew_rec_heap h;
	__u64 object[HEAP_TOLD];
};

/* 1 if x is 0, else 0: what has no branch the verifier need not follow twice. */
static __always_inline __u64 heap_is_0(__u64 x)
{
	barrier_var(x);
	return ~(x | -x) >> 63;
}

/* The objects that the oldest frames name; how many. */
static __always_inline __u32 heap_objects(const struct clew_heap *h, struct heap_scratch *s)
{
	struct task_struct *t = bpf_get_current_task_btf();
	__u64 end = t->thread.fsbase, start = h->start, bytes = h->bytes, last = 0, n = 0;
	__u64 skip = h->skip;

	barrier_var(end); /* one load of the pointer would be refused */
	end += h->stack - skip * 8;
	if (bpf_probe_read_user(s->word, sizeof(s->word), (void *)(end - sizeof(s->word))))
		return 0;
	for (__u32 i = 0; i < HEAP_WINDOW; i++) {
		__u64 w = s->word[HEAP_WINDOW - 1 - i], at = w - start, told;

		/* Both are less than 2^63 where w may be an address. */
		told = ((at - bytes) & ~at) >> 63 & heap_is_0(w & 7) & ~heap_is_0(w ^ last) &
		       (n - (HEAP_TOLD - 1)) >> 63;
		barrier_var(told);
		s->found[n & (HEAP_TOLD - 1)] = w | (i + 1 + skip) << 48;
		last ^= (last ^ w) & -told;
		n += told;
		barrier_var(n);
	}
	return n;
}

static __always_inline bool heap_gc(const struct clew_heap *h, __u32 *ret_count)
{
	__u8 window[64];

	if (bpf_probe_read_user(window, sizeof(window), (void *)h->gc))
		return false;
	*ret_count = *(__u32 *)&window[h->gc_count & 60];
	return !window[h->gc_active & 63];
}

/* The room of a thread of the current process, and how many collections there were; false: objects are being moved. */
static __always_inline bool heap_room(struct clew_task_chain *c, struct task_struct *t,
				      __u64 *window, __u32 *ret_count)
{
	__u64 at = t->thread.fsbase;

	barrier_var(at); /* one load of the pointer would be refused */
	return heap_gc(&c->heap, ret_count) && read_word(c, &at, at + c->heap.thread) && at &&
	       !bpf_probe_read_user(window, 64, (void *)(at + c->heap.room));
}

static __always_inline void heap_fill(struct clew_rec_heap *r, const struct clew_heap *h,
				      struct task_struct *t, const __u64 *window, __u32 count)
{
	r->hdr.type = CLEW_REC_HEAP;
	r->hdr.flags = 0;
	r->ts_ns = bpf_ktime_get_ns();
	r->proc_start_ns = t->group_leader->start_time;
	r->room_start = window[(h->room_start >> 3) & 7];
	r->room_top = window[(h->room_top >> 3) & 7];
	r->room_end = window[(h->room_end >> 3) & 7];
	r->tgid = t->tgid;
	r->tid = t->pid;
	r->collections = count;
	r->hdr_bytes = sizeof(*r);
}

/* The room of t, which is the current thread or sleeps, if it was not told of here. */
static __noinline int heap_tell_room(struct clew_task_chain *c, struct task_struct *t)
{
	struct clew_task_state *ts = bpf_task_storage_get(&task_state, t, 0, 0);
	struct clew_rec_heap *r;
	__u64 window[8], room;
	__u32 count = 0;

	if (!c || !ts || !heap_room(c, t, window, &count))
		return 0;
	room = window[(c->heap.room_start >> 3) & 7];
	if (!room)
		return 0;
	room |= (__u64)count << 48;
	if (ts->room == room)
		return 0;
	r = ring_reserve(sizeof(*r));
	if (!r) {
		thread_lost(t);
		return 0;
	}
	ts->room = room;
	heap_fill(r, &c->heap, t, window, count);
	r->conn = 0;
	r->n_objects = 0;
	ring_commit(&r->hdr, sizeof(*r), sizeof(*r));
	return 0;
}

/* cur, the current thread, wakes p, which sleeps. */
static __always_inline void heap_wake(struct task_struct *cur, struct task_struct *p)
{
	struct clew_task_chain *c;
	__u32 slot = 0;

	if (!chain_gen || cur->tgid != p->tgid)
		return;
	c = chain_by_tgid(cur, &slot);
	if (!c || !c->state || !c->heap.bytes)
		return;
	heap_tell_room(c, cur);
	heap_tell_room(c, p);
}

/* Global for the verifier: looked at once. words: the stack too. */
__noinline int heap_tell(struct clew_sock_state *st, bool tx)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct heap_scratch *s;
	struct clew_task_chain *c;
	__u64 window[8];
	__u32 zero = 0, n = 0, count = 0, after = 0;
	struct heap_rec *r;

	if (!st)
		return 0;
	/* What a client's connection brings begins no work; who answers what it read is known. */
	if (!tx && st->role == CLEW_ROLE_CLIENT)
		return 0;
	if (tx && st->role == CLEW_ROLE_SERVER && st->reader == (__u32)t->pid)
		tx = false;
	c = chain_of(st, t);
	s = bpf_map_lookup_elem(&heap_scratches, &zero);
	if (!c || !s)
		return 0;
	if (!heap_room(c, t, window, &count))
		return 0;
	if (tx) {
		n = heap_objects(&c->heap, s);
		if (!heap_gc(&c->heap, &after) || after != count)
			return 0;
	}
	r = ring_reserve(sizeof(*r));
	if (!r) {
		thread_lost(t);
		return 0;
	}
	heap_fill(&r->h, &c->heap, t, window, count);
	r->h.conn = st->cookie;
	r->h.n_objects = n;
	n *= 8;
	barrier_var(n); /* the bound must follow the last change of n */
	if (n > sizeof(s->found))
		n = sizeof(s->found);
	bpf_probe_read_kernel(r->object, n, s->found);
	ring_commit(&r->h.hdr, sizeof(r->h) + n, sizeof(*r));
	return 0;
}
