/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The kernel side of clew: what happened, for targets only. It draws no conclusions.
 *
 * One object; features that a kernel lacks are switched off by the loader (src/capture/capture.c).
 */
#ifdef CLEW_VMLINUX_MIN
#include "vmlinux_min.h"
#else
#include "vmlinux.h"
#endif
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

#include "abi/record.h"
#include "bpf/clew.h"
#include "bpf/pure.bpf.h"
#include "bpf/maps.bpf.h"
#include "bpf/claim.bpf.h"
#include "bpf/ring.bpf.h"
#include "bpf/scope.bpf.h"
#include "bpf/regs.bpf.h"
#include "bpf/task.bpf.h"
#include "bpf/runtime.bpf.h"
#include "bpf/go.bpf.h"
#include "bpf/go_channel.bpf.h"
#include "bpf/python_task.bpf.h"
#include "bpf/current.bpf.h"
#include "bpf/heap.bpf.h"
#include "bpf/sock.bpf.h"
#include "bpf/sent.bpf.h"
#include "bpf/source.bpf.h"
#include "bpf/place.bpf.h"
#include "bpf/cpu_time.bpf.h"
#include "bpf/io.bpf.h"
#include "bpf/handoff.bpf.h"
#include "bpf/iter.bpf.h"
#include "bpf/python.bpf.h"
#include "bpf/java.bpf.h"
#include "bpf/tokio.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";
