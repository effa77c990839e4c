/* SPDX-License-Identifier: Apache-2.0 */
#include "join/internal.h"

#include "base/clock.h"

/* At the beginning everything waits for so long. */
#define BEGIN_NS (10ull * 1000 * 1000 * 1000)
/* Senders that are slow are waited for: this long beyond what was seen lately, in all at most so long. */
#define LATE_MORE_NS  (3ull * 1000 * 1000 * 1000)
#define LATE_MAX_NS   (18ull * 1000 * 1000 * 1000)
#define LATE_KNOWN_NS (60ull * 1000 * 1000 * 1000)
/* Headers whose spans go elsewhere are no sign of an SDK that sends to us. */
#define MAX_FUTILE 64u

int clew_join_new(const struct clew_join_opts *opts, struct clew_join **ret)
{
	struct clew_join *j = calloc(1, sizeof(*j));

	if (!j)
		return -ENOMEM;
	j->opts = *opts;
	if (!j->opts.hold_ns)
		j->opts.hold_ns = CLEW_JOIN_HOLD_NS;
	pthread_mutex_init(&j->lock, NULL);
	if (received_init(&j->received) < 0 || hints_init(&j->hints) < 0) {
		clew_join_free(j);
		return -ENOMEM;
	}
	*ret = j;
	return 0;
}

void clew_join_free(struct clew_join *j)
{
	if (!j)
		return;
	for (int i = 0; i < N_TRACE_QUEUES; i++)
		while (j->queues[i])
			trace_free(j, j->queues[i]);
	processes_done(j);
	received_done(&j->received);
	hints_done(&j->hints);
	pthread_mutex_destroy(&j->lock);
	free(j);
}

void clew_join_own_ports(struct clew_join *j, uint16_t http, uint16_t grpc)
{
	pthread_mutex_lock(&j->lock);
	j->own_ports[0] = http;
	j->own_ports[1] = grpc;
	pthread_mutex_unlock(&j->lock);
}

static bool is_loopback(struct slice address)
{
	return slice_starts(address, SLICE("127.")) || slice_eq(address, SLICE("::1")) ||
	       slice_starts(address, SLICE("::ffff:127.")) || slice_eq(address, SLICE("localhost"));
}

/* A call of a target to where we take its spans. Of a connection that was not seen to begin the header tells. */
static bool is_own(const struct clew_join *j, const struct clew_span *s)
{
	const struct clew_attr *port = clew_span_attr(s, SLICE("server.port"));
	const struct clew_attr *address = clew_span_attr(s, SLICE("network.peer.address"));

	if (!address)
		address = clew_span_attr(s, SLICE("server.address"));
	if (s->kind != CLEW_KIND_CLIENT || !port || !address || address->type != CLEW_ATTR_STR ||
	    port->type != CLEW_ATTR_INT || !port->i)
		return false;
	return (port->i == j->own_ports[0] || port->i == j->own_ports[1]) &&
	       is_loopback(address->str);
}

/* Others of its trace wait, or something became of them that is about this one too. */
static bool is_of_waiting(struct clew_join *j, const struct clew_span *s)
{
	const struct trace *t = trace_find(j, &s->trace_id);

	return t && (t->queue != TRACE_REMEMBERED || t->n_matched ||
		     (!clew_id128_none(&t->canonical) && !clew_id128_eq(&t->canonical, &t->id)));
}

static bool must_wait(struct clew_join *j, const struct clew_span *s, uint64_t now_ns)
{
	if (!j->began_ns)
		j->began_ns = now_ns;
	if (!clew_id64_none(&s->header_span_id) && j->futile < MAX_FUTILE)
		j->active_ns = now_ns;
	return now_ns < j->began_ns + BEGIN_NS || is_of_waiting(j, s) ||
	       (j->active_ns && now_ns < j->active_ns + CLEW_JOIN_ACTIVE_NS);
}

/* Who sent nothing for so long has no SDK that sends to us. */
static bool must_remember(const struct clew_join *j, uint64_t now_ns)
{
	return now_ns < j->began_ns + CLEW_JOIN_REMEMBER_NS ||
	       (j->received_ns && now_ns < j->received_ns + CLEW_JOIN_REMEMBER_NS);
}

/* Later ones are due later, or at the same time. */
static uint64_t due(struct clew_join *j, uint64_t now_ns)
{
	uint64_t hold = j->opts.hold_ns;

	if (now_ns < j->late_until_ns && j->late_ns + LATE_MORE_NS > hold)
		hold = j->late_ns + LATE_MORE_NS;
	if (now_ns + hold > j->last_due_ns)
		j->last_due_ns = now_ns + hold;
	return j->last_due_ns;
}

/* One that is older than any wait comes late, or is of another clock. */
static void learn_lateness(struct clew_join *j, const struct clew_span *s, uint64_t unix_ns,
			   uint64_t now_ns)
{
	uint64_t end = s->start_ns + s->duration_ns;
	uint64_t late = unix_ns > end ? unix_ns - end : 0;

	j->stats.too_late += late > CLEW_JOIN_REMEMBER_NS;
	if (late + LATE_MORE_NS > LATE_MAX_NS || (late <= j->late_ns && now_ns < j->late_until_ns))
		return;
	j->late_ns = late;
	j->late_until_ns = now_ns + LATE_KNOWN_NS;
}

