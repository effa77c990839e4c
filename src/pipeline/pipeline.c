/* SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/pipeline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/assembly.h"
#include "pipeline/services.h"

/* Timers are looked at this often, in record time. */
#define TICK_NS 10000000ull

struct clew_pipeline {
	struct clew_pipeline_opts opts;
	struct clew_pipeline_stats stats;
	struct clew_identity *identity;
	struct clew_stream *stream; /* made once the meta record has told the boot id */
	struct clew_causality *causality;
	struct clew_assembly *assembly;
	struct services gone; /* services of groups of processes that are no more */
	char options[256];
	uint64_t now_ns, ticked_ns;
};

static void on_begin(void *u, struct clew_exchange *x)
{
	struct clew_pipeline *p = u;

	clew_assembly_begin(p->assembly, x);
	clew_causality_begin(p->causality, x);
	clew_assembly_begun(p->assembly, x);
}

static void on_head(void *u, struct clew_exchange *x)
{
	struct clew_pipeline *p = u;

	if (x->http.trace && x->role == CLEW_ROLE_SERVER)
		clew_assembly_head(p->assembly, x);
}

static void on_io(void *u, struct clew_exchange *x, enum clew_part part, bool first,
		  const struct clew_rec_io *io)
{
	struct clew_pipeline *p = u;

	clew_causality_io(p->causality, x, part, first, io);
}

static void on_end(void *u, struct clew_exchange *x)
{
	struct clew_pipeline *p = u;

	/* Links that this end settles are told before the exchange is handed over. */
	clew_assembly_ends(p->assembly, x);
	clew_causality_end(p->causality, x);
	clew_assembly_end(p->assembly, x);
}

static void on_connect(void *u, struct clew_conn *c)
{
	struct clew_pipeline *p = u;

	clew_causality_connect(p->causality, c);
}

static void on_decide(void *u, uint64_t id, const struct clew_link *link)
{
	struct clew_pipeline *p = u;

	clew_assembly_decide(p->assembly, id, link);
}

static void on_gone(void *u, const struct clew_service_report *r)
{
	struct clew_pipeline *p = u;

	services_add(&p->gone, p->identity, r);
}

static int make_stream(struct clew_pipeline *p)
{
	const struct clew_stream_ops ops = {
		.begin = on_begin,
		.head = on_head,
		.io = on_io,
		.end = on_end,
		.connect = on_connect,
	};
	const struct clew_stream_opts opts = {
		.boot_id = clew_identity_boot_id(p->identity),
		.no_response_heads = !p->opts.capture_headers,
	};

	return clew_stream_new(&ops, p, &opts, &p->stream);
}

