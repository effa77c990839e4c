/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Work that Java threads hand over, told by our agent in the JVM (agents/java): it calls two empty native
 * methods, whose arguments behind JNIEnv and class are tasks as in records.
 */
#pragma once

/* The current task began this one, or gave it its work. */
SEC("uprobe")
int on_java_handed(struct pt_regs *regs)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct clew_task_chain *c;
	__u64 to = regs->dx;
	__u32 slot = 0;

	if (!to || !task_in_scope(t))
		return 0;
	c = chain_by_tgid(t, &slot);
	if (!c || c->state != CLEW_CHAIN_TRUSTED)
		return 0;
	tell_task(chain_task(c, t), to);
	return 0;
}

/* One task gave work to another, neither of which need be the current one. */
SEC("uprobe")
int on_java_joined(struct pt_regs *regs)
{
	struct task_struct *t = bpf_get_current_task_btf();
	__u64 from = regs->dx, to = regs->cx;

	if (!from || !to || !task_in_scope(t))
		return 0;
	tell_task(from, to);
	return 0;
}
