/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was true of a context when it called. See birth.c.
 */
#pragma once

#include "causality/node.h"
#include "stream/stream.h"

struct ctx;

/* How the stretch is that ends with this: enum stretch. */
static inline uint8_t birth_stretch(const struct birth *b)
{
	return (b->slept ? STRETCH_SLEPT : 0) | (b->connect ? STRETCH_CONNECT : 0);
}

/* What is true of the context now; slept: since it read last. *ret holds references. */
void birth_make(struct ctx *ctx, bool slept, struct birth *ret);
/* Gives the references back; what the decision still looks at stays. */
void birth_clear(struct birth *b);
/* The context's first operation after a connect(): nv are its voluntary switches, if counted. */
void birth_settle(struct ctx *ctx, bool counted, uint64_t nv);
/* connect() was called: what is true of who called it is kept for the first exchange. */
void birth_connect(struct clew_causality *c, const struct clew_conn *conn);
/* What connect() knew of this connection goes to ret, which takes the references; false if nothing. */
bool birth_take_pending(struct clew_causality *c, uint64_t cookie, struct birth *ret,
			struct node *named[N_TURNS]);
/* Of what was true at the first byte and at connect(), the one that tells more goes to *write; the other is cleared. */
void birth_choose(struct birth *write, struct birth *connect);
/* The connection is gone unused: its connector works on what it connected for. */
void birth_conn_closed(struct clew_causality *c, uint64_t cookie);
/* Connects that nobody used for stream_ns are forgotten. */
void birth_expire(struct clew_causality *c);
void birth_done(struct clew_causality *c);
void birth_forget_call(struct node *call);
