/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Operations that moved bytes.
 *
 *	sock_send_length, sock_recv_length	read, write, *v, send*, recv*, *mmsg (each message),
 *						sendfile and splice into a socket (6.5: each chunk),
 *						io_uring
 *	tcp_rcv_space_adjust			splice out of a TCP socket, which fires neither
 *	tcp_sendmsg_locked (6.16)		only notes when a long send began
 *
 * The last two cost all others a little, so they are attached when a target first needs them.
 * Splice out of a unix socket has no hook: it is not seen.
 */
#pragma once

#define MSG_OOB	     1
#define MSG_PEEK     2
#define MSG_TRUNC    0x20
#define MSG_ERRQUEUE 0x2000

#define N_COUNTERS 6

struct io_rec {
	struct clew_rec_io io;
	__u64 counters[N_COUNTERS];
	__u8 payload[];
};

#define IO_HEAD ((__u32)sizeof(struct io_rec))

/* An io record's size with n bytes of payload. */
static __always_inline __u32 io_bytes(__u32 n)
{
	return (IO_HEAD + n + 7) & ~7u;
}

static __always_inline void io_fill(struct io_rec *r, struct task_struct *cur, __u64 now)
{
	struct clew_rec_io *io = &r->io;

	io->hdr.type = CLEW_REC_IO;
	io->end_ns = now;
	io->proc_start_ns = cur->group_leader->start_time;
	io->tgid = cur->tgid;
	io->tid = cur->pid;
	io->hdr_bytes = sizeof(*io);
	io->n_counters = N_COUNTERS;
	r->counters[CLEW_CNT_CPU_NS] = task_cpu_ns(cur, now);
	r->counters[CLEW_CNT_RUNQ_NS] =
		bpf_core_field_exists(cur->sched_info.run_delay) ? cur->sched_info.run_delay : 0;
	r->counters[CLEW_CNT_MIN_FLT] = cur->min_flt;
	r->counters[CLEW_CNT_MAJ_FLT] = cur->maj_flt;
	r->counters[CLEW_CNT_NVCSW] = cur->nvcsw;
	r->counters[CLEW_CNT_NIVCSW] = cur->nivcsw;
}

static __always_inline __u16 saturate16(__u32 n)
{
	return n > 0xffff ? 0xffff : n;
}

/* What was lost before this record is told with it. */
static __always_inline void io_losses(struct clew_rec_io *io, struct clew_sock_state *st,
				      struct task_struct *who, bool owner_changed)
{
	__u32 gen = loss_gen;

	io->lost_conn = 0;
	io->lost_thread = 0;
	if (st->lost) {
		io->lost_conn = saturate16(st->lost);
		st->lost = 0;
	}
	if (owner_changed || st->loss_seen != gen) {
		struct clew_task_state *ts =
			gen ? bpf_task_storage_get(&task_state, who, 0, 0) : NULL;

		if (ts && ts->lost) {
			io->lost_thread = saturate16(ts->lost);
			ts->lost = 0;
		}
		st->loss_seen = gen;
	}
}

/* One operation, as the helpers below pass it on. */
struct io_op {
	__u64 offset;
	__u64 task;
	__u32 n, cap;
	__u32 reserved; /* bytes of the ring */
	__u16 flags;
	bool tx;
	bool changed; /* another thread used the socket last */
};

static __always_inline void io_finish(struct io_rec *r, struct clew_sock_state *st,
				      struct task_struct *cur, struct task_struct *who,
				      struct io_op *op)
{
	__u64 now = bpf_ktime_get_ns();

	io_fill(r, cur, now);
	r->io.task = op->task;
	r->io.begin_ns = now;
	if (op->tx && st->begin_ns) {
		r->io.begin_ns = st->begin_ns;
		st->begin_ns = 0;
	} else {
		op->flags |= CLEW_IO_BEGIN_BOUND;
	}
	r->io.hdr.flags = op->flags;
	r->io.conn = st->cookie;
	r->io.offset = op->offset;
	r->io.bytes = op->n;
	r->io.cap_len = op->cap;
	r->io.dir = op->tx;
	io_losses(&r->io, st, who, op->changed);
	ring_commit(&r->io.hdr, io_bytes(op->cap), op->reserved);
}

static __always_inline void io_lost(struct clew_sock_state *st, struct task_struct *who)
{
	st->lost++;
	st->lost_total++;
	thread_lost(who);
}

/* How many bytes of this operation are wanted; marks the first of a run. */
static __always_inline __u32 io_want(struct clew_sock_state *st, struct io_op *op)
{
	struct clew_run run = {.left = st->run_left, .dir = st->run_dir};
	bool new_run;
	__u32 want = clew_run_take(&run, op->tx, op->n, opt_payload, &new_run);

	st->run_left = run.left;
	st->run_dir = run.dir;
	if (new_run)
		op->flags |= CLEW_IO_NEWRUN;
	return op->flags & CLEW_IO_TRUNC ? 0 : want;
}

