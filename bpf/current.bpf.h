/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The task that an operation is done in: the runtime's current one, or the one that it works for.
 */
#pragma once

/*
 * What did the goroutine wait for last? Go keeps it when the wait is over (g.waitreason, 24 bytes behind
 * g.goid). The flag for the record.
 */
static __always_inline __u16 go_waited(struct clew_task_chain *c, __u64 g)
{
	__u8 why;

	if (!c->go_select || !g || bpf_probe_read_user(&why, 1, (void *)(g + c->id_off + 24)))
		return 0;
	if (why == c->go_select)
		return CLEW_IO_SELECTED;
	return why < 64 && (c->go_told >> why & 1) ? CLEW_IO_TOLD : 0;
}

/* Global for the verifier: looked at once, not in each of its callers' many states. */
__noinline __u64 task_of_chain(struct clew_sock_state *st, __u32 n, bool tx)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct clew_task_chain *c;
	__u64 task, at = 0;

	if (!st)
		return 0;
	st->waited = 0;
	st->heap = 0;
	c = chain_of(st, t);
	if (!c || (t->flags & PF_IO_WORKER) || !regs_in_call(task_regs(t)))
		return 0;
	task = chain_task_at(c, t, st->task, &at);
	if (task && c->kind == CLEW_TASK_GO) {
		if ((c->go_flags & CLEW_GO_CHANNELS) && st->role == CLEW_ROLE_SERVER)
			task_mark_as(t, task, TASK_SERVES);
		if (st->role == CLEW_ROLE_SERVER && tx)
			st->waited = go_waited(c, at);
		if (st->role == CLEW_ROLE_SERVER && !tx && n == 1)
			task = go_background_read(c, st->task, task, at);
		else if (st->role != CLEW_ROLE_SERVER && (c->go_flags & CLEW_GO_ROUND_TRIP))
			task = go_conn_task(t, st->cookie, task, tx);
	}
	if (c->kind == CLEW_TASK_PYTHON)
		task = python_task(st, c, t, task, n, tx);
	st->heap = c->heap.bytes && !task;
	st->task = task;
	return task;
}

/*
 * t, the current thread, connects (n is 0), or moves n bytes on this socket. 0: the thread stands for
 * itself.
 */
static __always_inline __u64 task_current(struct clew_sock_state *st, struct task_struct *t,
					  __u32 n, bool tx)
{
	if (!st->chain && st->chain_gen == chain_gen && st->chain_tgid == (__u32)t->tgid)
		return 0;
	return task_of_chain(st, n, tx);
}
