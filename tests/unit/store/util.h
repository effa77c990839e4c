/* SPDX-License-Identifier: Apache-2.0 */
/* Spans and directories for the tests of the store and of what is above it. */
#pragma once

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "store/store.h"

/* 2026-01-02T03:10:00Z: in the middle of an hour. */
#define T0 1767323400000000000ull
#define MS 1000000ull

static inline int rm_one(const char *path, const struct stat *sb, int type, struct FTW *f)
{
	return remove(path);
}

static inline void rm_dir(char *dir)
{
	nftw(dir, rm_one, 16, FTW_DEPTH | FTW_PHYS);
	free(dir);
}

/* A fresh directory's path; the store makes the directory below it. */
static inline char *tmp_dir(void)
{
	const char *base = getenv("TMPDIR");
	char *dir;

	assert_true(asprintf(&dir, "%s/clew-test-XXXXXX", base ? base : "/tmp") > 0);
	assert_non_null(mkdtemp(dir));
	return dir;
}

static inline struct clew_id128 trace_id(uint64_t n)
{
	struct clew_id128 id = clew_hash128(&n, sizeof(n), 7);

	return id;
}

static inline struct clew_resource *make_resource(const char *service, const char *instance)
{
	struct clew_attr attrs[] = {
		{.key = SLICE("service.name"), .type = CLEW_ATTR_STR, .str = slice_str(service)},
		{.key = SLICE("service.instance.id"),
		 .type = CLEW_ATTR_STR,
		 .str = slice_str(instance)},
		{.key = SLICE("host.name"), .type = CLEW_ATTR_STR, .str = SLICE("box")},
		{.key = SLICE("process.pid"), .type = CLEW_ATTR_INT, .i = 4711},
	};
	struct clew_id128 boot = trace_id(99);
	struct clew_resource *r = clew_resource_new(attrs, 4, &boot);

	assert_non_null(r);
	return r;
}

/* A span; parent 0: none. The resource's reference is the span's own. */
static inline struct clew_span *make_span(uint64_t trace, uint64_t id, uint64_t parent,
					  const char *service, const char *name,
					  enum clew_span_kind kind, uint64_t start_ns,
					  uint64_t duration_ns)
{
	struct clew_span *s = clew_span_new();

	assert_non_null(s);
	s->trace_id = trace_id(trace);
	s->span_id = clew_id64_from(id);
	if (parent)
		s->parent_span_id = clew_id64_from(parent);
	s->resource = make_resource(service, service);
	s->name = clew_span_copy(s, slice_str(name));
	s->scope = SLICE("clew");
	s->kind = kind;
	s->start_ns = start_ns;
	s->duration_ns = duration_ns;
	return s;
}

static inline struct clew_store *open_store(const char *dir, const struct clew_store_opts *opts)
{
	struct clew_store *st = NULL;
	char *error = NULL;
	int r = clew_store_open(dir, opts, &st, &error);

	if (r < 0)
		fail_msg("cannot open: %d %s", r, error ? error : "");
	return st;
}

static inline void put(struct clew_store *st, struct clew_span *s)
{
	clew_store_append(st, &s, 1);
}

/* A shop's trace: front (server) - front (client) - back (server); n counts up from 1. */
static inline void put_shop(struct clew_store *st, uint64_t n, uint64_t start_ns)
{
	uint64_t id = n * 10;
	struct clew_span *s;

	s = make_span(n, id + 1, 0, "front", "GET /", CLEW_KIND_SERVER, start_ns, 10 * MS + n);
	s->is_root = true;
	clew_span_set_str(s, "http.request.method", SLICE("GET"));
	clew_span_set_int(s, "http.response.status_code", 200);
	put(st, s);
	s = make_span(n, id + 2, id + 1, "front", "GET back", CLEW_KIND_CLIENT, start_ns + MS,
		      8 * MS);
	clew_span_set_str(s, "server.address", SLICE("10.0.0.2"));
	clew_span_set_int(s, "server.port", 8080);
	s->link_class = CLEW_LINK_CERTAIN;
	s->evidence = CLEW_EV_THREAD;
	s->confidence = 1;
	put(st, s);
	s = make_span(n, id + 3, id + 2, "back", "GET /item/{id}", CLEW_KIND_SERVER,
		      start_ns + 2 * MS, 6 * MS);
	clew_span_set_int(s, "item", (int64_t)n);
	if (n % 10 == 0)
		s->status = CLEW_STATUS_ERROR;
	put(st, s);
}

/* For what hands out spans: counts them in *user, a uint64_t. */
static inline int count_one(void *user, struct clew_span *s)
{
	++*(uint64_t *)user;
	clew_span_free(s);
	return 0;
}

/* How many are stored, each read whole. */
static inline uint64_t count_spans(struct clew_store *st)
{
	struct clew_span_filter all = {0};
	uint64_t n = 0;
	char *error = NULL;

	if (clew_store_find_spans(st, &all, count_one, &n, &error) < 0)
		fail_msg("cannot read: %s", error ? error : "");
	return n;
}
