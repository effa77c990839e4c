/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * tokio (Rust): which task begins which, and which wakes which (--tokio-wakers).
 *
 *	waker's data ─► task header:  state, queue_next, vtable ─► seven functions,
 *	                                                           trailer_offset, scheduler_offset, id_offset
 *	                header + id_offset: the task's id
 *
 * A waker's functions get the header; who wakes is the task that the thread polls. What a thread wakes
 * that polls none (the I/O driver, timers) is nobody's work. Where the three offsets do not stand to each
 * other as they have to, it is another layout, and nothing is told; nor is it before ids found so were seen
 * to be those of tasks that are polled.
 *
 * Who is woken by a semaphore, a lock or a notification was not given work: the caller's address tells.
 *
 * Source: tokio 1.54.1, src/runtime/task/{waker,core,raw}.rs.
 */
#pragma once

#define TOKIO_VTABLE	   16
#define TOKIO_VTABLE_WORDS 10
#define TOKIO_TRAILER	   7
#define TOKIO_SCHEDULER	   8
#define TOKIO_ID	   9
#define TOKIO_HEADER_MIN   32
#define TOKIO_MATCHES	   16
#define TOKIO_CORE_GAP	   128 /* scheduler and padding, between its offset and the id's */

/* Wake-ups whose task was not where it should be: not told. */
__u64 tokio_wakes_unknown;

static __always_inline struct clew_task_chain *tokio_chain(struct task_struct *t)
{
	__u32 slot;
	struct clew_task_chain *c = chain_by_tgid(t, &slot);

	return c && c->state && c->kind == CLEW_TASK_TOKIO ? c : NULL;
}

/* The id of the task with this header; 0: not known. */
__noinline __u64 tokio_task_id(struct clew_task_chain *c, __u64 header)
{
	__u64 v[TOKIO_VTABLE_WORDS], at, id;

	if (!c || !read_word(c, &at, header + TOKIO_VTABLE))
		return 0;
	if (bpf_probe_read_user(v, sizeof(v), (void *)at)) {
		c->n_faults++;
		return 0;
	}
	if (v[TOKIO_SCHEDULER] < TOKIO_HEADER_MIN || v[TOKIO_ID] <= v[TOKIO_SCHEDULER] ||
	    v[TOKIO_ID] - v[TOKIO_SCHEDULER] > TOKIO_CORE_GAP || v[TOKIO_TRAILER] <= v[TOKIO_ID] ||
	    v[TOKIO_TRAILER] >> 32 || !read_word(c, &id, header + v[TOKIO_ID]))
		return 0;
	return id && id <= c->max_id ? id : 0;
}

/* Does the function that called pass on locks or permits? */
static __always_inline bool tokio_is_lock(struct clew_task_chain *c, __u64 sp)
{
	__u64 back;

	if (!read_word(c, &back, sp))
		return true;
	for (__u32 i = 0; i < CLEW_TOKIO_LOCKS; i++)
		if (back - c->tokio.lock[i].from < c->tokio.lock[i].size)
			return true;
	return false;
}

/* The self-test: ids behind wakers have to be those of tasks that are polled soon after. */
static __always_inline void tokio_learn(struct clew_task_chain *c, __u64 polled, __u64 woken)
{
	__u32 n = c->tokio.n_woken;

	for (__u32 i = 0; i < CLEW_CHAIN_SAMPLES; i++) {
		if (c->tokio.woken[i] != polled)
			continue;
		c->tokio.woken[i] = 0;
		c->tokio.matched++;
	}
	c->tokio.woken[n & (CLEW_CHAIN_SAMPLES - 1)] = woken;
	c->tokio.n_woken = n + 1;
}

/* Waker's wake and wake_by_ref: DI is the header of the task that is woken. */
SEC("uprobe")
int on_tokio_wake(struct pt_regs *ctx)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct clew_task_chain *c = tokio_chain(t);
	__u64 id, flags, from, at = 0;

	if (!c || !c->tokio.on)
		return 0;
	from = chain_walk(c, &at);
	if (!from)
		return 0;
	id = tokio_task_id(c, ctx->di);
	if (!id) {
		__sync_fetch_and_add(&tokio_wakes_unknown, 1);
		return 0;
	}
	if (id == from)
		return 0;
	if (c->tokio.matched < TOKIO_MATCHES) {
		tokio_learn(c, from, id);
		return 0;
	}
	if (c->state != CLEW_CHAIN_TRUSTED)
		return 0;
	flags = tokio_is_lock(c, ctx->sp) ? CLEW_HANDOFF_LOCK : 0;
	tell_kind(CLEW_HANDOFF_WOKEN, CLEW_TASK(CLEW_TASK_TOKIO, from),
		  CLEW_TASK(CLEW_TASK_TOKIO, id), flags);
	return 0;
}

/* task::Id::next() has made the id of a task that the current one begins. */
SEC("uretprobe")
int on_tokio_new(struct pt_regs *ctx)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct clew_task_chain *c = tokio_chain(t);
	__u64 from, id = ctx->ax, at = 0;

	if (!c || c->state != CLEW_CHAIN_TRUSTED || !id || id > c->max_id ||
	    (c->tokio.on && c->tokio.matched < TOKIO_MATCHES))
		return 0;
	from = chain_walk(c, &at);
	if (from)
		tell_task(CLEW_TASK(CLEW_TASK_TOKIO, from), CLEW_TASK(CLEW_TASK_TOKIO, id));
	return 0;
}
