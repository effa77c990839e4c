/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/clocks.h"

#include <sched.h>

#include <bpf/bpf.h>

#include "capture/internal.h"
#include "clew.skel.h"

/* Some times, as an interrupt may come between: the nearest counts. */
#define TIMES 3

void clocks_learn(const struct clew_bpf *skel)
{
	int n = libbpf_num_possible_cpus();
	size_t bytes = n > 0 ? CPU_ALLOC_SIZE(n) : 0;
	cpu_set_t *may = n > 0 ? CPU_ALLOC(n) : NULL;
	cpu_set_t *one = n > 0 ? CPU_ALLOC(n) : NULL;

	if (may && one && !sched_getaffinity(0, bytes, may)) {
		for (int cpu = 0; cpu < n; cpu++) {
			CPU_ZERO_S(bytes, one);
			CPU_SET_S(cpu, bytes, one);
			if (!CPU_ISSET_S(cpu, bytes, may) || sched_setaffinity(0, bytes, one))
				continue;
			for (int i = 0; i < TIMES; i++) {
				struct bpf_test_run_opts run = {.sz = sizeof(run)};

				sched_yield();
				bpf_prog_test_run_opts(bpf_program__fd(skel->progs.learn_clock), &run);
			}
		}
		sched_setaffinity(0, bytes, may);
	}
	CPU_FREE(may);
	CPU_FREE(one);
}
