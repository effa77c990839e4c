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
 * A method that is to be left through us, too, calls itself: the prefix asks whether this is the outer call.
 *
 * Anything unexpected leaves the class alone.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "transform.h"

#define MAX_PREFIX 64
#define MAX_EXTRA  4096	 /* bytes of new constants */
#define ROOM	   16384 /* what a class file may grow by */

enum kind {
	WRAP,	     /* argument = Work.wrap(argument) */
	WRAP_FOR,    /* argument = Work.wrap(this, argument) */
	WRAP_WRITES, /* argument = Work.wrapWrites(argument) */
	TELL,	     /* Work.call(argument) */
	FIRST,	     /* Work.took(argument.firstTask) */
	TAKE,	     /* if (Work.takes()) { r = this.method(); Work.took(r); return r; } */
};

#define RUNNABLE  "Ljava/lang/Runnable;"
#define CALLABLE  "Ljava/util/concurrent/Callable;"
#define SUPPLIER  "Ljava/util/function/Supplier;"
#define FUNCTION  "Ljava/util/function/Function;"
#define CONSUMER  "Ljava/util/function/Consumer;"
#define FUNCTION2 "Ljava/util/function/BiFunction;"
#define CONSUMER2 "Ljava/util/function/BiConsumer;"
#define EXECUTOR  "Ljava/util/concurrent/Executor;"
#define STAGE	  "Ljava/util/concurrent/CompletionStage;"
#define FUTURE	  "Ljava/util/concurrent/CompletableFuture;"
#define POOL	  "java/util/concurrent/ThreadPoolExecutor"
#define TASK	  "java/util/concurrent/FutureTask"
#define FORKJOIN  "java/util/concurrent/ForkJoinPool"
#define COMPLETE  "java/util/concurrent/CompletableFuture"
#define VIRTUAL	  "java/lang/VirtualThread"
#define HTTP	  "jdk/internal/net/http/common/SequentialScheduler"
#define WORKER	  "Ljava/util/concurrent/ThreadPoolExecutor$Worker;"

static const struct hook {
	const char *class, *method, *args; /* args: its descriptor up to the closing bracket */
	enum kind kind;
	uint8_t arg;	  /* number of the local variable */
	const char *type; /* of the argument */
	const char *call; /* TELL: the method of Work */
} hooks[] = {
	{POOL, "execute", "(" RUNNABLE ")", TELL, 1, RUNNABLE, "queued"},
	{POOL, "runWorker", "(" WORKER ")", FIRST, 1, WORKER, "took"},
	{POOL, "getTask", "()", TAKE, 0, RUNNABLE, "took"},
	{TASK, "<init>", "(" CALLABLE ")", WRAP, 1, CALLABLE, 0},
	{TASK, "<init>", "(" RUNNABLE "Ljava/lang/Object;)", WRAP, 1, RUNNABLE, 0},
	{FORKJOIN, "execute", "(" RUNNABLE ")", WRAP_FOR, 1, RUNNABLE, 0},
	{FORKJOIN, "submit", "(" RUNNABLE ")", WRAP_FOR, 1, RUNNABLE, 0},
	{FORKJOIN, "submit", "(" RUNNABLE "Ljava/lang/Object;)", WRAP_FOR, 1, RUNNABLE, 0},
	{FORKJOIN, "submit", "(" CALLABLE ")", WRAP_FOR, 1, CALLABLE, 0},
	{COMPLETE, "asyncSupplyStage", "(" EXECUTOR SUPPLIER ")", WRAP, 1, SUPPLIER, 0},
	{COMPLETE, "asyncRunStage", "(" EXECUTOR RUNNABLE ")", WRAP, 1, RUNNABLE, 0},
	{COMPLETE, "uniApplyStage", "(" EXECUTOR FUNCTION ")", WRAP, 2, FUNCTION, 0},
	{COMPLETE, "uniAcceptStage", "(" EXECUTOR CONSUMER ")", WRAP, 2, CONSUMER, 0},
	{COMPLETE, "uniRunStage", "(" EXECUTOR RUNNABLE ")", WRAP, 2, RUNNABLE, 0},
	{COMPLETE, "uniWhenCompleteStage", "(" EXECUTOR CONSUMER2 ")", WRAP, 2, CONSUMER2, 0},
	{COMPLETE, "uniHandleStage", "(" EXECUTOR FUNCTION2 ")", WRAP, 2, FUNCTION2, 0},
	{COMPLETE, "uniExceptionallyStage", "(" EXECUTOR FUNCTION ")", WRAP, 2, FUNCTION, 0},
	{COMPLETE, "uniComposeStage", "(" EXECUTOR FUNCTION ")", WRAP, 2, FUNCTION, 0},
	{COMPLETE, "uniComposeExceptionallyStage", "(" EXECUTOR FUNCTION ")", WRAP, 2, FUNCTION, 0},
	{COMPLETE, "biApplyStage", "(" EXECUTOR STAGE FUNCTION2 ")", WRAP, 3, FUNCTION2, 0},
	{COMPLETE, "biAcceptStage", "(" EXECUTOR STAGE CONSUMER2 ")", WRAP, 3, CONSUMER2, 0},
	{COMPLETE, "biRunStage", "(" EXECUTOR STAGE RUNNABLE ")", WRAP, 3, RUNNABLE, 0},
	{COMPLETE, "orApplyStage", "(" EXECUTOR STAGE FUNCTION ")", WRAP, 3, FUNCTION, 0},
	{COMPLETE, "orAcceptStage", "(" EXECUTOR STAGE CONSUMER ")", WRAP, 3, CONSUMER, 0},
	{COMPLETE, "orRunStage", "(" EXECUTOR STAGE RUNNABLE ")", WRAP, 3, RUNNABLE, 0},
	/* java.net.http: what writes an exchange's bytes, whoever runs it (static methods). */
	{HTTP, "lockingScheduler", "(" RUNNABLE ")", WRAP_WRITES, 0, RUNNABLE, 0},
	{HTTP, "synchronizedScheduler", "(" RUNNABLE ")", WRAP_WRITES, 0, RUNNABLE, 0},
	{VIRTUAL, "start", "(Ljdk/internal/vm/ThreadContainer;)", TELL, 0, "Ljava/lang/Thread;",
	 "started"},
};

