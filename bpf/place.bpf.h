/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Where an operation's bytes are in the stream. TCP says it (clew_place()); for the others we count.
 *
 * Bytes that nobody told of were sent or read by somebody who is between his call and its hook, or were spliced. In a
 * process of one thread they were spliced. Else they are waited for; and on_splice is attached, so that from
 * then on it was no splice.
 */
#pragma once

#define PLACE_TRIES  8
#define PLACE_SPLICE (1 << 30) /* more than that is not spliced between two operations */

/* As it was before 6.5. */
struct proto_ops___sendpage {
	void *sendpage;
} __attribute__((preserve_access_index));

/*
 * Not every byte of this direction is told: what is in the socket's queue is not what the program moves, or sendfile() has
 * no hook (before 6.5).
 */
static __always_inline bool place_untold(struct sock *sk, bool tx)
{
	return sent_changed(sk) ||
	       (tx && bpf_core_field_exists(struct proto_ops___sendpage, sendpage));
}

/* By the kernel's numbers, the low half of: all that was sent, all that was read. */
static __always_inline __u32 place_end(struct sock *sk, struct clew_sock_state *st, bool tx)
{
	struct tcp_sock *tp = view(struct tcp_sock, sk);

	return tx ? tp->write_seq - st->tx_seq0 : tcp_rx_low(tp, sk, st->rx_seq0);
}

static __always_inline __u64 place_end_full(struct sock *sk, struct clew_sock_state *st, bool tx)
{
	struct tcp_sock *tp = view(struct tcp_sock, sk);

	return tx ? tcp_tx_offset(tp, st->tx_seq0, 0) : tcp_rx_end(tp, sk, st->rx_seq0);
}

/* Nobody else of this process can be between a call and its hook. */
static __always_inline bool place_alone(struct task_struct *cur)
{
	return cur->signal->nr_threads == 1;
}

static __always_inline bool place_overdue(const struct clew_told *told, __u64 now)
{
	/* It may have begun after now. */
	return (__s64)(now - told->astray_ns) > (__s64)CLEW_ASTRAY_NS;
}

/* A place, with what is true of it. */
#define PLACE_ASTRAY  CLEW_TOLD_ASTRAY
#define PLACE_SPLICED (1ull << 62) /* the bytes between what was told and it were spliced */
#define PLACE_OFFSET  (PLACE_SPLICED - 1)

/* What a function that the verifier looks at once cannot be given by itself. */
struct place_ask {
	__u64 sk;
	__u32 n;
	bool tx;
};

/* While other threads' operations were not told yet. */
static __always_inline __u64 place_among(struct sock *sk, struct clew_sock_state *st, __u32 n,
					 bool tx)
{
	struct clew_told *f = tx ? &st->tx : &st->rx;
	__u64 now = bpf_ktime_get_ns(), told = 0, after = 0;
	bool known = false;

	for (int i = 0; i < PLACE_TRIES; i++) {
		told = *(volatile __u64 *)&f->next;
		barrier();
		known = clew_place(told, place_end(sk, st, tx), n,
				   (told & CLEW_TOLD_ASTRAY) && place_overdue(f, now), &after);
		/* Before others see the mark: with an older time it would be overdue at once. */
		if (after & ~told & CLEW_TOLD_ASTRAY)
			f->astray_ns = now;
		if (__sync_val_compare_and_swap(&f->next, told, after) == told)
			break;
		known = false;
	}
	if (!tx && (after & CLEW_TOLD_ASTRAY))
		lazy_wanted |= CLEW_LAZY_SPLICE;
	told &= PLACE_OFFSET;
	return known ? told : told | PLACE_ASTRAY;
}

/*
 * The place of an operation that is not just what was not told yet. Global for the verifier: looked at once.
 */
__noinline __u64 place_astray(struct clew_sock_state *st, struct place_ask *ask)
{
	struct clew_told *f;
	struct sock *sk;
	__u64 told, end;
	__u32 n;
	bool tx;

	if (!st || !ask)
		return 0;
	sk = view(struct sock, ask->sk);
	n = ask->n;
	tx = ask->tx;
	f = tx ? &st->tx : &st->rx;
	told = f->next & PLACE_OFFSET;
	if (place_untold(sk, tx) || (!tx && place_alone(bpf_get_current_task_btf()))) {
		end = place_end_full(sk, st, tx);
		f->next = end;
		end -= n;
		if (!tx && end > told && end - told < PLACE_SPLICE)
			return end | PLACE_SPLICED;
		return end;
	}
	if (n)
		return place_among(sk, st, n, tx);
	/* No byte comes behind the end, whoever tells it. */
	return clew_extend_offset(place_end(sk, st, tx), told);
}

/* Where its n bytes are, and what is true of that. *ret_told: where what was told ended. */
static __always_inline __u64 place_tcp(struct sock *sk, struct clew_sock_state *st, __u32 n,
				       bool tx, __u64 *ret_told)
{
	struct clew_told *f = tx ? &st->tx : &st->rx;
	__u64 told = *(volatile __u64 *)&f->next, after;

	barrier(); /* what all have moved is read after what all have told */
	*ret_told = told & PLACE_OFFSET;
	if (likely(clew_place(told, place_end(sk, st, tx), n, false, &after) &&
		   __sync_val_compare_and_swap(&f->next, told, after) == told))
		return told;
	return place_astray(st, &(struct place_ask){.sk = (__u64)sk, .n = n, .tx = tx});
}
