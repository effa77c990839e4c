/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /api/clew/v1/tail: traces as they come, as server-sent events (HTML Living Standard, 9.2).
 *
 *	stored spans ─► traces (while anybody listens) ─► told once, when quiet ─► a queue a client
 *
 * Spans of a trace come in batches of several processes: a trace is told a moment after its last span,
 * or at the latest some seconds after its first; what comes later is not told again. The threads of
 * the clients that wait also look which traces are due.
 */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/units.h"
#include "query/params.h"
#include "query/span_json.h"
#include "server/tail_match.h"
#include "server/watch.h"

#define LOOK_NS (250ull * 1000 * 1000)
/* A line that says nothing, so that a client that is gone is noticed. */
#define ALIVE_NS (15ull * 1000 * 1000 * 1000)
/* A trace that was told is remembered so long. */
#define FORGET_NS      (30ull * 1000 * 1000 * 1000)
#define TRACE_SERVICES 32u

struct client {
	struct tail *tail;
	const struct conn *conn;
	int slot;
	struct params params;
	struct clew_span_filter filter;
	char *lines[TAIL_LINES];
	uint32_t first, n;
	uint64_t lost, told_ns;
	char *sending; /* a line on its way, and how much of it is sent */
	size_t sending_n, sent;
};

struct trace {
	struct clew_id128 id;
	struct clew_trace_summary sum; /* service and name are owned */
	bool has_root, told;
	uint32_t matched; /* a bit a client */
	uint32_t services[TRACE_SERVICES];
	uint64_t first_ns, last_ns;
	UT_hash_handle hh;
};

struct tail {
	struct clew_server *server;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool stopping;
	uint32_t n_clients;
	struct client *clients[TAIL_CLIENTS];
	struct trace *traces; /* in the order of their first spans */
	uint64_t lost, looked_ns;
};

struct tail *tail_new(struct clew_server *s)
{
	struct tail *t = calloc(1, sizeof(*t));
	pthread_condattr_t attr;

	if (!t)
		return NULL;
	t->server = s;
	pthread_mutex_init(&t->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&t->cond, &attr);
	pthread_condattr_destroy(&attr);
	return t;
}

static void trace_free(struct tail *t, struct trace *tr)
{
	HASH_DEL(t->traces, tr);
	free((char *)(uintptr_t)tr->sum.service.p);
	free((char *)(uintptr_t)tr->sum.name.p);
	free(tr);
}

static void forget_all(struct tail *t)
{
	struct trace *tr, *next;

	HASH_ITER (hh, t->traces, tr, next) {
		trace_free(t, tr);
	}
}

void tail_free(struct tail *t)
{
	if (!t)
		return;
	forget_all(t);
	pthread_mutex_destroy(&t->lock);
	pthread_cond_destroy(&t->cond);
	free(t);
}

void tail_stop(struct tail *t)
{
	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	t->stopping = true;
	pthread_cond_broadcast(&t->cond);
	pthread_mutex_unlock(&t->lock);
}

void tail_counts(struct tail *t, uint64_t *ret_clients, uint64_t *ret_lost)
{
	pthread_mutex_lock(&t->lock);
	*ret_clients = t->n_clients;
	*ret_lost = t->lost;
	pthread_mutex_unlock(&t->lock);
}

/* ---- telling: under the lock ---- */

static void give(struct tail *t, struct client *c, const struct clew_buf *line)
{
	char *copy = !line->err && c->n < TAIL_LINES ? strndup(line->data, line->len) : NULL;

	if (!copy) {
		c->lost++;
		t->lost++;
		return;
	}
	c->lines[(c->first + c->n++) % TAIL_LINES] = copy;
}

static void tell(struct tail *t, struct trace *tr)
{
	struct clew_buf line = {0};

	tr->told = true;
	if (!tr->matched)
		return;
	clew_buf_adds(&line, "event: trace\ndata: ");
	trace_json(&line, &tr->sum);
	clew_buf_adds(&line, "\n\n");
	for (int i = 0; i < (int)TAIL_CLIENTS; i++)
		if (t->clients[i] && tr->matched & 1u << i)
			give(t, t->clients[i], &line);
	clew_buf_done(&line);
	pthread_cond_broadcast(&t->cond);
}