#define N_HOOKS (sizeof(hooks) / sizeof(*hooks))

const char *const *transform_classes(void)
{
	static const char *const names[] = {POOL, TASK, FORKJOIN, COMPLETE, VIRTUAL, HTTP, NULL};

	return names;
}

/* What is read: never beyond its end; bad once it was tried. */
struct in {
	const uint8_t *p, *end;
	bool bad;
};

static const uint8_t *take(struct in *in, size_t n)
{
	const uint8_t *p = in->p;

	if (in->bad || (size_t)(in->end - p) < n) {
		in->bad = true;
		return NULL;
	}
	in->p += n;
	return p;
}

static uint8_t u1(struct in *in)
{
	const uint8_t *p = take(in, 1);

	return p ? p[0] : 0;
}

static uint16_t u2(struct in *in)
{
	const uint8_t *p = take(in, 2);

	return p ? p[0] << 8 | p[1] : 0;
}

static uint32_t u4(struct in *in)
{
	uint32_t high = u2(in);

	return high << 16 | u2(in);
}

/* What is written; bad once it did not fit. */
struct out {
	uint8_t *at, *end;
	bool bad;
};

static void put(struct out *o, const void *p, size_t n)
{
	if (o->bad || (size_t)(o->end - o->at) < n) {
		o->bad = true;
		return;
	}
	memcpy(o->at, p, n);
	o->at += n;
}

static void p1(struct out *o, uint8_t v)
{
	put(o, &v, 1);
}

static void p2(struct out *o, uint16_t v)
{
	uint8_t b[2] = {v >> 8, v};

	put(o, b, 2);
}

static void p4(struct out *o, uint32_t v)
{
	p2(o, v >> 16);
	p2(o, v);
}

/* A length that is known when what follows was written. */
static void patch4(struct out *o, uint8_t *where, uint32_t v)
{
	struct out w = {where, where + 4, false};

	if (!o->bad)
		p4(&w, v);
}

static void copy(struct out *o, struct in *in, size_t n)
{
	const uint8_t *p = take(in, n);

	if (p)
		put(o, p, n);
}

struct class
{
	const char *name;
	const uint8_t *pool[65536]; /* each constant's tag; NULL: none */
	uint16_t n_pool;
	uint8_t extra[MAX_EXTRA]; /* new constants */
	struct out new;
	uint16_t n_new;
	int changed;
};

/* Is this constant that Utf8 text? Only a beginning with prefix. */
static bool utf8_is(const struct class *c, uint16_t i, const char *s, bool prefix)
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

/* A reference to a method (tag 10) or a field (9). */
static uint16_t new_ref(struct class *c, uint8_t tag, const char *class, const char *name,
			const char *args, const char *type)
{
	uint16_t owner = new_pair(c, 7, new_utf8(c, class, "", ""), 0);
	uint16_t n = new_utf8(c, name, "", "");
	uint16_t t = new_utf8(c, args, type, "");

	return new_pair(c, tag, owner, new_pair(c, 12, n, t));
}

#define WORK "clew/agent/Work"

enum {
	NOP = 0x00,
	ALOAD = 0x19,
	ALOAD_0 = 0x2a,
	ASTORE = 0x3a,
	DUP = 0x59,
	IFEQ = 0x99,
	ARETURN = 0xb0,
	GETFIELD = 0xb4,
	INVOKEVIRTUAL = 0xb6,
	INVOKESPECIAL = 0xb7,
	INVOKESTATIC = 0xb8,
};

struct prefix {
	uint8_t code[MAX_PREFIX];
	uint8_t n;
	uint8_t branch; /* an address in it that is jumped to; 0: none */
	uint8_t stack;	/* words of stack that it needs */
};

static void op1(struct prefix *p, uint8_t op)
{
	p->code[p->n++] = op;
}

