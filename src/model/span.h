/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Span, trace, resource, attribute: OpenTelemetry's data model, in memory.
 *
 * A span owns all that it points to, in one arena of its own; a resource is shared and counted.
 * Attribute names follow OpenTelemetry's semantic conventions (CLEW_SCHEMA_URL); ours begin with
 * "clew.".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/id.h"
#include "base/marks.h"
#include "base/slice.h"

#define CLEW_SCHEMA_URL "https://opentelemetry.io/schemas/1.37.0"

enum clew_attr_type { CLEW_ATTR_STR, CLEW_ATTR_INT, CLEW_ATTR_DOUBLE, CLEW_ATTR_BOOL };

/* What the text of a CLEW_ATTR_STR stands for (model/otlp_value.h). Only who writes OTLP need care. */
enum clew_attr_form {
	CLEW_FORM_TEXT = 0,
	CLEW_FORM_JSON = 1,  /* a list or a map */
	CLEW_FORM_BYTES = 2, /* base64 */
};

struct clew_attr {
	struct slice key;
	enum clew_attr_type type;
	uint8_t form; /* enum clew_attr_form */
	union {
		struct slice str;
		int64_t i;
		double d;
		bool b;
	};
};

/* Numbers as in OTLP. */
enum clew_span_kind {
	CLEW_KIND_UNSPECIFIED = 0,
	CLEW_KIND_INTERNAL = 1,
	CLEW_KIND_SERVER = 2,
	CLEW_KIND_CLIENT = 3,
	CLEW_KIND_PRODUCER = 4,
	CLEW_KIND_CONSUMER = 5,
};
enum clew_status { CLEW_STATUS_UNSET = 0, CLEW_STATUS_OK = 1, CLEW_STATUS_ERROR = 2 };

/** clew_kind_name() - "server", "client", ... */
const char *clew_kind_name(enum clew_span_kind k);
/** clew_status_name() - "unset", "ok", "error". */
const char *clew_status_name(enum clew_status s);

/* A process's description. Shared by its spans; the count is atomic. */
struct clew_resource {
	int refs;
	uint64_t id;	       /* hash of all attributes: equal resources have equal ids */
	struct slice service;  /* service.name */
	struct slice instance; /* service.instance.id */
	struct slice host;     /* host.name */
	struct clew_id128 boot_id;
	uint32_t n_attrs;
	struct clew_attr *attrs; /* all, service.name and the like included */
	void *mem;
};

/** clew_resource_new() - copies everything; sorts attributes by key. One reference. NULL: no
 * memory. */
struct clew_resource *clew_resource_new(const struct clew_attr *attrs, size_t n,
					const struct clew_id128 *boot_id);
struct clew_resource *clew_resource_ref(struct clew_resource *r);
void clew_resource_unref(struct clew_resource *r);
CLEW_DEFINE_CLEANUP(struct clew_resource *, clew_resource_unref)

struct clew_span_pool;

struct clew_span_link {
	struct clew_id128 trace_id;
	struct clew_id64 span_id;
	float confidence; /* of a candidate; -1 where it does not apply */
	uint32_t n_attrs;
	struct clew_attr *attrs;
};

struct clew_span_event {
	uint64_t time_ns; /* Unix */
	struct slice name;
	uint32_t n_attrs;
	struct clew_attr *attrs;
};

/* Where the time of a span's thread went; -1: not known. */
struct clew_span_times {
	int64_t cpu_ns, runq_ns, futex_ns, disk_ns, net_ns, sleep_ns, other_ns;
};

struct clew_span {
	struct clew_id128 trace_id;
	struct clew_id64 span_id;
	struct clew_id64 parent_span_id; /* none: a root, or an orphan */
	struct clew_id128 wire_key;	 /* none: not captured from a wire */
	/* What a trace header on the wire named, whatever became of it; none: there was none, or the
	 * span was not captured. Neither stored nor sent on. */
	struct clew_id128 header_trace_id;
	struct clew_id64 header_span_id;
	enum clew_span_kind kind;
	enum clew_status status;
	uint64_t start_ns; /* Unix */
	uint64_t duration_ns;
	struct slice name;
	struct slice status_message;
	struct slice trace_state;
	struct slice scope;		/* instrumentation scope; "clew" for ours */
	struct clew_resource *resource; /* a reference */
	uint32_t pid, tid;		/* 0: not known */
	uint64_t proc_start_ns;
	uint32_t evidence;	     /* enum clew_evidence bits; 0 for spans that were received */
	uint8_t link_class;	     /* enum clew_link_class */
	float confidence;	     /* of the link to the parent; -1: not ours */
	uint32_t incomplete;	     /* enum clew_incomplete bits */
	uint64_t sampling_threshold; /* OTel's th, 56 bits; 0: all are kept */
	int64_t clock_offset_ns;     /* added to this host's clock; 0 on one host */
	struct clew_span_times times;
	uint32_t n_attrs, n_links, n_events;
	struct clew_attr *attrs;
	struct clew_span_link *links;
	struct clew_span_event *events;
	uint32_t dropped_attrs, dropped_links, dropped_events;
	bool is_root; /* the trace's id was made from this span */
	struct clew_span_arena *arena;
	uint32_t refs; /* owners; atomic */
};

