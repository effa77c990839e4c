/* SPDX-License-Identifier: Apache-2.0 */
#include "join/internal.h"

#include "base/clock.h"

/* After it went on a trace is remembered for so long; at the beginning everything waits for so long. */
#define REMEMBER_NS (30ull * 1000 * 1000 * 1000)
#define BEGIN_NS    (10ull * 1000 * 1000 * 1000)
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
	if (received_init(&j->received) < 0) {
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
	while (j->waiting)
		trace_free(j, j->waiting);
	while (j->remembered)
		trace_free(j, j->remembered);
	processes_done(j);
	received_done(&j->received);
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

/* A call of a target to where we take its spans. */
static bool is_own(const struct clew_join *j, const struct clew_span *s)
{
	const struct clew_attr *port = clew_span_attr(s, SLICE("server.port"));
	const struct clew_attr *address = clew_span_attr(s, SLICE("network.peer.address"));

	if (s->kind != CLEW_KIND_CLIENT || !port || !address || address->type != CLEW_ATTR_STR ||
	    port->type != CLEW_ATTR_INT || !port->i)
		return false;
	if (port->i != j->own_ports[0] && port->i != j->own_ports[1])
		return false;
	return slice_starts(address->str, SLICE("127.")) || slice_eq(address->str, SLICE("::1")) ||
	       slice_starts(address->str, SLICE("::ffff:127."));
}

static bool must_wait(struct clew_join *j, const struct clew_span *s, uint64_t now_ns)
{
	if (!j->began_ns)
		j->began_ns = now_ns;
	if (!clew_id64_none(&s->header_span_id) && j->futile < MAX_FUTILE)
		j->active_ns = now_ns;
	return now_ns < j->began_ns + BEGIN_NS || trace_find(j, &s->trace_id) ||
	       (j->active_ns && now_ns < j->active_ns + CLEW_JOIN_ACTIVE_NS);
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

/* One that is older than any wait is old news, or of another clock. */
static void learn_lateness(struct clew_join *j, const struct clew_span *s, uint64_t unix_ns,
			   uint64_t now_ns)
{
	uint64_t end = s->start_ns + s->duration_ns;
	uint64_t late = unix_ns > end ? unix_ns - end : 0;

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
		j->opts.on_span(j->opts.user, span);
	}
	while (j->stats.held > CLEW_JOIN_MAX_HELD) {
		j->stats.early += j->waiting->n_waiting;
		trace_settle(j, j->waiting, now_ns + REMEMBER_NS);
	}
	pthread_mutex_unlock(&j->lock);
}

void clew_join_received(struct clew_join *j, struct clew_span *const *spans, size_t n,
			uint64_t now_ns)
{
	const uint64_t unix_ns = clew_clock_ns(CLOCK_REALTIME);

	pthread_mutex_lock(&j->lock);
	for (size_t i = 0; i < n; i++) {
		struct clew_id128 to = moved_to(j, spans[i]->trace_id);

		received_add(&j->received, spans[i], &to);
		spans[i]->trace_id = to;
		learn_lateness(j, spans[i], unix_ns, now_ns);
	}
	j->stats.received += n;
	if (n) {
		j->active_ns = now_ns;
		j->futile = 0;
	}
	pthread_mutex_unlock(&j->lock);
}

void clew_join_advance(struct clew_join *j, uint64_t now_ns)
{
	pthread_mutex_lock(&j->lock);
	while (j->waiting && j->waiting->due_ns <= now_ns)
		trace_settle(j, j->waiting, now_ns + REMEMBER_NS);
	traces_forget(j, now_ns);
	pthread_mutex_unlock(&j->lock);
}

void clew_join_flush(struct clew_join *j)
{
	pthread_mutex_lock(&j->lock);
	while (j->waiting)
		trace_settle(j, j->waiting, j->waiting->due_ns + REMEMBER_NS);
	pthread_mutex_unlock(&j->lock);
}

void clew_join_stats(struct clew_join *j, struct clew_join_stats *ret)
{
	pthread_mutex_lock(&j->lock);
	*ret = j->stats;
	pthread_mutex_unlock(&j->lock);
}
