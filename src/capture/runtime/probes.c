/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The probes that a runtime's finder asked for: attached to this process alone.
 */
#include <stdio.h>

#include "base/log.h"
#include "capture/runtime/state.h"
#include "clew.skel.h"

void probes_detach(struct proc *p)
{
	for (size_t i = 0; i < RUNTIME_MAX_PROBES; i++) {
		bpf_link__destroy(p->links[i]);
		p->links[i] = NULL;
	}
}

/* What needs all of its probes. */
static void follow(struct runtimes *r, struct proc *p, bool all)
{
	struct clew_task_chain chain;

	if (all && !chain_read(r, p, &chain)) {
		if (p->info->go_channels)
			chain.go_flags |= CLEW_GO_CHANNELS;
		chain.tokio.on = p->info->tokio_wakers;
		chain_write(r, p, &chain);
		return;
	}
	snprintf(p->info->why_not, sizeof(p->info->why_not),
		 "%s are not followed: a probe could not be attached",
		 p->info->go_channels ? "channels" : "wakers");
}

void probes_attach(struct runtimes *r, struct proc *p)
{
	bool all = true;

	for (size_t i = 0; i < p->info->n_probes; i++) {
		const struct runtime_probe *probe = &p->info->probes[i];
		DECLARE_LIBBPF_OPTS(bpf_uprobe_opts, opts, .retprobe = probe->at_return);
		struct bpf_program *prog =
			bpf_object__find_program_by_name(r->capture->skel->obj, probe->program);

		p->links[i] =
			prog ? bpf_program__attach_uprobe_opts(prog, (pid_t)p->tgid, probe->path,
							       probe->offset, &opts)
			     : NULL;
		all &= p->links[i] != NULL;
		if (!p->links[i])
			log_debug("process %u: cannot attach %s: %s", p->tgid, probe->program,
				  strerror(prog ? errno : ENOENT));
	}
	if (p->info->go_channels || p->info->tokio_wakers)
		follow(r, p, all);
}
