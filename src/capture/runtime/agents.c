/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Agents inside processes (agents/): which are there, which could not be put in, and telling them that
 * we live. What an agent is, its finder knows (struct runtime_info).
 */
#include <stdio.h>

#include "capture/runtime/state.h"

void agents_done(struct proc *p)
{
	if (p->info && p->info->agent)
		p->info->agent_done(p->info->agent);
	if (p->info)
		p->info->agent = NULL;
	p->renew_ns = 0;
}

static void agent_failed(struct runtimes *r, const struct proc *p)
{
	pthread_mutex_lock(&r->lock);
	r->agents_failed++;
	snprintf(r->agent_why, sizeof(r->agent_why), "process %u: %s", p->tgid, p->info->why_not);
	pthread_mutex_unlock(&r->lock);
}

void agents_found(struct runtimes *r, struct proc *p)
{
	if (p->info->agent_failed)
		agent_failed(r, p);
	if (!p->info->agent)
		return;
	p->renew_ns = clew_mono_ns() + p->info->agent_renew_ns;
	pthread_mutex_lock(&r->lock);
	r->agents += !p->info->agent_failed;
	pthread_mutex_unlock(&r->lock);
}

static void agent_gone(struct runtimes *r, struct proc *p)
{
	snprintf(p->info->why_not, sizeof(p->info->why_not), "its agent is gone");
	if (!p->info->agent_failed && runtime_image(p->tgid) == p->image)
		agent_failed(r, p);
	agents_done(p);
	chain_remove(r, p);
	runtime_emit(r, p);
}

uint64_t agents_renew(struct runtimes *r, uint64_t now)
{
	uint64_t due = UINT64_MAX;
	struct proc *p, *next;

	HASH_ITER (hh, r->procs, p, next) {
		if (!p->renew_ns)
			continue;
		if (p->renew_ns <= now) {
			p->renew_ns = now + p->info->agent_renew_ns;
			if (p->info->agent_renew(p->info->agent) < 0) {
				agent_gone(r, p);
				continue;
			}
		}
		due = p->renew_ns < due ? p->renew_ns : due;
	}
	return due;
}

void agents_stats(struct runtimes *r, struct clew_capture_stats *ret)
{
	pthread_mutex_lock(&r->lock);
	ret->agents = r->agents;
	ret->agents_failed = r->agents_failed;
	memcpy(ret->agent_why, r->agent_why, sizeof(ret->agent_why));
	pthread_mutex_unlock(&r->lock);
}
