/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz the stream layer. The first byte chooses what the rest of the input means:
 *
 * even: any records. Steps of one byte each and their arguments: operations with text, unseen bytes, holes,
 *	 loss, repeats, disorder; connections' events; silence; ends. Whatever happens, every exchange
 *	 begins, tells its head, is touched and ends in that order and once; twice the same records tell
 *	 the same story.
 * odd:	 a conversation of one client that waits for its answers, cut into operations and partly lost,
 *	 with the loss told as the kernel tells it. Whatever is lost, no response is paired with another
 *	 request than its own.
 */
#include <string.h>

#include "base/id.h"
#include "fuzz.h"
#include "stream/stream.h"

struct input {
	const uint8_t *p, *end;
};

static uint32_t byte(struct input *in)
{
	return in->p < in->end ? *in->p++ : 0;
}

struct story {
	struct clew_stream *s;
	uint64_t now;
	uint64_t hash;
	unsigned begun, ended;
	bool conversation;
};

/* What we know of an exchange between its callbacks; hung on x->user. */
struct life {
	struct story *st;
	unsigned heads;
	uint64_t ios;
	unsigned firsts[2];
	uint64_t last_ns;
};

static void tell(struct story *st, uint64_t a, uint64_t b)
{
	uint64_t v[3] = {st->hash, a, b};

	st->hash = clew_hash64(v, sizeof(v), 0);
}

static void on_begin(void *u, struct clew_exchange *x)
{
	struct story *st = u;
	struct life *l = calloc(1, sizeof(*l));

	FUZZ_CHECK(l && !x->user && x->conn && x->id == ++st->begun);
	FUZZ_CHECK(x->role == x->conn->role && x->role != CLEW_ROLE_UNKNOWN);
	l->st = st;
	x->user = l;
	tell(st, x->id, x->req.offset);
}

static void on_head(void *u, struct clew_exchange *x)
{
	struct life *l = x->user;

	FUZZ_CHECK(l && l->st == u && !l->heads++);
	if (x->http.method.n)
		FUZZ_CHECK(x->http.method.p >= x->req.head.p &&
			   x->http.target.p + x->http.target.n <= x->req.head.p + x->req.head.n);
}

static void on_io(void *u, struct clew_exchange *x, enum clew_part part, bool first,
		  const struct clew_rec_io *io)
{
	const struct clew_message *m = part == CLEW_PART_REQUEST ? &x->req : &x->resp;
	struct life *l = x->user;

	FUZZ_CHECK(l && l->st == u && m->seen && m->bytes && m->n_ops && io->bytes);
	FUZZ_CHECK(m->body_bytes <= m->bytes && m->last_ns >= io->end_ns);
	FUZZ_CHECK(first == (m->n_ops == 1));
	l->ios++;
	tell(u, x->id << 1 | part, m->bytes);
}

static void on_end(void *u, struct clew_exchange *x)
{
	struct story *st = u;
	struct life *l = x->user;
	unsigned status = 0, id = 0;

	if (getenv("FUZZ_TRACE"))
		fprintf(stderr, "end %lu: %.*s %u incomplete %x\n", x->id, (int)x->http.target.n,
			x->http.target.p, x->http.status, x->incomplete);
	FUZZ_CHECK(l && l->st == st && l->heads == 1);
	FUZZ_CHECK(!(x->incomplete & CLEW_INC_NO_RESPONSE) || !x->resp.seen);
	FUZZ_CHECK(x->req.body_bytes <= x->req.bytes && x->resp.body_bytes <= x->resp.bytes);
	if (x->proto == CLEW_PROTO_RAW)
		FUZZ_CHECK(!x->http.method.p && !x->http.status);
	if (x->http.method.n)
		FUZZ_CHECK(x->http.method.p == x->req.head.p);
	(void)clew_exchange_header(x, CLEW_PART_REQUEST, SLICE("host"));
	(void)clew_exchange_header(x, CLEW_PART_RESPONSE, SLICE("date"));
	if (st->conversation && x->http.status && x->http.target.n == 4) {
		status = x->http.status;
		for (int i = 1; i < 4; i++)
			id = id * 10 + (unsigned)(x->http.target.p[i] - '0');
		FUZZ_CHECK(status == id);
	}
	st->ended++;
	tell(st, x->id, (uint64_t)x->incomplete << 32 | x->http.status);
	tell(st, x->resp.bytes, x->resp.last_ns);
	free(l);
	clew_exchange_free(x);
}

