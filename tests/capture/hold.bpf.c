/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Holds threads called "held" between a socket operation and the hooks that are attached after this one, until two
 * operations of threads called "free" came by. With it two threads' operations are told in another order than that in
 * which the kernel did them.
 */
#ifdef CLEW_VMLINUX_MIN
#include "vmlinux_min.h"
#else
#include "vmlinux.h"
#endif
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define HELD  0x646c6568
#define FREE  0x65657266
#define LOOKS 1000000 /* some milliseconds: then nobody comes */

static volatile __u32 passed;

static int look(__u32 i, __u32 *from)
{
	return passed - *from >= 2;
}

static __always_inline int hold(void)
{
	__u32 name[4], from = passed;

	bpf_get_current_comm(name, sizeof(name));
	if (name[0] == FREE)
		__sync_fetch_and_add(&passed, 1);
	else if (name[0] == HELD)
		bpf_loop(LOOKS, look, &from, 0);
	return 0;
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(hold_recv, struct sock *sk, int ret, int flags)
{
	return ret > 0 ? hold() : 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(hold_send, struct sock *sk, int ret, int flags)
{
	return ret > 0 ? hold() : 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
