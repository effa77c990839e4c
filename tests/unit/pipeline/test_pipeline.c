/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole way from records to spans, over records that a small two-service world would make:
 *
 *	(nobody traced) ──► front, pid 10, port 80 ──► back, pid 20, port 90
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "pipeline/pipeline.h"

#define MS	  1000000ull
#define MAX_SPANS 64

struct world {
	struct clew_pipeline *p;
	struct clew_span *spans[MAX_SPANS];
	size_t n_spans;
	uint32_t traces, trace_spans;
	uint64_t now;
};

static void on_span(void *user, struct clew_span *s)
{
	struct world *w = user;

	assert_true(w->n_spans < MAX_SPANS);
	w->spans[w->n_spans++] = s;
}

static void on_trace(void *user, const struct clew_trace_done *t)
{
	struct world *w = user;

	w->traces++;
	w->trace_spans = t->n_spans;
}

static void feed(struct world *w, const void *rec)
{
	assert_int_equal(clew_pipeline_feed(w->p, rec), 0);
}

static void clock_to(struct world *w, uint64_t ns)
{
	struct clew_rec_clock c = {
		.hdr = {.len = sizeof(c), .type = CLEW_REC_CLOCK},
		.mono_ns = ns,
		.real_ns = 1700000000000000000ull + ns,
	};

	w->now = ns;
	feed(w, &c);
}

static void begin(struct world *w, char *const *rules)
{
	struct clew_pipeline_opts o = {
		.name_rules = rules, .on_span = on_span, .on_trace = on_trace, .user = w};
	const char *bad;

	*w = (struct world){0};
	assert_int_equal(clew_pipeline_new(&o, &w->p, &bad), 0);
	clock_to(w, 1000 * MS);
}

static void end(struct world *w)
{
	clew_pipeline_free(w->p);
	for (size_t i = 0; i < w->n_spans; i++)
		clew_span_free(w->spans[i]);
}

/* Two ends of one TCP connection: client cookie c, server cookie c + 1. */
static void connection(struct world *w, uint64_t c, uint32_t cpid, uint32_t spid, uint16_t port)
{
	struct clew_rec_conn r = {
		.hdr = {.len = sizeof(r), .type = CLEW_REC_CONN},
		.ts_ns = w->now,
		.hdr_bytes = sizeof(r),
		.family = CLEW_AF_INET,
		.laddr = {[10] = 0xff, 0xff, 10, 0, 0, 1},
		.raddr = {[10] = 0xff, 0xff, 10, 0, 0, 2},
		.lport = (uint16_t)(40000 + c),
		.rport = port,
		.tx_seq0 = 100,
		.rx_seq0 = 200,
	};
	uint8_t swap[16];

	if (cpid) {
		r.conn = c;
		r.role = CLEW_ROLE_CLIENT;
		r.tgid = r.tid = cpid;
		r.proc_start_ns = cpid;
		r.event = CLEW_CONN_CONNECT;
		feed(w, &r);
		r.event = CLEW_CONN_ESTABLISHED;
		feed(w, &r);
	}
	if (!spid)
		return;
	memcpy(swap, r.laddr, 16);
	memcpy(r.laddr, r.raddr, 16);
	memcpy(r.raddr, swap, 16);
	r.rport = r.lport;
	r.lport = port;
	r.tx_seq0 = 200;
	r.rx_seq0 = 100;
	r.conn = c + 1;
	r.role = CLEW_ROLE_SERVER;
	r.tgid = r.tid = 0;
	r.event = CLEW_CONN_ACCEPTED;
	feed(w, &r);
}

static void io(struct world *w, uint64_t conn, uint32_t pid, int dir, uint64_t offset,
	       const char *text)
{
	_Alignas(8) char bytes[1024] = {0};
	struct clew_rec_io *r = (struct clew_rec_io *)bytes;
	uint32_t n = (uint32_t)strlen(text);

	w->now += 1 * MS;
	*r = (struct clew_rec_io){
		.hdr = {.len = (uint32_t)((sizeof(*r) + n + 7) & ~7ull),
			.type = CLEW_REC_IO,
			.flags = CLEW_IO_BEGIN_BOUND | CLEW_IO_NEWRUN},
		.begin_ns = w->now,
		.end_ns = w->now,
		.conn = conn,
		.offset = offset,
		.proc_start_ns = pid,
		.tgid = pid,
		.tid = pid,
		.bytes = n,
		.cap_len = n,
		.hdr_bytes = sizeof(*r),
		.dir = (uint8_t)dir,
	};
	memcpy(bytes + sizeof(*r), text, n);
	feed(w, r);
}

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

