/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Payload: where an operation's bytes are, and the copy of their first ones.
 *
 * What a TCP send holds is read from the socket's queue (sent.bpf.h). Else payload is read from the caller's memory,
 * with the arguments in its registers, and only when three things hold: the thread is still inside a system call of the
 * right kind (regs_in_call(), so not io_uring's work at the end of one), that call's descriptor is this very socket (so
 * not a kernel service that uses a socket of its own inside somebody's write(2)), and the call is a native one.
 * Everything else is a byte count.
 */
#pragma once

struct user_iov {
	__u64 base;
	__u64 len;
};

/* Where an operation's bytes are: in the caller's memory, or in the socket's queue. */
struct io_source {
	struct user_iov first;
	__u64 iovs;    /* the caller's array of them */
	__u64 sent;    /* where in the kernel's memory; 0: they are the caller's */
	__u64 sent_in; /* ... of which buffer */
	__u64 sk;
	__u32 n;	/* all bytes of the operation */
	__u32 end;	/* sequence number behind its last one */
	__u32 sent_seq; /* of the buffer */
	__u32 want;	/* 0: nothing to capture */
	__u16 flags;	/* for the record */
	__u8 n_iovs;	/* 0: the first one holds it all */
};

/* Where the caller's iovecs begin; returns 0, or an error after which nothing is captured. */
static __always_inline int source_iovs(struct io_source *s, __u64 array, __u64 count)
{
	int err = count ? bpf_probe_read_user(&s->first, sizeof(s->first), (void *)array) : 0;

	s->iovs = array;
	if (s->first.len < s->want)
		s->n_iovs = count > CLEW_MAX_IOV ? CLEW_MAX_IOV : count;
	return err;
}

/*
 * A send's bytes in the socket's queue. A kernel service's socket has no file: it is a byte count, as below.
 */
static __always_inline bool source_sent(struct io_source *s, struct sock *sk)
{
	struct socket *socket = sk->sk_socket;

	if (!sent_pages.shift || !socket || !socket->file)
		return false;
	s->sent = sent_find(sk, s->end, s->n, s->want, &s->sent_in);
	if (!s->sent)
		return false;
	s->sent_seq = sent_seq(s->sent_in);
	return true;
}

static __noinline int source_msg(struct io_source *s, __u64 msg)
{
	struct user_iov at = {}; /* msg_iov, msg_iovlen: 16 bytes into a msghdr */
	int err;

	if (!s)
		return -1;
	err = bpf_probe_read_user(&at, sizeof(at), (void *)(msg + 16));
	return err ? err : source_iovs(s, at.base, at.len);
}

/* In the caller's memory, with the arguments in its registers. */
static __always_inline void source_user(struct io_source *s, struct task_struct *cur,
					struct pt_regs *regs, enum clew_call call, struct sock *sk)
{
	int err = 0;

	if (!clew_call_has_one(call) || !regs_in_call(regs) || task_compat(cur, regs) ||
	    !fd_is_sock(cur, regs->di, sk)) {
		s->flags |= CLEW_IO_NOCAP;
		s->want = 0;
		return;
	}
	if (call == CLEW_CALL_BUF) {
		s->first.base = regs->si;
		return;
	}
	if (call == CLEW_CALL_MSG)
		err = source_msg(s, regs->si);
	else
		err = source_iovs(s, regs->si, regs->dx);
	if (err) {
		count_loss(CLEW_LOSS_PAYLOAD);
		s->flags |= CLEW_IO_NOCAP;
		s->want = 0;
	}
}

/* The same for a send, where it is rare. Global for the verifier: looked at once. */
__noinline int source_caller(struct io_source *s)
{
	struct task_struct *cur = bpf_get_current_task_btf();
	struct pt_regs *regs = task_regs(cur);

	if (s)
		source_user(s, cur, regs, clew_classify(regs->orig_ax, true),
			    view(struct sock, s->sk));
	return 0;
}

static __always_inline void source_find(struct io_source *s, struct task_struct *cur,
					struct sock *sk, bool tcp, bool tx)
{
	struct pt_regs *regs;
	enum clew_call call;

	if (cur->flags & PF_IO_WORKER) {
		s->flags |= CLEW_IO_URING;
		s->want = 0;
		return;
	}
	regs = task_regs(cur);
	call = clew_classify(regs->orig_ax, tx);
	if (call == CLEW_CALL_SPLICE)
		s->flags |= CLEW_IO_SPLICED;
	else if (call == CLEW_CALL_URING || !regs_in_call(regs))
		s->flags |= CLEW_IO_URING;
	if (!s->want)
		return;
	if (!tx) {
		source_user(s, cur, regs, call, sk);
		return;
	}
	s->sk = (__u64)sk;
	if (!tcp || s->flags || !clew_call_has_one(call) || !source_sent(s, sk))
		source_caller(s);
}

/* Copy the wanted bytes to p. Returns how many were copied; what was not is zero. */
static __always_inline __u32 source_copy(struct io_source *s, __u8 *p)
{
	__u32 n = s->want;

	barrier_var(n); /* the bound must follow the last change of n */
	if (n > opt_payload)
		n = opt_payload;
	if (bpf_probe_read_user(p, n, (void *)s->first.base))
		return 0;
	return n;
}

/* Of several pieces, which is rare: their array is not on the stack of all else, which is short before Linux 6.13. */
static __noinline __u32 source_gather(struct io_source *s, __u8 *p)
{
	struct user_iov iov[CLEW_MAX_IOV] = {};
	__u32 at = 0, size = s->n_iovs * sizeof(*iov);

	barrier_var(size); /* the bound must follow the last change of size */
	if (size > sizeof(iov) || bpf_probe_read_user(iov, size, (void *)s->iovs))
		return 0;
	for (int i = 0; i < CLEW_MAX_IOV; i++) {
		__u64 n = iov[i].len;
		__u32 left = s->want - at;

		if (n > left)
			n = left;
		barrier_var(n);
		barrier_var(at);
		if (at >= opt_payload || at >= s->want)
			break;
		if (n > opt_payload)
			n = opt_payload;
		if (n && bpf_probe_read_user(p + at, n, (void *)iov[i].base))
			break;
		at += n;
	}
	return at;
}

/* From the socket's queue. What went away meanwhile is not there: 0. */
static __always_inline __u32 source_copy_sent(struct io_source *s, struct sock *sk, __u8 *p)
{
	__u32 n = s->want;

	barrier_var(n); /* the bound must follow the last change of n */
	if (n > opt_payload)
		n = opt_payload;
	if (bpf_probe_read_kernel(p, n, (void *)s->sent) ||
	    !sent_stayed(sk, s->end, s->n, s->sent_in, s->sent_seq))
		return 0;
	return n;
}

static __always_inline __u32 source_take(struct io_source *s, struct sock *sk, __u8 *p)
{
	__u32 n = 0;

	if (s->sent) {
		n = source_copy_sent(s, sk, p);
		if (!n)
			source_caller(s); /* confirmed and freed too soon */
	}
	if (n || !s->want)
		return n;
	return s->n_iovs ? source_gather(s, p) : source_copy(s, p);
}
