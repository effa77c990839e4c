/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "rig.h"

static const struct {
	uint32_t bit;
	const char *name;
} marks[] = {
	{CLEW_INC_LOSS, "LOSS"},
	{CLEW_INC_NO_RESPONSE, "NO_RESPONSE"},
	{CLEW_INC_CUT, "CUT"},
	{CLEW_INC_JOINED, "JOINED"},
	{CLEW_INC_UNSYNCED, "UNSYNCED"},
	{CLEW_INC_NO_HEAD, "NO_HEAD"},
	{CLEW_INC_END_GUESSED, "END_GUESSED"},
	{CLEW_INC_LIMIT, "LIMIT"},
};

static void on_begin(void *u, struct clew_exchange *x)
{
	struct rig *r = u;

	r->begun++;
	assert_true(x->id > r->last_begun);
	r->last_begun = x->id;
	r->last_key = x->wire_key;
	r->last_has_key = x->has_wire_key;
	x->user = r;
}

static void on_head(void *u, struct clew_exchange *x)
{
	struct rig *r = u;

	assert_ptr_equal(x->user, r);
	r->heads++;
}

static void on_io(void *u, struct clew_exchange *x, enum clew_part part, bool first,
		  const struct clew_rec_io *io)
{
	struct rig *r = u;
	const struct clew_message *m = part == CLEW_PART_REQUEST ? &x->req : &x->resp;

	assert_ptr_equal(x->user, r);
	assert_true(m->seen);
	assert_true(m->n_ops > 0);
	assert_true(first == (m->n_ops == 1));
	assert_int_equal(m->last_ns, io->end_ns);
	r->ios++;
	r->firsts += first;
}

static void on_end(void *u, struct clew_exchange *x)
{
	struct rig *r = u;
	const char *sep = " ";

	assert_ptr_equal(x->user, r);
	r->ended++;
	r->last_ended = x->id;
	clew_buf_addf(&r->log, "%s %.*s %.*s %u req %lu/%lu resp %lu/%lu",
		      x->proto == CLEW_PROTO_HTTP1 ? "http" : "raw", (int)x->http.method.n,
		      x->http.method.p, (int)x->http.target.n, x->http.target.p, x->http.status,
		      x->req.bytes, x->req.body_bytes, x->resp.bytes, x->resp.body_bytes);
	if (r->log_ops)
		clew_buf_addf(&r->log, " ops %u/%u", x->req.n_ops, x->resp.n_ops);
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		if (!(x->incomplete & marks[i].bit))
			continue;
		clew_buf_addf(&r->log, "%s%s", sep, marks[i].name);
		sep = "|";
	}
	clew_buf_addc(&r->log, '\n');
	clew_exchange_free(x);
}

static void on_connect(void *u, struct clew_conn *c)
{
	((struct rig *)u)->connects++;
	assert_true(c->connector.tgid != 0);
}

static void on_close(void *u, struct clew_conn *c)
{
	((struct rig *)u)->closes++;
}

void rig_init(struct rig *r, enum clew_role role, const struct clew_stream_opts *opts)
{
	static const struct clew_stream_ops ops = {.begin = on_begin,
						   .head = on_head,
						   .io = on_io,
						   .end = on_end,
						   .connect = on_connect,
						   .close = on_close};
	static const struct clew_stream_opts none;

	*r = (struct rig){.role = role, .cookie = 7, .now = 1000000000, .tid = 11};
	assert_int_equal(clew_stream_new(&ops, r, opts ? opts : &none, &r->s), 0);
}

void rig_done(struct rig *r)
{
	clew_stream_free(r->s);
	r->s = NULL;
	assert_int_equal(r->begun, r->ended);
	assert_int_equal(r->begun, r->heads);
	clew_buf_done(&r->log);
}

void rig_conn(struct rig *r, enum clew_conn_event event, uint64_t tx_offset, uint64_t rx_offset)
{
	struct clew_rec_conn c = {
		.hdr = {.len = sizeof(c), .type = CLEW_REC_CONN},
		.ts_ns = r->now++,
		.conn = r->cookie,
		.tx_offset = tx_offset,
		.rx_offset = rx_offset,
		.tx_seq0 = 100,
		.rx_seq0 = 200,
		.tgid = 10,
		.tid = r->tid,
		.netns = 5,
		.hdr_bytes = sizeof(c),
		.event = event,
		.role = r->role,
		.family = CLEW_AF_INET,
		.lport = 1111,
		.rport = 80,
		.laddr = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 1},
		.raddr = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 2},
	};

	r->off[CLEW_DIR_TX] = tx_offset;
	r->off[CLEW_DIR_RX] = rx_offset;
	assert_int_equal(clew_stream_feed(r->s, &c.hdr), 0);
}