/* One request through both services. */
static void through_both(struct world *w, const char *head)
{
	connection(w, 1, 0, 10, 80);
	io(w, 2, 10, CLEW_DIR_RX, 0, head);
	connection(w, 3, 10, 20, 90);
	io(w, 3, 10, CLEW_DIR_TX, 0, "GET /price/7 HTTP/1.1\r\nHost: back\r\n\r\n");
	io(w, 4, 20, CLEW_DIR_RX, 0, "GET /price/7 HTTP/1.1\r\nHost: back\r\n\r\n");
	io(w, 4, 20, CLEW_DIR_TX, 0, OK);
	io(w, 3, 10, CLEW_DIR_RX, 0, OK);
	io(w, 2, 10, CLEW_DIR_TX, 0, OK);
}

static const struct clew_span *span_of(const struct world *w, uint32_t pid,
				       enum clew_span_kind kind)
{
	for (size_t i = 0; i < w->n_spans; i++)
		if (w->spans[i]->pid == pid && w->spans[i]->kind == kind)
			return w->spans[i];
	return NULL;
}

static void joins_both_ends_into_one_trace(void **state)
{
	const struct clew_span *front, *call, *back;
	struct world w;

	begin(&w, (char *[]){"10=front", "20=back", NULL});
	through_both(&w, "GET /shop HTTP/1.1\r\nHost: front\r\n\r\n");
	for (int i = 0; i < 50; i++)
		clock_to(&w, w.now + 100 * MS);
	assert_int_equal(w.n_spans, 3);
	assert_int_equal(w.traces, 1);
	front = span_of(&w, 10, CLEW_KIND_SERVER);
	call = span_of(&w, 10, CLEW_KIND_CLIENT);
	back = span_of(&w, 20, CLEW_KIND_SERVER);
	assert_non_null(front);
	assert_non_null(call);
	assert_non_null(back);
	assert_true(clew_id128_eq(&front->trace_id, &call->trace_id));
	assert_true(clew_id128_eq(&front->trace_id, &back->trace_id));
	assert_true(clew_id64_none(&front->parent_span_id));
	assert_true(front->is_root);
	assert_true(clew_id64_eq(&call->parent_span_id, &front->span_id));
	assert_true(clew_id64_eq(&back->parent_span_id, &call->span_id));
	assert_true(clew_id128_eq(&back->wire_key, &call->wire_key));
	assert_in_range(call->link_class, CLEW_LINK_CERTAIN, CLEW_LINK_PROBABLE);
	assert_int_equal(back->evidence, CLEW_EV_WIRE);
	assert_true(slice_eq(back->resource->service, SLICE("back")));
	assert_true(slice_eq(back->name, SLICE("GET /price/{id}")));
	assert_int_equal(front->duration_ns, 5 * MS);
	assert_int_equal(front->start_ns, 1700000000000000000ull + 1001 * MS);
	assert_int_equal(front->incomplete, 0);
	assert_int_equal(w.trace_spans, 3);
	end(&w);
}

static void honours_a_header_at_the_edge_only(void **state)
{
	const struct clew_span *front, *back;
	struct world w;
	char hex[33];

	begin(&w, NULL);
	through_both(&w, "GET / HTTP/1.1\r\ntraceparent: "
			 "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n");
	clew_pipeline_flush(w.p);
	assert_int_equal(w.n_spans, 3);
	front = span_of(&w, 10, CLEW_KIND_SERVER);
	back = span_of(&w, 20, CLEW_KIND_SERVER);
	clew_hex(front->trace_id.b, 16, hex);
	assert_string_equal(hex, "0af7651916cd43dd8448eb211c80319c");
	clew_hex(front->parent_span_id.b, 8, hex);
	assert_string_equal(hex, "b7ad6b7169203331");
	assert_false(front->is_root);
	assert_int_equal(front->evidence, CLEW_EV_HEADER);
	assert_true(clew_id128_eq(&front->trace_id, &back->trace_id));
	end(&w);
}