static void look(struct tail *t, uint64_t now)
{
	struct trace *tr, *next;

	if (now - t->looked_ns < LOOK_NS)
		return;
	t->looked_ns = now;
	HASH_ITER (hh, t->traces, tr, next) {
		if (!tr->told && ((tr->has_root && now - tr->last_ns > TAIL_QUIET_NS) ||
				  now - tr->first_ns > TAIL_MAX_NS))
			tell(t, tr);
		else if (tr->told && now - tr->last_ns > FORGET_NS)
			trace_free(t, tr);
	}
}

/* ---- spans ---- */

static void set_text(struct slice *to, struct slice text)
{
	char *copy = strndup(text.p ? text.p : "", text.n);

	if (!copy)
		return;
	free((char *)(uintptr_t)to->p);
	*to = slice_of(copy, text.n);
}

static void count_service(struct trace *tr, struct slice service)
{
	uint32_t h = (uint32_t)clew_hash64(service.p, service.n, 0) | 1u;

	for (uint32_t i = 0; i < tr->sum.services && i < TRACE_SERVICES; i++)
		if (tr->services[i] == h)
			return;
	if (tr->sum.services < TRACE_SERVICES)
		tr->services[tr->sum.services++] = h;
}

static void add_to(struct trace *tr, const struct clew_span *s)
{
	struct slice service = s->resource ? s->resource->service : SLICE("");
	bool root = clew_id64_none(&s->parent_span_id);

	tr->sum.spans++;
	tr->sum.errors += s->status == CLEW_STATUS_ERROR;
	tr->sum.orphans += s->link_class == CLEW_LINK_ORPHAN;
	tr->sum.incomplete = tr->sum.incomplete || s->incomplete;
	count_service(tr, service);
	/* The root is the earliest span without a parent; without one, the earliest. */
	if (tr->sum.spans > 1 &&
	    ((tr->has_root && !root) || (tr->has_root == root && s->start_ns >= tr->sum.start_ns)))
		return;
	tr->has_root = root;
	set_text(&tr->sum.service, service);
	set_text(&tr->sum.name, s->name);
	tr->sum.kind = s->kind;
	tr->sum.start_ns = s->start_ns;
	tr->sum.duration_ns = s->duration_ns;
}

static struct trace *trace_of(struct tail *t, const struct clew_span *s, uint64_t now)
{
	struct trace *tr;

	HASH_FIND(hh, t->traces, &s->trace_id, sizeof(s->trace_id), tr);
	if (tr)
		return tr;
	while (HASH_COUNT(t->traces) >= TAIL_TRACES) {
		if (!t->traces->told)
			tell(t, t->traces);
		trace_free(t, t->traces);
	}
	tr = calloc(1, sizeof(*tr));
	if (!tr)
		return NULL;
	tr->id = tr->sum.trace_id = s->trace_id;
	tr->first_ns = now;
	HASH_ADD(hh, t->traces, id, sizeof(tr->id), tr);
	if (!tr->hh.tbl) {
		free(tr);
		return NULL;
	}
	return tr;
}

void tail_add(struct tail *t, const struct clew_span *s)
{
	struct trace *tr;
	uint64_t now;

	pthread_mutex_lock(&t->lock);
	if (t->n_clients) {
		now = clew_mono_ns();
		tr = trace_of(t, s, now);
		if (tr) {
			tr->last_ns = now;
			add_to(tr, s);
			for (int i = 0; i < (int)TAIL_CLIENTS; i++)
				if (t->clients[i] && !(tr->matched & 1u << i) &&
				    tail_match(&t->clients[i]->filter, s))
					tr->matched |= 1u << i;
		}
		look(t, now);
	}
	pthread_mutex_unlock(&t->lock);
}

/* ---- a client ---- */

/* The next text to send: lines first lost, then waiting; NULL: nothing for now. Under the lock. */
static char *next_text(struct client *c, uint64_t now)
{
	char *text = NULL;

	if (c->n) {
		text = c->lines[c->first];
		c->first = (c->first + 1) % TAIL_LINES;
		c->n--;
	} else if (c->lost) {
		if (asprintf(&text, "event: lost\ndata: {\"n\":%" PRIu64 "}\n\n", c->lost) < 0)
			return NULL;
		c->lost = 0;
	} else if (now - c->told_ns > ALIVE_NS) {
		text = strdup(": still here\n\n");
	}
	if (text)
		c->told_ns = now;
	return text;
}

