/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * How long the running thread has used a processor, now.
 *
 * The scheduler adds a thread's time up at ticks, wake-ups and switches, by a clock of its own for
 * each processor (rq->clock_task) that stands still between them. It leaves out interrupts and what
 * the host of a virtual machine stole. So that clock, now, is CLOCK_MONOTONIC less those two, which
 * can be read, less a distance that stays: the least that is seen between clocks is nearest to it.
 * Charging all time since the last tick to the thread instead would count stolen time until the
 * next tick takes it back: a thread that used more than the time that has passed, then less than
 * before.
 *
 * Of the kernel: update_rq_clock_task(), rq_clock_skip_update() (kernel/sched/core.c, sched.h),
 * update_se() (fair.c).
 */
#pragma once

#define RQCF_REQ_SKIP 1

struct rq___of {
	unsigned int clock_update_flags;
	u64 clock_task;
} __attribute__((preserve_access_index));

struct cfs_rq___of {
	struct rq___of *rq; /* of CONFIG_FAIR_GROUP_SCHED */
} __attribute__((preserve_access_index));

struct sched_entity___of {
	struct cfs_rq___of *cfs_rq; /* of CONFIG_FAIR_GROUP_SCHED */
} __attribute__((preserve_access_index));

struct task_struct___of {
	struct sched_entity___of se;
} __attribute__((preserve_access_index));

struct irqtime___of {
	u64 total;
} __attribute__((preserve_access_index));

struct kvm_steal_time___of {
	u64 steal;
} __attribute__((preserve_access_index));

/* Where the per-CPU cpu_irqtime and steal_time lie, from the processor's run queue; 0: nowhere. */
const volatile __s64 opt_irq_time_at, opt_steal_time_at;

/* How far CLOCK_MONOTONIC, without what is left out, is before rq->clock_task. */
struct clock_gap clock_gaps[CLOCK_CPUS];

/* What this processor spent in interrupts, where they are accounted, and what its host stole. */
static __always_inline __u64 left_out(const struct rq___of *rq)
{
	__u64 sum = 0;

	if (opt_irq_time_at)
		sum += view(struct irqtime___of, (__u64)rq + opt_irq_time_at)->total;
	if (opt_steal_time_at)
		sum += view(struct kvm_steal_time___of, (__u64)rq + opt_steal_time_at)->steal;
	return sum;
}

/*
 * rq->clock_task as if it were moved on now; now: bpf_ktime_get_ns(). Whoever moved it on after
 * that was read (a wake-up from another processor, while this one was stolen) made the two look
 * nearer than they are: what is much nearer is read again, in the order that errs to the far side.
 */
static __always_inline __u64 clock_task_now(const struct rq___of *rq, __u64 now)
{
	struct clock_gap *g = &clock_gaps[bpf_get_smp_processor_id() & (CLOCK_CPUS - 1)];
	__u64 left = left_out(rq);
	__u64 since = now - g->at;
	__s64 most = g->gap + ((since < CLOCK_REST_NS ? since : CLOCK_REST_NS) >> CLOCK_RISE_SHIFT);
	__s64 seen = now - left - rq->clock_task;

	if (unlikely(seen < most - CLOCK_NEAR_NS)) {
		__u64 clock = rq->clock_task;

		seen = bpf_ktime_get_ns() - left_out(rq) - clock;
	}
	if (seen > most && seen - most < CLOCK_LOST_NS && g->at)
		seen = most;
	g->gap = seen;
	g->at = now;
	return now - left - seen;
}

static __always_inline const struct rq___of *run_queue(struct task_struct *t)
{
	struct task_struct___of *of = (void *)t;

	return bpf_core_field_exists(of->se.cfs_rq) ? of->se.cfs_rq->rq : NULL;
}

/* A word that another processor may be writing: any may move this one's clock on. */
#define now_of(word) (*(const volatile typeof(word) *)&(word))

/* ns; t is the running thread, now bpf_ktime_get_ns(). */
static __noinline __u64 task_cpu_ns(struct task_struct *t, __u64 now)
{
	const struct rq___of *rq = run_queue(t);
	__u64 clock, start, sum;

	if (!rq)
		return t->se.sum_exec_runtime;
	start = now_of(t->se.exec_start);
	sum = now_of(t->se.sum_exec_runtime);
	if (unlikely(start != now_of(t->se.exec_start))) {
		start = now_of(t->se.exec_start);
		sum = now_of(t->se.sum_exec_runtime);
	}
	clock = clock_task_now(rq, now);
	/* About to be switched out, by the clock as it stands. */
	if (rq->clock_update_flags & RQCF_REQ_SKIP)
		clock = rq->clock_task;
	return sum + ((__s64)(clock - start) > 0 ? clock - start : 0);
}

/*
 * The loader runs it on each processor, from a thread that just got there: the distance is known
 * before the first record asks.
 */
SEC("syscall")
int learn_clock(void *ctx)
{
	task_cpu_ns(bpf_get_current_task_btf(), bpf_ktime_get_ns());
	return 0;
}