static void secrets_do_not_leave(void **state)
{
	const struct clew_span *front;
	struct world w;

	begin(&w, NULL);
	connection(&w, 1, 0, 10, 80);
	io(&w, 2, 10, CLEW_DIR_RX, 0,
	   "GET /a?token=hunter2&x=1 HTTP/1.1\r\nAuthorization: Bearer hunter2\r\n\r\n");
	io(&w, 2, 10, CLEW_DIR_TX, 0, OK);
	clew_pipeline_flush(w.p);
	front = span_of(&w, 10, CLEW_KIND_SERVER);
	assert_true(slice_eq(clew_span_attr(front, SLICE("url.query"))->str,
			     SLICE("token=REDACTED&x=1")));
	for (uint32_t i = 0; i < front->n_attrs; i++)
		if (front->attrs[i].type == CLEW_ATTR_STR)
			assert_null(
				memmem(front->attrs[i].str.p, front->attrs[i].str.n, "hunter2", 7));
	end(&w);
}

static void a_call_without_a_request_is_its_own_root(void **state)
{
	const struct clew_span *call, *back;
	struct world w;

	begin(&w, NULL);
	connection(&w, 3, 10, 20, 90);
	io(&w, 3, 10, CLEW_DIR_TX, 0, "GET /tick HTTP/1.1\r\n\r\n");
	io(&w, 4, 20, CLEW_DIR_RX, 0, "GET /tick HTTP/1.1\r\n\r\n");
	io(&w, 4, 20, CLEW_DIR_TX, 0, "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
	io(&w, 3, 10, CLEW_DIR_RX, 0, "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
	clew_pipeline_flush(w.p);
	call = span_of(&w, 10, CLEW_KIND_CLIENT);
	back = span_of(&w, 20, CLEW_KIND_SERVER);
	assert_true(call->is_root);
	assert_int_equal(call->link_class, CLEW_LINK_ROOT);
	assert_true(clew_id64_eq(&back->parent_span_id, &call->span_id));
	assert_int_equal(call->status, CLEW_STATUS_ERROR);
	assert_int_equal(back->status, CLEW_STATUS_ERROR);
	assert_true(slice_eq(clew_span_attr(back, SLICE("error.type"))->str, SLICE("503")));
	end(&w);
}

static void records_in_another_order_join_all_the_same(void **state)
{
	struct world w;

	begin(&w, NULL);
	connection(&w, 3, 10, 20, 90);
	/* the server's records are read first */
	io(&w, 4, 20, CLEW_DIR_RX, 0, "GET /x HTTP/1.1\r\n\r\n");
	io(&w, 4, 20, CLEW_DIR_TX, 0, OK);
	io(&w, 3, 10, CLEW_DIR_TX, 0, "GET /x HTTP/1.1\r\n\r\n");
	io(&w, 3, 10, CLEW_DIR_RX, 0, OK);
	clew_pipeline_flush(w.p);
	assert_int_equal(w.n_spans, 2);
	assert_true(clew_id64_eq(&span_of(&w, 20, CLEW_KIND_SERVER)->parent_span_id,
				 &span_of(&w, 10, CLEW_KIND_CLIENT)->span_id));
	end(&w);
}

static void an_open_request_gets_its_place_and_its_span_at_the_end(void **state)
{
	struct clew_pipeline_stats stats;
	struct world w;

	begin(&w, NULL);
	connection(&w, 1, 0, 10, 80);
	io(&w, 2, 10, CLEW_DIR_RX, 0, "GET /stream HTTP/1.1\r\n\r\n");
	for (int i = 0; i < 150; i++)
		clock_to(&w, w.now + 100 * MS);
	assert_int_equal(w.n_spans, 0);
	io(&w, 2, 10, CLEW_DIR_TX, 0, OK);
	clock_to(&w, w.now + 100 * MS);
	assert_int_equal(w.n_spans, 1);
	assert_true(w.spans[0]->duration_ns > 15000 * MS);
	clew_pipeline_flush(w.p);
	clew_pipeline_stats(w.p, &stats);
	assert_int_equal(stats.spans, 1);
	assert_int_equal(w.n_spans, 1);
	end(&w);
}

static void freeing_without_a_flush_leaks_nothing(void **state)
{
	struct world w;

	begin(&w, NULL);
	connection(&w, 1, 0, 10, 80);
	io(&w, 2, 10, CLEW_DIR_RX, 0, "GET /a HTTP/1.1\r\n\r\n");
	connection(&w, 3, 10, 20, 90);
	io(&w, 3, 10, CLEW_DIR_TX, 0, "GET /b HTTP/1.1\r\n\r\n");
	io(&w, 4, 20, CLEW_DIR_RX, 0, "GET /b HTTP/1.1\r\n\r\n");
	end(&w);
}

struct known {
	uint32_t n, calls, groups;
	char names[128], runtime[32];
};

static void on_known(void *user, const struct clew_service_known *k)
{
	struct known *all = user;
	const struct clew_service_report *r = &k->report;
	size_t at = strlen(all->names);

	all->n++;
	all->calls += (uint32_t)(r->roots + r->certain + r->probable + r->orphans);
	all->groups += (uint32_t)k->groups;
	snprintf(all->names + at, sizeof(all->names) - at, "%.*s ", (int)k->service.n,
		 k->service.p);
	snprintf(all->runtime, sizeof(all->runtime), "%.*s/%.*s", (int)k->runtime.n, k->runtime.p,
		 (int)k->task.n, k->task.p);
	assert_non_null(r->model);
}

static void process(struct world *w, uint32_t pid, const char *runtime)
{
	_Alignas(8) char bytes[256] = {0};
	struct clew_rec_process *r = (struct clew_rec_process *)bytes;
	uint16_t tag[2] = {CLEW_TAG_RUNTIME, (uint16_t)strlen(runtime)};

	*r = (struct clew_rec_process){
		.hdr = {.len = sizeof(*r) + ((4u + tag[1] + 7) & ~7u), .type = CLEW_REC_PROCESS},
		.tgid = pid,
		.proc_start_ns = pid,
		.hdr_bytes = sizeof(*r),
		.tail_len = 4u + tag[1],
	};
	memcpy(bytes + sizeof(*r), tag, 4);
	memcpy(bytes + sizeof(*r) + 4, runtime, tag[1]);
	feed(w, r);
}

/* Processes of one service add up, those that have ended too; by name, each once. */
static void services_are_known_by_name(void **state)
{
	struct clew_rec_thread gone = {
		.hdr = {.len = sizeof(gone), .type = CLEW_REC_THREAD},
		.proc_start_ns = 10,
		.tgid = 10,
		.tid = 10,
		.event = CLEW_THREAD_EXIT,
	};
	struct known all = {0};
	struct world w;

	begin(&w, (char *[]){"10=front", "11=front", "30=cron", NULL});
	process(&w, 10, "nodejs/20.1/thread");
	process(&w, 11, "nodejs/20.1/thread");
	for (uint64_t i = 0; i < 3; i++) {
		uint32_t pid = i == 2 ? 30 : 10 + (uint32_t)i;

		connection(&w, 100 + 2 * i, pid, 0, 90);
		io(&w, 100 + 2 * i, pid, CLEW_DIR_TX, 0, "GET /a HTTP/1.1\r\nHost: b\r\n\r\n");
		io(&w, 100 + 2 * i, pid, CLEW_DIR_RX, 0, OK);
	}
	for (int i = 0; i < 50; i++)
		clock_to(&w, w.now + 100 * MS);
	gone.ts_ns = w.now;
	feed(&w, &gone);
	for (int twice = 0; twice < 2; twice++) {
		all = (struct known){0};
		assert_int_equal(clew_pipeline_services(w.p, on_known, &all), 0);
		assert_string_equal(all.names, "cron front ");
		assert_int_equal(all.n, 2);
		assert_int_equal(all.calls, 3);
		assert_int_equal(all.groups, 3);
		assert_string_equal(all.runtime, "nodejs/thread");
	}
	end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(joins_both_ends_into_one_trace),
		cmocka_unit_test(honours_a_header_at_the_edge_only),
		cmocka_unit_test(secrets_do_not_leave),
		cmocka_unit_test(a_call_without_a_request_is_its_own_root),
		cmocka_unit_test(records_in_another_order_join_all_the_same),
		cmocka_unit_test(an_open_request_gets_its_place_and_its_span_at_the_end),
		cmocka_unit_test(freeing_without_a_flush_leaks_nothing),
		cmocka_unit_test(services_are_known_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
