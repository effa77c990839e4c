/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "classfile.h"

const uint8_t *take(struct in *in, size_t n)
{
	const uint8_t *p = in->p;

	if (in->bad || (size_t)(in->end - p) < n) {
		in->bad = true;
		return NULL;
	}
	in->p += n;
	return p;
}

uint8_t u1(struct in *in)
{
	const uint8_t *p = take(in, 1);

	return p ? p[0] : 0;
}

uint16_t u2(struct in *in)
{
	const uint8_t *p = take(in, 2);

	return p ? p[0] << 8 | p[1] : 0;
}

uint32_t u4(struct in *in)
{
	uint32_t high = u2(in);

	return high << 16 | u2(in);
}

void put(struct out *o, const void *p, size_t n)
{
	if (o->bad || (size_t)(o->end - o->at) < n) {
		o->bad = true;
		return;
	}
	memcpy(o->at, p, n);
	o->at += n;
}

void p1(struct out *o, uint8_t v)
{
	put(o, &v, 1);
}

void p2(struct out *o, uint16_t v)
{
	uint8_t b[2] = {v >> 8, v};

	put(o, b, 2);
}

void p4(struct out *o, uint32_t v)
{
	p2(o, v >> 16);
	p2(o, v);
}

void patch4(struct out *o, uint8_t *where, uint32_t v)
{
	struct out w = {where, where + 4, false};

	if (!o->bad)
		p4(&w, v);
}

void copy(struct out *o, struct in *in, size_t n)
{
	const uint8_t *p = take(in, n);

	if (p)
		put(o, p, n);
}

bool utf8_is(const struct class *c, uint16_t i, const char *s, bool prefix)
{
	const uint8_t *p = i < c->n_pool ? c->pool[i] : NULL;
	size_t n = strlen(s), have;

	if (!p || p[0] != 1)
		return false;
	have = p[1] << 8 | p[2];
	return (prefix ? have >= n : have == n) && !memcmp(p + 3, s, n);
}

/* Constants are added without looking for equal ones: they may be there twice. */
static uint16_t constant(struct class *c)
{
	return c->n_pool + c->n_new++;
}

static uint16_t new_utf8(struct class *c, const char *a, const char *b, const char *d)
{
	p1(&c->new, 1);
	p2(&c->new, strlen(a) + strlen(b) + strlen(d));
	put(&c->new, a, strlen(a));
	put(&c->new, b, strlen(b));
	put(&c->new, d, strlen(d));
	return constant(c);
}

static uint16_t new_pair(struct class *c, uint8_t tag, uint16_t a, uint16_t b)
{
	p1(&c->new, tag);
	p2(&c->new, a);
	if (tag != 7)
		p2(&c->new, b);
	return constant(c);
}

uint16_t new_class(struct class *c, const char *name)
{
	return new_pair(c, 7, new_utf8(c, name, "", ""), 0);
}

uint16_t new_ref(struct class *c, uint8_t tag, const char *class, const char *name,
		 const char *args, const char *type)
{
	uint16_t owner = new_class(c, class);
	uint16_t n = new_utf8(c, name, "", "");
	uint16_t t = new_utf8(c, args, type, "");

	return new_pair(c, tag, owner, new_pair(c, 12, n, t));
}

void read_pool(struct class *c, struct in *in)
{
	/* Bytes behind the tag; 0: no such tag. Utf8 is longer by its text. */
	static const uint8_t size[21] = {[1] = 2,  [3] = 4,  [4] = 4,  [5] = 8,	 [6] = 8,  [7] = 2,
					 [8] = 2,  [9] = 4,  [10] = 4, [11] = 4, [12] = 4, [15] = 3,
					 [16] = 2, [17] = 4, [18] = 4, [19] = 2, [20] = 2};

	c->n_pool = u2(in);
	for (uint16_t i = 1; i < c->n_pool && !in->bad; i++) {
		const uint8_t *at = in->p;
		uint8_t tag = u1(in);

		if (tag >= sizeof(size) || !size[tag]) {
			in->bad = true;
			return;
		}
		c->pool[i] = at;
		if (tag == 1)
			take(in, u2(in));
		else
			take(in, size[tag]);
		if (tag == 5 || tag == 6)
			i++; /* takes two indices */
	}
}
