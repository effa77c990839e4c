/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Who woke whom, between threads of targets, and only where a system call of the waker says so.
 *
 * sched_waking fires for each wake of the host, so it leaves on the first load for all others.
 * Nearly all wakes of a busy server come from interrupts, where current is whoever was interrupted:
 * they must never count. The kernel's data symbols (preempt_count) may be missing, so interrupts are
 * told by what the two threads are doing: futex	the waker is in a futex call that wakes (or ends,
 * and wakes who joins it), and the wakee sleeps in a futex call on the same address. What remains is
 * a timer or signal that wakes a thread at the very moment at which an interrupted one is about to
 * wake it: the hand-off is true all the same. eventfd, pipe	the waker is inside a write to that
 * file. What remains is an interrupt within that write (a microsecond) which wakes another thread of
 * a target. A reader sees a hand-off beside the true one, in a service that just handed over;
 * causality asks more than one witness. Sockets are left out: their io records say it, and their
 * wakes mostly come from the softirq.
 */
#pragma once

#define NR_write       1
#define NR_writev      20
#define NR_exit	       60
#define NR_futex       202
#define NR_exit_group  231
#define NR_futex_waitv 449
#define NR_futex_wake  454
#define NR_futex_wait  455

#define S_IFIFO 0010000

struct handoff {
	__u64 key;
	__u16 kind;
};

/* The address on which the wakee sleeps, 0 if it does not sleep in a futex call. */
static __always_inline __u64 futex_slept_on(struct task_struct *p)
{
	struct pt_regs *regs;
	__u64 nr;

	if (p->flags & PF_IO_WORKER)
		return 0;
	regs = task_regs(p);
	nr = regs->orig_ax;
	return (nr == NR_futex || nr == NR_futex_wait) ? regs->di : 0;
}

static __always_inline bool handoff_futex(struct handoff *h, struct task_struct *cur,
					  struct pt_regs *regs, struct task_struct *p)
{
	__u64 nr = regs->orig_ax;
	__u64 slept = futex_slept_on(p);
	__u32 op = regs->si & 127;

	if (!slept)
		return false;
	h->kind = CLEW_HANDOFF_FUTEX;
	h->key = slept;
	if (nr == NR_exit || nr == NR_exit_group)
		return (__u64)cur->clear_child_tid == slept;
	if (nr == NR_futex_wake)
		return regs->di == slept;
	if (!clew_futex_wakes(op))
		return false;
	h->key = regs->di;
	if (regs->di == slept || p->tgid != cur->tgid)
		return true;
	/* WAKE_OP wakes on a second address too; one that was requeued still shows its first. */
	if (op == 5)
		return regs->r8 == slept;
	return op == 3 || op == 4;
}

static __always_inline bool handoff_file(struct handoff *h, struct task_struct *cur,
					 struct pt_regs *regs)
{
	struct files_struct *files = cur->files;
	struct fdtable *fdt;
	struct file *file;
	__u32 fd = regs->di;
	char name[10] = {};

	if (!files)
		return false;
	fdt = files->fdt;
	if (!fdt || fd >= fdt->max_fds)
		return false;
	file = view(struct file, view(struct list_head, (__u64)fdt->fd + (__u64)fd * 8)->next);
	if ((file->f_inode->i_mode & S_IFMT) == S_IFIFO) {
		h->kind = CLEW_HANDOFF_PIPE;
		h->key = file->f_inode->i_ino;
		return true;
	}
	/* Most of what a server writes to: its io records say it. */
	if ((file->f_inode->i_mode & S_IFMT) == S_IFSOCK)
		return false;
	/* Anonymous files share an inode: the name tells an eventfd, its id which one. */
	bpf_probe_read_kernel(name, 9, file->f_path.dentry->d_name.name);
	if (__builtin_memcmp(name, "[eventfd]", 9))
		return false;
	h->kind = CLEW_HANDOFF_EVENTFD;
	h->key = view(struct eventfd_ctx, file->private_data)->id;
	return true;
}

static __always_inline bool handoff_find(struct handoff *h, struct task_struct *cur,
					 struct task_struct *p)
{
	struct pt_regs *regs;
	__u64 nr;

	if (cur->flags & (PF_KTHREAD | PF_IO_WORKER))
		return false;
	regs = task_regs(cur);
	nr = regs->orig_ax;
	if (!regs_in_call(regs) || task_compat(cur, regs))
		return false;
	if (nr == NR_futex || nr == NR_futex_wake || nr == NR_exit || nr == NR_exit_group)
		return handoff_futex(h, cur, regs, p);
	if (nr == NR_write || nr == NR_writev)
		return handoff_file(h, cur, regs);
	return false;
}

SEC("tp_btf/sched_waking")
int BPF_PROG(on_waking, struct task_struct *p)
{
	struct clew_rec_handoff *r;
	struct task_struct *cur;
	struct handoff h = {};

	if (!p->bpf_storage)
		return 0;
	cur = bpf_get_current_task_btf();
	if (!cur->bpf_storage || cur->pid == p->pid || !handoff_find(&h, cur, p))
		return 0;
	if (!task_in_scope(cur) || !task_in_scope(p))
		return 0;
	heap_wake(cur, p);
	r = ring_reserve(sizeof(*r));
	if (!r) {
		thread_lost(cur);
		return 0;
	}
	r->hdr.type = CLEW_REC_HANDOFF;
	r->hdr.flags = 0;
	r->ts_ns = bpf_ktime_get_ns();
	r->key = h.key;
	r->from_task = 0;
	r->from_start_ns = cur->group_leader->start_time;
	r->to_start_ns = p->group_leader->start_time;
	r->from_tgid = cur->tgid;
	r->from_tid = cur->pid;
	r->to_tgid = p->tgid;
	r->to_tid = p->pid;
	r->hdr_bytes = sizeof(*r);
	r->kind = h.kind;
	r->age_us = 0;
	ring_commit(&r->hdr, sizeof(*r), sizeof(*r));
	return 0;
}
