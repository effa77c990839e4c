/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/record_json.h"

#include <arpa/inet.h>
#include <inttypes.h>

struct word {
	uint32_t value;
	const char *name;
};

static const struct word conn_events[] = {
	{CLEW_CONN_CONNECT, "connect"},	  {CLEW_CONN_ESTABLISHED, "established"},
	{CLEW_CONN_ACCEPTED, "accepted"}, {CLEW_CONN_CLOSED, "closed"},
	{CLEW_CONN_ADOPTED, "adopted"},	  {0, NULL},
};
static const struct word roles[] = {
	{CLEW_ROLE_UNKNOWN, "unknown"},
	{CLEW_ROLE_CLIENT, "client"},
	{CLEW_ROLE_SERVER, "server"},
	{0, NULL},
};
static const struct word families[] = {
	{CLEW_AF_UNIX, "unix"}, {CLEW_AF_INET, "inet"}, {CLEW_AF_INET6, "inet6"}, {0, NULL}};
static const struct word handoffs[] = {
	{CLEW_HANDOFF_FUTEX, "futex"},
	{CLEW_HANDOFF_EVENTFD, "eventfd"},
	{CLEW_HANDOFF_PIPE, "pipe"},
	{CLEW_HANDOFF_WAKE, "wake"},
	{CLEW_HANDOFF_SLEEP, "sleep"},
	{CLEW_HANDOFF_TASK, "task"},
	{CLEW_HANDOFF_WOKEN, "woken"},
	{0, NULL},
};
static const struct word thread_events[] = {
	{CLEW_THREAD_FORK, "fork"},
	{CLEW_THREAD_EXEC, "exec"},
	{CLEW_THREAD_EXIT, "exit"},
	{CLEW_THREAD_SEEN, "seen"},
	{0, NULL},
};
static const struct word wheres[] = {
	{CLEW_LOSS_RING, "ring"},
	{CLEW_LOSS_TASK_STATE, "task_state"},
	{CLEW_LOSS_SOCK_STATE, "sock_state"},
	{CLEW_LOSS_PAYLOAD, "payload"},
	{CLEW_LOSS_PIPELINE, "pipeline"},
	{CLEW_LOSS_STORE, "store"},
	{CLEW_LOSS_STREAM, "stream"},
	{CLEW_LOSS_NOT_RUN, "not_run"},
	{0, NULL},
};
static const struct word types[] = {
	{CLEW_REC_META, "meta"},
	{CLEW_REC_CLOCK, "clock"},
	{CLEW_REC_IO, "io"},
	{CLEW_REC_CONN, "conn"},
	{CLEW_REC_HANDOFF, "handoff"},
	{CLEW_REC_THREAD, "thread"},
	{CLEW_REC_PROCESS, "process"},
	{CLEW_REC_EVENT, "event"},
	{CLEW_REC_LOSS, "loss"},
	{CLEW_REC_HEAP, "heap"},
	{CLEW_REC_MOVED, "moved"},
	{0, NULL},
};
static const struct word tags[] = {
	{CLEW_TAG_EXE, "exe"},
	{CLEW_TAG_ARG, "arg"},
	{CLEW_TAG_CGROUP, "cgroup"},
	{CLEW_TAG_CONTAINER, "container"},
	{CLEW_TAG_CWD, "cwd"},
	{CLEW_TAG_COMM, "comm"},
	{CLEW_TAG_RUNTIME, "runtime"},
	{CLEW_TAG_HOST, "host"},
	{CLEW_TAG_BOOT_ID, "boot_id"},
	{CLEW_TAG_KERNEL, "kernel"},
	{CLEW_TAG_VERSION, "version"},
	{CLEW_TAG_OPTION, "option"},
	{CLEW_TAG_MACHINE_ID, "machine_id"},
	{0, NULL},
};
static const struct word io_flags[] = {
	{CLEW_IO_BEGIN_BOUND, "begin_bound"},
	{CLEW_IO_PEEK, "peek"},
	{CLEW_IO_TRUNC, "trunc"},
	{CLEW_IO_SPLICED, "spliced"},
	{CLEW_IO_TLS, "tls"},
	{CLEW_IO_EOF, "eof"},
	{CLEW_IO_URING, "uring"},
	{CLEW_IO_NOCAP, "nocap"},
	{CLEW_IO_NEWRUN, "newrun"},
	{CLEW_IO_TOLD, "told"},
	{CLEW_IO_SELECTED, "selected"},
	{CLEW_IO_AWAITED, "awaited"},
	{CLEW_IO_ASTRAY, "astray"},
	{0, NULL},
};
static const char *const counters[CLEW_CNT_MAX] = {
	"cpu_ns",   "runq_ns", "min_flt", "maj_flt",  "nvcsw",	  "nivcsw",
	"futex_ns", "disk_ns", "net_ns",  "sleep_ns", "other_ns", "blk_bytes",
};

