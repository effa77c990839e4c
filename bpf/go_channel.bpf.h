/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Go: work that was given to a goroutine through a channel (--go-channels).
 *
 * Under the channel's lock the runtime either copies an element between two goroutines or through a slot
 * of the channel's buffer. Both are seen, so who gave what to whom is known and not guessed:
 *
 *	chansend, selectgo: CALL typedmemmove(type, slot, from)    slot ─► go_slots: who sent it
 *	chanrecv, selectgo: CALL typedmemmove(type, to, slot)      go_slots: from whom it is
 *	send(c, sudog, elem)	current ─► sudog.g, which waited
 *	recv(c, sudog, ...)	unbuffered: sudog.g, which waited ─► current
 *				full buffer: its first slot ─► current, and sudog.g's into that slot
 *
 * Every send overwrites its slot's entry, so an entry never speaks of another element. The probes do
 * nothing until all of them stand (CLEW_GO_CHANNELS, set by runtime.c).
 *
 * Not every element is work. Told is what a worker takes: a goroutine that serves no connection, was not
 * begun by one that does, and takes it at the top of its stack (what is taken further down is needed for
 * work that it has). What goes back into the buffer that it came from, sent by who took it, is
 * something that is lent: elements of such a type are no work from then on.
 */
#pragma once

#define GO_STACK_HI	 8  /* g.stack.hi; 1.21 to 1.26, as are the next */
#define GO_SCHED_SP	 56 /* g.sched.sp */
#define GO_CHAN_DATAQSIZ 8  /* hchan */
#define GO_CHAN_BUF	 16
#define GO_CHAN_ELEMSIZE 24
#define GO_WORKER_STACK	 1024 /* from the top of its stack down to where it takes an element */
#define GO_BUFFER_NEAR	 65536
#define GO_WORD		 8

enum { PARCEL_REQUEST = 1, PARCEL_WORK = 2, PARCEL_SMALL = 4 };

struct go_parcel {
	__u64 from; /* task; 0: not known */
	__u64 ts_ns;
	__u64 word; /* the first of what was sent */
	__u64 type; /* of the element */
	__u64 flags; /* sent by one with a request; may be work; too small for anything but a signal */
};

struct go_addr {
	__u64 addr;
	__u64 start_ns; /* of the process */
};

/* By slot. The oldest go; what lies in one of these is from nobody. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct go_addr);
	__type(value, struct go_parcel);
} go_slots SEC(".maps");

/* By an element's first word: who took it last, and from which slot. The oldest go. */
struct go_taken {
	__u64 by;
	__u64 slot;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct go_addr);
	__type(value, struct go_taken);
} go_taken SEC(".maps");

/* Types of what is lent. The oldest go, and are learned again. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct go_addr);
	__type(value, __u8);
} go_lent SEC(".maps");

/* Elements that workers took: of unknown senders, so their calls are orphans; and of types that are lent. */
__u64 go_gifts_unknown, go_gifts_lent;

/*
 * Is this the address of something in Go's heap? A counter or a token of a semaphore is not. The heap
 * begins anywhere (since 1.26); a g is in it.
 */
static __always_inline bool go_in_heap(__u64 word, __u64 g)
{
	return word - g + (1ull << 36) < 1ull << 37 && word >> 32;
}

static __always_inline struct clew_task_chain *go_chain(struct task_struct *t)
{
	__u32 slot;
	struct clew_task_chain *c = chain_by_tgid(t, &slot);

	return c && c->state == CLEW_CHAIN_TRUSTED && c->kind == CLEW_TASK_GO &&
			       (c->go_flags & CLEW_GO_CHANNELS)
		       ? c
		       : NULL;
}

/* enum task_mark of the goroutine g; whether it was begun for a request is found out once. */
__noinline __u64 go_marks(struct clew_task_chain *c, __u64 g, __u64 task)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct task_key key = {.task = task, .start_ns = t->group_leader->start_time};
	struct task_key up = {.start_ns = key.start_ns};
	__u8 *marks, *above;
	__u64 parent;

	if (!c)
		return 0;
	marks = bpf_map_lookup_elem(&tasks_told, &key);
	if (!marks) {
		go_tell_parent(c, g, task);
		marks = bpf_map_lookup_elem(&tasks_told, &key);
	}
	if (!marks || (*marks & TASK_PARENT_SEEN))
		return marks ? *marks : 0;
	*marks |= TASK_PARENT_SEEN;
	if (!read_word(c, &parent, g + c->go_parent) || !parent)
		return *marks;
	up.task = CLEW_TASK(CLEW_TASK_GO, parent);
	above = bpf_map_lookup_elem(&tasks_told, &up);
	if (above && (*above & (TASK_SERVES | TASK_HELPS | TASK_GIVEN)))
		*marks |= TASK_HELPS;
	return *marks;
}