/* The operation of a thread in scope on a socket that is set up: one record. */
static __always_inline int io_record(struct sock *sk, struct clew_sock_state *st,
				     struct task_struct *cur, struct task_struct *who,
				     struct io_op *op)
{
	/* The last bytes of the socket's queue need not be an astray send's. */
	struct io_source s = {.flags = op->flags & CLEW_IO_ASTRAY};
	struct io_rec *r;
	__u32 cap = 0;

	if (op->n) {
		s.want = io_want(st, op);
		s.n = op->n;
		s.end = st->tx_seq0 + (__u32)op->offset + op->n;
		source_find(&s, cur, sk, st->kind == CLEW_KIND_TCP, op->tx);
	}
	/* First, as it may tell about the task. */
	if (who == cur && !(s.flags & CLEW_IO_URING))
		op->task = task_current(st, cur, op->n, op->tx);
	if (st->heap && (op->flags & CLEW_IO_NEWRUN) && who == cur && !(s.flags & CLEW_IO_URING))
		heap_tell(st, op->tx);
	op->reserved = io_bytes(s.want);
	r = ring_reserve(op->reserved);
	if (!r) {
		io_lost(st, who);
		return 0;
	}
	if (s.want)
		cap = source_take(&s, sk, r->payload);
	if (unlikely(cap < s.want)) {
		count_loss(CLEW_LOSS_PAYLOAD);
		s.flags |= CLEW_IO_NOCAP;
	}
	op->flags |= s.flags;
	if (op->tx && op->task)
		op->flags |= st->waited;
	op->cap = cap;
	io_finish(r, st, cur, who, op);
	return 0;
}

/*
 * Bytes that left a TCP socket without sock_recv_length, which is what splice does. They are told
 * as soon as they are noticed: by the hook below once it is attached, else at this thread's next
 * operation on the socket, so that counts and order are right from the first one.
 */
__noinline int io_spliced(struct clew_sock_state *st, __u64 offset, __u32 n)
{
	struct io_op op = {.offset = offset, .n = n, .reserved = IO_HEAD, .flags = CLEW_IO_SPLICED};
	struct task_struct *cur = bpf_get_current_task_btf();
	struct io_rec *r;

	if (!st)
		return 0;
	if (io_want(st, &op))
		op.flags |= CLEW_IO_NOCAP;
	st->reader = cur->pid;
	op.task = task_current(st, cur, n, false);
	r = ring_reserve(IO_HEAD);
	if (!r) {
		io_lost(st, cur);
		return 0;
	}
	io_finish(r, st, cur, cur, &op);
	return 0;
}

static __always_inline void io_tell_spliced(struct clew_sock_state *st, __u64 from, __u32 n)
{
	lazy_wanted |= CLEW_LAZY_SPLICE;
	io_spliced(st, from, n);
}

static __always_inline void io_place(struct sock *sk, struct clew_sock_state *st,
				     struct task_struct *cur, struct io_op *op)
{
	__u64 place, told;
	__u32 read;

	if (st->kind != CLEW_KIND_TCP) {
		op->offset = __sync_fetch_and_add(op->tx ? &st->tx.next : &st->rx.next, op->n);
		return;
	}
	place = place_tcp(sk, st, op->n, op->tx, &told);
	op->offset = place & PLACE_OFFSET;
	if (unlikely(place & PLACE_ASTRAY))
		op->flags |= CLEW_IO_ASTRAY;
	if (!op->tx) {
		if (unlikely(place & PLACE_SPLICED))
			io_tell_spliced(st, told, op->offset - told);
		st->reader = cur->pid;
		return;
	}
	if (op->n > CLEW_LONG_SEND)
		lazy_wanted |= CLEW_LAZY_BEGIN;
	if (st->begin_ns && st->begin_seq + op->n != view(struct tcp_sock, sk)->write_seq)
		st->begin_ns = 0;
	/* What it spliced before comes first. */
	if (!place_alone(cur))
		return;
	told = st->rx.next & PLACE_OFFSET; /* whoever made a mark has ended */
	read = place_end(sk, st, false) - (__u32)told;
	if (unlikely(read && read < PLACE_SPLICE)) {
		st->rx.next = told + read;
		io_tell_spliced(st, told, read);
	}
}

/*
 * Who acts here: current, or the process for which an io_uring worker acts (those are born without
 * a fork event). NULL: nobody has storage there, so it is no target.
 */
static __always_inline struct task_struct *io_actor(struct task_struct *cur)
{
	if (cur->bpf_storage)
		return cur;
	if (!(cur->flags & PF_IO_WORKER) || !cur->group_leader->bpf_storage)
		return NULL;
	return cur->group_leader;
}

