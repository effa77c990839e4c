/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Go: work that was given to a goroutine through a channel (--go-channels), and roundTrip's probe.
 *
 * What goes through a channel is mostly a pointer, or begins with one, and the goroutine that got it
 * keeps it in the frame of its loop, near the top of its stack:
 *
 *	handler: jobs <- j      chansend: word of j ─► go_gifts: who sent it
 *	worker:  for j := range jobs { ... http.Get() }
 *	         roundTrip: the words at the top of its stack that are in go_gifts: who sent them
 *
 * Only what goroutines send that serve a connection counts, and not the request that roundTrip itself
 * sends to the connection's own goroutine: the memory of those is used again soon, and may lie dead on
 * anybody's stack.
 *
 * A gift is claimed by the first goroutine that calls with it on its stack. Where the stack holds
 * unclaimed gifts of two senders, which of them it works on is not known, and nothing is told.
 */
#pragma once

/*
 * Is this the address of something in Go's heap? Other words (small numbers, addresses of code and
 * constants) come again. The heap begins anywhere (since 1.26); a g is in it.
 */
static __always_inline bool go_in_heap(__u64 word, __u64 g)
{
	return word - g + (1ull << 36) < 1ull << 37 && word >> 32;
}

#define GO_STACK_HI	 8  /* g.stack.hi; 1.21 to 1.26, as is the next */
#define GO_CHAN_ELEMSIZE 24 /* hchan.elemsize */
#define GO_SCAN_BYTES	 960
#define GO_SCAN_WORDS	 (GO_SCAN_BYTES / 8)
#define GO_GIFT_OLD_NS	 30000000000ull

struct go_gift_key {
	__u64 word;
	__u64 start_ns; /* of the process */
};

struct go_gift {
	__u64 from; /* task */
	__u64 by;   /* claimed by; 0: not yet */
	__u64 ts_ns;
};

/* The oldest go; a worker that got one of these long ago is not linked. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct go_gift_key);
	__type(value, struct go_gift);
} go_gifts SEC(".maps");
/* Calls by goroutines with gifts of several senders, and scans that met another on their CPU. */
__u64 go_gifts_unclear, go_scans_missed;

struct go_scan {
	__u32 busy; /* a program may be preempted by another thread's */
	__u32 pad;
	__u64 start_ns, now, task, g;
	__u64 from; /* who gave what is unclaimed */
	__u64 word; /* and what that is: the newest */
	__u64 ts_ns;
	__u32 unclear;
	__u32 n;
	__u64 words[GO_SCAN_WORDS];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct go_scan);
} go_scans SEC(".maps");

static int go_scan_step(__u32 i, void *unused)
{
	__u32 zero = 0;
	struct go_scan *s = bpf_map_lookup_elem(&go_scans, &zero);
	struct go_gift_key key = {};
	struct go_gift *gift;

	if (!s || i >= GO_SCAN_WORDS || i >= s->n)
		return 1;
	key.word = s->words[i];
	if (!go_in_heap(key.word, s->g))
		return 0;
	key.start_ns = s->start_ns;
	gift = bpf_map_lookup_elem(&go_gifts, &key);
	if (!gift || gift->by || gift->from == s->task || s->now - gift->ts_ns > GO_GIFT_OLD_NS)
		return 0;
	if (s->from && s->from != gift->from)
		s->unclear = 1;
	if (gift->ts_ns > s->ts_ns) {
		s->ts_ns = gift->ts_ns;
		s->word = key.word;
		s->from = gift->from;
	}
	return 0;
}

static __always_inline void go_claim(struct go_scan *s, struct task_struct *t)
{
	struct go_gift_key key = {.word = s->word, .start_ns = s->start_ns};
	struct go_gift *gift;

	if (!s->from)
		return;
	if (s->unclear) {
		__sync_fetch_and_add(&go_gifts_unclear, 1);
		return;
	}
	gift = bpf_map_lookup_elem(&go_gifts, &key);
	/* It may have been sent, or claimed, again meanwhile. */
	if (!gift || gift->ts_ns != s->ts_ns || __sync_val_compare_and_swap(&gift->by, 0, s->task))
		return;
	tell_task_since(s->from, s->task, s->ts_ns);
}

