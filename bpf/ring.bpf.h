/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The way out: reserve, fill, commit. One ring for all CPUs, so that what it holds is in order.
 *
 * Nothing is woken: the reader polls every few milliseconds (wake-ups halved the throughput of a
 * traced nginx, docs/architecture.md). The sizes that are reserved are constants, as the verifier
 * wants; a record's own len says how much of them is used.
 */
#pragma once

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 << 20); /* set by the loader; dropped: CLEW_LOSS_RING */
} ring SEC(".maps");

static __always_inline void *ring_reserve(__u64 bytes)
{
	void *r = bpf_ringbuf_reserve(&ring, bytes, 0);

	if (!r)
		count_loss(CLEW_LOSS_RING);
	return r;
}

static __always_inline void ring_commit(void *record)
{
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
}