static void feed_io(struct story *st, const struct clew_rec_io *fixed, const void *text)
{
	size_t counters = fixed->n_counters * sizeof(uint64_t);
	size_t len = (sizeof(*fixed) + counters + fixed->cap_len + 7) & ~7ul;
	uint8_t *mem = calloc(1, len);
	struct clew_rec_io *io = (struct clew_rec_io *)mem;

	FUZZ_CHECK(mem);
	if (getenv("FUZZ_TRACE"))
		fprintf(stderr, "conn %llu %s %llu+%u lost %u flags %x: %.*s\n", fixed->conn,
			fixed->dir ? "tx" : "rx", fixed->offset, fixed->bytes, fixed->lost_conn,
			fixed->hdr.flags, (int)fixed->cap_len, (const char *)text);
	*io = *fixed;
	io->hdr.len = (uint32_t)len;
	io->hdr.type = CLEW_REC_IO;
	io->hdr_bytes = sizeof(*io);
	if (fixed->cap_len)
		memcpy(mem + sizeof(*io) + counters, text, fixed->cap_len);
	FUZZ_CHECK(!clew_stream_feed(st->s, &io->hdr));
	free(mem);
}

static const char *const texts[] = {
	"GET /a HTTP/1.1\r\n\r\n",
	"GET /a HTTP/1.1\r\nHost: x\r\n",
	"\r\n",
	"POST /b HTTP/1.1\r\nContent-Length: 10\r\n\r\n",
	"POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
	"POST /b HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
	"HEAD /c HTTP/1.0\r\n\r\n",
	"CONNECT h:1 HTTP/1.1\r\n\r\n",
	"GET /w HTTP/1.1\r\nUpgrade: x\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
	"HTTP/1.1 200 OK\r\n\r\n",
	"HTTP/1.1 100 Continue\r\n\r\n",
	"HTTP/1.1 101 Go\r\n\r\n",
	"HTTP/1.1 204 No\r\n\r\n",
	"HTTP/1.1 500 No\r\nTransfer-Enc",
	"5\r\nhello\r\n",
	"0\r\n\r\n",
	"hello",
	"\x01\x02\x03",
	"GE",
};

static void any_io(struct story *st, struct input *in, uint64_t conn, uint64_t off[2])
{
	uint32_t how = byte(in), pick = byte(in), n;
	enum clew_dir dir = how & 1;
	const char *text = texts[pick % (sizeof(texts) / sizeof(texts[0]))];
	struct clew_rec_io io = {.conn = conn,
				 .dir = dir,
				 .tgid = 1 + (how >> 1 & 1),
				 .tid = 1,
				 .n_counters = pick % 15,
				 .begin_ns = st->now,
				 .offset = off[dir]};
	char twice[128];

	st->now += 1000;
	io.end_ns = st->now;
	n = (uint32_t)strlen(text);
	io.cap_len = how & 4 ? byte(in) % (n + 1) : n;
	io.bytes = io.cap_len + (how & 8 ? byte(in) : 0);
	if (how & 16) {
		memcpy(twice, text, io.cap_len);
		memcpy(twice + io.cap_len, text, io.cap_len);
		io.cap_len *= 2;
		io.bytes += io.cap_len / 2;
		text = twice;
	}
	if (how & 32)
		io.offset += byte(in);
	else if (how & 64)
		io.offset -= byte(in) % (io.offset + 1);
	if (how & 128) {
		n = byte(in);
		io.lost_conn = n & 3;
		io.hdr.flags = n & 4 ? CLEW_IO_EOF : n & 8 ? CLEW_IO_PEEK : 0;
		if (n & 16)
			io.offset = off[dir];
	}
	if (!(io.hdr.flags & CLEW_IO_PEEK) && io.offset + io.bytes > off[dir])
		off[dir] = io.offset + io.bytes;
	feed_io(st, &io, text);
}

static void any_conn(struct story *st, struct input *in, uint64_t cookie, uint64_t off[2])
{
	uint32_t how = byte(in);
	struct {
		struct clew_rec_conn c;
		char path[8];
	} r = {.c = {.hdr = {.len = sizeof(r), .type = CLEW_REC_CONN},
		     .ts_ns = st->now,
		     .conn = cookie,
		     .peer_conn = how & 128 ? cookie + 1 : 0,
		     .tgid = 1,
		     .hdr_bytes = sizeof(r.c),
		     .event = how % 6,
		     .role = how >> 3 & 3,
		     .family = how & 64 ? CLEW_AF_UNIX : CLEW_AF_INET,
		     .path_len = how & 64 ? 5 : 0},
	       .path = "\0abc"};

	if (r.c.role > CLEW_ROLE_SERVER)
		r.c.role = CLEW_ROLE_UNKNOWN;
	r.c.lost = byte(in) & 3;
	if (how & 32) {
		r.c.tx_offset = off[CLEW_DIR_TX];
		r.c.rx_offset = off[CLEW_DIR_RX];
	}
	FUZZ_CHECK(!clew_stream_feed(st->s, &r.c.hdr));
}

static void any_records(struct story *st, struct input in)
{
	uint64_t off[4][2] = {{0}};

	for (unsigned steps = 0; in.p < in.end && steps < 400; steps++) {
		uint32_t step = byte(&in), conn = step >> 6;

		switch (step & 15) {
		case 0:
		case 1:
			any_conn(st, &in, conn + 1, off[conn]);
			break;
		case 2:
			st->now += 1ull << (byte(&in) % 35);
			clew_stream_advance(st->s, st->now);
			break;
		case 3:
			clew_stream_process_gone(st->s, 1 + (step >> 4 & 1), st->now);
			break;
		case 4:
			if (step & 16)
				clew_stream_flush(st->s);
			break;
		default:
			any_io(st, &in, conn + 1, off[conn]);
			break;
		}
	}
}