void clew_join_span(struct clew_join *j, struct clew_span *span, uint64_t now_ns)
{
	pthread_mutex_lock(&j->lock);
	if (is_own(j, span)) {
		j->stats.own++;
		j->active_ns = now_ns;
		clew_span_free(span);
	} else if (!must_wait(j, span, now_ns) || traces_add(j, span, due(j, now_ns)) < 0) {
		if (must_remember(j, now_ns)) {
			(void)traces_note(j, span, now_ns + CLEW_JOIN_REMEMBER_NS);
			header_keep(span);
		}
		name_process(j, span);
		j->opts.on_span(j->opts.user, span);
	}
	while (j->stats.held > CLEW_JOIN_MAX_HELD) {
		j->stats.early += j->queues[TRACE_WAITING]->n_waiting;
		trace_settle(j, j->queues[TRACE_WAITING], now_ns + CLEW_JOIN_REMEMBER_NS);
	}
	pthread_mutex_unlock(&j->lock);
}

/* Spans of SDKs that were joined have a wire key: then the kernel's is not there any more. */
static void recall_received(struct clew_join *j, const struct clew_span *s, uint64_t now_ns)
{
	struct clew_seen_facts facts = clew_seen_facts_of(s);
	struct received *r;

	if (received_find(j, &s->trace_id, &s->span_id))
		return;
	r = received_add(&j->received, s, &s->trace_id);
	r->used = !clew_id128_none(&s->wire_key);
	if (r->used)
		traces_note_joined(j, s, r, now_ns + CLEW_JOIN_REMEMBER_NS);
	if (r->used && s->kind == CLEW_KIND_SERVER)
		learn_process(j, &facts, s->resource);
	j->active_ns = j->received_ns = now_ns;
}

void clew_join_recall(struct clew_join *j, struct clew_span *span, uint64_t now_ns)
{
	pthread_mutex_lock(&j->lock);
	if (!slice_eq(span->scope, SLICE("clew"))) {
		recall_received(j, span, now_ns);
	} else if (span->kind == CLEW_KIND_SERVER || span->kind == CLEW_KIND_CLIENT) {
		header_recall(span);
		(void)traces_note(j, span, now_ns + CLEW_JOIN_REMEMBER_NS);
	}
	pthread_mutex_unlock(&j->lock);
}

void clew_join_recall_alias(struct clew_join *j, const struct clew_id128 *from,
			    const struct clew_id128 *to)
{
	pthread_mutex_lock(&j->lock);
	join_moved_note(j, from, to);
	pthread_mutex_unlock(&j->lock);
}

void clew_join_recalled(struct clew_join *j, uint64_t now_ns)
{
	struct trace *t;

	pthread_mutex_lock(&j->lock);
	while ((t = j->queues[TRACE_REMEMBERED]))
		trace_move(j, t, TRACE_AGAIN, now_ns);
	pthread_mutex_unlock(&j->lock);
}

void clew_join_received(struct clew_join *j, struct clew_span *const *spans, size_t n,
			uint64_t now_ns)
{
	const uint64_t unix_ns = clew_clock_ns(CLOCK_REALTIME);

	pthread_mutex_lock(&j->lock);
	for (size_t i = 0; i < n; i++) {
		struct clew_id128 to = moved_to(j, spans[i]->trace_id);

		learn_lateness(j, spans[i], unix_ns, now_ns);
		/* An SDK that got no answer sends again. */
		if (!received_find(j, &spans[i]->trace_id, &spans[i]->span_id))
			late_received(j, received_add(&j->received, spans[i], &to), now_ns);
		spans[i]->trace_id = to;
	}
	j->stats.received += n;
	if (n) {
		j->active_ns = j->received_ns = now_ns;
		j->futile = 0;
	}
	pthread_mutex_unlock(&j->lock);
}

void clew_join_advance(struct clew_join *j, uint64_t now_ns)
{
	struct trace *t;

	pthread_mutex_lock(&j->lock);
	for (int i = TRACE_WAITING; i <= TRACE_AGAIN; i++)
		while ((t = j->queues[i]) && t->due_ns <= now_ns)
			trace_settle(j, t, now_ns + CLEW_JOIN_REMEMBER_NS);
	traces_forget(j, now_ns);
	pthread_mutex_unlock(&j->lock);
}

void clew_join_flush(struct clew_join *j)
{
	struct trace *t;

	pthread_mutex_lock(&j->lock);
	for (int i = TRACE_WAITING; i <= TRACE_AGAIN; i++)
		while ((t = j->queues[i]))
			trace_settle(j, t, t->due_ns + CLEW_JOIN_REMEMBER_NS);
	pthread_mutex_unlock(&j->lock);
}

void clew_join_stats(struct clew_join *j, struct clew_join_stats *ret)
{
	pthread_mutex_lock(&j->lock);
	*ret = j->stats;
	pthread_mutex_unlock(&j->lock);
}
