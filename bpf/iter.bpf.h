/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Walks over what already runs. The loader runs them at the start, and again when rescan went up.
 */
#pragma once

/*
 * Linux 6.12's verifier takes no difference of this pointer and a number: the pointer is read, as a
 * number, from where it is stored.
 */
static __always_inline void measure_regs(struct task_struct *t)
{
	void *regs = (void *)bpf_task_pt_regs(t);
	__u64 at = 0;

	if (!bpf_probe_read_kernel(&at, sizeof(at), &regs))
		regs_offset = at - (__u64)t->stack;
}

/*
 * Marks the wanted and the children of the marked. Run until walk_marked stays 0: a parent may come
 * after its child. Also measures where user registers lie, and counts who is alive.
 */
SEC("iter/task")
int walk_tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *t = ctx->task;
	struct task_struct *parent;
	__u32 tgid;

	if (!t || (t->flags & (PF_KTHREAD | PF_EXITING)))
		return 0;
	if (!regs_offset)
		measure_regs(t);
	if (task_in_scope(t)) {
		walk_alive++;
		return 0;
	}
	tgid = t->tgid;
	if (t->tgid == opt_self || (t->flags & PF_IO_WORKER))
		return 0;
	parent = t->real_parent;
	if (!opt_all && !bpf_map_lookup_elem(&wanted, &tgid) && !task_in_scope(parent) &&
	    !task_in_scope(t->group_leader) && !task_cgroup_wanted(t) && !task_netns_wanted(t))
		return 0;
	if (!task_mark(t))
		return 0;
	walk_marked++;
	walk_alive++;
	thread_emit(t, CLEW_THREAD_SEEN, 0, 0);
	return 0;
}

/* Who listens on a wanted port is wanted. */
SEC("iter/task_file")
int walk_ports(struct bpf_iter__task_file *ctx)
{
	struct task_struct *t = ctx->task;
	struct file *file = ctx->file;
	struct socket *socket;
	struct sock *sk;
	__u32 tgid;
	__u16 port;
	__u8 one = 1;

	if (!t || !file)
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = socket->sk;
	if (!sk || sk->sk_type != SOCK_STREAM || sk->__sk_common.skc_state != ST_LISTEN)
		return 0;
	if (sk->__sk_common.skc_family != AF_INET && sk->__sk_common.skc_family != AF_INET6)
		return 0;
	port = sk->__sk_common.skc_num;
	tgid = t->tgid;
	if (t->tgid != opt_self && bpf_map_lookup_elem(&ports, &port))
		bpf_map_update_elem(&wanted, &tgid, &one, 0);
	return 0;
}

/* The sockets of targets: listeners hand scope down, open connections are adopted. */
SEC("iter/task_file")
int walk_sockets(struct bpf_iter__task_file *ctx)
{
	struct task_struct *t = ctx->task;
	struct file *file = ctx->file;
	struct clew_sock_state *st;
	struct socket *socket;
	struct sock *sk;
	__u8 state, kind;

	if (!t || !file || !task_in_scope(t))
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = socket->sk;
	if (!sk)
		return 0;
	kind = sock_kind(sk);
	state = sk->__sk_common.skc_state;
	if (!kind)
		return 0;
	if (state == ST_LISTEN) {
		if (kind == CLEW_KIND_UNIX)
			return 0;
		st = sock_state_make(sk);
		if (st)
			st->flags = CLEW_SOCK_LISTENER;
		return 0;
	}
	if (state != ST_ESTABLISHED && state != ST_CLOSE_WAIT)
		return 0;
	st = bpf_sk_storage_get(&sock_state, sk, 0, 0);
	if (!st || !(st->flags & CLEW_SOCK_READY))
		sock_adopt(sk, t, 0, false);
	return 0;
}
