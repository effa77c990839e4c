/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The bytes of a TCP send where the kernel has them: in the socket's own queue, until the other side has
 * confirmed them.
 *
 *	sk ─┬─ sk_write_queue, last ─────► skb  seq … end_seq
 *	    └─ tcp_rtx_queue, rightmost ─► skb  └─ frags[] ── struct page, offset
 *	                                                         │ sent_pages
 *	                                                         ▼ where that page is mapped
 *
 * A read of user memory costs some 150 ns each time, and a writev() takes one for its array and one for each
 * part. Here all parts stand one behind the other, and one read of kernel memory (60 ns) has them.
 *
 * It is looked for from the end, so that is where the send's last byte must be: whoever writes at the same time puts
 * his bytes behind it. Nobody holds the socket's lock here: another thread may add to the buffer, and the other
 * side's confirmation may free it. The kernel takes a buffer out of the queue before it frees it, and whoever adds
 * to it holds the lock until the sequence number says so; so what is still linked and still ends there after the
 * copy, with the lock free, was whole during it; else the copy does not count. Sockets on which something else stands
 * between the program's bytes and the queue (kernel TLS, a sockmap) are left to the user's memory.
 */
#pragma once

#define SENT_DEPTH 4 /* of the tree, which holds what is on its way */
#define SENT_FRAGS 3 /* from the last one back */

/* Where pages are mapped. Measured by a walk (walk_pages) and checked; shift 0: not known. */
struct clew_sent_pages sent_pages;

static __always_inline __u64 sent_page(__u64 page)
{
	return sent_pages.memory + ((page - sent_pages.first) << sent_pages.shift);
}

/* The buffer that the socket filled last, or one near it: its sequence number tells. 0: there is none. */
static __always_inline __u64 sent_last(struct sock *sk)
{
	__u64 head = (__u64)sk + bpf_core_field_offset(struct sock, sk_write_queue);
	__u64 last = (__u64)sk->sk_write_queue.prev;
	__u64 node, right;

	if (last != head)
		return last;
	node = (__u64)sk->tcp_rtx_queue.rb_node;
	if (!node)
		return 0;
	for (int i = 0; i < SENT_DEPTH; i++) {
		right = (__u64)view(struct rb_node, node)->rb_right;
		if (!right)
			break;
		node = right;
	}
	return node - bpf_core_field_offset(struct sk_buff, rbnode);
}

static __always_inline __u32 sent_seq(__u64 skb)
{
	return view(struct tcp_skb_cb, skb + bpf_core_field_offset(struct sk_buff, cb))->seq;
}

/* What the program gives is encrypted, or looked at, on its way to the queue. */
static __always_inline bool sent_changed(struct sock *sk)
{
	return sk->sk_user_data || view(struct inet_connection_sock, sk)->icsk_ulp_ops;
}

/*
 * Where the last n bytes that were written begin, if want of them stand in one piece there; 0: they do not, or
 * the n bytes before end are not the last ones. *ret_skb: whose.
 */
static __always_inline __u64 sent_find(struct sock *sk, __u32 end, __u32 n, __u32 want,
				       __u64 *ret_skb)
{
	__u64 at = sent_last(sk), shared, page;
	struct sk_buff *skb = view(struct sk_buff, at);
	__u32 size = bpf_core_type_size(struct skb_frag);
	struct skb_frag *frag;
	__u32 len;

	if (!at || sent_changed(sk))
		return 0;
	len = skb->len;
	/* All bytes of what a program sends are in pages. */
	if (sent_seq(at) + len != end || n > len || skb->data_len != len)
		return 0;
	*ret_skb = at;
	shared = (__u64)skb->head + skb->end;
	shared += bpf_core_field_offset(struct skb_shared_info, frags) +
		  size * (view(struct skb_shared_info, shared)->nr_frags - 1);
	for (int i = 0; i < SENT_FRAGS; i++, shared -= size) {
		frag = view(struct skb_frag, shared);
		len = frag->len;
		if (n > len) {
			n -= len;
			continue;
		}
		page = frag->netmem;
		return want > n || (page & 1) ? 0 : sent_page(page) + frag->offset + len - n;
	}
	return 0;
}

/* Was what was found there still that while it was copied? */
static __always_inline bool sent_stayed(struct sock *sk, __u32 end, __u32 n, __u64 skb,
					__u32 skb_seq)
{
	struct tcp_sock *tp = view(struct tcp_sock, sk);

	barrier();
	return (__s32)(tp->snd_una + n - end) <= 0 && sent_last(sk) == skb &&
	       sent_seq(skb) == skb_seq && !sk->sk_lock.owned && tp->write_seq == end;
}

/*
 * What user space asks of walk_pages: two pages of its own are in a pipe that it has open, and what they hold. The page
 * of each is known then, the number of its frame from /proc/self/pagemap; where memory is mapped is found by
 * looking for what they hold, GiB by GiB.
 */
struct clew_pages_asked pages_asked;

#define GIB_SHIFT 30

/* Any struct that begins with a number will do to read one. */
static __always_inline __u64 kernel_word(__u64 at)
{
	return view(struct pt_regs, at)->r15;
}

static __always_inline bool pages_hold(__u64 at, const __u64 *words)
{
	for (int i = 0; i < CLEW_PAGE_WORDS; i++)
		if (kernel_word(at + i * 8) != words[i])
			return false;
	return true;
}

static int pages_try(__u32 i, void *unused)
{
	__u64 at = pages_asked.above - ((__u64)i << GIB_SHIFT);

	if (!pages_hold(at + (pages_asked.frame[0] << CLEW_PAGE_SHIFT), pages_asked.words[0]))
		return 0;
	sent_pages.memory = at;
	return 1;
}

/* Of the thread that asks. */
SEC("iter/task")
int walk_pages(struct bpf_iter__task *ctx)
{
	struct task_struct *t = ctx->task;
	__u64 cell, file, bufs, page[2], first, above;
	__u32 shift = pages_asked.shift;

	if (!t || !pages_asked.frame[0] || sent_pages.shift ||
	    !bpf_core_type_exists(struct skb_frag) ||
	    !bpf_core_field_exists(struct skb_frag, netmem) ||
	    bpf_core_type_size(struct page) << shift != 1 << CLEW_PAGE_SHIFT)
		return 0;
	cell = (__u64)view(struct fdtable, view(struct files_struct, t->files)->fdt)->fd;
	file = kernel_word(cell + pages_asked.fd * 8);
	bufs = (__u64)view(struct pipe_inode_info, view(struct file, file)->private_data)->bufs;
	bufs += bpf_core_field_offset(struct pipe_buffer, page);
	page[0] = kernel_word(bufs);
	page[1] = kernel_word(bufs + bpf_core_type_size(struct pipe_buffer));
	first = page[0] - (pages_asked.frame[0] << (CLEW_PAGE_SHIFT - shift));
	sent_pages.memory = 0;
	sent_pages.first = first;
	/* A process's page directory is in that mapping too. */
	above = kernel_word((__u64)t->mm + bpf_core_field_offset(struct mm_struct, pgd));
	pages_asked.above = above >> GIB_SHIFT << GIB_SHIFT;
	bpf_loop(CLEW_PAGES_GIB, pages_try, NULL, 0);
	if (!sent_pages.memory)
		return 0;
	sent_pages.shift = shift;
	if (!pages_hold(sent_page(page[1]), pages_asked.words[1]))
		sent_pages.shift = 0;
	return 0;
}