static bool wait_for_text(struct client *c)
{
	struct tail *t = c->tail;

	pthread_mutex_lock(&t->lock);
	while (!c->sending && !t->stopping && !conns_gone(c->conn)) {
		uint64_t now = clew_mono_ns(), due = now + LOOK_NS;
		struct timespec until = {.tv_sec = (time_t)(due / 1000000000u),
					 .tv_nsec = (long)(due % 1000000000u)};

		look(t, now);
		c->sending = next_text(c, now);
		if (!c->sending)
			pthread_cond_timedwait(&t->cond, &t->lock, &until);
	}
	pthread_mutex_unlock(&t->lock);
	if (!c->sending)
		return false;
	c->sending_n = strlen(c->sending);
	c->sent = 0;
	return true;
}

static ssize_t read_tail(void *user, uint64_t pos, char *out, size_t max)
{
	struct client *c = user;
	size_t n;

	if (!c->sending && !wait_for_text(c))
		return MHD_CONTENT_READER_END_OF_STREAM;
	n = c->sending_n - c->sent < max ? c->sending_n - c->sent : max;
	memcpy(out, c->sending + c->sent, n);
	c->sent += n;
	if (c->sent == c->sending_n) {
		free(c->sending);
		c->sending = NULL;
	}
	return (ssize_t)n;
}

static void client_free(void *user)
{
	struct client *c = user;
	struct tail *t = c->tail;

	pthread_mutex_lock(&t->lock);
	if (c->slot >= 0) {
		struct trace *tr, *next;

		t->clients[c->slot] = NULL;
		t->n_clients--;
		/* Its place may be another's soon. */
		HASH_ITER (hh, t->traces, tr, next) {
			tr->matched &= ~(1u << c->slot);
		}
		if (!t->n_clients)
			forget_all(t);
	}
	pthread_mutex_unlock(&t->lock);
	for (; c->n; c->n--, c->first = (c->first + 1) % TAIL_LINES)
		free(c->lines[c->first]);
	free(c->sending);
	params_done(&c->params);
	free(c);
}

static bool enter(struct tail *t, struct client *c)
{
	pthread_mutex_lock(&t->lock);
	for (int i = 0; c->slot < 0 && !t->stopping && i < (int)TAIL_CLIENTS; i++)
		if (!t->clients[i]) {
			t->clients[i] = c;
			t->n_clients++;
			c->slot = i;
		}
	pthread_mutex_unlock(&t->lock);
	return c->slot >= 0;
}

static int read_filter(struct client *c, const char *target, char **ret_error)
{
	const char *mark = strchr(target, '?'), *cannot;
	int r = params_parse(&c->params, slice_str(mark ? mark + 1 : ""), ret_error);

	/* Conditions without an index want a window of time; this is one. */
	c->filter.since_ns = clew_now_ns();
	c->filter.until_ns = c->filter.since_ns + 1;
	if (r == 0)
		r = params_filter(&c->params, &c->filter, ret_error);
	cannot = r == 0 ? tail_can_match(&c->filter) : NULL;
	return cannot ? server_fail(ret_error, -EINVAL, "%s", cannot) : r;
}

enum MHD_Result tail_answer(struct request *rq)
{
	struct client *c = calloc(1, sizeof(*c));
	_cleanup_(freep) char *error = NULL;
	struct MHD_Response *response;
	enum MHD_Result r;

	if (!c)
		return answer_error(rq, 503, "out of memory: try again");
	c->tail = rq->server->tail;
	c->slot = -1;
	c->conn = rq->conn;
	c->told_ns = clew_mono_ns();
	c->sending = strdup(": clew's tail of traces\n\n");
	c->sending_n = c->sending ? strlen(c->sending) : 0;
	if (read_filter(c, rq->target, &error) < 0) {
		r = answer_error(rq, 400, error ? error : "a parameter is wrong");
		client_free(c);
		return r;
	}
	if (!enter(c->tail, c)) {
		client_free(c);
		return answer_error(rq, 503, "too many clients of the tail: try again");
	}
	response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 4096, read_tail, c,
						     client_free);
	if (!response) {
		client_free(c);
		return MHD_NO;
	}
	return answer_send(rq, 200, "text/event-stream", response);
}
