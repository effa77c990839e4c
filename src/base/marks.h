/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The marks that a span carries from the place that knew to the place that shows: why it is
 * incomplete, what spoke for its link to its parent, and how sure that link is. Bits are stored:
 * they are only ever added.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Why an exchange is not whole; kept on its span. */
enum clew_incomplete {
	CLEW_INC_LOSS = 1 << 0,	       /* records of this connection were lost inside it */
	CLEW_INC_NO_RESPONSE = 1 << 1, /* the connection ended, or tracing stopped, before the
					* response's first byte */
	CLEW_INC_CUT = 1 << 2,	       /* ... before the response's last byte */
	CLEW_INC_JOINED = 1 << 3,      /* tracing began in the middle of it */
	CLEW_INC_UNSYNCED = 1 << 4,    /* the protocol's parser lost its place inside it */
	CLEW_INC_NO_HEAD = 1 << 5,     /* the head went on past what was captured */
	CLEW_INC_END_GUESSED = 1 << 6, /* its end was inferred from what came next */
	CLEW_INC_LIMIT = 1 << 7,       /* a table was full */
};

/* What spoke for a link: bits, kept with the span. docs/architecture.md explains each. */
enum clew_evidence {
	CLEW_EV_THREAD = 1 << 0,    /* this context read the request last */
	CLEW_EV_EXCLUSIVE = 1 << 1, /* ... and had no other request open from then to its answer */
	CLEW_EV_CONNECT = 1 << 2,   /* connect() was called while this context served the request */
	CLEW_EV_COMPLETION =
		1 << 3, /* the context that read the call's response then wrote the answer */
	CLEW_EV_CHAIN = 1 << 4, /* a sibling call of the same stretch of work is so confirmed */
	CLEW_EV_TASK = 1 << 5,	/* the runtime's task is the same */
	CLEW_EV_WAKE = 1 << 6,
	CLEW_EV_FORK = 1 << 7,
	CLEW_EV_ORDER = 1 << 8,
	CLEW_EV_MODEL = 1 << 9, /* the service's checkpoints confirm the hypothesis that was used */
	CLEW_EV_HEADER = 1 << 10,      /* a trace header on the wire */
	CLEW_EV_WIRE = 1 << 11,	       /* both ends of one exchange: same wire key */
	CLEW_EV_HANDED = 1 << 12,      /* a task of the request began the one that called */
	CLEW_EV_HEAP = 1 << 13, /* what it works on was made by who served the request */
	CLEW_EV_CONFLICT = 1 << 16,    /* against: evidence named different requests */
	CLEW_EV_UNCONFIRMED = 1 << 17, /* against: nothing confirmed the guess */
	CLEW_EV_NONE_OPEN = 1 << 18,   /* no request was open: the process did this by itself */
};

/* Bits below this one speak for a link, the others against it. */
#define CLEW_EV_N_FOR 16

enum clew_link_class {
	CLEW_LINK_ROOT = 0, /* nothing to hang from: work that the process began by itself */
	CLEW_LINK_CERTAIN = 1,
	CLEW_LINK_PROBABLE = 2,
	CLEW_LINK_ORPHAN = 3, /* a parent is likely to exist and is not known */
};

/**
 * clew_evidence_words() - "thread, completion" into out; what spoke against it follows as
 * "; against: conflict". Empty for 0. Returns out.
 */
const char *clew_evidence_words(uint32_t evidence, char *out, size_t size);
/** clew_incomplete_words() - "loss, cut" into out; empty for 0. Returns out. */
const char *clew_incomplete_words(uint32_t incomplete, char *out, size_t size);
/** clew_link_class_name() - "root", "certain", "probable", "orphan". */
const char *clew_link_class_name(uint8_t link_class);
