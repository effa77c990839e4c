/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The way out: reserve, fill, commit. A chain of chunks for each CPU, in memory that user space maps
 * (claim.bpf.h has the protocol, docs/architecture.md the reasons).
 *
 * Nothing is woken: the reader polls every few milliseconds. The verifier knows that a record begins
 * at or before opt_ring_limit, and that behind it at least opt_ring_record bytes of the chunk (and
 * opt_payload more, as it cannot add up what is copied piece by piece) are left; so records are as
 * long as what they hold. Reserved memory is zero, and what is not written stays so.
 */
#pragma once

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* possible CPUs, set by the loader */
	__type(key, __u32);
	__type(value, struct clew_ring_cpu);
} ring_cpus SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);	   /* both set by the loader, from --ring-size ... */
	__uint(value_size, 32768); /* ... and --payload; dropped: CLEW_LOSS_RING */
	__uint(key_size, 4);
} ring_chunks SEC(".maps");

/* Set by the loader with the sizes above: the last place where a record begins, the longest one. */
const volatile __u32 opt_ring_limit = 8192;
const volatile __u32 opt_ring_record = 4352;

/* What ring_claim_again() found: the chunk and the place in it. */
struct ring_place {
	__u32 index, at;
};

/*
 * An interrupt claimed in the middle of our claim. Global for the verifier: looked at once, and out of the way of
 * what runs each time.
 */
__noinline int ring_claim_again(struct ring_place *ret, __u32 bytes)
{
	__u32 cpu = bpf_get_smp_processor_id(), index, at;
	struct clew_ring_cpu *c = bpf_map_lookup_elem(&ring_cpus, &cpu);

	if (!ret || !c || !clew_ring_claim(c, bytes, opt_ring_limit, &index, &at))
		return CLEW_RING_FULL;
	ret->index = index;
	ret->at = at;
	return CLEW_RING_TAKEN;
}

__noinline int ring_refused(void)
{
	count_loss(CLEW_LOSS_RING);
	return 0;
}

/* Around a thread record of this CPU: before it is claimed, and when it is committed. */
static __always_inline void ring_count_thread(bool told)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct clew_ring_cpu *c = bpf_map_lookup_elem(&ring_cpus, &cpu);

	if (c)
		__sync_fetch_and_add(told ? &c->threads_told : &c->threads, 1);
}

/* Room for a record of at most bytes (8 at a time); NULL: counted. It must be committed. */
static __always_inline void *ring_reserve(__u32 bytes)
{
	__u32 cpu = bpf_get_smp_processor_id(), at;
	struct clew_ring_cpu *c = bpf_map_lookup_elem(&ring_cpus, &cpu);
	struct ring_place place = {};
	int r = CLEW_RING_FULL;
	char *chunk;

	if (likely(c))
		r = clew_ring_try(c, bytes, opt_ring_limit, &place.index, &place.at);
	if (unlikely(r == CLEW_RING_AGAIN))
		r = ring_claim_again(&place, bytes);
	if (unlikely(r != CLEW_RING_TAKEN)) {
		ring_refused();
		return NULL;
	}
	chunk = bpf_map_lookup_elem(&ring_chunks, &place.index);
	at = place.at;
	barrier_var(at);		   /* the bound must follow the last change of at */
	if (!chunk || at > opt_ring_limit) /* never: for the verifier */
		return NULL;
	return chunk + at;
}

/* rec has its type and is len bytes long (a multiple of 8), of the bytes that were reserved. */
static __always_inline void ring_commit(struct clew_rec *rec, __u32 len, __u32 bytes)
{
	__u32 at = len;

	barrier_var(at); /* the bound must follow the last change of at */
	if (at < bytes && at <= opt_ring_record) {
		struct clew_rec *pad = (void *)rec + at;

		pad->type = CLEW_RING_PAD;
		ring_store_len(pad, bytes - at);
	}
	ring_store_len(rec, len);
}
