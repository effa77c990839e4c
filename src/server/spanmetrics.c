/* SPDX-License-Identifier: Apache-2.0 */
/* traces_spanmetrics_*: names, labels and buckets as Grafana Tempo's generator has them. */
#include "server/watch.h"

#include <inttypes.h>

#define SLOTS 4096u /* a power of two, at least twice the series */
#define OTHER "(other)"

struct series {
	uint64_t hash; /* 0: free */
	struct slice service, name;
	uint8_t kind, status;
	struct watch_histogram h;
};

struct spanmetrics {
	pthread_mutex_t lock;
	uint32_t n;
	uint64_t overflow; /* spans that got no series of their own */
	struct series other;
	struct series slots[SLOTS];
};

struct spanmetrics *spanmetrics_new(void)
{
	struct spanmetrics *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	pthread_mutex_init(&m->lock, NULL);
	m->other.service = m->other.name = SLICE(OTHER);
	return m;
}

void spanmetrics_free(struct spanmetrics *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < SLOTS; i++)
		free((char *)(uintptr_t)m->slots[i].service.p);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

/* The two names in one block. */
static bool name_series(struct series *s, struct slice service, struct slice name)
{
	char *p = malloc(service.n + name.n + 1);

	if (!p)
		return false;
	if (service.n)
		memcpy(p, service.p, service.n);
	if (name.n)
		memcpy(p + service.n, name.p, name.n);
	s->service = slice_of(p, service.n);
	s->name = slice_of(p + service.n, name.n);
	return true;
}

static struct series *find(struct spanmetrics *m, const struct clew_span *span)
{
	struct slice service = span->resource ? span->resource->service : SLICE("");
	uint8_t kind = (uint8_t)span->kind, status = (uint8_t)span->status;
	uint64_t hash = clew_hash64(service.p, service.n, 1u + kind * 4u + status);

	hash = clew_hash64(span->name.p, span->name.n, hash);
	hash += hash == 0;
	for (uint64_t i = hash;; i++) {
		struct series *s = &m->slots[i & (SLOTS - 1)];

		if (s->hash == hash && s->kind == kind && s->status == status &&
		    slice_eq(s->service, service) && slice_eq(s->name, span->name))
			return s;
		if (s->hash)
			continue;
		if (m->n == SPANMETRICS_SERIES || !name_series(s, service, span->name)) {
			m->overflow++;
			return &m->other;
		}
		m->n++;
		s->hash = hash;
		s->kind = kind;
		s->status = status;
		return s;
	}
}

void spanmetrics_add(struct spanmetrics *m, const struct clew_span *span)
{
	pthread_mutex_lock(&m->lock);
	watch_observe(&find(m, span)->h, span->duration_ns);
	pthread_mutex_unlock(&m->lock);
}

/* ---- text ---- */

static void labels_of(const struct series *s, bool other, struct clew_buf *out)
{
	static const char *const kinds[] = {"SPAN_KIND_UNSPECIFIED", "SPAN_KIND_INTERNAL",
					    "SPAN_KIND_SERVER",	     "SPAN_KIND_CLIENT",
					    "SPAN_KIND_PRODUCER",    "SPAN_KIND_CONSUMER"};
	static const char *const statuses[] = {"STATUS_CODE_UNSET", "STATUS_CODE_OK",
					       "STATUS_CODE_ERROR"};

	clew_buf_clear(out);
	watch_label(out, "service", s->service);
	clew_buf_addc(out, ',');
	watch_label(out, "span_name", s->name);
	clew_buf_addf(out, ",span_kind=\"%s\",status_code=\"%s\"",
		      other ? OTHER : kinds[s->kind % 6], other ? OTHER : statuses[s->status % 3]);
}

static void put_all(const struct series *v, size_t n, const struct series *other,
		    struct clew_buf *out)
{
	struct clew_buf labels = {0};

	for (int what = 0; what < 2; what++) {
		clew_buf_adds(out, what ? "# TYPE traces_spanmetrics_latency histogram\n"
					: "# TYPE traces_spanmetrics_calls_total counter\n");
		for (size_t i = 0; i <= n; i++) {
			const struct series *s = i < n ? &v[i] : other;

			if (!s->h.n)
				continue;
			labels_of(s, s == other, &labels);
			if (what)
				watch_histogram_text(out, "traces_spanmetrics_latency",
						     clew_buf_slice(&labels), &s->h);
			else
				clew_buf_addf(out,
					      "traces_spanmetrics_calls_total{%s} %" PRIu64 "\n",
					      labels.data, s->h.n);
		}
	}
	clew_buf_done(&labels);
}

int spanmetrics_text(struct spanmetrics *m, struct clew_buf *out)
{
	/* A copy: the writer does not wait while text is made. Names stay until the end. */
	_cleanup_(freep) struct series *v = malloc(SPANMETRICS_SERIES * sizeof(*v));
	struct series other;
	uint64_t overflow;
	size_t n = 0;

	if (!v)
		return -ENOMEM;
	pthread_mutex_lock(&m->lock);
	for (size_t i = 0; i < SLOTS && n < SPANMETRICS_SERIES; i++)
		if (m->slots[i].hash)
			v[n++] = m->slots[i];
	other = m->other;
	overflow = m->overflow;
	pthread_mutex_unlock(&m->lock);
	put_all(v, n, &other, out);
	clew_buf_addf(out,
		      "# TYPE clew_spanmetrics_series gauge\nclew_spanmetrics_series %zu\n"
		      "# TYPE clew_spanmetrics_overflow_total counter\n"
		      "clew_spanmetrics_overflow_total %" PRIu64 "\n",
		      n, overflow);
	return out->err;
}
