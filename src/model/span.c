/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A span and its arena: the span, its arrays and its strings lie in one block, more blocks follow
 * when it grows.
 *
 *	block 0: [next|used|cap][struct clew_span][attrs][strings ...]  ──► block 1: [...] ──► NULL
 */
#include "model/span.h"

#include <stdlib.h>

#define FIRST_BLOCK_BYTES 2048u
#define FIRST_ATTRS	  24u
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
	struct clew_span_pool *pool; /* of block 0; NULL: malloc()ed */
	size_t total;
	uint32_t cap_attrs, cap_links;
};

/*
 * First blocks that are free.
 *
 *	freed, by any thread ──push──► given ──all at once──► kept ──pop──► a new span
 *
 * Only the thread that makes spans takes, and it takes all of given: a stack that is pushed to by one
 * compare-and-swap cannot be mistaken then. Beyond KEEP_MAX blocks are freed.
 */
struct clew_span_pool {
	struct block *kept;
	struct block *given;
	uint32_t refs;	 /* the owner's and each span's */
	uint32_t n_free; /* in both */
};

/* Spans that wait for a store come back some hundred at a time. */
#define KEEP_MAX 1024u

static struct block *block_new(size_t cap)
{
	struct block *b = malloc(sizeof(*b) + cap);

	if (b)
		*b = (struct block){.cap = cap};
	return b;
}

int clew_span_pool_new(struct clew_span_pool **ret)
{
	struct clew_span_pool *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->refs = 1;
	*ret = p;
	return 0;
}

static void free_blocks(struct block *b)
{
	struct block *next;

	for (; b; b = next) {
		next = b->next;
		free(b);
	}
}

void clew_span_pool_free(struct clew_span_pool *p)
{
	if (!p || __atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL))
		return;
	free_blocks(p->kept);
	free_blocks(p->given);
	free(p);
}

static struct block *pool_take(struct clew_span_pool *p)
{
	struct block *b;

	if (!p->kept)
		p->kept = __atomic_exchange_n(&p->given, NULL, __ATOMIC_ACQUIRE);
	b = p->kept;
	if (b) {
		p->kept = b->next;
		__atomic_sub_fetch(&p->n_free, 1, __ATOMIC_RELAXED);
		*b = (struct block){.cap = FIRST_BLOCK_BYTES};
	} else {
		b = block_new(FIRST_BLOCK_BYTES);
	}
	if (b)
		__atomic_add_fetch(&p->refs, 1, __ATOMIC_RELAXED);
	return b;
}

static void pool_give(struct clew_span_pool *p, struct block *b)
{
#ifndef __SANITIZE_ADDRESS__ /* it must see what is used after this */
	if (__atomic_load_n(&p->n_free, __ATOMIC_RELAXED) < KEEP_MAX) {
		__atomic_add_fetch(&p->n_free, 1, __ATOMIC_RELAXED);
		b->next = __atomic_load_n(&p->given, __ATOMIC_RELAXED);
		while (!__atomic_compare_exchange_n(&p->given, &b->next, b, true, __ATOMIC_RELEASE,
						    __ATOMIC_RELAXED))
			;
		b = NULL;
	}
#endif
	free(b);
	clew_span_pool_free(p);
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

struct clew_span *clew_span_new_in(struct clew_span_pool *pool)
{
	struct block *b = pool ? pool_take(pool) : block_new(FIRST_BLOCK_BYTES);
	struct clew_span_arena *a;
	struct clew_span *s;

	if (!b)
		return NULL;
	a = (struct clew_span_arena *)b->bytes;
	b->used = (sizeof(*a) + 15) & ~(size_t)15;
	*a = (struct clew_span_arena){.newest = b, .pool = pool};
	s = take(a, sizeof(*s), ALIGN);
	*s = (struct clew_span){
		.arena = a,
		.refs = 1,
		.confidence = -1,
		.times = {-1, -1, -1, -1, -1, -1, -1},
		.kind = CLEW_KIND_INTERNAL,
	};
	return s;
}

struct clew_span *clew_span_new(void)
{
	return clew_span_new_in(NULL);
}

struct clew_span *clew_span_ref(struct clew_span *s)
{
	__atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
	return s;
}

/* Most spans have one owner: a load then, no locked instruction. */
static bool last_owner(struct clew_span *s)
{
	return __atomic_load_n(&s->refs, __ATOMIC_ACQUIRE) == 1 ||
	       __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) == 0;
}

void clew_span_free(struct clew_span *s)
{
	struct clew_span_pool *pool;
	struct block *b, *next;

	if (!s || !last_owner(s))
		return;
	clew_resource_unref(s->resource);
	pool = s->arena->pool;
	/* block 0 holds the arena: it is the last one */
	for (b = s->arena->newest; (next = b->next); b = next)
		free(b);
	if (pool)
		pool_give(pool, b);
	else
		free(b);
}

size_t clew_span_bytes(const struct clew_span *s)
{
	return sizeof(struct block) + FIRST_BLOCK_BYTES + s->arena->total;
}

char *clew_span_alloc(struct clew_span *s, size_t n)
{
	return take(s->arena, n ? n : 1, 1);
}

void *clew_span_alloc_aligned(struct clew_span *s, size_t n)
{
	return take(s->arena, n ? n : 1, ALIGN);
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
	uint32_t want = *cap ? *cap * 2 : FIRST_ATTRS;
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

struct clew_attr *clew_span_room(struct clew_span *s, uint32_t n)
{
	struct clew_attr *attrs;

	while (s->arena->cap_attrs < s->n_attrs + n) {
		/* As if the array was full; what is in it moves on. */
		attrs = grow(s, s->attrs, s->arena->cap_attrs, &s->arena->cap_attrs, sizeof(*attrs),
			     CLEW_SPAN_MAX_ATTRS);
		if (!attrs)
			return NULL;
		s->attrs = attrs;
	}
	return s->attrs + s->n_attrs;
}

void clew_span_set_own(struct clew_span *s, const char *key, struct slice value)
{
	struct clew_attr *a = attr_slot(s, slice_str(key));

	if (a) {
		a->type = CLEW_ATTR_STR;
		a->form = CLEW_FORM_TEXT;
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

const char *clew_status_name(enum clew_status s)
{
	static const char *const names[] = {"unset", "ok", "error"};

	return s <= CLEW_STATUS_ERROR ? names[s] : names[0];
}
