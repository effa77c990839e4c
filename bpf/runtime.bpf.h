/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The runtime's current task, read from the process's own memory.
 *
 * User space works out a chain for each process whose runtime it knows (struct clew_task_chain in
 * clew.h). A socket remembers which chain its user has, so that processes without one pay a compare
 * of two words. What cannot be read, or is not what the guards say, is no task: then the thread
 * stands for itself.
 *
 * Only in a system call of the thread itself: io_uring works under anybody's registers.
 */
#pragma once

/* Index 0 stays empty. A slot that became free is not used again for a while (runtimes.c). */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CLEW_MAX_CHAINS);
	__type(key, __u32);
	__type(value, struct clew_task_chain);
} task_chains SEC(".maps");

/* Process id to index in task_chains. Dropped: the update's error, counted by runtimes.c. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, CLEW_MAX_CHAINS);
	__type(key, __u32);
	__type(value, __u32);
} task_chain_of SEC(".maps");

/* Goes up when task_chain_of changes; 0: it was never filled. */
__u32 chain_gen;

/*
 * The tasks whose parent was told, and enum task_mark. A task that is forgotten is told again, no more.
 */
enum task_mark {
	TASK_TOLD = 1,
	TASK_OF_CONN = 2, /* a client connection's own */
	TASK_SERVES = 4,  /* uses a server's connection */
	TASK_HELPS = 8,	  /* was begun by one that does, or by a worker */
	TASK_GIVEN = 16,  /* a worker that was given a request's work */
	TASK_PARENT_SEEN = 32,
	TASK_SENT = 64, /* a worker that sent something since it was given work */
};

struct task_key {
	__u64 task;
	__u64 start_ns; /* of its process */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct task_key);
	__type(value, __u8);
} tasks_told SEC(".maps");

/* Where goroutines' sends are followed: what this one was seen to do. */
static __always_inline void task_mark_as(struct task_struct *t, __u64 task, __u8 mark)
{
	struct task_key key = {.task = task, .start_ns = t->group_leader->start_time};
	__u8 *marks = bpf_map_lookup_elem(&tasks_told, &key);

	if (marks && !(*marks & mark))
		*marks |= mark;
}

static __always_inline bool chain_is_of(const struct clew_task_chain *c, struct task_struct *t)
{
	struct mm_struct *mm = t->mm;

	return c->tgid == (__u32)t->tgid && c->start_ns == t->group_leader->start_time && mm &&
	       c->image == mm->start_stack;
}

/* The chain of a process, by its id; NULL: none, or one of another image or a former process. */
static __always_inline struct clew_task_chain *chain_by_tgid(struct task_struct *t, __u32 *ret_slot)
{
	struct clew_task_chain *c;
	__u32 tgid = t->tgid;
	__u32 *slot = bpf_map_lookup_elem(&task_chain_of, &tgid);

	if (!slot)
		return NULL;
	*ret_slot = *slot;
	c = bpf_map_lookup_elem(&task_chains, slot);
	return c && chain_is_of(c, t) ? c : NULL;
}

static __always_inline struct clew_task_chain *chain_of(struct clew_sock_state *st,
							struct task_struct *t)
{
	struct clew_task_chain *c;
	__u32 gen = chain_gen;

	if (st->chain_gen != gen || st->chain_tgid != (__u32)t->tgid) {
		if (st->chain_tgid != (__u32)t->tgid)
			st->task = 0; /* another process's */
		st->chain = 0;
		st->heap = 0;
		st->chain_gen = gen;
		st->chain_tgid = t->tgid;
		if (gen)
			chain_by_tgid(t, &st->chain);
	}
	if (!st->chain)
		return NULL;
	c = bpf_map_lookup_elem(&task_chains, &st->chain);
	return c && c->state && chain_is_of(c, t) ? c : NULL;
}

#define SINCE_NOW     (~0ull)
#define SINCE_UNKNOWN 0

/*
 * One task began another, or gave work to it: now, or at some time since since_ns. What is not static
 * here is global for the verifier: looked at once, not again for each way that leads to it.
 */
