/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Sockets: what kind, who opened it, where its bytes are in the stream; conn records.
 *
 * TCP offsets come from the sequence numbers, so both ends agree on them whenever either began to
 * look. Byte 0 is the initial sequence number + 1. At ESTABLISHED snd_una and rcv_nxt are just
 * that; a socket that was open before is taken back by its byte counters (bytes_acked counts an
 * active side's SYN). The other kinds have no sequence numbers: there both ends are set up at once,
 * when either is first seen, and count from then on.
 */
#pragma once

#define AF_UNIX	    1
#define AF_INET	    2
#define AF_INET6    10
#define SOCK_STREAM 1
#define PROTO_TCP   6
#define PROTO_MPTCP 262

#define RCV_SHUTDOWN 1

/* From <net/tcp_states.h> */
enum { ST_ESTABLISHED = 1, ST_SYN_SENT = 2, ST_CLOSE = 7, ST_CLOSE_WAIT = 8, ST_LISTEN = 10 };

/*
 * A socket's state, made if need be; NULL: no memory, counted. The kernel gives up when two CPUs attach
 * the first state of one socket at the same moment (-EAGAIN; seen once in 200 new unix connections, where either
 * end sets up both): whoever loses finds the winner's at the next try.
 */
static __always_inline struct clew_sock_state *sock_state_make(struct sock *sk)
{
	struct clew_sock_state *st = NULL;

	for (int i = 0; i < 3 && !st; i++)
		st = bpf_sk_storage_get(&sock_state, sk, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!st)
		count_loss(CLEW_LOSS_SOCK_STATE);
	return st;
}

static __always_inline __u8 sock_kind(struct sock *sk)
{
	__u16 family = sk->__sk_common.skc_family;

	if (sk->sk_type != SOCK_STREAM)
		return 0;
	if (family == AF_UNIX)
		return CLEW_KIND_UNIX;
	if (family != AF_INET && family != AF_INET6)
		return 0;
	/* Only now is there a tcp_sock behind it: Go listens with MPTCP. */
	if (sk->sk_protocol == PROTO_TCP)
		return CLEW_KIND_TCP;
	return sk->sk_protocol == PROTO_MPTCP ? CLEW_KIND_MPTCP : 0;
}

/*
 * Where the program's reading is in the stream. A FIN that was read takes a sequence number and is
 * not a byte: SOCK_DONE says that one came, copied_seq == rcv_nxt that it was read too.
 */
static __always_inline __u32 tcp_rx_low(struct tcp_sock *tp, struct sock *sk, __u32 seq0)
{
	bool fin = sk->__sk_common.skc_flags &
		   (1UL << bpf_core_enum_value(enum sock_flags, SOCK_DONE));
	__u32 copied;

	barrier(); /* a FIN that comes meanwhile was not read */
	copied = tp->copied_seq;
	return copied - seq0 - (fin && copied == tp->rcv_nxt);
}

static __always_inline __u64 tcp_rx_end(struct tcp_sock *tp, struct sock *sk, __u32 seq0)
{
	return clew_extend_offset(tcp_rx_low(tp, sk, seq0), tp->bytes_received);
}

static __always_inline __u64 tcp_tx_offset(struct tcp_sock *tp, __u32 seq0, __u32 n)
{
	return clew_extend_offset(tp->write_seq - n - seq0, tp->bytes_acked);
}

/* A connection that is joined in the middle: its first sequence numbers and who opened it. */
static __always_inline void tcp_adopt(struct clew_sock_state *st, struct tcp_sock *tp)
{
	__u32 snd_una = tp->snd_una;
	__u64 acked = tp->bytes_acked;
	int active =
		clew_tcp_active(acked, tp->bytes_sent, tp->bytes_retrans, tp->snd_nxt, snd_una);

	if (active < 0)
		active = st->role == CLEW_ROLE_CLIENT;
	else if (!st->role)
		st->role = active ? CLEW_ROLE_CLIENT : CLEW_ROLE_SERVER;
	st->tx_seq0 = snd_una - (__u32)acked + active;
	st->rx_seq0 = tp->rcv_nxt - (__u32)tp->bytes_received;
}

struct conn_rec {
	struct clew_rec_conn c;
	char path[112];
};

static __always_inline void conn_addresses(struct clew_rec_conn *c, struct sock *sk)
{
	__u16 family = sk->__sk_common.skc_family;

	c->family = family;
	__builtin_memset(c->laddr, 0, 32);
	c->lport = 0;
	c->rport = 0;
	if (family == AF_UNIX)
		return;
	/* skc_num is cleared before the last change of state. */
	c->lport = bpf_ntohs(view(struct inet_sock, sk)->inet_sport);
	c->rport = bpf_ntohs(sk->__sk_common.skc_dport);
	if (family == AF_INET) {
		c->laddr[10] = c->laddr[11] = c->raddr[10] = c->raddr[11] = 0xff;
		*(__u32 *)(c->laddr + 12) = sk->__sk_common.skc_rcv_saddr;
		*(__u32 *)(c->raddr + 12) = sk->__sk_common.skc_daddr;
	} else {
		for (int i = 0; i < 4; i++) {
			((__u32 *)c->laddr)[i] =
				sk->__sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[i];
			((__u32 *)c->raddr)[i] = sk->__sk_common.skc_v6_daddr.in6_u.u6_addr32[i];
		}
	}
}

/* What a conn record says beyond its socket's state. */
struct conn_why {
	__u64 peer;	      /* unix: cookie of the far end */
	__u64 path;	      /* unix: its unix_address, or 0 */
	__u64 task;	      /* connect: whose */
	__u64 tx_end, rx_end; /* closed: all that was written, all that was read */
	__u8 event;
};

/*
 * One conn record. t: the thread that did it, or NULL (an interrupt did).
 * Returns whether the ring took it.
 */
static __noinline bool conn_emit(struct sock *sk, struct clew_sock_state *st, struct task_struct *t,
				 const struct conn_why *why)
{
	__u32 bytes = why->path ? sizeof(struct conn_rec) : sizeof(struct clew_rec_conn);
	struct conn_rec *r = ring_reserve(bytes);
	struct clew_rec_conn *c;
	__u32 len = 0;

	if (!r)
		return false;
	c = &r->c;
	c->hdr.type = CLEW_REC_CONN;
	c->hdr.flags = 0;
	c->ts_ns = bpf_ktime_get_ns();
	c->conn = st->cookie;
	c->peer_conn = why->peer;
	c->tx_offset = why->tx_end ?: st->tx.next & ~CLEW_TOLD_ASTRAY;
	c->rx_offset = why->rx_end ?: st->rx.next & ~CLEW_TOLD_ASTRAY;
	c->task = why->task;
	c->tgid = t ? t->tgid : 0;
	c->tid = t ? t->pid : 0;
	c->proc_start_ns = t ? t->group_leader->start_time : 0;
	c->tx_seq0 = st->tx_seq0;
	c->rx_seq0 = st->rx_seq0;
	c->netns = sk->__sk_common.skc_net.net->ns.inum;
	c->lost = st->lost_total;
	c->hdr_bytes = sizeof(*c);
	c->event = why->event;
	c->role = st->role;
	c->pad = 0;
	conn_addresses(c, sk);
	if (why->path) {
		struct unix_address *path = view(struct unix_address, why->path);

		/* len counts the family in front of the path. */
		len = path->len - 2;
		barrier_var(len);
		if (len > 108 || bpf_probe_read_kernel(r->path, len, path->name[0].sun_path))
			len = 0;
	}
	/* A path in the file system is stored with its NUL. */
	if (len > 1 && len <= 108 && r->path[0] && !r->path[len - 1])
		len--;
	c->path_len = len;
	ring_commit(&c->hdr, (sizeof(*c) + len + 7) & ~7u, bytes);
	return true;
}

/* The far end of a unix connection is set up with this one; sets role, finds the path. */
static __always_inline struct unix_address *unix_setup(struct sock *sk, struct clew_sock_state *st,
						       __u64 *peer_cookie)
{
	struct unix_sock *us = bpf_skc_to_unix_sock(sk);
	struct clew_sock_state *far;
	struct unix_address *own, *theirs = NULL;
	struct sock *peer;

	if (!us)
		return NULL;
	own = us->addr;
	/*
	 * A stream socket's peer is set once, at connect, with a reference that is held until this
	 * socket is released, and we are inside an operation on it (or hold its file).
	 */
	peer = us->peer;
	if (peer) {
		theirs = view(struct unix_sock, peer)->addr;
		*peer_cookie = bpf_get_socket_cookie(peer);
		far = sock_state_make(peer);
		if (far && !far->kind) {
			far->kind = CLEW_KIND_UNIX;
			far->cookie = *peer_cookie;
		}
	}
	if (own && !theirs)
		st->role = CLEW_ROLE_SERVER;
	else if (theirs && !own)
		st->role = CLEW_ROLE_CLIENT;
	return own ? own : theirs;
}

/*
 * A socket that is seen for the first time after it was opened. n bytes of direction tx are just
 * moving and come after the record. Returns its state, or NULL.
 */
static __noinline struct clew_sock_state *sock_adopt(struct sock *sk, struct task_struct *t,
						     __u32 n, bool tx)
{
	struct clew_sock_state *st;
	struct conn_why why = {.event = CLEW_CONN_ADOPTED};

	st = sock_state_make(sk);
	if (!st)
		return NULL;
	st->flags &= ~(CLEW_SOCK_LISTENER | CLEW_SOCK_EOF);
	st->kind = sock_kind(sk);
	st->cookie = bpf_get_socket_cookie(sk);
	if (st->kind == CLEW_KIND_TCP) {
		struct tcp_sock *tp = view(struct tcp_sock, sk);

		tcp_adopt(st, tp);
		st->tx.next = tcp_tx_offset(tp, st->tx_seq0, tx ? n : 0);
		st->rx.next = tcp_rx_end(tp, sk, st->rx_seq0) - (tx ? 0 : n);
	} else if (st->kind == CLEW_KIND_UNIX) {
		why.path = (__u64)unix_setup(sk, st, &why.peer);
	}
	if (conn_emit(sk, st, t, &why))
		st->flags |= CLEW_SOCK_READY;
	return st;
}

static __always_inline bool conn_tell(struct sock *sk, struct clew_sock_state *st,
				      struct task_struct *t, __u8 event)
{
	struct conn_why why = {.event = event};

	return conn_emit(sk, st, t, &why);
}

/* TCP only, at a change of state. */
static __always_inline void conn_opened(struct sock *sk, struct clew_sock_state *st, __u8 event,
					__u8 role)
{
	struct tcp_sock *tp = view(struct tcp_sock, sk);
	__u32 active = role == CLEW_ROLE_CLIENT;

	st->flags = CLEW_SOCK_READY;
	st->kind = CLEW_KIND_TCP;
	st->role = role;
	st->cookie = bpf_get_socket_cookie(sk);
	st->tx_seq0 = tp->snd_una - (__u32)tp->bytes_acked + active;
	st->rx_seq0 = tp->rcv_nxt - (__u32)tp->bytes_received;
	st->tx.next = 0;
	st->rx.next = 0;
	st->run_dir = 0;
	st->begin_ns = 0;
	st->owner = 0;
	if (!conn_tell(sk, st, NULL, event))
		st->flags = 0; /* told as adopted, at the first operation */
}

/*
 * Listening begins: remember it, so that accepted sockets are born known. A process that is not a
 * target yet may become one by its port.
 */
static __always_inline int sock_listens(struct sock *sk)
{
	struct task_struct *cur = bpf_get_current_task_btf();
	struct clew_sock_state *st;
	__u16 port = sk->__sk_common.skc_num;
	__u32 tgid = cur->tgid;
	__u8 one = 1;

	if (!task_in_scope(cur)) {
		if (!opt_ports || cur->tgid == opt_self || !bpf_map_lookup_elem(&ports, &port))
			return 0;
		if (task_mark(cur))
			thread_emit(cur, CLEW_THREAD_SEEN, 0, 0);
		bpf_map_update_elem(&wanted, &tgid, &one, 0);
		__sync_fetch_and_add(&rescan, 1);
	}
	st = sock_state_make(sk);
	if (st)
		st->flags = CLEW_SOCK_LISTENER;
	return 0;
}

static __always_inline int sock_connects(struct sock *sk)
{
	struct task_struct *cur = bpf_get_current_task_btf();
	struct conn_why why = {.event = CLEW_CONN_CONNECT};
	struct clew_sock_state *st;

	if (!task_in_scope(cur))
		return 0;
	st = sock_state_make(sk);
	if (!st)
		return 0;
	__builtin_memset(st, 0, sizeof(*st));
	st->kind = CLEW_KIND_TCP;
	st->role = CLEW_ROLE_CLIENT;
	st->cookie = bpf_get_socket_cookie(sk);
	why.task = task_current(st, cur, 0, true);
	conn_emit(sk, st, cur, &why);
	return 0;
}

/*
 * The offsets of a closed record are the totals: all that was written, all that was read. What was told stays as it is:
 * the send that learns that the other side is gone is told after this.
 */
static __always_inline void conn_closed(struct sock *sk, struct clew_sock_state *st, int old)
{
	struct conn_why why = {.event = CLEW_CONN_CLOSED};
	struct tcp_sock *tp = view(struct tcp_sock, sk);

	if (st->flags & CLEW_SOCK_READY) {
		/* A FIN of ours took a sequence number, unless the connection was reset. */
		bool fin = old != ST_ESTABLISHED && old != ST_CLOSE_WAIT;
		__s64 unread;

		why.tx_end = tcp_tx_offset(tp, st->tx_seq0, fin);
		why.rx_end = tcp_rx_end(tp, sk, st->rx_seq0);
		unread = why.rx_end - (st->rx.next & ~CLEW_TOLD_ASTRAY);
		if (unread > 0 && unread < 1u << 30)
			lazy_wanted |= CLEW_LAZY_SPLICE;
	}
	conn_emit(sk, st, NULL, &why);
	if (st->chain)
		bpf_map_delete_elem(&go_conns, &st->cookie);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_state, struct sock *sk, int old, int new)
{
	struct clew_sock_state *st;

	if (sk->sk_protocol != PROTO_TCP)
		return 0;
	/* These two happen in the system call of the thread that asks: current is who it is. */
	if (new == ST_SYN_SENT)
		return sock_connects(sk);
	if (new == ST_LISTEN)
		return sock_listens(sk);
	if ((new != ST_ESTABLISHED &&new != ST_CLOSE) || !sk->sk_bpf_storage)
		return 0;
	/* From here on it may be an interrupt: only what the socket knows counts. */
	st = bpf_sk_storage_get(&sock_state, sk, 0, 0);
	if (!st)
		return 0;
	if (new == ST_ESTABLISHED) {
		if (old == ST_SYN_SENT)
			conn_opened(sk, st, CLEW_CONN_ESTABLISHED, CLEW_ROLE_CLIENT);
		else if (!(st->flags & CLEW_SOCK_READY))
			conn_opened(sk, st, CLEW_CONN_ACCEPTED, CLEW_ROLE_SERVER);
	} else if (old != ST_LISTEN && st->cookie) {
		conn_closed(sk, st, old);
	}
	return 0;
}
