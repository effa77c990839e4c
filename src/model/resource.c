/* SPDX-License-Identifier: Apache-2.0 */
#include "model/span.h"

static int by_key(const void *a, const void *b)
{
	const struct clew_attr *x = a, *y = b;
	size_t n = x->key.n < y->key.n ? x->key.n : y->key.n;
	int c = memcmp(x->key.p, y->key.p, n);

	return c ? c : (x->key.n > y->key.n) - (x->key.n < y->key.n);
}

static struct slice put(char **at, struct slice s)
{
	struct slice out = slice_of(*at, s.n);

	if (s.n)
		memcpy(*at, s.p, s.n);
	*at += s.n;
	return out;
}

static struct slice str_attr(const struct clew_resource *r, const char *key)
{
	for (uint32_t i = 0; i < r->n_attrs; i++)
		if (r->attrs[i].type == CLEW_ATTR_STR && slice_eq(r->attrs[i].key, slice_str(key)))
			return r->attrs[i].str;
	return SLICE("");
}

/* Keys, types and values in order: equal resources hash alike wherever they were made. */
static uint64_t hash_attrs(const struct clew_resource *r)
{
	uint64_t h = clew_hash64(&r->boot_id, sizeof(r->boot_id), 0);

	for (uint32_t i = 0; i < r->n_attrs; i++) {
		const struct clew_attr *a = &r->attrs[i];

		h = clew_hash64(a->key.p, a->key.n, h);
		switch (a->type) {
		case CLEW_ATTR_STR:
			h = clew_hash64(a->str.p, a->str.n,
					h ^ CLEW_ATTR_STR ^ (uint64_t)a->form << 8);
			break;
		case CLEW_ATTR_INT:
			h = clew_hash64(&a->i, sizeof(a->i), h ^ CLEW_ATTR_INT);
			break;
		case CLEW_ATTR_DOUBLE:
			h = clew_hash64(&a->d, sizeof(a->d), h ^ CLEW_ATTR_DOUBLE);
			break;
		case CLEW_ATTR_BOOL:
			h = clew_hash64(&a->b, sizeof(a->b), h ^ CLEW_ATTR_BOOL);
			break;
		}
	}
	return h;
}

struct clew_resource *clew_resource_new(const struct clew_attr *attrs, size_t n,
					const struct clew_id128 *boot_id)
{
	size_t bytes = n * sizeof(*attrs) + 1;
	struct clew_resource *r;
	char *at;

	for (size_t i = 0; i < n; i++)
		bytes += attrs[i].key.n + (attrs[i].type == CLEW_ATTR_STR ? attrs[i].str.n : 0);
	r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	r->mem = malloc(bytes);
	if (!r->mem) {
		free(r);
		return NULL;
	}
	r->refs = 1;
	if (boot_id)
		r->boot_id = *boot_id;
	r->attrs = r->mem;
	r->n_attrs = (uint32_t)n;
	at = (char *)(r->attrs + n);
	for (size_t i = 0; i < n; i++) {
		r->attrs[i] = attrs[i];
		r->attrs[i].key = put(&at, attrs[i].key);
		if (attrs[i].type == CLEW_ATTR_STR)
			r->attrs[i].str = put(&at, attrs[i].str);
	}
	if (n)
		qsort(r->attrs, n, sizeof(*r->attrs), by_key);
	r->service = str_attr(r, "service.name");
	r->instance = str_attr(r, "service.instance.id");
	r->host = str_attr(r, "host.name");
	r->id = hash_attrs(r);
	return r;
}

struct clew_resource *clew_resource_ref(struct clew_resource *r)
{
	if (r)
		__atomic_add_fetch(&r->refs, 1, __ATOMIC_RELAXED);
	return r;
}

void clew_resource_unref(struct clew_resource *r)
{
	if (!r || __atomic_sub_fetch(&r->refs, 1, __ATOMIC_ACQ_REL))
		return;
	free(r->mem);
	free(r);
}