static void op2(struct prefix *p, uint8_t op, uint8_t a)
{
	op1(p, op);
	op1(p, a);
}

static void op3(struct prefix *p, uint8_t op, uint16_t a)
{
	op2(p, op, a >> 8);
	op1(p, a);
}

/* "(" type ")" or "(Ljava/lang/Object;" type ")". */
static uint16_t new_call(struct class *c, const struct hook *h, const char *name, const char *first,
			 const char *ret)
{
	char args[160];
	size_t n = strlen(first), t = strlen(h->type);

	if (n + t + 3 > sizeof(args)) {
		c->new.bad = true;
		return 0;
	}
	args[0] = '(';
	memcpy(args + 1, first, n);
	memcpy(args + 1 + n, h->type, t);
	args[1 + n + t] = ')';
	args[2 + n + t] = 0;
	return new_ref(c, 10, WORK, name, args, ret);
}

static void make_take(struct class *c, const struct hook *h, struct prefix *p)
{
	uint16_t ask = new_ref(c, 10, WORK, "takes", "()", "Z");
	uint16_t again = new_ref(c, 10, h->class, h->method, h->args, h->type);
	uint16_t took = new_call(c, h, h->call, "", "V");
	uint8_t jump;

	op3(p, INVOKESTATIC, ask);
	jump = p->n;
	op3(p, IFEQ, 0);
	op1(p, ALOAD_0);
	op3(p, INVOKESPECIAL, again); /* private */
	op1(p, DUP);
	op3(p, INVOKESTATIC, took);
	op1(p, ARETURN);
	p->branch = p->n;
	p->code[jump + 2] = p->branch - jump;
	op1(p, NOP);
	p->stack = 2;
}

static void make_prefix(struct class *c, const struct hook *h, struct prefix *p)
{
	memset(p, 0, sizeof(*p));
	p->stack = 1;
	switch (h->kind) {
	case WRAP_FOR:
		op1(p, ALOAD_0);
		op2(p, ALOAD, h->arg);
		op3(p, INVOKESTATIC, new_call(c, h, "wrap", "Ljava/lang/Object;", h->type));
		op2(p, ASTORE, h->arg);
		p->stack = 2;
		break;
	case WRAP:
	case WRAP_WRITES:
		op2(p, ALOAD, h->arg);
		op3(p, INVOKESTATIC,
		    new_call(c, h, h->kind == WRAP ? "wrap" : "wrapWrites", "", h->type));
		op2(p, ASTORE, h->arg);
		break;
	case TELL:
		op2(p, ALOAD, h->arg);
		op3(p, INVOKESTATIC, new_call(c, h, h->call, "", "V"));
		break;
	case FIRST:
		op2(p, ALOAD, h->arg);
		op3(p, GETFIELD, new_ref(c, 9, POOL "$Worker", "firstTask", "", RUNNABLE));
		op3(p, INVOKESTATIC, new_ref(c, 10, WORK, h->call, "(" RUNNABLE ")", "V"));
		break;
	case TAKE:
		make_take(c, h, p);
		break;
	}
	while (p->n & 3)
		op1(p, NOP);
}

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
	int more = p->n;

	p2(o, n + !!p->branch);
	if (p->branch) {
		p1(o, p->branch); /* the same frame as at the method's beginning */
		more = p->n - p->branch - 1;
	}
	for (uint16_t i = 0; i < n && !in->bad; i++, more = 0)
		move_frame(in, o, p->n, more);
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

/* An attribute of the code. */
static void move_attribute(struct class *c, struct in *in, struct out *o, const struct prefix *p)
{
	uint16_t name = u2(in);
	uint32_t n = u4(in);
	const uint8_t *body = take(in, n);
	struct in a = {body, body ? body + n : NULL, !body};
	uint8_t *where;

	p2(o, name);
	where = o->at;
	p4(o, n);
	if (utf8_is(c, name, "StackMapTable", false)) {
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
}

/* The Code attribute from behind its length. */
static void change_code(struct class *c, const struct hook *h, struct in *in, struct out *o)
{
	struct prefix p;
	uint16_t stack = u2(in), n;
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
	p2(o, n);
	while (n-- && !in->bad) {
		for (int i = 0; i < 3; i++)
			p2(o, u2(in) + p.n);
		p2(o, u2(in));
	}
	n = u2(in);
	p2(o, n);
	while (n-- && !in->bad)
		move_attribute(c, in, o, &p);
	c->changed++;
}

static const struct hook *hook_of(const struct class *c, uint16_t name, uint16_t type)
{
	for (size_t i = 0; i < N_HOOKS; i++)
		if (!strcmp(hooks[i].class, c->name) && utf8_is(c, name, hooks[i].method, false) &&
		    utf8_is(c, type, hooks[i].args, true))
			return &hooks[i];
	return NULL;
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

static void read_pool(struct class *c, struct in *in)
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
	copy(o, in, in->end - in->p);
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
	bool known = false;
	int changed = -1;

	for (size_t i = 0; i < N_HOOKS; i++)
		known |= !strcmp(hooks[i].class, name);
	if (!known)
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