/* One direction of the conversation: what was lost since its last record. */
struct teller {
	uint64_t off[2];
	uint16_t lost;
};

static void say(struct story *st, struct input *in, struct teller *t, enum clew_dir dir,
		const char *text, size_t n, uint32_t budget)
{
	while (n) {
		uint32_t how = byte(in);
		size_t piece = how & 1 ? 1 + byte(in) % n : n;
		struct clew_rec_io io = {.conn = 1,
					 .dir = dir,
					 .tgid = 1,
					 .offset = t->off[dir],
					 .bytes = (uint32_t)piece,
					 .cap_len = (uint32_t)(piece < budget ? piece : budget),
					 .begin_ns = st->now,
					 .end_ns = st->now + 10};

		st->now += 20;
		budget -= io.cap_len;
		t->off[dir] += piece;
		if ((how & 14) == 2) {
			t->lost++;
		} else {
			io.lost_conn = t->lost;
			t->lost = 0;
			feed_io(st, &io, text);
		}
		text += piece;
		n -= piece;
	}
}

static void conversation(struct story *st, struct input in)
{
	struct clew_rec_conn c = {.hdr = {.len = sizeof(c), .type = CLEW_REC_CONN},
				  .conn = 1,
				  .hdr_bytes = sizeof(c),
				  .family = CLEW_AF_INET};
	uint32_t how = byte(&in), budget = how & 2 ? 64 + byte(&in) : 4096;
	bool server = how & 1;
	struct teller t = {{0, 0}, 0};
	char text[512];

	c.event = how & 4 ? CLEW_CONN_ADOPTED : server ? CLEW_CONN_ACCEPTED : CLEW_CONN_ESTABLISHED;
	c.role = server ? CLEW_ROLE_SERVER : CLEW_ROLE_CLIENT;
	FUZZ_CHECK(!clew_stream_feed(st->s, &c.hdr));
	/* No 204 and no 304: those have no body. */
	for (unsigned id = 205; in.p < in.end && id < 300; id++) {
		uint32_t shape = byte(&in), body = byte(&in);
		int n;

		if (shape & 1)
			n = snprintf(text, sizeof(text),
				     "POST /%03u HTTP/1.1\r\nContent-Length: %u\r\n\r\n%*s", id,
				     body, (int)body, "");
		else if (shape & 2)
			n = snprintf(text, sizeof(text),
				     "PUT /%03u HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
				     "%x\r\n%*s\r\n0\r\n\r\n",
				     id, body | 1, (int)(body | 1), "");
		else
			n = snprintf(text, sizeof(text), "GET /%03u HTTP/1.1\r\n\r\n", id);
		say(st, &in, &t, server ? CLEW_DIR_RX : CLEW_DIR_TX, text, (size_t)n, budget);
		if (shape & 4)
			n = snprintf(text, sizeof(text),
				     "HTTP/1.1 %u OK\r\nTransfer-Encoding: chunked\r\n\r\n"
				     "%x\r\n%*s\r\n0\r\n\r\n",
				     id, body | 1, (int)(body | 1), "");
		else
			n = snprintf(text, sizeof(text),
				     "%sHTTP/1.1 %u OK\r\nContent-Length: %u\r\n\r\n%*s",
				     shape & 8 ? "HTTP/1.1 103 Early\r\n\r\n" : "", id, body,
				     (int)body, "");
		say(st, &in, &t, server ? CLEW_DIR_TX : CLEW_DIR_RX, text, (size_t)n, budget);
		if (shape & 16) {
			st->now += 1ull << (shape >> 3);
			clew_stream_advance(st->s, st->now);
		}
	}
}

static uint64_t run(const uint8_t *data, size_t size)
{
	static const struct clew_stream_ops ops = {
		.begin = on_begin, .head = on_head, .io = on_io, .end = on_end};
	static const struct clew_stream_opts small = {
		.max_conns = 3, .max_open_exchanges = 5, .max_head_bytes = 100};
	static const struct clew_stream_opts normal;
	struct story st = {.now = 1, .conversation = data[0] & 1};
	struct input in = {data + 1, data + size};
	const struct clew_stream_stats *stats;

	FUZZ_CHECK(!clew_stream_new(&ops, &st, st.conversation || data[0] & 2 ? &normal : &small,
				    &st.s));
	if (st.conversation)
		conversation(&st, in);
	else
		any_records(&st, in);
	clew_stream_flush(st.s);
	FUZZ_CHECK(st.begun == st.ended);
	stats = clew_stream_stats(st.s);
	FUZZ_CHECK(stats->exchanges == st.begun);
	tell(&st, stats->unpaired_ops, stats->resyncs);
	clew_stream_free(st.s);
	return st.hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size || size > 4096)
		return 0;
	FUZZ_CHECK(run(data, size) == run(data, size));
	return 0;
}