static __always_inline __u64 go_task_id(struct clew_task_chain *c, __u64 g)
{
	__u64 id;

	return read_word(c, &id, g + c->id_off) && id && id <= c->max_id
		       ? CLEW_TASK(CLEW_TASK_GO, id)
		       : 0;
}

/* What goroutine g puts into a slot, or into another's hands (near: the channel's buffer). */
__noinline int go_pack(struct clew_task_chain *c, __u64 g, __u64 elem, __u64 near,
		       struct go_parcel *p)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct go_addr key = {.start_ns = t->group_leader->start_time};
	struct go_taken *taken;
	__u64 size = 0;
	__u8 one = 1;

	if (!c || !p)
		return 0;
	p->ts_ns = bpf_ktime_get_ns();
	p->from = go_task_id(c, g);
	p->flags = p->word = 0;
	if (!read_word(c, &size, p->type))
		return 0;
	if (size < GO_WORD)
		p->flags |= PARCEL_SMALL;
	if (!p->from || size < GO_WORD || !read_word(c, &p->word, elem))
		return 0;
	if (size > GO_WORD || go_in_heap(p->word, g))
		p->flags |= PARCEL_WORK;
	if (go_marks(c, g, p->from) & (TASK_SERVES | TASK_HELPS | TASK_GIVEN))
		p->flags |= PARCEL_REQUEST;
	key.addr = p->word;
	taken = bpf_map_lookup_elem(&go_taken, &key);
	if (taken && taken->by == p->from &&
	    near - taken->slot + GO_BUFFER_NEAR < 2 * GO_BUFFER_NEAR) {
		key.addr = p->type;
		bpf_map_update_elem(&go_lent, &key, &one, BPF_ANY);
	}
	return 0;
}

/* Goroutine g, whose stack is used from sp on, takes this; slot: it was there, or 0. */
__noinline int go_unpack(struct clew_task_chain *c, __u64 g, __u64 sp, __u64 slot,
			 struct go_parcel *p)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct go_addr key = {.start_ns = t->group_leader->start_time};
	struct go_taken taken = {.slot = slot};
	__u64 hi, marks;

	if (!c || !p)
		return 0;
	taken.by = go_task_id(c, g);
	if (!taken.by || taken.by == p->from || (p->flags & PARCEL_SMALL))
		return 0;
	if (slot && p->word) {
		key.addr = p->word;
		bpf_map_update_elem(&go_taken, &key, &taken, BPF_ANY);
	}
	marks = go_marks(c, g, taken.by);
	if ((marks & (TASK_SERVES | TASK_HELPS | TASK_OF_CONN)) ||
	    (!(p->flags & PARCEL_REQUEST) && !(marks & TASK_GIVEN)) ||
	    !read_word(c, &hi, g + GO_STACK_HI) || hi - sp > GO_WORKER_STACK)
		return 0;
	key.addr = p->type;
	if (bpf_map_lookup_elem(&go_lent, &key)) {
		__sync_fetch_and_add(&go_gifts_lent, 1);
		return 0;
	}
	if (!p->from || !(p->flags & PARCEL_WORK)) {
		__sync_fetch_and_add(&go_gifts_unknown, 1);
		tell_task(0, taken.by);
		return 0;
	}
	tell_task_since(p->from, taken.by, p->ts_ns);
	if (p->flags & PARCEL_REQUEST)
		task_mark_as(t, taken.by, TASK_GIVEN);
	return 0;
}

static __always_inline void go_put(struct task_struct *t, __u64 slot, struct go_parcel *p)
{
	struct go_addr key = {.addr = slot, .start_ns = t->group_leader->start_time};

	if (bpf_map_update_elem(&go_slots, &key, p, BPF_ANY))
		bpf_map_delete_elem(&go_slots, &key);
}

/* What is in a slot is taken out; what was not seen to be put there is nobody's. */
static __always_inline bool go_take(struct task_struct *t, __u64 slot, struct go_parcel *ret)
{
	struct go_addr key = {.addr = slot, .start_ns = t->group_leader->start_time};
	struct go_parcel *p = bpf_map_lookup_elem(&go_slots, &key);

	if (!p)
		return false;
	*ret = *p;
	bpf_map_delete_elem(&go_slots, &key);
	return true;
}

