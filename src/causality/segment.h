/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations on sockets, and what they do to who made them. See segment.c.
 */
#pragma once

#include <stdbool.h>

#include "abi/record.h"
#include "stream/stream.h"

struct clew_causality;
struct node;

/* Somebody read or wrote of n's exchange x; first: the part's first operation. */
void segment_io(struct clew_causality *c, struct node *n, const struct clew_exchange *x,
		enum clew_part part, bool first, const struct clew_rec_io *io);
/* A read that found the end of the connection: where the response ends with it, that is read then. */
void segment_eof(struct clew_causality *c, const struct clew_rec_io *io);
/* The call is over: with its response, or because nobody waits for one any more. */
void segment_call_ended(struct clew_causality *c, struct node *n, const struct clew_exchange *x);
