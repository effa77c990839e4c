/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Who copied which context in CPython: a hand-off from the context that is entered to its copy, in which
 * a task (or asyncio.to_thread's function) will run. Contexts are freed and their addresses used again;
 * such a record is also the beginning of a new life of the address, so it is told from the
 * thread's base context (task 0) too.
 */
#pragma once

SEC("uretprobe")
int on_python_copy(struct pt_regs *regs)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct clew_task_chain *c;
	__u64 copy = regs->ax;
	__u32 slot = 0;

	if (!copy || !task_in_scope(t))
		return 0;
	c = chain_by_tgid(t, &slot);
	if (!c || c->state != CLEW_CHAIN_TRUSTED || c->kind != CLEW_TASK_PYTHON)
		return 0;
	tell_task(chain_task(c, t), CLEW_TASK(CLEW_TASK_PYTHON, copy));
	return 0;
}
