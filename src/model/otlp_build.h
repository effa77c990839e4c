/* SPDX-License-Identifier: Apache-2.0 */
/* What both readers of OTLP share: an arena for the call, and spans built of borrowed parts. */
#pragma once

#include "base/buf.h"
#include "model/otlp_in.h"

/* Memory for the length of one call; nothing in it is freed alone. All zeros: empty, no limit. */
struct otlp_arena {
	struct otlp_chunk *chunks;
	char *at;
	size_t left;
	size_t used, limit; /* 0: none */
};

/** otlp_alloc() - n bytes, aligned to 16; NULL: no memory or over the limit. */
void *otlp_alloc(struct otlp_arena *a, size_t n);
void otlp_arena_done(struct otlp_arena *a);

/* Attributes while they are collected; slices borrow from the message or the arena. */
struct otlp_attrs {
	struct clew_attr *v;
	uint32_t n, dropped;
};

struct otlp_builder {
	struct clew_otlp_in *in;
	struct otlp_arena arena;
	struct otlp_attrs attrs;
	struct clew_buf text; /* scratch for values that are lists and maps */
	struct clew_resource *resource;
	struct slice scope, scope_version;
};

/* A span as it was sent; its attributes, events and links are added after otlp_span_begin(). */
struct otlp_span {
	struct slice trace_id, span_id, parent_span_id; /* bytes */
	struct slice trace_state, name, status_message;
	int64_t kind, status;
	uint64_t start_ns, end_ns;
	uint32_t dropped_attrs, dropped_events, dropped_links;
};

void otlp_builder_done(struct otlp_builder *b);
/** otlp_fail() - writes in->error; returns err. */
int otlp_fail(struct otlp_builder *b, int err, const char *fmt, ...) CLEW_PRINTF(3, 4);

/** otlp_attrs_begin() - forget what was collected. -ENOMEM. */
int otlp_attrs_begin(struct otlp_builder *b);
/** otlp_attrs_add() - the last one of a name stays. */
void otlp_attrs_add(struct otlp_builder *b, const struct clew_attr *a);
/** otlp_put_base64() - as a JSON string. */
void otlp_put_base64(struct clew_buf *b, struct slice s);
/** otlp_text_value() - what was written to b->text, kept as a string value. */
void otlp_text_value(struct otlp_builder *b, enum clew_attr_form form, struct clew_attr *ret);
/** otlp_bytes_value() - bytes, kept as base64. */
void otlp_bytes_value(struct otlp_builder *b, struct slice bytes, struct clew_attr *ret);

/** otlp_resource() - the resource of what was collected; of the spans that follow. */
int otlp_resource(struct otlp_builder *b);
/**
 * otlp_span_begin() - a span of the builder's resource and scope, in in->spans. Returns 0 with
 * *ret_span NULL if it is rejected; -E2BIG, -ENOMEM.
 */
int otlp_span_begin(struct otlp_builder *b, const struct otlp_span *s, struct clew_span **ret_span);
/** otlp_span_attrs() - what was collected becomes the span's. */
void otlp_span_attrs(struct otlp_builder *b, struct clew_span *span);
/** otlp_span_events() - n empty events to fill; NULL: no room (counted). */
struct clew_span_event *otlp_span_events(struct clew_span *span, size_t n, size_t *ret_n);
struct clew_span_link *otlp_span_links(struct clew_span *span, size_t n, size_t *ret_n);
/** otlp_copy_attrs() - what was collected, copied into the span's memory. */
struct clew_attr *otlp_copy_attrs(struct otlp_builder *b, struct clew_span *span, uint32_t *ret_n);
