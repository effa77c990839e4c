/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The task that an operation is done in: the runtime's current one, or the one that it works for.
 */
#pragma once

/* Global for the verifier: looked at once, not in each of its callers' many states. */
__noinline __u64 task_of_chain(struct clew_sock_state *st, __u32 n, bool tx)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct clew_task_chain *c;
	__u64 task, at = 0;

	if (!st)
		return 0;
	c = chain_of(st, t);
	if (!c || (t->flags & PF_IO_WORKER) || !regs_in_call(task_regs(t)))
		return 0;
	task = chain_task_at(c, t, st->task, &at);
	if (task && c->kind == CLEW_TASK_GO) {
		if ((c->go_flags & CLEW_GO_CHANNELS) && st->role == CLEW_ROLE_SERVER)
			task_mark_as(t, task, TASK_SERVES);
		if (st->role == CLEW_ROLE_SERVER && !tx && n == 1)
			task = go_background_read(c, st->task, task, at);
		else if (st->role != CLEW_ROLE_SERVER && (c->go_flags & CLEW_GO_ROUND_TRIP))
			task = go_conn_task(t, st->cookie, task, tx);
	}
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
