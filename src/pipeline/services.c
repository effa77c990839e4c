/* SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/services.h"

#include <stdlib.h>
#include <string.h>

struct service_entry {
	char *name;
	struct clew_resource *resource; /* of the group that made most calls; a reference */
	uint64_t calls;			/* of that group */
	uint64_t groups;
	struct clew_service_report sum; /* model, tgid: of that group; hits: of those like it */
};

static uint64_t calls_of(const struct clew_service_report *r)
{
	return r->roots + r->certain + r->probable + r->orphans;
}

static struct service_entry *find(struct services *s, struct slice name)
{
	struct service_entry *v;
	char *copy;

	for (size_t i = 0; i < s->n; i++)
		if (slice_eq(slice_str(s->v[i].name), name))
			return &s->v[i];
	if (s->n == MAX_SERVICES - 1 && !slice_eq(name, SLICE("(others)")))
		return find(s, SLICE("(others)"));
	v = reallocarray(s->v, s->n + 1, sizeof(*v));
	if (!v)
		return NULL;
	s->v = v;
	copy = strndup(name.n ? name.p : "", name.n);
	if (!copy)
		return NULL;
	s->v[s->n] = (struct service_entry){.name = copy};
	return &s->v[s->n++];
}

static void add_up(struct clew_service_report *sum, const struct clew_service_report *r)
{
	sum->answers += r->answers;
	sum->roots += r->roots;
	sum->certain += r->certain;
	sum->probable += r->probable;
	sum->orphans += r->orphans;
	for (int i = 0; i < CLEW_EV_N_FOR; i++)
		sum->settled[i] += r->settled[i];
	for (int i = 0; i < CLEW_N_ORPHAN_WHY; i++)
		sum->orphaned[i] += r->orphaned[i];
}

/* Checkpoints of different models are of different things: only those of one model add up. */
static void add_model(struct service_entry *e, const struct clew_service_report *r)
{
	struct clew_service_report *sum = &e->sum;

	if (sum->model && !strcmp(sum->model, r->model)) {
		sum->hits += r->hits;
		sum->misses += r->misses;
	} else if (!sum->model || calls_of(r) > e->calls) {
		sum->model = r->model;
		sum->hits = r->hits;
		sum->misses = r->misses;
	}
}

void services_add(struct services *s, struct clew_identity *id, const struct clew_service_report *r)
{
	struct clew_resource *res = clew_identity_resource(id, r->tgid, r->proc_start_ns);
	struct service_entry *e = res ? find(s, res->service) : NULL;

	if (!e) {
		s->dropped++;
		return;
	}
	add_model(e, r);
	add_up(&e->sum, r);
	e->groups++;
	if (e->resource && calls_of(r) <= e->calls)
		return;
	clew_resource_unref(e->resource);
	e->resource = clew_resource_ref(res);
	e->calls = calls_of(r);
	e->sum.tgid = r->tgid;
	e->sum.proc_start_ns = r->proc_start_ns;
}

int services_copy(const struct services *s, struct services *ret)
{
	struct services copy = {.dropped = s->dropped};

	copy.v = calloc(s->n ? s->n : 1, sizeof(*copy.v));
	if (!copy.v)
		return -ENOMEM;
	for (; copy.n < s->n; copy.n++) {
		struct service_entry *e = &copy.v[copy.n];

		*e = s->v[copy.n];
		e->name = strdup(e->name);
		if (!e->name) {
			services_done(&copy);
			return -ENOMEM;
		}
		if (e->resource)
			clew_resource_ref(e->resource);
	}
	*ret = copy;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct service_entry *)a)->name,
		      ((const struct service_entry *)b)->name);
}

static struct slice attr_of(const struct clew_resource *r, struct slice key)
{
	for (uint32_t i = 0; r && i < r->n_attrs; i++)
		if (slice_eq(r->attrs[i].key, key) && r->attrs[i].type == CLEW_ATTR_STR)
			return r->attrs[i].str;
	return SLICE("");
}

void services_each(struct services *s, clew_service_known_fn fn, void *user)
{
	if (s->n)
		qsort(s->v, s->n, sizeof(*s->v), by_name);
	for (size_t i = 0; i < s->n; i++) {
		const struct service_entry *e = &s->v[i];
		const struct clew_service_known k = {
			.service = slice_str(e->name),
			.runtime = attr_of(e->resource, SLICE("process.runtime.name")),
			.version = attr_of(e->resource, SLICE("process.runtime.version")),
			.task = attr_of(e->resource, SLICE("clew.runtime.task")),
			.groups = e->groups,
			.report = e->sum,
		};

		fn(user, &k);
	}
}

void services_done(struct services *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free(s->v[i].name);
		clew_resource_unref(s->v[i].resource);
	}
	free(s->v);
	*s = (struct services){0};
}
