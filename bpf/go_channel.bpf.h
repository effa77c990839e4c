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
 * nothing until all of them stand (CLEW_GO_CHANNELS, set by runtimes.c).
 *
 * Not every element is work. Told is what a worker takes: a goroutine that serves no connection, was not
 * begun by one that does, and takes it in a frame at the top of its stack (what is taken further down is needed for
 * work that it has). What goes back into the channel that it came from, sent by who took it, is
 * something that is lent: elements of such a type are no work from then on. Whatever else comes out of a
 * worker's select (a tick, a signal, nobody's element) ends what it worked for: it may do something of its
 * own then. A signal that it waits for alone is part of its work.
 */
#pragma once

#define GO_STACK_HI	 8 /* g.stack.hi; 1.21 to 1.26, as are the next */
#define GO_CHAN_DATAQSIZ 8 /* hchan */
#define GO_CHAN_BUF	 16
#define GO_CHAN_ELEMSIZE 24
#define GO_SUDOG_SELECT	 28   /* sudog.isSelect, from sudog.elem on */
#define GO_SPILLED	 16   /* from BP: where a function keeps its first argument */
#define GO_CASE		 16   /* scase: channel, element */
#define GO_CASES	 8    /* of a select that are looked at */
#define GO_SKIP_SELECT	 2    /* recv's last argument, when selectgo calls it */
#define GO_WORKER_STACK	 1024 /* from the top of its stack down to the frame that takes an element */
#define GO_BUFFER_NEAR	 65536
#define GO_WORD		 8

enum {
	PARCEL_REQUEST = 1, /* sent by one with a request */
	PARCEL_WORK = 2,    /* may be work */
	PARCEL_SMALL = 4,   /* too small for anything but a signal */
	/* Of who takes it: */
	PARCEL_SELECT = 8,  /* in a select */
	PARCEL_UNREAD = 16, /* and does not look at it */
	/* What is in .chan: */
	PARCEL_CASES = 32,  /* where a select's cases are kept; else: where its channel is */
	PARCEL_DIRECT = 64, /* the channel itself */
};

struct go_parcel {
	__u64 from; /* task; 0: not known */
	__u64 ts_ns;
	__u64 word; /* the first of what was sent */
	__u64 type; /* of the element */
	__u64 flags;
	__u64 chan; /* while it is sent: the channel, by PARCEL_CASES */
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

/* It has work, and has sent nothing since. */
static __always_inline void go_mark_given(struct task_struct *t, __u64 task)
{
	struct task_key key = {.task = task, .start_ns = t->group_leader->start_time};
	__u8 *marks = bpf_map_lookup_elem(&tasks_told, &key);

	if (marks)
		*marks = (*marks & ~TASK_SENT) | TASK_GIVEN;
}

/* Is this the channel that an element goes through at `slot`, and was `other` one of its slots too? */
static __always_inline bool go_same_channel(__u64 chan, __u64 slot, __u64 other)
{
	__u64 words[3], bytes; /* dataqsiz, buf, elemsize */

	if (bpf_probe_read_user(words, sizeof(words), (void *)(chan + GO_CHAN_DATAQSIZ)))
		return false;
	bytes = words[0] * (words[2] & 0xffff);
	if (!bytes)
		bytes = 1;
	return slot - words[1] < bytes && other - words[1] < bytes;
}

/*
 * Does what goes into `slot` now go back to where `taken` was? chansend and selectgo keep their first
 * argument beside their return address: the channel, or the cases.
 */
static __always_inline bool go_goes_back(const struct go_parcel *p, __u64 slot, __u64 elem,
					 __u64 taken)
{
	bool near = taken - slot + GO_BUFFER_NEAR < 2 * GO_BUFFER_NEAR;
	__u64 at = p->chan, scase[2];

	if (!(p->flags & PARCEL_DIRECT) && bpf_probe_read_user(&at, sizeof(at), (void *)at))
		return near;
	if (!(p->flags & PARCEL_CASES))
		return go_same_channel(at, slot, slot) ? go_same_channel(at, slot, taken) : near;
	for (__u32 i = 0; i < GO_CASES; i++) {
		if (bpf_probe_read_user(scase, sizeof(scase), (void *)(at + i * GO_CASE)))
			break;
		if (scase[1] == elem && go_same_channel(scase[0], slot, slot))
			return go_same_channel(scase[0], slot, taken);
	}
	return near; /* it cannot be told */
}

/* What goroutine g puts into a slot, or into another's hands (slot: the channel's buffer). */
__noinline int go_pack(struct clew_task_chain *c, __u64 g, __u64 elem, __u64 slot,
		       struct go_parcel *p)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct go_addr key = {.start_ns = t->group_leader->start_time};
	struct task_key self = {.start_ns = key.start_ns};
	struct go_taken *taken;
	__u64 size = 0, marks;
	__u8 one = 1, *known;