/* Goroutine g, whose stack is used from sp on, makes a call: for whom? */
static __noinline int go_find_giver(struct task_struct *t, __u64 g, __u64 sp, __u64 task)
{
	__u32 zero = 0, n = GO_SCAN_BYTES;
	struct go_scan *s = bpf_map_lookup_elem(&go_scans, &zero);
	__u64 hi;

	if (!s)
		return 0;
	if (__sync_lock_test_and_set(&s->busy, 1)) {
		__sync_fetch_and_add(&go_scans_missed, 1);
		return 0;
	}
	s->start_ns = t->group_leader->start_time;
	s->now = bpf_ktime_get_ns();
	s->task = task;
	s->g = g;
	s->from = s->word = s->ts_ns = 0;
	s->unclear = 0;
	if (bpf_probe_read_user(&hi, sizeof(hi), (void *)(g + GO_STACK_HI)) || hi <= sp)
		goto out;
	if (hi - sp < n)
		n = (hi - sp) & ~7ull;
	barrier_var(n); /* the bound must follow the last change of n */
	if (n > GO_SCAN_BYTES)
		goto out;
	if (bpf_probe_read_user(s->words, n, (void *)(hi - n)))
		goto out;
	s->n = n / 8;
	bpf_loop(GO_SCAN_WORDS, go_scan_step, NULL, 0);
	go_claim(s, t);
out:
	s->busy = 0;
	return 0;
}

/* chansend(c *hchan, ep unsafe.Pointer, ...): AX, BX. */
SEC("uprobe")
int on_go_chansend(struct pt_regs *ctx)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct go_gift_key key = {};
	struct go_gift gift = {};
	struct task_key sender = {};
	struct clew_task_chain *c;
	__u64 id;
	__u32 slot;
	__u16 size = 0;
	__u8 *marks;

	if (bpf_probe_read_user(&size, sizeof(size), (void *)(ctx->ax + GO_CHAN_ELEMSIZE)) ||
	    size < sizeof(key.word) ||
	    bpf_probe_read_user(&key.word, sizeof(key.word), (void *)ctx->bx) ||
	    !go_in_heap(key.word, ctx->r14))
		return 0;
	c = chain_by_tgid(t, &slot);
	if (!c || c->state != CLEW_CHAIN_TRUSTED || c->kind != CLEW_TASK_GO)
		return 0;
	if (!read_word(c, &id, ctx->r14 + c->id_off) || !id || id > c->max_id)
		return 0;
	key.start_ns = t->group_leader->start_time;
	gift.from = CLEW_TASK(CLEW_TASK_GO, id);
	sender.task = gift.from;
	sender.start_ns = key.start_ns;
	marks = bpf_map_lookup_elem(&tasks_told, &sender);
	if (!marks || !(*marks & TASK_SERVES) || (*marks & TASK_OF_CONN))
		return 0;
	if (*marks & TASK_CALLS) {
		*marks &= ~TASK_CALLS;
		return 0;
	}
	gift.ts_ns = bpf_ktime_get_ns();
	bpf_map_update_elem(&go_gifts, &key, &gift, BPF_ANY);
	return 0;
}

SEC("uprobe")
int on_go_round_trip(struct pt_regs *ctx)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct clew_task_chain *c;
	struct go_conn conn = {}, *known;
	__u64 cookie;
	__u32 slot;

	c = chain_by_tgid(t, &slot);
	if (!c || c->state != CLEW_CHAIN_TRUSTED || c->kind != CLEW_TASK_GO)
		return 0;
	conn.task = go_task(c, ctx->r14);
	if (conn.task && (c->go_flags & CLEW_GO_CHANNELS)) {
		go_find_giver(t, ctx->r14, ctx->sp, conn.task);
		task_mark_as(t, conn.task, TASK_CALLS);
	}
	cookie = go_conn_cookie(t, ctx->ax);
	if (!conn.task || !cookie) {
		__sync_fetch_and_add(&go_conns_unknown, 1);
		return 0;
	}
	known = bpf_map_lookup_elem(&go_conns, &cookie);
	if (known)
		known->task = conn.task;
	else if (bpf_map_update_elem(&go_conns, &cookie, &conn, BPF_ANY))
		__sync_fetch_and_add(&go_conns_full, 1);
	return 0;
}