void rig_io(struct rig *r, enum clew_dir dir, uint64_t offset, const void *data, size_t cap,
	    uint32_t bytes, uint16_t lost, uint32_t flags)
{
	size_t len = (sizeof(struct clew_rec_io) + 2 * sizeof(uint64_t) + cap + 7) & ~7ul;
	/* Exactly as long as the record: a read past it is seen by a sanitizer. */
	_cleanup_(freep) uint8_t *mem = calloc(1, len);
	struct clew_rec_io *io = (struct clew_rec_io *)mem;
	uint64_t counters[2] = {r->now, 3};

	r->now += 1000;
	*io = (struct clew_rec_io){
		.hdr = {.len = (uint32_t)len, .type = CLEW_REC_IO, .flags = (uint16_t)flags},
		.begin_ns = r->now - 500,
		.end_ns = r->now,
		.conn = r->cookie,
		.offset = offset,
		.proc_start_ns = 9,
		.tgid = 10,
		.tid = r->tid,
		.bytes = bytes,
		.cap_len = (uint32_t)cap,
		.hdr_bytes = sizeof(*io),
		.dir = dir,
		.n_counters = 2,
		.lost_conn = lost,
	};
	memcpy(mem + sizeof(*io), counters, sizeof(counters));
	if (cap)
		memcpy(mem + sizeof(*io) + sizeof(counters), data, cap);
	assert_int_equal(clew_stream_feed(r->s, &io->hdr), 0);
}

enum clew_dir rig_dir(const struct rig *r, bool request)
{
	return (r->role == CLEW_ROLE_SERVER) == request ? CLEW_DIR_RX : CLEW_DIR_TX;
}

void rig_step(struct rig *r, const struct step *st)
{
	bool req = st->kind == REQ || st->kind == REQ_EOF;
	enum clew_dir dir = rig_dir(r, req);
	size_t cap = st->data ? strlen(st->data) : 0;
	struct clew_rec_conn c = {.hdr = {.len = sizeof(c), .type = CLEW_REC_CONN},
				  .hdr_bytes = sizeof(c),
				  .event = CLEW_CONN_CLOSED};

	switch (st->kind) {
	case REQ:
	case RESP:
		r->off[dir] += st->gap;
		rig_io(r, dir, r->off[dir], st->data, cap, (uint32_t)(cap + st->unseen), st->lost,
		       st->flags);
		r->off[dir] += cap + st->unseen;
		break;
	case REQ_EOF:
	case RESP_EOF:
		rig_io(r, dir, r->off[dir], NULL, 0, 0, st->lost, CLEW_IO_EOF);
		break;
	case CLOSE:
		c.ts_ns = r->now;
		c.conn = r->cookie;
		c.lost = st->lost;
		assert_int_equal(clew_stream_feed(r->s, &c.hdr), 0);
		r->now += 100000000;
		clew_stream_advance(r->s, r->now);
		break;
	case WAIT:
		r->now += st->unseen;
		clew_stream_advance(r->s, r->now);
		break;
	case FLUSH:
		clew_stream_flush(r->s);
		break;
	case GONE:
		clew_stream_process_gone(r->s, 10, r->now);
		break;
	case STEP_END:
		break;
	}
}

void rig_run(struct rig *r, const struct step *steps)
{
	for (; steps->kind != STEP_END; steps++)
		rig_step(r, steps);
}

static void run_case(const struct rig_case *t, enum clew_role role)
{
	struct rig r;

	rig_init(&r, role, NULL);
	rig_conn(&r, role == CLEW_ROLE_CLIENT ? CLEW_CONN_ESTABLISHED : CLEW_CONN_ACCEPTED, 0, 0);
	rig_run(&r, t->steps);
	clew_stream_flush(r.s);
	if (strcmp(r.log.data ? r.log.data : "", t->want))
		fail_msg("%s, %s:\n%swanted\n%s", t->name,
			 role == CLEW_ROLE_CLIENT ? "client" : "server",
			 r.log.data ? r.log.data : "nothing\n", t->want);
	rig_done(&r);
}

void rig_cases(const struct rig_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		run_case(&cases[i], CLEW_ROLE_CLIENT);
		run_case(&cases[i], CLEW_ROLE_SERVER);
	}
}
