/* SPDX-License-Identifier: Apache-2.0 */
#include "store/gen.h"

#include <inttypes.h>
#include <stdio.h>

static const char *const services[GEN_SERVICES] = {"front",   "cart",	  "catalog", "checkout",
						   "payment", "shipping", "account", "search",
						   "ads",     "reviews",  "email",   "stock"};
static const char *const paths[] = {
	"/",	       "/item/{id}",	"/cart",	 "/cart/{id}/add", "/checkout",
	"/search",     "/account/{id}", "/reviews/{id}", "/stock/{sku}",   "/pay",
	"/ship/quote", "/email/send"};

static uint64_t next(struct gen *g)
{
	/* splitmix64 */
	uint64_t z = g->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static uint64_t below(struct gen *g, uint64_t n)
{
	return next(g) % n;
}

struct clew_id128 gen_trace_id(uint64_t n)
{
	return clew_hash128(&n, sizeof(n), 1);
}

const char *gen_order(uint64_t n, char *out)
{
	snprintf(out, 24, "order-%" PRIu64, n);
	return out;
}

static struct clew_resource *resource(struct gen *g, int service, int instance)
{
	char name[64], host[32], container[65];
	struct clew_id128 boot = gen_trace_id(1u << 30), hash = gen_trace_id((uint64_t)instance);
	struct clew_attr attrs[] = {
		{.key = SLICE("service.name"), .str = slice_str(services[service])},
		{.key = SLICE("service.instance.id"), .str = slice_str(name)},
		{.key = SLICE("host.name"), .str = slice_str(host)},
		{.key = SLICE("process.pid"),
		 .type = CLEW_ATTR_INT,
		 .i = 1000 + service * 10 + instance},
		{.key = SLICE("process.executable.path"), .str = SLICE("/usr/bin/python3.11")},
		{.key = SLICE("container.id"), .str = slice_str(container)},
		{.key = SLICE("os.type"), .str = SLICE("linux")},
	};

	snprintf(name, sizeof(name), "%s-%d", services[service], instance);
	snprintf(host, sizeof(host), "node-%d", instance);
	clew_hex(hash.b, 16, container);
	memcpy(container + 32, container, 32);
	container[64] = '\0';
	return clew_resource_new(attrs, sizeof(attrs) / sizeof(*attrs), &boot);
}

void gen_init(struct gen *g, uint64_t seed, uint64_t start_ns, uint64_t step_ns)
{
	*g = (struct gen){.state = seed, .start_ns = start_ns, .step_ns = step_ns};
	for (int i = 0; i < GEN_SERVICES * GEN_INSTANCES; i++)
		g->resources[i] = resource(g, i / GEN_INSTANCES, i % GEN_INSTANCES);
}

void gen_done(struct gen *g)
{
	for (int i = 0; i < GEN_SERVICES * GEN_INSTANCES; i++)
		clew_resource_unref(g->resources[i]);
}

/* Durations have a long tail: mostly milliseconds, now and then seconds. */
static uint64_t duration(struct gen *g, uint64_t base_ns)
{
	uint64_t d = base_ns / 2 + below(g, base_ns);

	while (below(g, 8) == 0)
		d *= 2;
	return d;
}

static void attributes(struct gen *g, struct clew_span *s, int callee, uint64_t trace)
{
	static const char *const methods[] = {"GET", "GET", "GET", "GET", "POST", "POST", "PUT"};
	char text[96];
	bool server = s->kind == CLEW_KIND_SERVER;
	int64_t status = s->status == CLEW_STATUS_ERROR ? 500 + (int64_t)below(g, 4) : 200;

	clew_span_set_str(s, "http.request.method", slice_str(methods[below(g, 7)]));
	snprintf(text, sizeof(text), "/%s/%" PRIu64, services[callee], below(g, 1000000));
	clew_span_set_str(s, "url.path", slice_str(text));
	clew_span_set_int(s, "http.response.status_code", status);
	clew_span_set_str(s, "network.protocol.version", SLICE("1.1"));
	snprintf(text, sizeof(text), "10.0.%d.%d", callee, (int)below(g, 3) + 1);
	clew_span_set_str(s, server ? "client.address" : "server.address", slice_str(text));
	clew_span_set_int(s, server ? "client.port" : "server.port",
			  server ? 32768 + (int64_t)below(g, 28000) : 8080);
	clew_span_set_int(s, "http.response.body.size", (int64_t)below(g, 20000));
	clew_span_set_str(s, "clew.http.path_template", slice_str(paths[callee]));
	if (server && callee == 3) {
		clew_span_set_str(s, "shop.order.id", slice_str(gen_order(trace, text)));
		snprintf(text, sizeof(text), "user-%" PRIu64, below(g, 50000));
		clew_span_set_str(s, "enduser.id", slice_str(text));
	}
}

static struct clew_span *make(struct gen *g, uint64_t trace, int service, int callee,
			      enum clew_span_kind kind, uint64_t start_ns, uint64_t duration_ns,
			      const struct clew_span *parent)
{
	struct clew_span *s = clew_span_new();
	uint32_t instance = (uint32_t)below(g, GEN_INSTANCES);
	char name[64];

	if (!s)
		return NULL;
	s->trace_id = gen_trace_id(trace);
	s->span_id = clew_id64_from(next(g));
	if (parent)
		s->parent_span_id = parent->span_id;
	if (parent && kind == CLEW_KIND_SERVER)
		s->wire_key = parent->wire_key;
	else
		s->wire_key = clew_hash128(&s->span_id, 8, 2);
	snprintf(name, sizeof(name), "GET %s", paths[callee]);
	s->name = clew_span_copy(s, slice_str(name));
	s->scope = SLICE("clew");
	s->kind = kind;
	s->status = below(g, 100) == 0 ? CLEW_STATUS_ERROR : CLEW_STATUS_UNSET;
	s->start_ns = start_ns;
	s->duration_ns = duration_ns;
	s->resource = clew_resource_ref(g->resources[service * GEN_INSTANCES + (int)instance]);
	s->pid = 1000 + (uint32_t)service * 10 + instance;
	s->tid = s->pid + (uint32_t)below(g, 16);
	s->proc_start_ns = g->start_ns - 1000000000;
	s->evidence = parent ? CLEW_EV_WIRE | CLEW_EV_THREAD : CLEW_EV_NONE_OPEN;
	s->link_class = parent ? CLEW_LINK_CERTAIN : CLEW_LINK_ROOT;
	s->confidence = parent ? 1 : -1;
	s->is_root = !parent;
	s->times.cpu_ns = (int64_t)(duration_ns / 10 + below(g, 1000));
	s->times.runq_ns = (int64_t)below(g, 10000);
	s->times.futex_ns = (int64_t)below(g, 2000);
	s->times.net_ns = (int64_t)(duration_ns / 2);
	s->times.disk_ns = s->times.sleep_ns = s->times.other_ns = 0;
	attributes(g, s, callee, trace);
	return s;
}

size_t gen_trace(struct gen *g, struct clew_span **spans)
{
	uint64_t trace = g->traces++;
	uint64_t start = g->start_ns + trace * g->step_ns + below(g, g->step_ns + 1);
	uint64_t calls = 1 + below(g, 4) + below(g, 5); /* 5 on average, so 11 spans */
	uint64_t d = duration(g, 20000000);
	size_t n = 0;

	spans[n] = make(g, trace, 0, 0, CLEW_KIND_SERVER, start, d, NULL);
	if (!spans[n++])
		return 0;
	for (uint64_t i = 0; i < calls; i++) {
		int callee = 1 + (int)below(g, GEN_SERVICES - 1);
		/* a call of the front, or of a service that was called already */
		const struct clew_span *from = spans[n > 2 && below(g, 2) ? 2 : 0];
		int caller = from == spans[0] ? 0 : (callee + 1) % GEN_SERVICES;
		uint64_t at = from->start_ns + below(g, from->duration_ns / 2 + 1);
		uint64_t cd = duration(g, 3000000);

		spans[n] = make(g, trace, caller, callee, CLEW_KIND_CLIENT, at, cd, from);
		spans[n + 1] = spans[n]
				       ? make(g, trace, callee, callee, CLEW_KIND_SERVER,
					      at + 100000, cd > 300000 ? cd - 200000 : cd, spans[n])
				       : NULL;
		if (!spans[n + 1])
			return 0;
		n += 2;
	}
	return n;
}