int clew_pipeline_new(const struct clew_pipeline_opts *opts, struct clew_pipeline **ret,
		      const char **ret_bad)
{
	struct clew_assembly_opts assembly = {
		.build.capture_headers = opts->capture_headers,
		.on_span = opts->on_span,
		.on_trace = opts->on_trace,
		.user = opts->user,
	};
	const struct clew_causality_opts causality = {.without = opts->without, .gone = on_gone};
	struct clew_pipeline *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->opts = *opts;
	r = clew_identity_new(&p->identity);
	for (char *const *rule = opts->name_rules; r == 0 && rule && *rule; rule++) {
		r = clew_identity_name_rule(p->identity, *rule);
		if (r == -EINVAL)
			*ret_bad = *rule;
	}
	assembly.identity = p->identity;
	if (r == 0)
		r = clew_assembly_new(&assembly, &p->assembly);
	if (r == 0)
		r = clew_causality_new(on_decide, p, &causality, &p->causality);
	if (r < 0) {
		clew_pipeline_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

void clew_pipeline_free(struct clew_pipeline *p)
{
	if (!p)
		return;
	/* The stream ends what is open, causality decides it: both still call into assembly. */
	clew_stream_free(p->stream);
	clew_causality_free(p->causality);
	clew_assembly_free(p->assembly);
	services_done(&p->gone);
	clew_identity_free(p->identity);
	free(p);
}

static void tick(struct clew_pipeline *p)
{
	if (p->now_ns < p->ticked_ns + TICK_NS)
		return;
	p->ticked_ns = p->now_ns;
	if (p->stream)
		clew_stream_advance(p->stream, p->now_ns);
	clew_causality_advance(p->causality, p->now_ns);
	clew_assembly_advance(p->assembly, p->now_ns);
}

static void count_loss(struct clew_pipeline *p, const struct clew_rec_loss *l)
{
	switch (l->where) {
	case CLEW_LOSS_RING:
		p->stats.lost_ring += l->count;
		break;
	case CLEW_LOSS_NOT_RUN:
		p->stats.lost_not_run += l->count;
		break;
	case CLEW_LOSS_TASK_STATE:
	case CLEW_LOSS_SOCK_STATE:
		p->stats.lost_state += l->count;
		break;
	case CLEW_LOSS_PAYLOAD:
		p->stats.lost_payload += l->count;
		break;
	default:
		p->stats.lost_limit += l->count;
	}
}

/* Options that decide what is seen of runtimes. */
static bool of_runtimes(struct slice option)
{
	static const char *const names[] = {
		"agent=", "tasks=", "go-channels=", "tokio-wakers=", "python-copies="};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (slice_starts(option, slice_str(names[i])))
			return true;
	return false;
}

static void learn_options(struct clew_pipeline *p, const struct clew_rec_meta *m)
{
	const char *at = (const char *)m + m->hdr_bytes, *end = at + m->tail_len;
	size_t n = 0;

	if (m->hdr.len < sizeof(*m) || m->hdr_bytes < sizeof(*m) ||
	    (uint64_t)m->hdr_bytes + m->tail_len > m->hdr.len)
		return;
	p->options[0] = '\0';
	while (end - at >= 4) {
		uint16_t tag, len;
		struct slice value;

		memcpy(&tag, at, 2);
		memcpy(&len, at + 2, 2);
		if (end - at < 4 + len)
			return;
		value = slice_of(at + 4, len);
		at += 4 + len;
		if (tag != CLEW_TAG_OPTION || !of_runtimes(value) ||
		    n + 2 + value.n > sizeof(p->options))
			continue;
		n += (size_t)snprintf(p->options + n, sizeof(p->options) - n, "%s%.*s",
				      n ? " " : "", (int)value.n, value.p);
	}
}

static void feed_thread(struct clew_pipeline *p, const struct clew_rec *rec)
{
	const struct clew_rec_thread *t = (const struct clew_rec_thread *)rec;

	clew_causality_record(p->causality, rec);
	if (t->event == CLEW_THREAD_EXIT && t->tid == t->tgid && p->stream)
		clew_stream_process_gone(p->stream, t->tgid, t->ts_ns);
}

/* The time of a record; 0 for those that carry none. */
static uint64_t time_of(const struct clew_rec *rec)
{
	switch (rec->type) {
	case CLEW_REC_IO:
		return ((const struct clew_rec_io *)rec)->end_ns;
	case CLEW_REC_CONN:
		return ((const struct clew_rec_conn *)rec)->ts_ns;
	case CLEW_REC_HANDOFF:
		return ((const struct clew_rec_handoff *)rec)->ts_ns;
	case CLEW_REC_THREAD:
		return ((const struct clew_rec_thread *)rec)->ts_ns;
	case CLEW_REC_HEAP:
		return ((const struct clew_rec_heap *)rec)->ts_ns;
	case CLEW_REC_MOVED:
		return ((const struct clew_rec_moved *)rec)->ts_ns;
	case CLEW_REC_CLOCK:
		return ((const struct clew_rec_clock *)rec)->mono_ns;
	default:
		return 0;
	}
}

int clew_pipeline_feed(struct clew_pipeline *p, const struct clew_rec *rec)
{
	const struct clew_rec_clock *clock = (const struct clew_rec_clock *)rec;
	uint64_t ts = time_of(rec);
	int r = 0;

	p->stats.records++;
	p->stats.bytes += rec->len;
	if (ts > p->now_ns)
		p->now_ns = ts;
	switch (rec->type) {
	case CLEW_REC_IO:
	case CLEW_REC_CONN:
		if (!p->stream)
			r = make_stream(p);
		/* Lost records are known before what follows them, a closed connection after. */
		if (rec->type == CLEW_REC_IO)
			clew_causality_record(p->causality, rec);
		if (r == 0)
			r = clew_stream_feed(p->stream, rec);
		if (rec->type == CLEW_REC_CONN)
			clew_causality_record(p->causality, rec);
		break;
	case CLEW_REC_HANDOFF:
	case CLEW_REC_HEAP:
	case CLEW_REC_MOVED:
		clew_causality_record(p->causality, rec);
		break;
	case CLEW_REC_THREAD:
		r = clew_identity_record(p->identity, rec);
		feed_thread(p, rec);
		break;
	case CLEW_REC_META:
		learn_options(p, (const struct clew_rec_meta *)rec);
		r = clew_identity_record(p->identity, rec);
		break;
	case CLEW_REC_PROCESS:
		r = clew_identity_record(p->identity, rec);
		break;
	case CLEW_REC_CLOCK:
		clew_assembly_clock(p->assembly, (int64_t)(clock->real_ns - clock->mono_ns));
		break;
	case CLEW_REC_LOSS:
		count_loss(p, (const struct clew_rec_loss *)rec);
		break;
	}
	tick(p);
	return r;
}

void clew_pipeline_flush(struct clew_pipeline *p)
{
	if (p->stream)
		clew_stream_flush(p->stream);
	clew_causality_flush(p->causality);
	clew_assembly_flush(p->assembly);
}

struct living {
	struct services *services;
	struct clew_identity *identity;
};

static void add_living(void *user, const struct clew_service_report *r)
{
	const struct living *l = user;

	services_add(l->services, l->identity, r);
}

int clew_pipeline_services(const struct clew_pipeline *p, clew_service_known_fn fn, void *user)
{
	struct services all;
	struct living l = {&all, p->identity};
	int r = services_copy(&p->gone, &all);

	if (r < 0)
		return r;
	clew_causality_report(p->causality, add_living, &l);
	r = all.dropped ? -ENOMEM : 0;
	services_each(&all, fn, user);
	services_done(&all);
	return r;
}

const char *clew_pipeline_options(const struct clew_pipeline *p)
{
	return p->options;
}

void clew_pipeline_stats(const struct clew_pipeline *p, struct clew_pipeline_stats *ret)
{
	const struct clew_assembly_stats *a = clew_assembly_stats(p->assembly);

	*ret = p->stats;
	if (p->stream)
		ret->stream = *clew_stream_stats(p->stream);
	ret->causality = *clew_causality_stats(p->causality);
	ret->spans = a->spans;
	ret->traces = a->traces;
	ret->incomplete_spans = a->incomplete;
	ret->lost_limit += a->dropped + ret->stream.dropped_exchanges + ret->stream.dropped_conns;
}
