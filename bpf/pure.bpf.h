/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The reasoning of the BPF side that needs no kernel: it also compiles natively, where
 * tests/unit/capture runs it.
 */
#pragma once

#ifndef __bpf__
#include <linux/types.h>
#include <stdbool.h>
#include <stdint.h>
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

/*
 * A TCP stream's 64-bit offset. Exact in its low half (a sequence number minus that of byte 0),
 * near (within 2 GiB) in full: the counters that give the high half are read without the socket's
 * lock and may be a few segments old.
 */
static __always_inline __u64 clew_extend_offset(__u32 low, __u64 near)
{
	return near + (__u64)(__s64)(__s32)(low - (__u32)near);
}

/*
 * Where an operation's bytes stand. The kernel tells of a send or a receive after it let go of the socket, and another
 * thread may have moved more before the first one's is told: so the last bytes of the stream need not be its own.
 *
 *	byte 0 ─── all of this was told ──► told ─── moved, not told ──► end (low half)
 *
 * If what is not told yet is just as long as this operation, it is this one: whoever tells has moved his bytes, and
 * nobody tells twice. Else others have and did not tell yet, and from then on until all have, nobody's place is known:
 * told is marked so long. overdue: that has lasted; somebody moves bytes who never tells.
 * *ret_told: afterwards. Returns whether the operation's place is known: it is told.
 */
#define CLEW_TOLD_ASTRAY (1ull << 63)

static __always_inline bool clew_place(__u64 told, __u32 end, __u32 n, bool overdue,
				       __u64 *ret_told)
{
	__u64 after = (told & ~CLEW_TOLD_ASTRAY) + n;
	__s32 more = end - (__u32)after;

	if (more > 0 && !overdue)
		after |= CLEW_TOLD_ASTRAY;
	else
		after += more;
	*ret_told = after;
	return !more && !(told & CLEW_TOLD_ASTRAY);
}

/*
 * Who opened this TCP connection, told from its counters. bytes_acked counts the SYN of the side
 * that sent one on this socket, which is the active one; sent - retransmitted - in flight does not.
 * Returns 1: active, 0: passive, -1: the counters do not tell (a FIN was sent, data was repaired).
 */
static __always_inline int clew_tcp_active(__u64 bytes_acked, __u64 bytes_sent, __u64 bytes_retrans,
					   __u32 snd_nxt, __u32 snd_una)
{
	__u32 acked = (__u32)(bytes_sent - bytes_retrans) - (snd_nxt - snd_una);
	__u32 diff = (__u32)bytes_acked - acked;

	return diff <= 1 ? (int)diff : -1;
}

/* What the kernel was asked to do: where the bytes of a system call are. */
enum clew_call {
	CLEW_CALL_OTHER,  /* not one that reads or writes a socket with memory that we understand */
	CLEW_CALL_BUF,	  /* buffer in the second argument */
	CLEW_CALL_IOV,	  /* iovecs in the second, their count in the third */
	CLEW_CALL_MSG,	  /* msghdr in the second */
	CLEW_CALL_MMSG,	  /* many messages: which one is not known */
	CLEW_CALL_SPLICE, /* no user memory */
	CLEW_CALL_URING,
};

/* One operation, whose bytes are in memory that we understand. */
static __always_inline bool clew_call_has_one(enum clew_call call)
{
	return call != CLEW_CALL_OTHER && call < CLEW_CALL_MMSG;
}

/* x86-64 numbers; another machine gets a table of its own. */
static __always_inline enum clew_call clew_classify(__u64 nr, bool tx)
{
	switch (nr) {
	case 0:	 /* read */
	case 45: /* recvfrom */
		return tx ? CLEW_CALL_OTHER : CLEW_CALL_BUF;
	case 1:	 /* write */
	case 44: /* sendto */
		return tx ? CLEW_CALL_BUF : CLEW_CALL_OTHER;
	case 19:  /* readv */
	case 327: /* preadv2, offset -1 */
		return tx ? CLEW_CALL_OTHER : CLEW_CALL_IOV;
	case 20:  /* writev */
	case 328: /* pwritev2 */
		return tx ? CLEW_CALL_IOV : CLEW_CALL_OTHER;
	case 46: /* sendmsg */
		return tx ? CLEW_CALL_MSG : CLEW_CALL_OTHER;
	case 47: /* recvmsg */
		return tx ? CLEW_CALL_OTHER : CLEW_CALL_MSG;
	case 299: /* recvmmsg */
	case 307: /* sendmmsg */
		return CLEW_CALL_MMSG;
	case 40:  /* sendfile */
	case 275: /* splice */
		return CLEW_CALL_SPLICE;
	case 426: /* io_uring_enter */
		return CLEW_CALL_URING;
	}
	return CLEW_CALL_OTHER;
}

/*
 * Glob: * is any bytes (also '/'), ? one byte, the rest is itself. One step of the usual
 * backtracking matcher, so that BPF can run it under bpf_loop(). Step until it returns nonzero.
 */
struct clew_glob_run {
	const char *pattern; /* p_max bytes can be read */
	const char *text;
	__u32 p_len, t_len;
	__u32 p, t;
	__u32 star_p, star_t;
	bool starred;
	__u32 matched; /* not bool: a callback's result is checked to be 0 or 1 */
};

#define CLEW_GLOB_STEPS 4096

static __always_inline int clew_glob_step(struct clew_glob_run *g, char pc, char tc)
{
	if (g->t < g->t_len) {
		if (g->p < g->p_len && pc == '*') {
			g->starred = true;
			g->star_p = ++g->p;
			g->star_t = g->t;
		} else if (g->p < g->p_len && (pc == '?' || pc == tc)) {
			g->p++;
			g->t++;
		} else if (g->starred) {
			g->p = g->star_p;
			g->t = ++g->star_t;
		} else {
			return 1;
		}
		return 0;
	}
	if (g->p < g->p_len && pc == '*') {
		g->p++;
		return 0;
	}
	g->matched = g->p == g->p_len;
	return 1;
}

/*
 * The futex operations that wake somebody (FUTEX_WAKE, REQUEUE, CMP_REQUEUE, WAKE_OP, UNLOCK_PI,
 * WAKE_BITSET), from the second argument of futex(2).
 */
static __always_inline bool clew_futex_wakes(__u32 op)
{
	op &= 127;
	return op < 16 &&
	       ((1u << op) & (1u << 1 | 1u << 3 | 1u << 4 | 1u << 5 | 1u << 7 | 1u << 10));
}

/* How much of an operation is captured, and whether a new run begins. */
struct clew_run {
	__u32 left;
	__u8 dir; /* 1 + direction; 0: none yet */
};

static __always_inline __u32 clew_run_take(struct clew_run *r, __u8 dir, __u32 bytes, __u32 budget,
					   bool *ret_new)
{
	__u32 n;

	*ret_new = r->dir != dir + 1;
	if (*ret_new) {
		r->dir = dir + 1;
		r->left = budget;
	}
	n = bytes < r->left ? bytes : r->left;
	r->left -= n;
	return n;
}
