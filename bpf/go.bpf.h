/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Go: whose request an HTTP client connection carries, and who handed work over.
 *
 * net/http writes requests and reads responses in two goroutines of the connection's own. The
 * goroutine that asks calls (*persistConn).roundTrip first, so a probe there notes which goroutine
 * the socket works for, and the hooks name that one in place of the connection's own two.
 *
 * Probes stand at the function's PUSHQ BP, which the kernel emulates (0.9 us in place of 10 at the
 * first instruction, which traps twice); arguments are still in registers there: AX, BX, ...; R14 is g.
 */
#pragma once

#define GO_PERSIST_CONN 80 /* net/http.persistConn.conn, a net.Conn; 1.21 to 1.26 */
#define GO_FD_SYSFD	16 /* net.netFD.pfd.Sysfd; the same */

/* An HTTP client connection. */
struct go_conn {
	__u64 task;   /* whose request it carries */
	__u64 writer; /* the connection's own goroutines: only their work is somebody else's. What */
	__u64 reader; /* a connection was taken over for (an upgrade) is its new user's */
};

/* By socket cookie; removed with the connection. Dropped: go_conns_full. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, struct go_conn);
} go_conns SEC(".maps");
__u64 go_conns_full;
/* Calls of roundTrip whose socket was not found: another net.Conn than TCP or something over it. */
__u64 go_conns_unknown;

/* The cookie of the socket behind a net.netFD; 0: there is none. */
static __always_inline __u64 go_fd_cookie(struct task_struct *t, __u64 netfd)
{
	__u64 fd = 0;

	if (bpf_probe_read_user(&fd, sizeof(fd), (void *)(netfd + GO_FD_SYSFD)))
		return 0;
	return fd_cookie(t, fd);
}

/*
 * persistConn.conn is an interface: {itab, data}. A *net.TCPConn begins with its *netFD; a *tls.Conn,
 * and whoever else wraps a connection as its first field, with another such interface. (Taken for a
 * netFD, an itab has a hash where the descriptor would be.)
 */
static __always_inline __u64 go_conn_cookie(struct task_struct *t, __u64 persist)
{
	__u64 at[2] = {}, cookie, netfd = 0;

	if (bpf_probe_read_user(at, sizeof(at), (void *)(persist + GO_PERSIST_CONN)) ||
	    bpf_probe_read_user(at, sizeof(at), (void *)at[1]))
		return 0;
	cookie = go_fd_cookie(t, at[0]);
	if (cookie)
		return cookie;
	if (bpf_probe_read_user(&netfd, sizeof(netfd), (void *)at[1]))
		return 0;
	return go_fd_cookie(t, netfd);
}

/* The goroutine g, and who began it if that was not told yet. */
static __always_inline __u64 go_task(struct clew_task_chain *c, __u64 g)
{
	__u64 id, task;

	if (!read_word(c, &id, g + c->id_off) || !id || id > c->max_id)
		return 0;
	task = CLEW_TASK(CLEW_TASK_GO, id);
	if (c->go_parent)
		go_tell_parent(c, g, task);
	return task;
}

/* (*persistConn).roundTrip: the goroutine g asks for a call on this connection. */
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

/* runtime.newproc: a go statement, in the goroutine g. The return address is on top of its stack. */
SEC("uprobe")
int on_go_new(struct pt_regs *ctx)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct clew_task_chain *c;
	struct go_site site = {.start_ns = t->group_leader->start_time};
	__u32 slot;

	c = chain_by_tgid(t, &slot);
	if (!c || c->kind != CLEW_TASK_GO || !read_word(c, &site.parent, ctx->r14 + c->id_off) ||
	    !site.parent || !read_word(c, &site.pc, ctx->sp))
		return 0;
	return go_birth(&site);
}

/* runtime.goexit1: the goroutine g ends. */
SEC("uprobe")
int on_go_end(struct pt_regs *ctx)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct task_key key = {.start_ns = t->group_leader->start_time};
	struct clew_task_chain *c;
	struct go_site site = {};
	__u32 slot;
	__u64 id;

	c = chain_by_tgid(t, &slot);
	if (!c || c->kind != CLEW_TASK_GO || !read_word(c, &id, ctx->r14 + c->id_off))
		return 0;
	key.task = CLEW_TASK(CLEW_TASK_GO, id);
	if (bpf_map_delete_elem(&tasks_told, &key) && go_site_of(c, t, ctx->r14, &site))
		go_unseen_less(&site);
	return 0;
}

/* The task in whose name the goroutine `task` uses a connection. */
static __always_inline __u64 go_conn_task(struct task_struct *t, __u64 cookie, __u64 task, bool tx)
{
	struct go_conn *conn = bpf_map_lookup_elem(&go_conns, &cookie);
	__u64 *own;

	if (!conn)
		return task;
	own = tx ? &conn->writer : &conn->reader;
	if (!*own) {
		*own = task;
		task_mark_as(t, task, TASK_OF_CONN);
	}
	return *own == task ? conn->task : task;
}

/*
 * While net/http's server runs a handler, a goroutine that it began reads one byte of the next request
 * (connReader.backgroundRead), to notice that the client is gone. That is the connection's own work:
 * the goroutine that used the socket last, the reader's parent, reads the rest.
 */
static __always_inline __u64 go_background_read(struct clew_task_chain *c, __u64 last, __u64 task,
						__u64 g)
{
	__u64 parent;

	if (!last || last == task || !c->go_parent || !read_word(c, &parent, g + c->go_parent))
		return task;
	return CLEW_TASK(CLEW_TASK_GO, parent) == last ? last : task;
}