static const char *word_of(const struct word *w, uint32_t value)
{
	for (; w->name; w++)
		if (w->value == value)
			return w->name;
	return NULL;
}

static void num(struct clew_buf *o, const char *key, uint64_t v)
{
	clew_buf_addf(o, ",\"%s\":%" PRIu64, key, v);
}

static void word(struct clew_buf *o, const char *key, const struct word *w, uint32_t v)
{
	const char *name = word_of(w, v);

	if (name)
		clew_buf_addf(o, ",\"%s\":\"%s\"", key, name);
	else
		num(o, key, v);
}

/* A JSON string of bytes: each byte is one character of it. */
static void text(struct clew_buf *o, const void *p, size_t n)
{
	const uint8_t *b = p;

	clew_buf_addc(o, '"');
	for (size_t i = 0; i < n; i++) {
		switch (b[i]) {
		case '"':
			clew_buf_adds(o, "\\\"");
			break;
		case '\\':
			clew_buf_adds(o, "\\\\");
			break;
		case '\n':
			clew_buf_adds(o, "\\n");
			break;
		case '\r':
			clew_buf_adds(o, "\\r");
			break;
		case '\t':
			clew_buf_adds(o, "\\t");
			break;
		default:
			if (b[i] < 0x20 || b[i] >= 0x7f)
				clew_buf_addf(o, "\\u%04x", b[i]);
			else
				clew_buf_addc(o, (char)b[i]);
		}
	}
	clew_buf_addc(o, '"');
}

static bool is_text(const uint8_t *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((b[i] < 0x20 && b[i] != '\n' && b[i] != '\r' && b[i] != '\t') || b[i] >= 0x7f)
			return false;
	return true;
}

static void base64(struct clew_buf *o, const uint8_t *b, size_t n)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	clew_buf_addc(o, '"');
	for (size_t i = 0; i < n; i += 3) {
		uint32_t v = (uint32_t)b[i] << 16 | (i + 1 < n ? (uint32_t)b[i + 1] << 8 : 0) |
			     (i + 2 < n ? b[i + 2] : 0);
		char quad[4] = {digits[v >> 18], digits[v >> 12 & 63],
				i + 1 < n ? digits[v >> 6 & 63] : '=',
				i + 2 < n ? digits[v & 63] : '='};

		clew_buf_add(o, quad, sizeof(quad));
	}
	clew_buf_addc(o, '"');
}

static void bytes(struct clew_buf *o, const char *key, const void *p, size_t n)
{
	clew_buf_addf(o, ",\"%s\":", key);
	text(o, p, n);
	if (is_text(p, n))
		return;
	clew_buf_addf(o, ",\"%s_base64\":", key);
	base64(o, p, n);
}

static void tlvs(struct clew_buf *o, const uint8_t *p, size_t n)
{
	bool first = true;
	uint16_t tag, len;

	clew_buf_adds(o, ",\"strings\":[");
	for (; n >= 4; p += 4 + len, n -= 4 + (size_t)len, first = false) {
		const char *name;

		memcpy(&tag, p, 2);
		memcpy(&len, p + 2, 2);
		name = word_of(tags, tag);
		clew_buf_adds(o, first ? "{" : ",{");
		if (name)
			clew_buf_addf(o, "\"%s\":", name);
		else
			clew_buf_addf(o, "\"%u\":", tag);
		text(o, p + 4, len);
		clew_buf_addc(o, '}');
	}
	clew_buf_addc(o, ']');
}

