/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agents/node/agent.js, put into a running Node process and taken out again.
 *
 *	SIGUSR1 ─► Node opens its inspector ─► evaluate agent.js ─► find its memory ─► close the inspector
 *
 * The memory (words of 32 bits, as in agent.js) is found by 32 random bytes that the agent was told to
 * write there, and proved by a second number written after. It is never freed, so the descriptor of
 * the process's memory, which outlives neither the process nor its image, is all that is needed
 * to renew the lease and to give it up. Nothing of us stays open in the process.
 */
#pragma once

#include "capture/runtime/runtime.h"

/* The lease is to be renewed at least so often; agent.js waits for 10 s. */
#define NODE_AGENT_RENEW_NS 2000000000ull

struct node_agent;

/**
 * node_agent_attach() - put the agent into a process. Blocks for up to some seconds.
 * The caller knows that it is Node and handles SIGUSR1 (which kills everything else).
 * Returns 0, else -errno with the reason in info->why_not: the inspector did not open, or refused.
 * -EINPROGRESS: it may still open (the process is held up). Then *ret is set, has no cell, and is to
 * be renewed: it closes the inspector as soon as it is there, and says -ESTALE.
 */
int node_agent_attach(uint32_t tgid, struct runtime_info *info, struct node_agent **ret);
/** node_agent_detach() - give up the lease: the agent removes itself within a second. Takes NULL. */
void node_agent_detach(struct node_agent *a);
CLEW_DEFINE_CLEANUP(struct node_agent *, node_agent_detach)

/** node_agent_renew() - 0; -ESTALE: the agent is gone (it heard nothing for too long); -errno. */
int node_agent_renew(struct node_agent *a);
/** node_agent_cell() - where in the process's memory the current number stands. */
uint64_t node_agent_cell(const struct node_agent *a);
/** node_agent_version() - Node's. */
const char *node_agent_version(const struct node_agent *a);