static __always_inline int io_hook(struct sock *sk, __u32 n, __u16 flags, bool tx)
{
	struct task_struct *cur = bpf_get_current_task_btf();
	struct task_struct *who = io_actor(cur);
	struct io_op op = {.n = n, .flags = flags, .tx = tx};
	struct clew_sock_state *st = NULL;

	if (!who || !sock_kind(sk))
		return 0;
	if (sk->sk_bpf_storage)
		st = bpf_sk_storage_get(&sock_state, sk, 0, 0);
	/* The same thread as last time needs no second look: 42 ns saved. */
	if (!st || !(st->flags & CLEW_SOCK_READY) || st->owner != (__u64)cur ||
	    st->owner_start != cur->start_time) {
		struct clew_task_state *ts = bpf_task_storage_get(&task_state, who, 0, 0);

		if (!ts || !ts->in_scope)
			return 0;
		if (!st || !(st->flags & CLEW_SOCK_READY)) {
			st = sock_adopt(sk, cur, n, tx);
			if (!st)
				return 0;
		}
		st->owner = (__u64)cur;
		st->owner_start = cur->start_time;
		op.changed = true;
	}
	if (flags & CLEW_IO_EOF) {
		if (st->flags & CLEW_SOCK_EOF)
			return 0;
		st->flags |= CLEW_SOCK_EOF;
	}
	io_place(sk, st, cur, &op);
	return io_record(sk, st, cur, who, &op);
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(on_send, struct sock *sk, int ret, int flags)
{
	if (ret <= 0)
		return 0;
	return io_hook(sk, ret, 0, true);
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(on_recv, struct sock *sk, int ret, int flags)
{
	__u16 f = 0;

	/* A peek consumes nothing, the error queue and urgent bytes are not of the stream. */
	if (ret < 0 || (flags & (MSG_PEEK | MSG_ERRQUEUE | MSG_OOB)))
		return 0;
	if (!ret) {
		/* Else a read of nothing. */
		if (!(sk->sk_shutdown & RCV_SHUTDOWN))
			return 0;
		f = CLEW_IO_EOF;
	} else if ((flags & MSG_TRUNC) && sk->__sk_common.skc_family != AF_UNIX) {
		f = CLEW_IO_TRUNC;
	}
	return io_hook(sk, ret, f, false);
}

/* Attached when a target was seen to splice: then with the right time. */
SEC("tp_btf/tcp_rcv_space_adjust")
int BPF_PROG(on_splice, struct sock *sk)
{
	struct clew_sock_state *st;
	struct task_struct *cur;
	__u64 told, end;
	bool astray;

	if (!sk->sk_bpf_storage || sk->sk_protocol != PROTO_TCP)
		return 0;
	cur = bpf_get_current_task_btf();
	if ((cur->flags & (PF_KTHREAD | PF_IO_WORKER)) ||
	    clew_classify(task_regs(cur)->orig_ax, false) != CLEW_CALL_SPLICE ||
	    !task_in_scope(cur))
		return 0;
	st = bpf_sk_storage_get(&sock_state, sk, 0, 0);
	if (!st || !(st->flags & CLEW_SOCK_READY))
		return 0;
	told = st->rx.next;
	end = place_end_full(sk, st, false);
	astray = told & CLEW_TOLD_ASTRAY;
	/* Which of the bytes that were not told are these? If nobody tells, all. */
	if (astray && !place_alone(cur) && !place_overdue(&st->rx, bpf_ktime_get_ns()))
		return 0;
	told &= PLACE_OFFSET;
	st->rx.next = end;
	end -= told;
	if ((__s64)end > 0 && end < PLACE_SPLICE)
		io_spliced(st, told, end);
	return 0;
}

/*
 * Attached when a target sent much at once: when a long send began. Fires for each chunk: the first
 * counts, unless what is noted is left over from a call that failed (then nothing was added since).
 */
SEC("tp_btf/tcp_sendmsg_locked")
int BPF_PROG(on_send_begin, struct sock *sk, struct msghdr *msg)
{
	struct clew_sock_state *st;
	__u32 seq;

	if (!sk->sk_bpf_storage || msg->msg_iter.count <= CLEW_LONG_SEND)
		return 0;
	st = bpf_sk_storage_get(&sock_state, sk, 0, 0);
	if (!st || st->owner != (__u64)bpf_get_current_task_btf())
		return 0;
	seq = view(struct tcp_sock, sk)->write_seq;
	if (st->begin_ns && st->begin_seq != seq)
		return 0;
	st->begin_seq = seq;
	st->begin_ns = bpf_ktime_get_ns();
	return 0;
}
