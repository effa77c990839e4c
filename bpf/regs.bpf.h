/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The system call that a thread is in, from the registers that it entered the kernel with. The only
 * file that knows the machine: x86-64.
 */
#pragma once

#define TS_COMPAT    2
#define X32_SYSCALL  0x40000000
#define S_IFMT	     0170000
#define S_IFSOCK     0140000
#define NOT_RETURNED -38 /* ax holds -ENOSYS from the entry until the call's result replaces it */

/*
 * A thread's user registers lie at the same distance from its stack's base as any other's. A walk
 * measures that distance with the helper, which would cost 18 ns each time.
 */
static __always_inline struct pt_regs *task_regs(struct task_struct *t)
{
	if (!regs_offset)
		return (struct pt_regs *)bpf_task_pt_regs(t);
	return view(struct pt_regs, (__u64)t->stack + regs_offset);
}

static __always_inline bool task_compat(struct task_struct *t, struct pt_regs *regs)
{
	return (t->thread_info.status & TS_COMPAT) || (regs->orig_ax & X32_SYSCALL);
}

/*
 * Is t inside the call that its registers show? Not at its end any more, where work queued by
 * io_uring runs under the registers of whatever call that was.
 */
static __always_inline bool regs_in_call(struct pt_regs *regs)
{
	return (long)regs->ax == NOT_RETURNED;
}

/* Does descriptor fd of thread t lead to this socket? */
static __always_inline bool fd_is_sock(struct task_struct *t, __u32 fd, struct sock *sk)
{
	struct files_struct *files = t->files;
	struct socket *socket = sk->sk_socket;
	struct fdtable *fdt;
	__u64 cell;

	if (!files || !socket)
		return false;
	fdt = files->fdt;
	if (!fdt || fd >= fdt->max_fds)
		return false;
	cell = (__u64)fdt->fd + (__u64)fd * 8;
	/* Any struct whose first member is a pointer will do to read one. */
	cell = (__u64)view(struct list_head, cell)->next;
	return cell && cell == (__u64)socket->file;
}

/* The cookie of the socket behind descriptor fd of the current thread t; 0: there is none. */
static __always_inline __u64 fd_cookie(struct task_struct *t, __u64 fd)
{
	struct files_struct *files = t->files;
	struct fdtable *fdt;
	struct file *file;
	struct socket *socket;

	if (!files)
		return 0;
	fdt = files->fdt;
	if (!fdt || fd >= fdt->max_fds)
		return 0;
	file = view(struct file, view(struct list_head, (__u64)fdt->fd + fd * 8)->next);
	if ((file->f_inode->i_mode & S_IFMT) != S_IFSOCK)
		return 0;
	socket = view(struct socket, file->private_data);
	return view(struct sock, socket->sk)->__sk_common.skc_cookie.counter;
}