__noinline int tell_by(__u64 kind_tid, __u64 from, __u64 to, __u64 since_ns, __u64 flags)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct clew_rec_handoff *r = ring_reserve(sizeof(*r));

	if (!r) {
		thread_lost(t);
		return 0;
	}
	r->hdr.type = CLEW_REC_HANDOFF;
	r->hdr.flags = flags;
	r->ts_ns = bpf_ktime_get_ns();
	r->key = to;
	r->from_task = from;
	r->from_start_ns = t->group_leader->start_time;
	r->to_start_ns = t->group_leader->start_time;
	r->from_tgid = t->tgid;
	r->from_tid = (__u32)kind_tid;
	r->to_tgid = t->tgid;
	r->to_tid = t->pid;
	r->hdr_bytes = sizeof(*r);
	r->kind = kind_tid >> 32;
	r->age_us = 0;
	if (since_ns < r->ts_ns) {
		__u64 age_us = (r->ts_ns - since_ns) / 1000 + 1;

		r->age_us = since_ns && age_us < CLEW_AGE_UNKNOWN ? age_us : CLEW_AGE_UNKNOWN;
	}
	ring_commit(&r->hdr, sizeof(*r), sizeof(*r));
	return 0;
}

static __always_inline int tell_task_by(__u32 from_tid, __u64 from, __u64 to, __u64 since_ns,
					__u64 flags)
{
	return tell_by((__u64)CLEW_HANDOFF_TASK << 32 | from_tid, from, to, since_ns, flags);
}

static __always_inline int tell_kind(__u32 kind, __u64 from, __u64 to, __u64 flags)
{
	return tell_by((__u64)kind << 32 | (__u32)bpf_get_current_task_btf()->pid, from, to,
		       SINCE_NOW, flags);
}

static __always_inline int tell_task_since(__u64 from, __u64 to, __u64 since_ns, __u64 flags)
{
	return tell_task_by(bpf_get_current_task_btf()->pid, from, to, since_ns, flags);
}

static __always_inline void tell_task(__u64 from, __u64 to)
{
	tell_task_since(from, to, SINCE_NOW, 0);
}

/*
 * Go: a goroutine names its parent and the go statement that made it, but not when. The goroutines that
 * a parent made with one statement and that were not seen at a socket yet: how many, and since when
 * there are any.
 */
struct go_site {
	__u64 start_ns; /* of the process */
	__u64 parent;
	__u64 pc; /* behind the go statement: g.gopc */
};

struct go_unseen {
	__u64 n;
	__u64 since_ns;
};

/*
 * Removed when there are none. Who was born before the probe stood, or was pushed out, may be taken for
 * a later one of the same parent and statement; the table is for 65536 of these at one time.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct go_site);
	__type(value, struct go_unseen);
} go_born SEC(".maps");

__noinline int go_birth(struct go_site *site)
{
	struct go_unseen one = {.n = 1, .since_ns = bpf_ktime_get_ns()}, *u;

	if (!site)
		return 0;
	u = bpf_map_lookup_elem(&go_born, site);
	if (!u)
		bpf_map_update_elem(&go_born, site, &one, BPF_ANY);
	else if (!__sync_fetch_and_add(&u->n, 1))
		u->since_ns = one.since_ns;
	return 0;
}

/* One of them was seen, or ended; it is no older than what is returned (0: not known). */
__noinline __u64 go_unseen_less(struct go_site *site)
{
	struct go_unseen *u;
	__u64 since_ns;

	if (!site)
		return SINCE_UNKNOWN;
	u = bpf_map_lookup_elem(&go_born, site);
	if (!u)
		return SINCE_UNKNOWN;
	since_ns = u->since_ns; /* before the count goes down: then it may be another's */
	if (__sync_fetch_and_sub(&u->n, 1) <= 1)
		bpf_map_delete_elem(&go_born, site);
	return since_ns;
}

/* Who began the goroutine g, and with which statement. */
static __always_inline bool go_site_of(struct clew_task_chain *c, struct task_struct *t, __u64 g,
				       struct go_site *ret)
{
	__u64 words[2]; /* g.parentGoid, g.gopc */

	if (bpf_probe_read_user(words, sizeof(words), (void *)(g + c->go_parent)) || !words[0])
		return false;
	ret->start_ns = t->group_leader->start_time;
	ret->parent = words[0];
	ret->pc = words[1];
	return true;
}

/* Who began this goroutine, once for each. */
__noinline int go_tell_parent(struct clew_task_chain *c, __u64 g, __u64 task)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct task_key key = {.task = task, .start_ns = t->group_leader->start_time};
	struct go_site site = {};
	__u8 one = TASK_TOLD;

	if (!c || bpf_map_lookup_elem(&tasks_told, &key))
		return 0;
	bpf_map_update_elem(&tasks_told, &key, &one, BPF_ANY);
	if (go_site_of(c, t, g, &site))
		tell_task_since(CLEW_TASK(CLEW_TASK_GO, site.parent), task, go_unseen_less(&site),
				0);
	return 0;
}

