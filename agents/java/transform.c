/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Class files changed by what is put before a method's code. (The Java Virtual Machine Specification,
 * chapter 4.)
 *
 *	constants	the new ones follow the old ones, whose indices stay
 *	code		prefix, then the old code as it was: its jumps are relative. The prefix is a multiple
 *			of 4 long, so that the padding of switches stays right
 *	tables		of exceptions, lines, variables: moved by the prefix's length
 *	StackMapTable	may be absent: the VM does not keep it for the JDK's own classes, which it does not
 *			verify. Frames are relative to each other: only the first one moves, and what names the
 *			address of a new instruction
 *
 * Anything unexpected leaves the class alone.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "hooks.h"
#include "transform.h"

#define ROOM 16384 /* what a class file may grow by */

/* One verification type: what is the address of a new instruction moves. */
static void move_type(struct in *in, struct out *o, uint16_t by)
{
	uint8_t tag = u1(in);

	p1(o, tag);
	if (tag == 7)
		p2(o, u2(in));
	else if (tag == 8)
		p2(o, u2(in) + by);
}

static void move_types(struct in *in, struct out *o, uint16_t by, unsigned int n)
{
	while (n-- && !in->bad)
		move_type(in, o, by);
}

/* One frame, farther from the one before it by `more`. */
static void move_frame(struct in *in, struct out *o, uint16_t by, int more)
{
	uint8_t type = u1(in);
	int offset;

	if (type < 128) {
		bool one = type >= 64;

		offset = (type & 63) + more;
		if (offset < 64) {
			p1(o, (one ? 64 : 0) + offset);
		} else {
			p1(o, one ? 247 : 251);
			p2(o, offset);
		}
		move_types(in, o, by, one);
		return;
	}
	if (type < 247) {
		in->bad = true;
		return;
	}
	p1(o, type);
	p2(o, u2(in) + more);
	if (type == 247) {
		move_types(in, o, by, 1);
	} else if (type == 255) {
		for (int i = 0; i < 2; i++) {
			uint16_t n = u2(in);

			p2(o, n);
			move_types(in, o, by, n);
		}
	} else if (type > 251) {
		move_types(in, o, by, type - 251);
	}
}

static void move_frames(struct in *in, struct out *o, const struct prefix *p)
{
	uint16_t n = u2(in);
	int behind = -1; /* address of the frame before */

	p2(o, n + !!p->branch + !!p->catches);
	if (p->catches) {
		p1(o,
		   64 + p->catches); /* the locals of the method's beginning, and what was thrown */
		p1(o, 7);
		p2(o, p->throwable);
		behind = p->catches;
	}
	if (p->branch) {
		p1(o, p->branch - behind - 1); /* the same frame as at the method's beginning */
		behind = p->branch;
	}
	for (uint16_t i = 0; i < n && !in->bad; i++)
		move_frame(in, o, p->n, i ? 0 : p->n - behind - 1);
}

/* Entries of `size` bytes that begin with an address. */
static void move_table(struct in *in, struct out *o, uint16_t by, size_t size)
{
	uint16_t n = u2(in);

	p2(o, n);
	while (n-- && !in->bad) {
		p2(o, u2(in) + by);
		copy(o, in, size - 2);
	}
}

/* An attribute of the code. Is it that of the frames? */
static bool move_attribute(struct class *c, struct in *in, struct out *o, const struct prefix *p)
{
	uint16_t name = u2(in);
	uint32_t n = u4(in);
	const uint8_t *body = take(in, n);
	struct in a = {body, body ? body + n : NULL, !body};
	bool frames = utf8_is(c, name, "StackMapTable", false);
	uint8_t *where;

	p2(o, name);
	where = o->at;
	p4(o, n);
	if (frames) {
		move_frames(&a, o, p);
	} else if (utf8_is(c, name, "LineNumberTable", false)) {
		move_table(&a, o, p->n, 4);
	} else if (utf8_is(c, name, "LocalVariable", true)) {
		move_table(&a, o, p->n, 10);
	} else {
		copy(o, &a, n); /* annotations of types: their addresses are nobody's concern */
	}
	in->bad |= a.bad;
	patch4(o, where, o->at - where - 4);
	return frames;
}

