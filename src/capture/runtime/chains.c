/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slots of the hooks' table of chains. One that became free rests for a while: a hook may still read it.
 */
#include "capture/runtime/state.h"
#include "clew.skel.h"

#define QUARANTINE_NS (1000 * MS)

static void slot_write(struct runtimes *r, uint32_t slot, const struct clew_task_chain *chain)
{
	bpf_map__update_elem(r->capture->skel->maps.task_chains, &slot, sizeof(slot), chain,
			     sizeof(*chain), BPF_ANY);
}

int chain_read(struct runtimes *r, const struct proc *p, struct clew_task_chain *ret)
{
	return bpf_map__lookup_elem(r->capture->skel->maps.task_chains, &p->slot, sizeof(p->slot),
				    ret, sizeof(*ret), 0);
}

void chain_write(struct runtimes *r, const struct proc *p, const struct clew_task_chain *chain)
{
	slot_write(r, p->slot, chain);
}

static void chains_changed(struct runtimes *r)
{
	__atomic_add_fetch(&r->capture->skel->bss->chain_gen, 1, __ATOMIC_RELEASE);
}

void chain_remove(struct runtimes *r, struct proc *p)
{
	static const struct clew_task_chain none;

	if (!p->slot)
		return;
	bpf_map__delete_elem(r->capture->skel->maps.task_chain_of, &p->tgid, sizeof(p->tgid), 0);
	slot_write(r, p->slot, &none);
	chains_changed(r);
	r->slots[p->slot] = (struct slot){.free_ns = clew_mono_ns()};
	p->slot = 0;
	p->trusted = false;
}

static uint32_t slot_find(struct runtimes *r)
{
	uint64_t now = clew_mono_ns();

	for (uint32_t i = 1; i < CLEW_MAX_CHAINS; i++) {
		uint32_t at = 1 + (r->next_slot + i) % (CLEW_MAX_CHAINS - 1);

		if (r->slots[at].used || now - r->slots[at].free_ns < QUARANTINE_NS)
			continue;
		r->next_slot = at;
		return at;
	}
	return 0;
}

int chain_install(struct runtimes *r, struct proc *p)
{
	struct clew_task_chain *chain = &p->info->chain;
	uint32_t slot = slot_find(r);
	int err;

	if (!slot)
		return -ENOSPC;
	chain->start_ns = p->t.proc_start_ns;
	chain->image = p->image;
	chain->tgid = p->tgid;
	chain->state = p->info->learn ? CLEW_CHAIN_LEARN : CLEW_CHAIN_TRUSTED;
	chain->n_samples = 0;
	slot_write(r, slot, chain);
	err = bpf_map__update_elem(r->capture->skel->maps.task_chain_of, &p->tgid, sizeof(p->tgid),
				   &slot, sizeof(slot), BPF_ANY);
	if (err)
		return err;
	r->slots[slot].used = true;
	p->slot = slot;
	p->checked = 0;
	p->trusted = chain->state == CLEW_CHAIN_TRUSTED;
	chains_changed(r);
	return 0;
}