/* What lay in a slot before anybody looked. */
static __always_inline void go_unseen_parcel(struct clew_task_chain *c, __u64 type,
					     struct go_parcel *p)
{
	__u64 size;

	p->type = type;
	if (read_word(c, &size, type) && size < GO_WORD)
		p->flags = PARCEL_SMALL;
}

/* chansend: typedmemmove(type AX, slot BX, elem CX) */
SEC("uprobe")
int on_go_chansend(struct pt_regs *ctx)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct go_parcel p = {.type = ctx->ax};
	struct clew_task_chain *c = go_chain(t);

	if (!c)
		return 0;
	go_pack(c, ctx->r14, ctx->cx, ctx->bx, &p);
	go_put(t, ctx->bx, &p);
	return 0;
}

/* chanrecv: typedmemmove(type AX, elem BX, slot CX) */
SEC("uprobe")
int on_go_chanrecv(struct pt_regs *ctx)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct go_parcel p = {};
	struct clew_task_chain *c = go_chain(t);

	if (!c)
		return 0;
	if (!go_take(t, ctx->cx, &p))
		go_unseen_parcel(c, ctx->ax, &p);
	go_unpack(c, ctx->r14, ctx->sp, ctx->cx, &p);
	return 0;
}

/* selectgo does either: what comes from a slot is taken, what goes to other than the own stack is put. */
SEC("uprobe")
int on_go_select(struct pt_regs *ctx)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct go_parcel p = {};
	struct clew_task_chain *c = go_chain(t);

	if (!c)
		return 0;
	if (go_take(t, ctx->cx, &p)) {
		go_unpack(c, ctx->r14, ctx->sp, ctx->cx, &p);
		return 0;
	}
	p.type = ctx->ax;
	go_pack(c, ctx->r14, ctx->cx, ctx->bx, &p);
	go_put(t, ctx->bx, &p);
	return 0;
}

/* An element's type, its channel's buffer, and the sp of a goroutine that waits. */
static __always_inline bool go_chan_words(struct clew_task_chain *c, __u64 chan, __u64 *ret_type,
					  __u64 *ret_buf)
{
	return read_word(c, ret_type, chan + c->go_recvx - 16) &&
	       read_word(c, ret_buf, chan + GO_CHAN_BUF);
}

/* send(c AX, sudog BX, elem CX): the sudog's goroutine waits for it. */
SEC("uprobe")
int on_go_send(struct pt_regs *ctx)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct go_parcel p = {};
	struct clew_task_chain *c = go_chain(t);
	__u64 to, sp, buf;

	if (!c || !go_chan_words(c, ctx->ax, &p.type, &buf) || !read_word(c, &to, ctx->bx) ||
	    !read_word(c, &sp, to + GO_SCHED_SP))
		return 0;
	go_pack(c, ctx->r14, ctx->cx, buf, &p);
	p.ts_ns = SINCE_NOW;
	go_unpack(c, to, sp, buf, &p);
	return 0;
}

/* recv(c AX, sudog BX, elem CX): the sudog's goroutine waits to send. */
SEC("uprobe")
int on_go_recv(struct pt_regs *ctx)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct go_parcel p = {}, first = {};
	struct clew_task_chain *c = go_chain(t);
	__u64 from, elem, slots, slot, at, size = 0;

	if (!c || !go_chan_words(c, ctx->ax, &p.type, &slot) || !read_word(c, &from, ctx->bx) ||
	    !read_word(c, &elem, ctx->bx + c->go_sudog_elem) ||
	    !read_word(c, &slots, ctx->ax + GO_CHAN_DATAQSIZ))
		return 0;
	if (!slots) {
		go_pack(c, from, elem, 0, &p);
		p.ts_ns = SINCE_NOW;
		go_unpack(c, ctx->r14, ctx->sp, 0, &p);
		return 0;
	}
	if (!read_word(c, &at, ctx->ax + c->go_recvx) ||
	    !read_word(c, &size, ctx->ax + GO_CHAN_ELEMSIZE))
		return 0;
	slot += at * (size & 0xffff);
	if (!go_take(t, slot, &first))
		go_unseen_parcel(c, p.type, &first);
	if (ctx->cx)
		go_unpack(c, ctx->r14, ctx->sp, slot, &first);
	go_pack(c, from, elem, slot, &p);
	go_put(t, slot, &p);
	return 0;
}