	if (!c || !p)
		return 0;
	p->ts_ns = 0;
	if (!p->from)
		p->from = go_task_id(c, g);
	self.task = p->from;
	p->flags &= PARCEL_CASES | PARCEL_DIRECT;
	p->word = 0;
	known = bpf_map_lookup_elem(&tasks_told, &self);
	if (known && (*known & (TASK_GIVEN | TASK_SENT)) == TASK_GIVEN)
		*known |= TASK_SENT;
	if (!read_word(c, &size, p->type))
		return 0;
	if (size < GO_WORD)
		p->flags |= PARCEL_SMALL;
	if (!p->from || size < GO_WORD || !read_word(c, &p->word, elem))
		return 0;
	if (size > GO_WORD || go_in_heap(p->word, g))
		p->flags |= PARCEL_WORK;
	marks = go_marks(c, g, p->from);
	if (marks & (TASK_SERVES | TASK_HELPS | TASK_GIVEN))
		p->flags |= PARCEL_REQUEST;
	p->ts_ns = bpf_ktime_get_ns(); /* not before its parent was told */
	key.addr = p->word;
	taken = bpf_map_lookup_elem(&go_taken, &key);
	if (taken && taken->by == p->from && go_goes_back(p, slot, elem, taken->slot)) {
		key.addr = p->type;
		bpf_map_update_elem(&go_lent, &key, &one, BPF_ANY);
	}
	return 0;
}

/*
 * How far down on its stack is the frame in which goroutine g takes an element? bp: that of chanrecv (behind
 * chanrecv1 or chanrecv2) or of selectgo.
 */
static __always_inline bool go_is_at_top(struct clew_task_chain *c, __u64 g, __u64 bp, __u64 flags)
{
	__u64 hi;

	return read_word(c, &hi, g + GO_STACK_HI) && read_word(c, &bp, bp) &&
	       ((flags & PARCEL_SELECT) || read_word(c, &bp, bp)) && hi - bp <= GO_WORKER_STACK;
}

/* Goroutine g takes this; bp: go_is_at_top(); slot: it was there, or 0. */
__noinline int go_unpack(struct clew_task_chain *c, __u64 g, __u64 bp, __u64 slot,
			 struct go_parcel *p)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct go_addr key = {.start_ns = t->group_leader->start_time};
	struct go_taken taken = {.slot = slot}, *before;
	__u64 marks, signal, replied;

	if (!c || !p)
		return 0;
	taken.by = go_task_id(c, g);
	signal = p->flags & (PARCEL_SMALL | PARCEL_UNREAD);
	if (!taken.by || (signal && !(p->flags & PARCEL_SELECT)))
		return 0;
	marks = go_marks(c, g, taken.by);
	/* A connection's own goroutines lend nothing. */
	if (slot && p->word && !signal && !(marks & TASK_OF_CONN)) {
		key.addr = p->word;
		before = bpf_map_lookup_elem(&go_taken, &key);
		if (before)
			*before = taken;
		else
			bpf_map_update_elem(&go_taken, &key, &taken, BPF_ANY);
	}
	if ((marks & (TASK_SERVES | TASK_HELPS | TASK_OF_CONN)) ||
	    (!(p->flags & PARCEL_REQUEST) && !(marks & TASK_GIVEN)) ||
	    !go_is_at_top(c, g, bp, p->flags))
		return 0;
	replied = marks & TASK_SENT ? CLEW_HANDOFF_REPLIED : 0;
	key.addr = p->type;
	if (!signal && bpf_map_lookup_elem(&go_lent, &key)) {
		__sync_fetch_and_add(&go_gifts_lent, 1);
		return 0;
	}
	if (signal || !p->from || p->from == taken.by || !(p->flags & PARCEL_WORK)) {
		if (!signal)
			__sync_fetch_and_add(&go_gifts_unknown, 1);
		if (marks & TASK_GIVEN)
			tell_task_since(0, taken.by, SINCE_NOW, replied);
		return 0;
	}
	tell_task_since(p->from, taken.by, p->ts_ns, replied);
	if (p->flags & PARCEL_REQUEST)
		go_mark_given(t, taken.by);
	return 0;
}

