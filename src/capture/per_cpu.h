/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Where the kernel's per-CPU variables lie to each other. A BPF program may name one only if the
 * kernel was built with CONFIG_KALLSYMS_ALL, which many are not; but all of one processor's lie in
 * one block, and BTF says where in it.
 */

#include <stdint.h>

struct btf;

/*
 * How far behind the per-CPU variable "from" the variable "to" lies, in bytes (negative: before
 * it). 0 when the kernel has not both, or its BTF does not list them.
 */
int64_t per_cpu_distance(const struct btf *btf, const char *from, const char *to);
