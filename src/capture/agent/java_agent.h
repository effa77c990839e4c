/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agents/java, put into a running JVM.
 *
 *	copy the library into its /tmp ─► SIGQUIT and a file: the VM opens its attach socket ─► "load" ─►
 *	delete the copy; find the library's state in memory ─► a lease there, renewed
 *
 * The protocol is that of jcmd and jstack: requests of strings that end with NUL, on a Unix socket in the
 * process's own /tmp. The agent stays in the VM, with nothing open, and does next to nothing without a lease;
 * the next capture finds it there.
 */
#pragma once

#include "capture/runtime/runtime.h"

/* The lease is to be renewed at least so often; it holds for 10 s. */
#define JAVA_AGENT_RENEW_NS 2000000000ull

struct java_agent;

/**
 * java_agent_attach() - put the agent into a JVM that has begun, or find it there. Blocks for up to some
 * seconds. @ret_cell: where, from a thread's fsbase, the address of its cell stands.
 * Adds the probes that the agent's calls need to info. 0; -EAGAIN: the VM is not ready; else -errno with the
 * reason in info->why_not.
 */
int java_agent_attach(const struct runtime_proc *p, struct runtime_info *info,
		      struct java_agent **ret, int32_t *ret_cell);
/** java_agent_renew() - 0, or -errno: the process is gone. */
int java_agent_renew(struct java_agent *a);
/** java_agent_detach() - give up the lease: it runs out within 3 s. Takes NULL. */
void java_agent_detach(struct java_agent *a);
