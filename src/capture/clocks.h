/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

struct clew_bpf;

/*
 * Lets the loaded programs learn each processor's clock (bpf/cpu_time.bpf.h), so that the first
 * records know their threads' CPU time: the calling thread visits each processor that it may run on
 * and comes back. What fails here is learned from the records themselves, within some milliseconds.
 */
void clocks_learn(const struct clew_bpf *skel);
