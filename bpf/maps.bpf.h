/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Maps, options and counters. Sizes that depend on options are set by the loader.
 */
#pragma once

extern void *bpf_rdonly_cast(void *, __u32)
__ksym __weak;

/* What is rare stands behind all else, out of the way of what runs each time. */
#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* A typed, read-only view of a kernel address: loads that fault give 0. Since 6.2. */
#define view(type, address) \
	((type *)bpf_rdonly_cast((void *)(address), bpf_core_type_id_kernel(type)))

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct clew_task_state);
} task_state SEC(".maps");

/* Accepted sockets are born with a copy of their listener's state: that is how scope is inherited.
 */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct clew_sock_state);
} sock_state SEC(".maps");

/* Process ids to be marked at the next walk; dropped: the update's error. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, CLEW_MAX_WANTED);
	__type(key, __u32);
	__type(value, __u8);
} wanted SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, CLEW_MAX_TARGETS);
	__type(key, __u64);
	__type(value, __u8);
} cgroups SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, CLEW_MAX_TARGETS);
	__type(key, __u16);
	__type(value, __u8);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, CLEW_MAX_TARGETS);
	__type(key, __u32);
	__type(value, __u8);
} netnss SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CLEW_MAX_GLOBS);
	__type(key, __u32);
	__type(value, struct clew_glob);
} globs SEC(".maps");

/* By enum clew_loss_where: what was dropped, in all. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CLEW_LOSS_MAX);
	__type(key, __u32);
	__type(value, __u64);
} losses SEC(".maps");

const volatile __u32 opt_payload = 4096;
const volatile int opt_self; /* the tracer's own process: never a target by --all */
const volatile bool opt_all;
const volatile bool opt_cgroups;
const volatile bool opt_ports;
const volatile bool opt_netns;
const volatile __u32 opt_globs;

/* Where a thread's user registers are, from its stack's base; 0: ask the helper. Set by a walk. */
__u64 regs_offset;
/* Threads of targets that live. */
__u64 alive;
/* Goes up when something outside a walk added to wanted: the reader walks again. */
__u32 rescan;
/* Goes up with every loss, so that the fast path need not look at the thread's state. */
__u32 loss_gen;
/* Goes up with everything that is counted in losses, so that the reader need not ask the kernel. */
__u64 losses_counted;
/* enum clew_lazy_hook: what targets turned out to need. */
__u32 lazy_wanted;
/* Results of a walk, for the loader. */
__u32 walk_marked;
__u64 walk_alive;

static __always_inline void count_loss(__u32 where)
{
	__u64 *n = bpf_map_lookup_elem(&losses, &where);

	if (n)
		*n += 1;
	__sync_fetch_and_add(&losses_counted, 1);
}
