/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attributes written one behind the other into room that was asked for once: each is named once, so
 * none is looked up. Values live in the span's memory, or as long as the program.
 */
#pragma once

#include "model/span.h"
#include "span/facts.h"

/* The most that one exchange gives, but for the headers that the user names. */
#define ATTRS_MAX 24

struct attr_writer {
	struct clew_span *s;
	struct clew_attr *at;	/* the next one */
	struct clew_attr *host; /* server.address, where it was written */
	struct clew_attr *port; /* server.port */
};

static inline struct clew_attr *attr_str(struct attr_writer *w, struct slice key,
					 struct slice value)
{
	struct clew_attr *a = w->at++;

	a->key = key;
	a->type = CLEW_ATTR_STR;
	a->form = CLEW_FORM_TEXT;
	a->str = value;
	return a;
}

static inline struct clew_attr *attr_int(struct attr_writer *w, struct slice key, int64_t value)
{
	struct clew_attr *a = w->at++;

	a->key = key;
	a->type = CLEW_ATTR_INT;
	a->i = value;
	return a;
}

/* http_attrs.c: attributes, name and status of an HTTP exchange. */
void clew_span_add_http(struct attr_writer *w, const struct clew_span_facts *f);
/* The headers that the user named. */
void clew_span_add_headers(struct clew_span *s, const struct clew_exchange *x, char *const *names);
