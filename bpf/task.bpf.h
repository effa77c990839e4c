/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Threads: fork, exec, exit; scope is handed down here.
 */
#pragma once

static __always_inline __u32 task_nspid(struct task_struct *t)
{
	struct pid *pid = t->group_leader->thread_pid;
	__u32 level;

	if (!pid)
		return 0;
	level = pid->level;
	if (level > 32) /* the kernel's limit of nested pid namespaces */
		return 0;
	return view(struct upid, (__u64)&pid->numbers + level * bpf_core_type_size(struct upid))
		->nr;
}

static __always_inline __u32 task_pidns(struct task_struct *t)
{
	struct pid *pid = t->group_leader->thread_pid;
	__u32 level;

	if (!pid)
		return 0;
	level = pid->level;
	if (level > 32)
		return 0;
	return view(struct upid, (__u64)&pid->numbers + level * bpf_core_type_size(struct upid))
		->ns->ns.inum;
}

static __always_inline void thread_fill(struct clew_rec_thread *r, struct task_struct *t,
					__u16 event)
{
	struct nsproxy *ns = t->nsproxy;
	struct task_struct *leader = t->group_leader;

	r->hdr.type = CLEW_REC_THREAD;
	r->hdr.flags = 0;
	r->ts_ns = bpf_ktime_get_ns();
	r->start_ns = t->start_time;
	r->proc_start_ns = leader->start_time;
	r->cgroup = t->cgroups->dfl_cgrp->kn->id;
	r->tgid = t->tgid;
	r->tid = t->pid;
	r->ptgid = t->real_parent->tgid;
	r->ptid = 0;
	r->nspid = task_nspid(t);
	r->pidns = task_pidns(t);
	r->netns = ns ? ns->net_ns->ns.inum : 0;
	r->mntns = ns ? view(struct mnt_namespace, ns->mnt_ns)->ns.inum : 0;
	r->uid = t->real_cred->uid.val;
	r->exit_code = event == CLEW_THREAD_EXIT ? t->exit_code : 0;
	r->hdr_bytes = sizeof(*r);
	r->event = event;
	r->tail_len = 0;
	bpf_probe_read_kernel(r->comm, sizeof(r->comm), t->comm);
}

static __noinline int thread_emit(struct task_struct *t, __u16 event, __u32 ptgid, __u32 ptid)
{
	struct clew_rec_thread *r;

	ring_count_thread(false);
	r = ring_reserve(sizeof(*r));
	if (!r) {
		thread_lost(t);
	} else {
		thread_fill(r, t, event);
		if (ptid) {
			r->ptgid = ptgid;
			r->ptid = ptid;
		}
		ring_commit(&r->hdr, sizeof(*r), sizeof(*r));
	}
	ring_count_thread(true);
	return 0;
}

struct exec_rec {
	struct clew_rec_thread t;
	char tail[CLEW_MAX_PATH + CLEW_MAX_ARGS + 8];
};
_Static_assert(sizeof(struct exec_rec) == CLEW_RING_FIXED, "the longest fixed record");

/* The file name as exec was given it, then the arguments from the new image's stack. */
static __always_inline void exec_fill(struct exec_rec *r, struct task_struct *t,
				      struct linux_binprm *bprm)
{
	struct mm_struct *mm = t->mm;
	__u64 start, n;
	long len;

	thread_fill(&r->t, t, CLEW_THREAD_EXEC);
	len = bpf_probe_read_kernel_str(r->tail, CLEW_MAX_PATH, bprm->filename);
	if (len < 1 || len > CLEW_MAX_PATH) {
		r->tail[0] = 0;
		len = 1;
	}
	if (mm) {
		start = mm->arg_start;
		n = mm->arg_end - start;
		barrier_var(n); /* the bound must follow the last change of n */
		if (n > CLEW_MAX_ARGS)
			n = CLEW_MAX_ARGS;
		if (n && !bpf_probe_read_user(r->tail + len, n, (void *)start))
			len += n;
	}
	r->t.tail_len = len;
	ring_commit(&r->t.hdr, (sizeof(r->t) + len + 7) & ~7u, sizeof(*r));
}

static __noinline int exec_emit(struct task_struct *t, struct linux_binprm *bprm)
{
	struct exec_rec *r;

	ring_count_thread(false);
	r = ring_reserve(sizeof(*r));
	if (r)
		exec_fill(r, t, bprm);
	else
		thread_lost(t);
	ring_count_thread(true);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	if (!task_in_scope(parent)) {
		if (!opt_all && !opt_cgroups)
			return 0;
		if ((child->flags & PF_KTHREAD) || child->tgid == opt_self ||
		    parent->tgid == opt_self)
			return 0;
		if (!opt_all && !task_cgroup_wanted(child))
			return 0;
	}
	if (task_mark(child))
		thread_emit(child, CLEW_THREAD_FORK, parent->tgid, parent->pid);
	return 0;
}

