/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Node: nothing in its memory tells from outside which request a callback belongs to (its native
 * async ids are 0 after every await). With --agent node, an agent inside keeps the number of the
 * request in one word (agents/node/agent.js), and the chain is that word's address.
 *
 * The agent names what the main thread writes; worker threads stay threads.
 */
#include <signal.h>
#include <stdio.h>

#include "abi/record.h"
#include "capture/agent/node_agent.h"
#include "capture/runtime/runtime.h"

/* Node handles SIGUSR1 from early on, unless --disable-sigusr1; where nobody does, it kills. */
static bool handles_sigusr1(uint32_t tgid)
{
	struct runtime_status status;

	return !runtime_status(tgid, &status) && status.caught >> (SIGUSR1 - 1) & 1;
}

static void agent_done(void *agent)
{
	node_agent_detach(agent);
}

static int agent_renew(void *agent)
{
	return node_agent_renew(agent);
}

int runtime_detect_node(const struct runtime_proc *p, struct runtime_info *ret)
{
	_cleanup_(runtime_elf_closep) struct runtime_elf *e = NULL;
	const struct runtime_map *m;
	struct node_agent *agent = NULL;
	int err;

	/*
	 * Node is a program, or a library of one (Debian, where /usr/bin/node is a few kilobytes). The symbol
	 * is what native add-ons call to be registered: exported by every Node.
	 */
	if (runtime_elf_open_with(p, "libnode.so", "node_module_register", &e, &m))
		return -ENOENT;
	snprintf(ret->name, sizeof(ret->name), "nodejs");
	if (!(p->opts->agents & CLEW_AGENT_NODE)) {
		return runtime_fail(
			ret, 0, "its tasks cannot be seen from outside; --agent node shows them");
	}
	ret->agent_failed = true;
	if (!handles_sigusr1(p->tgid)) {
		return runtime_fail(ret, -EAGAIN,
				    "it does not handle SIGUSR1, which opens its inspector");
	}
	err = node_agent_attach(p->tgid, ret, &agent);
	if (agent) {
		ret->agent = agent;
		ret->agent_renew = agent_renew;
		ret->agent_done = agent_done;
		ret->agent_renew_ns = NODE_AGENT_RENEW_NS;
	}
	if (err)
		return 0;
	snprintf(ret->version, sizeof(ret->version), "%s", node_agent_version(agent));
	snprintf(ret->task, sizeof(ret->task), "request");
	ret->chain.kind = CLEW_TASK_AGENT;
	ret->chain.base = CLEW_CHAIN_ADDR;
	ret->chain.id = CLEW_CHAIN_ID_WORD;
	ret->chain.addr = node_agent_cell(agent);
	ret->chain.only_tid = p->tgid;
	ret->agent_failed = false;
	return 0;
}
