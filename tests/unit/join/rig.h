/* SPDX-License-Identifier: Apache-2.0 */
/* Spans made by hand, given to a join, and what it says of them. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "join/join.h"

#define T0 1767323400000000000ull
#define MS 1000000ull
#define S  (1000 * MS)

struct rig {
	struct clew_join *join;
	uint64_t now;
	struct clew_span *out[64];
	size_t n_out;
	struct clew_amendment amends[64];
	size_t n_amends;
	struct clew_id128 from[16], to[16];
	size_t n_aliases;
};

/* Traces: kernels are below 100, SDKs' from 100 on. */
struct clew_id128 trace_of(uint64_t n);
/* A join that tells the rig; rig_set_up() opens the first. */
int rig_open(struct rig *r);
int rig_set_up(void **state);
int rig_tear_down(void **state);
struct clew_span *span(uint64_t trace, uint64_t id, uint64_t parent, enum clew_span_kind kind,
		       const char *service, uint64_t from_ms, uint64_t to_ms);
/* The kernel's, of a process; port: the server's, peer: the client's. */
struct clew_span *seen(uint64_t trace, uint64_t id, uint64_t parent, enum clew_span_kind kind,
		       const char *service, uint64_t from_ms, uint64_t to_ms, uint32_t pid,
		       uint16_t port, uint16_t peer);
void feed(struct rig *r, struct clew_span *s);
void send_span(struct rig *r, struct clew_span *s);
struct clew_span *with_header(struct clew_span *s, uint64_t trace, uint64_t span_id);
struct clew_span *sdk_server(struct clew_span *s, uint16_t peer);
struct clew_span *sdk_client(struct clew_span *s, const char *url);
void settle(struct rig *r);
const struct clew_span *out_of(const struct rig *r, uint64_t id);
const struct clew_amendment *amend_of(const struct rig *r, uint64_t id);
void assert_place(const struct clew_id128 *trace, const struct clew_id64 *parent,
		  uint64_t want_trace, uint64_t want_parent);
void assert_out(const struct rig *r, uint64_t id, uint64_t trace, uint64_t parent);
void assert_replaced(const struct rig *r, uint64_t id, uint64_t by);
void assert_amended(const struct rig *r, uint64_t id, uint64_t trace, uint64_t parent);
/* a (SDK) ─► b ─► c (SDK): as in join.h. */
void feed_kernels(struct rig *r);
void send_first(struct rig *r);
void send_last(struct rig *r);