static void address(struct clew_buf *o, const char *key, const uint8_t a[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	char s[INET6_ADDRSTRLEN] = "";

	if (!memcmp(a, mapped, 12))
		inet_ntop(AF_INET, a + 12, s, sizeof(s));
	else
		inet_ntop(AF_INET6, a, s, sizeof(s));
	clew_buf_addf(o, ",\"%s\":\"%s\"", key, s);
}

static void io_json(const struct clew_rec_io *r, struct clew_buf *o)
{
	const uint8_t *tail = (const uint8_t *)r + r->hdr_bytes;
	bool first = true;

	clew_buf_adds(o, ",\"flags\":[");
	for (const struct word *w = io_flags; w->name; w++) {
		if (!(r->hdr.flags & w->value))
			continue;
		clew_buf_addf(o, first ? "\"%s\"" : ",\"%s\"", w->name);
		first = false;
	}
	clew_buf_addf(o, "],\"dir\":\"%s\"", r->dir == CLEW_DIR_TX ? "tx" : "rx");
	num(o, "begin_ns", r->begin_ns);
	num(o, "end_ns", r->end_ns);
	num(o, "conn", r->conn);
	num(o, "offset", r->offset);
	num(o, "bytes", r->bytes);
	num(o, "cap_len", r->cap_len);
	num(o, "tgid", r->tgid);
	num(o, "tid", r->tid);
	num(o, "proc_start_ns", r->proc_start_ns);
	num(o, "task", r->task);
	num(o, "lost_conn", r->lost_conn);
	num(o, "lost_thread", r->lost_thread);
	clew_buf_adds(o, ",\"counters\":{");
	for (unsigned i = 0; i < r->n_counters; i++) {
		uint64_t v;

		memcpy(&v, tail + i * sizeof(v), sizeof(v));
		if (i < CLEW_CNT_MAX)
			clew_buf_addf(o, "%s\"%s\":%" PRIu64, i ? "," : "", counters[i], v);
		else
			clew_buf_addf(o, ",\"%u\":%" PRIu64, i, v);
	}
	clew_buf_addc(o, '}');
	bytes(o, "payload", tail + r->n_counters * sizeof(uint64_t), r->cap_len);
}

static void conn_json(const struct clew_rec_conn *r, struct clew_buf *o)
{
	word(o, "event", conn_events, r->event);
	num(o, "ts_ns", r->ts_ns);
	num(o, "conn", r->conn);
	num(o, "peer_conn", r->peer_conn);
	word(o, "role", roles, r->role);
	word(o, "family", families, r->family);
	address(o, "laddr", r->laddr);
	num(o, "lport", r->lport);
	address(o, "raddr", r->raddr);
	num(o, "rport", r->rport);
	num(o, "tx_offset", r->tx_offset);
	num(o, "rx_offset", r->rx_offset);
	num(o, "tx_seq0", r->tx_seq0);
	num(o, "rx_seq0", r->rx_seq0);
	num(o, "netns", r->netns);
	num(o, "tgid", r->tgid);
	num(o, "tid", r->tid);
	num(o, "proc_start_ns", r->proc_start_ns);
	num(o, "task", r->task);
	num(o, "lost", r->lost);
	bytes(o, "path", (const uint8_t *)r + r->hdr_bytes, r->path_len);
}

static void handoff_json(const struct clew_rec_handoff *r, struct clew_buf *o)
{
	word(o, "kind", handoffs, r->kind);
	num(o, "ts_ns", r->ts_ns);
	num(o, "key", r->key);
	num(o, "from_tgid", r->from_tgid);
	num(o, "from_tid", r->from_tid);
	num(o, "from_start_ns", r->from_start_ns);
	num(o, "from_task", r->from_task);
	num(o, "to_tgid", r->to_tgid);
	num(o, "to_tid", r->to_tid);
	num(o, "to_start_ns", r->to_start_ns);
	if (r->age_us)
		num(o, "age_us", r->age_us);
}

static void thread_json(const struct clew_rec_thread *r, struct clew_buf *o)
{
	word(o, "event", thread_events, r->event);
	num(o, "ts_ns", r->ts_ns);
	num(o, "tgid", r->tgid);
	num(o, "tid", r->tid);
	num(o, "start_ns", r->start_ns);
	num(o, "proc_start_ns", r->proc_start_ns);
	num(o, "ptgid", r->ptgid);
	num(o, "ptid", r->ptid);
	num(o, "cgroup", r->cgroup);
	num(o, "nspid", r->nspid);
	num(o, "netns", r->netns);
	num(o, "pidns", r->pidns);
	num(o, "mntns", r->mntns);
	num(o, "uid", r->uid);
	num(o, "exit_code", r->exit_code);
	clew_buf_adds(o, ",\"comm\":");
	text(o, r->comm, strnlen(r->comm, sizeof(r->comm)));
	clew_buf_adds(o, ",\"args\":");
	text(o, (const uint8_t *)r + r->hdr_bytes, r->tail_len);
}

static void process_json(const struct clew_rec_process *r, struct clew_buf *o)
{
	num(o, "ts_ns", r->ts_ns);
	num(o, "tgid", r->tgid);
	num(o, "proc_start_ns", r->proc_start_ns);
	num(o, "nspid", r->nspid);
	num(o, "ppid", r->ppid);
	num(o, "uid", r->uid);
	tlvs(o, (const uint8_t *)r + r->hdr_bytes, r->tail_len);
}

static void event_json(const struct clew_rec_event *r, struct clew_buf *o)
{
	num(o, "ts_ns", r->ts_ns);
	num(o, "event_id", r->event_id);
	num(o, "count", r->count);
	num(o, "tgid", r->tgid);
	num(o, "tid", r->tid);
	num(o, "proc_start_ns", r->proc_start_ns);
	bytes(o, "fields", (const uint8_t *)r + r->hdr_bytes, r->tail_len);
}

static void heap_json(const struct clew_rec_heap *r, struct clew_buf *o)
{
	const uint8_t *objects = (const uint8_t *)r + r->hdr_bytes;

	num(o, "ts_ns", r->ts_ns);
	num(o, "conn", r->conn);
	num(o, "tgid", r->tgid);
	num(o, "tid", r->tid);
	num(o, "proc_start_ns", r->proc_start_ns);
	num(o, "collections", r->collections);
	num(o, "room_start", r->room_start);
	num(o, "room_top", r->room_top);
	num(o, "room_end", r->room_end);
	clew_buf_adds(o, ",\"objects\":[");
	for (uint32_t i = 0; i < r->n_objects; i++) {
		uint64_t w;

		memcpy(&w, objects + i * sizeof(w), sizeof(w));
		clew_buf_addf(o, "%s[%u,%llu]", i ? "," : "", (unsigned int)(w >> 48),
			      (unsigned long long)(w & ((1ull << 48) - 1)));
	}
	clew_buf_addc(o, ']');
}

static void moved_json(const struct clew_rec_moved *r, struct clew_buf *o)
{
	const uint8_t *pairs = (const uint8_t *)r + r->hdr_bytes;

	num(o, "ts_ns", r->ts_ns);
	num(o, "tgid", r->tgid);
	num(o, "proc_start_ns", r->proc_start_ns);
	num(o, "collections", r->collections);
	clew_buf_adds(o, ",\"moved\":[");
	for (uint32_t i = 0; i < r->n_moved; i++) {
		uint32_t at[2];

		memcpy(at, pairs + i * sizeof(at), sizeof(at));
		clew_buf_addf(o, "%s[%llu,%llu]", i ? "," : "",
			      (unsigned long long)(r->base + at[0] * 8ull),
			      (unsigned long long)(r->base + at[1] * 8ull));
	}
	clew_buf_addc(o, ']');
}

static void loss_json(const struct clew_rec_loss *r, struct clew_buf *o)
{
	num(o, "ts_ns", r->ts_ns);
	word(o, "where", wheres, r->where);
	word(o, "what", types, r->what);
	num(o, "count", r->count);
	num(o, "conn", r->conn);
	num(o, "tgid", r->tgid);
	num(o, "tid", r->tid);
}

static void clock_json(const struct clew_rec_clock *r, struct clew_buf *o)
{
	num(o, "mono_ns", r->mono_ns);
	num(o, "real_ns", r->real_ns);
	num(o, "boot_ns", r->boot_ns);
}

static void meta_json(const struct clew_rec_meta *r, struct clew_buf *o)
{
	num(o, "abi_version", r->abi_version);
	num(o, "payload_bytes", r->payload_bytes);
	num(o, "mono_ns", r->mono_ns);
	tlvs(o, (const uint8_t *)r + r->hdr_bytes, r->tail_len);
}

int clew_record_json(const struct clew_rec *rec, struct clew_buf *out)
{
	const char *type = word_of(types, rec->type);
	const void *p = rec;

	if (type)
		clew_buf_addf(out, "{\"type\":\"%s\"", type);
	else
		clew_buf_addf(out, "{\"type\":%u", rec->type);
	num(out, "len", rec->len);
	if (rec->type != CLEW_REC_IO)
		num(out, "flags", rec->flags);
	switch (rec->type) {
	case CLEW_REC_META:
		meta_json(p, out);
		break;
	case CLEW_REC_CLOCK:
		clock_json(p, out);
		break;
	case CLEW_REC_IO:
		io_json(p, out);
		break;
	case CLEW_REC_CONN:
		conn_json(p, out);
		break;
	case CLEW_REC_HANDOFF:
		handoff_json(p, out);
		break;
	case CLEW_REC_THREAD:
		thread_json(p, out);
		break;
	case CLEW_REC_PROCESS:
		process_json(p, out);
		break;
	case CLEW_REC_EVENT:
		event_json(p, out);
		break;
	case CLEW_REC_HEAP:
		heap_json(p, out);
		break;
	case CLEW_REC_MOVED:
		moved_json(p, out);
		break;
	case CLEW_REC_LOSS:
		loss_json(p, out);
		break;
	}
	clew_buf_addc(out, '}');
	return out->err;
}
