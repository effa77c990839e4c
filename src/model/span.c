/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A span and its arena: the span, its arrays and its strings lie in one block, more blocks follow
 * when it grows.
 *
 *	block 0: [next|used|cap][struct clew_span][attrs][strings ...]  ──► block 1: [...] ──► NULL
 */
#include "model/span.h"

#define FIRST_BLOCK_BYTES 2048u
/* All that one span may hold; beyond it attributes are dropped and counted. */
#define SPAN_MAX_BYTES (4u << 20)
/* Of what is not text. */
#define ALIGN 16u

struct block {
	struct block *next;
	size_t used, cap;
	char bytes[] __attribute__((aligned(16)));
};

struct clew_span_arena {
	struct block *newest;
	size_t total;
	uint32_t cap_attrs, cap_links;
};

static struct block *block_new(size_t cap)
{
	struct block *b = malloc(sizeof(*b) + cap);

	if (b)
		*b = (struct block){.cap = cap};
	return b;
}

/* n bytes; aligned for any object, or for text (align 1). */
static void *take(struct clew_span_arena *a, size_t n, size_t align)
{
	struct block *b = a->newest;
	size_t pad = -b->used & (align - 1);
	void *p;

	if (b->cap - b->used >= pad)
		b->used += pad;
	if (b->cap - b->used < n) {
		if (n > SPAN_MAX_BYTES || a->total > SPAN_MAX_BYTES - n)
			return NULL;
		b = block_new(n > FIRST_BLOCK_BYTES ? n : FIRST_BLOCK_BYTES);
		if (!b)
			return NULL;
		b->next = a->newest;
		a->newest = b;
	}
	p = b->bytes + b->used;
	b->used += n;
	a->total += n;
	return p;
}

struct clew_span *clew_span_new(void)
{
	struct block *b = block_new(FIRST_BLOCK_BYTES);
	struct clew_span_arena *a;
	struct clew_span *s;

	if (!b)
		return NULL;
	a = (struct clew_span_arena *)b->bytes;
	b->used = (sizeof(*a) + 15) & ~(size_t)15;
	*a = (struct clew_span_arena){.newest = b};
	s = take(a, sizeof(*s), ALIGN);
	*s = (struct clew_span){
		.arena = a,
		.confidence = -1,
		.times = {-1, -1, -1, -1, -1, -1, -1},
		.kind = CLEW_KIND_INTERNAL,
	};
	return s;
}

void clew_span_free(struct clew_span *s)
{
	struct block *b, *next;

	if (!s)
		return;
	clew_resource_unref(s->resource);
	for (b = s->arena->newest; b; b = next) {
		next = b->next;
		free(b);
	}
}

char *clew_span_alloc(struct clew_span *s, size_t n)
{
	return take(s->arena, n ? n : 1, 1);
}

struct slice clew_span_copy(struct clew_span *s, struct slice bytes)
{
	char *p = clew_span_alloc(s, bytes.n);

	if (!p)
		return (struct slice){NULL, 0};
	if (bytes.n)
		memcpy(p, bytes.p, bytes.n);
	return slice_of(p, bytes.n);
}

/* An array of the span with room for one more: the old one is left in the arena. */
static void *grow(struct clew_span *s, void *old, uint32_t n, uint32_t *cap, size_t size,
		  uint32_t max)
{
	/* a span of HTTP has 18 to 22 attributes */
	uint32_t want = *cap ? *cap * 2 : 24;
	void *p;

	if (n < *cap)
		return old;
	if (n >= max)
		return NULL;
	if (want > max)
		want = max;
	p = take(s->arena, want * size, ALIGN);
	if (!p)
		return NULL;
	if (n)
		memcpy(p, old, n * size);
	*cap = want;
	return p;
}

static struct clew_attr *attr_slot(struct clew_span *s, struct slice key)
{
	struct clew_attr *attrs;

	for (uint32_t i = 0; i < s->n_attrs; i++)
		if (slice_eq(s->attrs[i].key, key))
			return &s->attrs[i];
	attrs = grow(s, s->attrs, s->n_attrs, &s->arena->cap_attrs, sizeof(*attrs),
		     CLEW_SPAN_MAX_ATTRS);
	if (!attrs) {
		s->dropped_attrs++;
		return NULL;
	}
	s->attrs = attrs;
	attrs[s->n_attrs].key = key;
	return &attrs[s->n_attrs++];
}

void clew_span_set_own(struct clew_span *s, const char *key, struct slice value)
{
	struct clew_attr *a = attr_slot(s, slice_str(key));

	if (a) {
		a->type = CLEW_ATTR_STR;
		a->str = value;
	}
}

void clew_span_set_str(struct clew_span *s, const char *key, struct slice value)
{
	struct slice copy = clew_span_copy(s, value);

	if (copy.p)
		clew_span_set_own(s, key, copy);
	else
		s->dropped_attrs++;
}

void clew_span_set_int(struct clew_span *s, const char *key, int64_t value)
{
	struct clew_attr *a = attr_slot(s, slice_str(key));

	if (a) {
		a->type = CLEW_ATTR_INT;
		a->i = value;
	}
}

void clew_span_set_double(struct clew_span *s, const char *key, double value)
{
	struct clew_attr *a = attr_slot(s, slice_str(key));

	if (a) {
		a->type = CLEW_ATTR_DOUBLE;
		a->d = value;
	}
}

void clew_span_set_bool(struct clew_span *s, const char *key, bool value)
{
	struct clew_attr *a = attr_slot(s, slice_str(key));

	if (a) {
		a->type = CLEW_ATTR_BOOL;
		a->b = value;
	}
}

const struct clew_attr *clew_span_attr(const struct clew_span *s, struct slice key)
{
	for (uint32_t i = 0; i < s->n_attrs; i++)
		if (slice_eq(s->attrs[i].key, key))
			return &s->attrs[i];
	return NULL;
}

void clew_span_add_link(struct clew_span *s, const struct clew_id128 *trace_id,
			const struct clew_id64 *span_id, float confidence)
{
	struct clew_span_link *links;

	links = grow(s, s->links, s->n_links, &s->arena->cap_links, sizeof(*links),
		     CLEW_SPAN_MAX_LINKS);
	if (!links) {
		s->dropped_links++;
		return;
	}
	s->links = links;
	links[s->n_links++] = (struct clew_span_link){
		.trace_id = *trace_id,
		.span_id = *span_id,
		.confidence = confidence,
	};
}

static const char *const kind_names[] = {"unspecified", "internal", "server",
					 "client",	"producer", "consumer"};

const char *clew_kind_name(enum clew_span_kind k)
{
	return k <= CLEW_KIND_CONSUMER ? kind_names[k] : kind_names[0];
}

int clew_kind_parse(struct slice name)
{
	for (int i = 0; i <= CLEW_KIND_CONSUMER; i++)
		if (slice_eq(name, slice_str(kind_names[i])))
			return i;
	return -EINVAL;
}

const char *clew_status_name(enum clew_status s)
{
	static const char *const names[] = {"unset", "ok", "error"};

	return s <= CLEW_STATUS_ERROR ? names[s] : names[0];
}