/*
 * Matching an exec against the globs. The state lives in a map value, not on the stack, so that the
 * verifier takes it for unknown and is done with a loop after two rounds. It is not shared: a
 * program is never entered again on a CPU where it runs (the kernel counts a miss instead).
 */
struct exec_match {
	struct clew_glob_run run;
	__u32 glob;	/* which one is tried */
	__u32 start;	/* of the text in texts */
	__u32 path_len; /* as exec was given it, at 0 */
	__u32 base;	/* where its last component begins */
	__u32 file_len; /* last component of what it led to (python3 -> python3.11), at
			   CLEW_MAX_PATH */
	char texts[2 * CLEW_MAX_PATH];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct exec_match);
} exec_matches SEC(".maps");

static int glob_try_step(__u32 i, void *unused)
{
	__u32 zero = 0, which;
	struct exec_match *m = bpf_map_lookup_elem(&exec_matches, &zero);
	struct clew_glob *glob;

	if (!m)
		return 1;
	which = m->glob;
	glob = bpf_map_lookup_elem(&globs, &which);
	if (!glob)
		return 1;
	return clew_glob_step(&m->run, glob->pattern[m->run.p & (CLEW_MAX_GLOB - 1)],
			      m->texts[(m->start + m->run.t) & (2 * CLEW_MAX_PATH - 1)]) != 0;
}

static __always_inline bool glob_try(struct exec_match *m, struct clew_glob *glob, __u32 start,
				     __u32 len)
{
	__builtin_memset(&m->run, 0, sizeof(m->run));
	m->run.p_len = glob->len;
	m->run.t_len = len;
	m->start = start;
	bpf_loop(CLEW_GLOB_STEPS, glob_try_step, NULL, 0);
	return m->run.matched != 0;
}

static int exec_try_glob(__u32 i, void *unused)
{
	__u32 zero = 0;
	struct exec_match *m = bpf_map_lookup_elem(&exec_matches, &zero);
	struct clew_glob *glob = bpf_map_lookup_elem(&globs, &i);

	if (!glob || !m)
		return 1;
	m->glob = i;
	if (glob->has_slash)
		return glob_try(m, glob, 0, m->path_len);
	return glob_try(m, glob, m->base, m->path_len - m->base) ||
	       glob_try(m, glob, CLEW_MAX_PATH, m->file_len);
}

static int exec_find_base(__u32 i, void *unused)
{
	__u32 zero = 0;
	struct exec_match *m = bpf_map_lookup_elem(&exec_matches, &zero);

	if (!m || i >= m->path_len)
		return 1;
	if (m->texts[i & (CLEW_MAX_PATH - 1)] == '/')
		m->base = i + 1;
	return 0;
}

static __noinline int exec_wanted(struct linux_binprm *bprm)
{
	__u32 zero = 0;
	struct exec_match *m = bpf_map_lookup_elem(&exec_matches, &zero);
	long len;

	if (!m)
		return 0;
	m->base = 0;
	m->run.matched = 0;
	len = bpf_probe_read_kernel_str(m->texts, CLEW_MAX_PATH, bprm->filename);
	m->path_len = len > 0 ? len - 1 : 0;
	len = bpf_probe_read_kernel_str(m->texts + CLEW_MAX_PATH, CLEW_MAX_PATH,
					bprm->file->f_path.dentry->d_name.name);
	m->file_len = len > 0 ? len - 1 : 0;
	bpf_loop(CLEW_MAX_PATH, exec_find_base, NULL, 0);
	bpf_loop(opt_globs, exec_try_glob, NULL, 0);
	return m->run.matched != 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *p, __u32 old_pid, struct linux_binprm *bprm)
{
	if (!task_in_scope(p)) {
		if (p->tgid == opt_self)
			return 0;
		if (!(opt_globs && exec_wanted(bprm)) && !task_netns_wanted(p))
			return 0;
		task_mark(p);
	}
	exec_emit(p, bprm);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *p)
{
	struct clew_task_state *ts;

	if (!p->bpf_storage)
		return 0;
	ts = bpf_task_storage_get(&task_state, p, 0, 0);
	if (!ts || !__sync_lock_test_and_set(&ts->in_scope, 0))
		return 0;
	__sync_fetch_and_add(&alive, -1);
	thread_emit(p, CLEW_THREAD_EXIT, 0, 0);
	return 0;
}

/* A process enters a cgroup. Only its leader is named: a walk marks its other threads. */
SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(on_cgroup_attach, struct cgroup *dst, const char *path, struct task_struct *t)
{
	__u32 tgid = t->tgid;
	__u8 one = 1;

	if (!opt_cgroups || t->tgid == opt_self || (t->flags & PF_KTHREAD) || !cgroup_wanted(dst))
		return 0;
	if (task_mark(t))
		thread_emit(t, CLEW_THREAD_SEEN, 0, 0);
	bpf_map_update_elem(&wanted, &tgid, &one, 0);
	__sync_fetch_and_add(&rescan, 1);
	return 0;
}
