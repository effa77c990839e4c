/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a HotSpot VM's threads make their objects, for bpf/heap.bpf.h.
 */
#pragma once

#include "capture/runtime/vmstructs.h"

/* One of the VM's threads, as its list has it. */
struct java_thread {
	uint64_t addr, fsbase, stack_low, stack_high;
};

/**
 * hotspot_heap_find() - where the heap is and what counts its collections. The collector must be one that
 * moves objects only while all threads of Java stand still, and never gives room away again before it counts:
 * Serial, Parallel, G1. im is the copy of libjvm's data.
 * 0; else why_not says why not, and ret is untouched.
 */
int hotspot_heap_find(const struct runtime_proc *p, const struct vm_image *im,
		      const struct runtime_elf *elf, struct clew_heap *ret, const char **why_not);

/**
 * hotspot_heap_check() - fill in where a thread's own things are: step leads from fsbase to the JavaThread. Tried
 * on threads: their stacks end in the same place, their rooms lie in the heap. 0, or -EINVAL: they do not.
 */
int hotspot_heap_check(const struct runtime_proc *p, const struct java_thread *threads, size_t n,
		       int32_t step, struct clew_heap *heap);