/*
 * A slot's entry stays and is written in place, under the channel's lock, which who puts and who takes hold: an update
 * costs some 300 ns, a look-up 60.
 */
static __always_inline void go_put(struct task_struct *t, __u64 slot, struct go_parcel *p)
{
	struct go_addr key = {.addr = slot, .start_ns = t->group_leader->start_time};
	struct go_parcel *there = bpf_map_lookup_elem(&go_slots, &key);

	if (there)
		*there = *p;
	else
		bpf_map_update_elem(&go_slots, &key, p, BPF_ANY);
}

/* What is in a slot is taken out; what was not seen to be put there is nobody's. */
static __always_inline bool go_take(struct task_struct *t, __u64 slot, struct go_parcel *ret)
{
	struct go_addr key = {.addr = slot, .start_ns = t->group_leader->start_time};
	struct go_parcel *p = bpf_map_lookup_elem(&go_slots, &key);

	if (!p || !p->type)
		return false;
	*ret = *p;
	p->type = 0;
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
	struct go_parcel p = {.type = ctx->ax, .chan = ctx->bp + GO_SPILLED};
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
	go_unpack(c, ctx->r14, ctx->bp, ctx->cx, &p);
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
		p.flags |= PARCEL_SELECT;
		go_unpack(c, ctx->r14, ctx->bp, ctx->cx, &p);
		return 0;
	}
	p.type = ctx->ax;
	p.chan = ctx->bp + GO_SPILLED;
	p.flags = PARCEL_CASES;
	go_pack(c, ctx->r14, ctx->cx, ctx->bx, &p);
	go_put(t, ctx->bx, &p);
	return 0;
}

/* selectgo: typedmemclr(type AX, slot BX): of what was in it, what is there still was not looked at. */
SEC("uprobe")
int on_go_select_clear(struct pt_regs *ctx)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct go_parcel p = {};
	struct clew_task_chain *c = go_chain(t);

	if (!c || !go_take(t, ctx->bx, &p))
		return 0;
	p.flags |= PARCEL_SELECT | PARCEL_UNREAD;
	go_unpack(c, ctx->r14, ctx->bp, ctx->bx, &p);
	return 0;
}

/* An element's type and its channel's buffer. */
static __always_inline bool go_chan_words(struct clew_task_chain *c, __u64 chan, __u64 *ret_type,
					  __u64 *ret_buf)
{
	return read_word(c, ret_type, chan + c->go_recvx - 16) &&
	       read_word(c, ret_buf, chan + GO_CHAN_BUF);
}

/* How the goroutine behind this sudog waits. */
static __always_inline __u64 go_waits(struct clew_task_chain *c, __u64 sudog)
{
	__u64 elem, flags = 0;
	__u8 selects = 0;

	if (read_word(c, &elem, sudog + c->go_sudog_elem) && !elem)
		flags |= PARCEL_UNREAD;
	if (!bpf_probe_read_user(&selects, sizeof(selects),
				 (void *)(sudog + c->go_sudog_elem + GO_SUDOG_SELECT)) &&
	    selects)
		flags |= PARCEL_SELECT;
	return flags;
}