/* The Code attribute from behind its length. */
static void change_code(struct class *c, const struct hook *h, struct in *in, struct out *o)
{
	struct prefix p;
	uint16_t stack = u2(in), n;
	bool frames = false;
	uint32_t code;

	make_prefix(c, h, &p);
	p2(o, stack > p.stack ? stack : p.stack);
	p2(o, u2(in));
	code = u4(in);
	if (code + p.n > 65535)
		in->bad = true;
	p4(o, code + p.n);
	put(o, p.code, p.n);
	copy(o, in, code);
	n = u2(in);
	p2(o, n + !!p.catches);
	if (p.catches) {
		p2(o, p.from);
		p2(o, p.to);
		p2(o, p.catches);
		p2(o, 0); /* whatever it is */
	}
	while (n-- && !in->bad) {
		for (int i = 0; i < 3; i++)
			p2(o, u2(in) + p.n);
		p2(o, u2(in));
	}
	n = u2(in);
	p2(o, n);
	while (n-- && !in->bad)
		frames |= move_attribute(c, in, o, &p);
	/* What catches is for classes that are verified: those want frames. */
	if (p.catches && !frames)
		in->bad = true;
	c->changed++;
}

static void member(struct class *c, struct in *in, struct out *o, bool method)
{
	uint16_t access = u2(in), name = u2(in), type = u2(in), n = u2(in);
	const struct hook *h =
		method && !(access & 0x40) /* bridge */ ? hook_of(c, name, type) : NULL;

	p2(o, access);
	p2(o, name);
	p2(o, type);
	p2(o, n);
	while (n-- && !in->bad) {
		uint16_t what = u2(in);
		uint32_t size = u4(in);
		uint8_t *where;

		p2(o, what);
		where = o->at;
		p4(o, size);
		if (h && utf8_is(c, what, "Code", false)) {
			const uint8_t *body = take(in, size);
			struct in a = {body, body ? body + size : NULL, !body};

			change_code(c, h, &a, o);
			in->bad |= a.bad;
			patch4(o, where, o->at - where - 4);
		} else {
			copy(o, in, size);
		}
	}
}

/* All behind the constants. */
static void change_rest(struct class *c, struct in *in, struct out *o)
{
	uint16_t n;

	copy(o, in, 6);
	n = u2(in);
	p2(o, n);
	copy(o, in, n * 2ul);
	for (int methods = 0; methods < 2; methods++) {
		n = u2(in);
		p2(o, n);
		while (n-- && !in->bad)
			member(c, in, o, methods);
	}
	n = u2(in);
	p2(o, n);
	while (n-- && !in->bad) {
		uint32_t size;

		copy(o, in, 2);
		size = u4(in);
		p4(o, size);
		copy(o, in, size);
	}
	in->bad |= in->p != in->end;
}

/* The constants are written last but stand first: the rest is made behind room for them. */
static int change(struct class *c, struct in *in, uint8_t *buf, size_t size, size_t *ret_n)
{
	const uint8_t *begin = in->p, *constants;
	struct out head = {buf, buf + size, false}, rest = head;
	uint8_t *behind;
	size_t old;

	if (u4(in) != 0xcafebabe)
		return -1;
	take(in, 4);
	constants = in->p + 2;
	read_pool(c, in);
	if (in->bad)
		return -1;
	old = in->p - constants;
	behind = buf + 10 + old + sizeof(c->extra);
	rest.at = behind;
	change_rest(c, in, &rest);
	if (in->bad || rest.bad || c->new.bad || c->n_pool + c->n_new > 65535)
		return -1;
	put(&head, begin, 8);
	p2(&head, c->n_pool + c->n_new);
	put(&head, constants, old);
	put(&head, c->extra, c->new.at - c->extra);
	memmove(head.at, behind, rest.at - behind);
	*ret_n = head.at - buf + (rest.at - behind);
	return c->changed;
}

int transform_class(const char *name, const uint8_t *in, size_t n, uint8_t **ret, size_t *ret_n)
{
	struct in all = {in, in + n, false};
	size_t size = n + ROOM;
	struct class *c;
	uint8_t *buf;
	int changed = -1;

	if (!hooks_know(name))
		return 0;
	c = calloc(1, sizeof(*c));
	buf = malloc(size);
	if (c && buf) {
		c->name = name;
		c->new = (struct out){c->extra, c->extra + sizeof(c->extra), false};
		changed = change(c, &all, buf, size, ret_n);
	}
	if (changed > 0)
		*ret = buf;
	else
		free(buf);
	free(c);
	return changed;
}
