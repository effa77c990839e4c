/* SPDX-License-Identifier: Apache-2.0 */
#include "base/pool.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SLAB_BYTES (64u << 10)

struct clew_pool_slab {
	struct clew_pool_slab *next;
	char pad[CLEW_POOL_ALIGN - sizeof(struct clew_pool_slab *)];
	char bytes[];
};

#ifdef __SANITIZE_ADDRESS__
#define POOLED(n) ((void)(n), 0)
#else
#define POOLED(n) ((n) <= CLEW_POOL_MAX)
#endif

static size_t class_of(size_t n)
{
	return n ? (n - 1) / CLEW_POOL_ALIGN : 0;
}

size_t clew_pool_room(size_t n)
{
	return POOLED(n) ? (class_of(n) + 1) * CLEW_POOL_ALIGN : n;
}

/* A new slab; what is left of the old one is too short for what is wanted, and goes to its class. */
static int new_slab(struct clew_pool *p)
{
	struct clew_pool_slab *s = aligned_alloc(CLEW_POOL_ALIGN, SLAB_BYTES);

	if (!s)
		return -1;
	if (p->left)
		clew_pool_give(p, p->at, p->left);
	s->next = p->slabs;
	p->slabs = s;
	p->at = s->bytes;
	p->left = SLAB_BYTES - sizeof(*s);
	return 0;
}

void *clew_pool_take(struct clew_pool *p, size_t n)
{
	size_t class = class_of(n);
	void *obj;

	if (!POOLED(n))
		return malloc(n);
	obj = p->free[class];
	if (obj) {
		memcpy(&p->free[class], obj, sizeof(void *));
		/* The next one may have been given back long ago. */
		__builtin_prefetch(p->free[class], 1);
		return obj;
	}
	n = (class + 1) * CLEW_POOL_ALIGN;
	if (p->left < n && new_slab(p))
		return NULL;
	obj = p->at;
	p->at += n;
	p->left -= n;
	return obj;
}

void *clew_pool_take0(struct clew_pool *p, size_t n)
{
	void *obj = clew_pool_take(p, n);

	return obj ? memset(obj, 0, n) : NULL;
}

void clew_pool_give(struct clew_pool *p, void *obj, size_t n)
{
	size_t class = class_of(n);

	if (!POOLED(n)) {
		free(obj);
		return;
	}
	if (!obj)
		return;
	memcpy(obj, &p->free[class], sizeof(void *));
	p->free[class] = obj;
}

void clew_pool_done(struct clew_pool *p)
{
	struct clew_pool_slab *s, *next;

	for (s = p->slabs; s; s = next) {
		next = s->next;
		free(s);
	}
	*p = (struct clew_pool){0};
}