static __always_inline bool guard_holds(const struct clew_chain_guard *g, const __u64 *window)
{
	bool same = (window[g->word & 7] & g->mask) == g->value;

	return !g->mask || same != (bool)g->differs;
}

static __always_inline bool read_word(struct clew_task_chain *c, __u64 *ret, __u64 addr)
{
	if (!bpf_probe_read_user(ret, sizeof(*ret), (void *)addr))
		return true;
	c->n_faults++;
	return false;
}

/* Walks the chain; 0: the thread stands for itself. *ret_at: where the last step led. */
__noinline __u64 chain_walk(struct clew_task_chain *c, __u64 *ret_at)
{
	struct task_struct *t = bpf_get_current_task_btf();
	__u64 window[8], id, at = t->thread.fsbase;

	if (!c || !ret_at)
		return 0;
	barrier_var(at); /* one load of either pointer would be refused */
	if (c->base == CLEW_CHAIN_ADDR)
		at = c->addr;
	if (c->only_tid && c->only_tid != (__u32)t->pid)
		return 0;
	for (__u32 i = 0; i < CLEW_CHAIN_STEPS; i++) {
		if (i >= c->n_steps)
			break;
		if (!read_word(c, &at, at + c->step[i]) || !at)
			return 0;
	}
	if (c->guard[0].mask) {
		if (bpf_probe_read_user(window, sizeof(window), (void *)(at + c->window))) {
			c->n_faults++;
			return 0;
		}
		if (!guard_holds(&c->guard[0], window) || !guard_holds(&c->guard[1], window))
			return 0;
	}
	*ret_at = at;
	if (c->id == CLEW_CHAIN_ID_ADDRESS)
		return at;
	if (!read_word(c, &id, at + c->id_off))
		return 0;
	if (!id && c->kind == CLEW_TASK_GO) {
		if (!read_word(c, &at, at + c->go_m) || !at ||
		    !read_word(c, &at, at + c->go_curg) || !at ||
		    !read_word(c, &id, at + c->id_off))
			return 0;
		*ret_at = at;
	}
	if (c->max_id && id > c->max_id) {
		c->n_faults++;
		return 0;
	}
	return id;
}

/* The number of the work that a thread does; threads that never did any have no cell. */
static __always_inline __u64 cell_task(struct clew_task_chain *c, struct task_struct *t)
{
	__u64 at, number;

	if (!read_word(c, &at, t->thread.fsbase + c->cell) || !at || !read_word(c, &number, at) ||
	    !number)
		return 0;
	return CLEW_TASK(CLEW_TASK_AGENT, number);
}

/*
 * The current task of a process with this chain; 0: none. known: one that told its parent.
 * *ret_at: where the last step led.
 */
static __always_inline __u64 chain_task_at(struct clew_task_chain *c, struct task_struct *t,
					   __u64 known, __u64 *ret_at)
{
	__u64 id = chain_walk(c, ret_at);
	__u64 task;
	__u32 n;

	if (!id)
		return c->cell && c->state == CLEW_CHAIN_TRUSTED ? cell_task(c, t) : 0;
	n = c->n_samples;
	if (n < 1024) {
		c->samples[n & (CLEW_CHAIN_SAMPLES - 1)] = id;
		c->n_samples = n + 1;
	}
	if (c->state != CLEW_CHAIN_TRUSTED)
		return 0;
	task = CLEW_TASK(c->kind, id);
	if (c->kind == CLEW_TASK_GO && c->go_parent && task != known)
		go_tell_parent(c, *ret_at, task);
	return task;
}

static __always_inline __u64 chain_task(struct clew_task_chain *c, struct task_struct *t)
{
	__u64 at = 0;

	return chain_task_at(c, t, 0, &at);
}

/* fsbase of each thread of one process, for the finders: read it as struct clew_thread_base. */
SEC("iter/task")
int walk_bases(struct bpf_iter__task *ctx)
{
	struct task_struct *t = ctx->task;
	struct clew_thread_base base = {};

	if (!t || (t->flags & (PF_KTHREAD | PF_EXITING | PF_IO_WORKER)))
		return 0;
	base.fsbase = t->thread.fsbase;
	base.tgid = t->tgid;
	base.tid = t->pid;
	bpf_seq_write(ctx->meta->seq, &base, sizeof(base));
	return 0;
}
