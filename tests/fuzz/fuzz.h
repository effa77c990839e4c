/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What fuzz targets share: libFuzzer's entry, and a check that is on in every build.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Allocations of this input that failed (tests/lib/no_memory.c, in replays only): what needs memory need not succeed then. */
__attribute__((weak)) unsigned no_memory_failed;

#define FUZZ_CHECK(cond)                                                                     \
	do {                                                                                 \
		if (!(cond)) {                                                               \
			fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #cond); \
			abort();                                                             \
		}                                                                            \
	} while (0)