/* Limits of one span; beyond them the dropped_ counters count. */
#define CLEW_SPAN_MAX_ATTRS  128
#define CLEW_SPAN_MAX_LINKS  256
#define CLEW_SPAN_MAX_EVENTS 128

/** clew_span_new() - an empty span; times -1, confidence -1. NULL: no memory. */
struct clew_span *clew_span_new(void);
/**
 * clew_span_pool_new() - for who makes many spans: the first block of those that are freed is used
 * again, the last one first. One thread makes spans, any thread may free them. Returns 0, -ENOMEM.
 */
int clew_span_pool_new(struct clew_span_pool **ret);
/** clew_span_pool_free() - spans of it may outlive it. Takes NULL. */
void clew_span_pool_free(struct clew_span_pool *p);
/** clew_span_new_in() - clew_span_new() with the pool's memory; p may be NULL. */
struct clew_span *clew_span_new_in(struct clew_span_pool *p);
/**
 * clew_span_ref() - one more owner, who frees it too; from then on nobody changes it.
 */
struct clew_span *clew_span_ref(struct clew_span *s);
/** clew_span_free() - by one of its owners; the last one ends it. Takes NULL. */
void clew_span_free(struct clew_span *s);
CLEW_DEFINE_CLEANUP(struct clew_span *, clew_span_free)

/** clew_span_bytes() - what it holds of memory. */
size_t clew_span_bytes(const struct clew_span *s);
/** clew_span_alloc() - n bytes that live as long as the span, for the caller to fill; NULL: no
 * memory. */
char *clew_span_alloc(struct clew_span *s, size_t n);
/** clew_span_alloc_aligned() - the same, aligned for any object. */
void *clew_span_alloc_aligned(struct clew_span *s, size_t n);
/** clew_span_copy() - bytes copied into the span's arena. p is NULL on no memory. */
struct slice clew_span_copy(struct clew_span *s, struct slice bytes);
/*
 * Add an attribute: the key must be a string literal or live as long as the span; the value is
 * copied. A key that is there already is replaced. Without memory or room, dropped_attrs counts.
 */
void clew_span_set_str(struct clew_span *s, const char *key, struct slice value);
/** clew_span_set_own() - the same for a value that lives in the span's memory already: no copy. */
void clew_span_set_own(struct clew_span *s, const char *key, struct slice value);
void clew_span_set_int(struct clew_span *s, const char *key, int64_t value);
void clew_span_set_double(struct clew_span *s, const char *key, double value);
void clew_span_set_bool(struct clew_span *s, const char *key, bool value);
/**
 * clew_span_room() - for who sets many attributes and never one twice: places for n more, in the
 * order of their writing, that count once they are added to s->n_attrs. NULL: no memory, or more
 * than CLEW_SPAN_MAX_ATTRS.
 */
struct clew_attr *clew_span_room(struct clew_span *s, uint32_t n);
/** clew_span_attr() - the attribute of this name, or NULL. */
const struct clew_attr *clew_span_attr(const struct clew_span *s, struct slice key);
/** clew_span_add_link() - to a span of any trace; confidence -1 where it does not apply. */
void clew_span_add_link(struct clew_span *s, const struct clew_id128 *trace_id,
			const struct clew_id64 *span_id, float confidence);

/* The attributes that stand for a span's own columns, and the memory of their texts. */
#define CLEW_SPAN_SHOWN 13
struct clew_span_shown {
	uint32_t n;
	struct clew_attr attrs[CLEW_SPAN_SHOWN];
	char evidence[256], incomplete[256], wire_key[33];
};

/**
 * clew_span_shown() - clew.link.class, clew.link.evidence, clew.link.confidence, clew.incomplete,
 * clew.wire_key, thread.id and clew.time.*, those that this span has. For spans that are about to be
 * shown or sent; the store keeps the columns.
 */
void clew_span_shown(const struct clew_span *s, struct clew_span_shown *ret);
/** clew_span_show_fields() - set them as attributes of the span. */
void clew_span_show_fields(struct clew_span *s);
