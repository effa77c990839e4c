/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Scope: who is a target. Every hook asks here first.
 *
 * A thread is in scope when it has a state of ours. bpf_storage being NULL says cheaply that nobody
 * has storage there (0 to 3 ns for those who are not traced); not NULL only says that some tool
 * has, so it is confirmed by a look-up. States are made at fork (the parent is in scope), at exec
 * (a glob or namespace matches), by a walk, and when a process enters a target's cgroup.
 */
#pragma once

#define PF_EXITING   0x00000004
#define PF_IO_WORKER 0x00000010
#define PF_KTHREAD   0x00200000

static __always_inline bool task_in_scope(struct task_struct *t)
{
	struct clew_task_state *ts;

	if (!t->bpf_storage)
		return false;
	ts = bpf_task_storage_get(&task_state, t, 0, 0);
	return ts && ts->in_scope;
}

/* Returns whether t is in scope from now on and was not before. */
static __always_inline bool task_mark(struct task_struct *t)
{
	struct clew_task_state *ts;

	ts = bpf_task_storage_get(&task_state, t, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!ts) {
		count_loss(CLEW_LOSS_TASK_STATE);
		return false;
	}
	/* Two may meet here (a walk and a fork): one of them counts. */
	if (__sync_lock_test_and_set(&ts->in_scope, 1))
		return false;
	__sync_fetch_and_add(&alive, 1);
	return true;
}

static __always_inline void thread_lost(struct task_struct *t)
{
	struct clew_task_state *ts = bpf_task_storage_get(&task_state, t, 0, 0);

	if (ts)
		ts->lost++;
	__sync_fetch_and_add(&loss_gen, 1);
}

/* Is this cgroup, or one above it, a target? Hierarchies are at most 32 deep here. */
static __always_inline bool cgroup_wanted(struct cgroup *cg)
{
	struct cgroup_subsys_state *up;

	for (int i = 0; i < 32 && cg; i++) {
		__u64 id = cg->kn->id;

		if (bpf_map_lookup_elem(&cgroups, &id))
			return true;
		up = cg->self.parent;
		cg = up ? up->cgroup : NULL;
	}
	return false;
}

static __always_inline bool task_cgroup_wanted(struct task_struct *t)
{
	return opt_cgroups && cgroup_wanted(t->cgroups->dfl_cgrp);
}

static __always_inline __u32 task_netns(struct task_struct *t)
{
	struct nsproxy *ns = t->nsproxy;

	return ns ? ns->net_ns->ns.inum : 0;
}

static __always_inline bool task_netns_wanted(struct task_struct *t)
{
	__u32 inum;

	if (!opt_netns)
		return false;
	inum = task_netns(t);
	return bpf_map_lookup_elem(&netnss, &inum);
}
