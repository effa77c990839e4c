/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at a process: the memory behind struct runtime_proc. For runtimes.c and the tests.
 */
#pragma once

#include <fcntl.h>
#include <inttypes.h>

#include "base/buf.h"
#include "capture/runtime/runtime.h"

struct runtime_proc_data {
	struct runtime_proc proc;
	char exe[4096];
	struct clew_buf text; /* of /proc/PID/maps; init it with RUNTIME_MAPS_BYTES */
	struct runtime_map maps[RUNTIME_MAX_MAPS];
};

#define RUNTIME_MAPS_BYTES (4u << 20)

/**
 * runtime_proc_init() - read what a process is now. capture and opts are the caller's to fill in.
 * 0; -ESRCH: gone, or not ours to look at; -errno.
 */
int runtime_proc_init(struct runtime_proc_data *d, uint32_t tgid, uint64_t start_ns);
/** runtime_image() - what tells one image of a process from the next; 0: gone, or not ours to look at. */
uint64_t runtime_image(uint32_t tgid);