/* Is this one of a client connection's own goroutines? Notes that it has sent something, if it sends. */
static __always_inline bool go_of_conn(struct task_struct *t, __u64 task, bool sends)
{
	struct task_key key = {.task = task, .start_ns = t->group_leader->start_time};
	__u8 *marks = bpf_map_lookup_elem(&tasks_told, &key);

	if (!marks)
		return false;
	if (sends && (*marks & (TASK_GIVEN | TASK_SENT)) == TASK_GIVEN)
		*marks |= TASK_SENT;
	return *marks & TASK_OF_CONN;
}

/*
 * send(c AX, sudog BX, elem CX): the sudog's goroutine waits for it. Most of net/http's own hand-overs come
 * this way, two thirds of them from or to a client connection's own goroutines: they give no work and are
 * given none, which is found out with two of the dozen reads that the rest takes.
 */
SEC("uprobe")
int on_go_send(struct pt_regs *ctx)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct go_parcel p = {.chan = ctx->ax, .flags = PARCEL_DIRECT};
	struct clew_task_chain *c = go_chain(t);
	__u64 to, bp, buf;

	if (!c)
		return 0;
	p.from = go_task_id(c, ctx->r14);
	if (go_of_conn(t, p.from, true) || !read_word(c, &to, ctx->bx) ||
	    go_of_conn(t, go_task_id(c, to), false))
		return 0;

	/* It waits in gopark, which chanrecv or selectgo called. */
	if (!go_chan_words(c, ctx->ax, &p.type, &buf) || !read_word(c, &bp, to + c->go_sched_bp) ||
	    !read_word(c, &bp, bp))
		return 0;
	go_pack(c, ctx->r14, ctx->cx, buf, &p);
	p.flags |= go_waits(c, ctx->bx);
	p.ts_ns = SINCE_NOW;
	go_unpack(c, to, bp, buf, &p);
	return 0;
}

/* recv(c AX, sudog BX, elem CX, unlock DI, skip SI): the sudog's goroutine waits to send. */
SEC("uprobe")
int on_go_recv(struct pt_regs *ctx)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct go_parcel p = {.chan = ctx->ax, .flags = PARCEL_DIRECT};
	struct clew_task_chain *c = go_chain(t);
	__u64 from, elem, slots, slot, type, at, size = 0, how = 0;

	if (!c || !go_chan_words(c, ctx->ax, &type, &slot) || !read_word(c, &from, ctx->bx) ||
	    !read_word(c, &elem, ctx->bx + c->go_sudog_elem) ||
	    !read_word(c, &slots, ctx->ax + GO_CHAN_DATAQSIZ))
		return 0;
	if (ctx->si == GO_SKIP_SELECT)
		how |= PARCEL_SELECT;
	if (!ctx->cx)
		how |= PARCEL_UNREAD;
	if (!slots) {
		p.type = type;
		go_pack(c, from, elem, slot, &p);
		p.flags |= how;
		p.ts_ns = SINCE_NOW;
		go_unpack(c, ctx->r14, ctx->bp, slot, &p);
		return 0;
	}
	if (!read_word(c, &at, ctx->ax + c->go_recvx) ||
	    !read_word(c, &size, ctx->ax + GO_CHAN_ELEMSIZE))
		return 0;
	slot += at * (size & 0xffff);
	p = (struct go_parcel){};
	if (!go_take(t, slot, &p))
		go_unseen_parcel(c, type, &p);
	p.flags |= how;
	go_unpack(c, ctx->r14, ctx->bp, slot, &p);
	p = (struct go_parcel){.type = type, .chan = ctx->ax, .flags = PARCEL_DIRECT};
	go_pack(c, from, elem, slot, &p);
	go_put(t, slot, &p);
	return 0;
}
