/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "hooks.h"

enum kind {
	WRAP,	   /* argument = Work.call(argument) */
	WRAP_FOR,  /* argument = Work.call(this, argument) */
	TELL,	   /* Work.call(argument) */
	TELL_BOTH, /* Work.call(argument, the one after it) */
	FIRST,	   /* Work.took(argument.firstTask) */
	TAKE,	   /* if (Work.takes()) { r = this.method(); Work.took(r); return r; } */
	AROUND,	   /* if (Work.reads()) try { this.method(); return; } finally { Work.done(); } */
	AROUND_BOTH, /* static: if (Work.call(a, b)) try { method(a, b); return; } finally { Work.told(); } */
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
#define TOMCAT	  "org/apache/tomcat/util/net/SocketProcessorBase"
#define WORKER	  "Ljava/util/concurrent/ThreadPoolExecutor$Worker;"
/* Netty may have been moved into another package: % stands for whatever comes before. */
#define NETTY	    "%io/netty/"
#define LOOP	    NETTY "util/concurrent/SingleThreadEventExecutor"
#define PROMISED    NETTY "util/concurrent/PromiseTask"
#define PROMISE	    NETTY "util/concurrent/DefaultPromise"
#define LOOP_ARG    "L" NETTY "util/concurrent/EventExecutor;"
#define PROMISE_ARG "L" NETTY "util/concurrent/Future;"
#define LISTENER    "L" NETTY "util/concurrent/GenericFutureListener;"

static const struct hook {
	const char *class, *method, *args; /* args: its descriptor up to the closing bracket */
	enum kind kind;
	uint8_t arg;	  /* number of the local variable */
	const char *type; /* of the argument */
	const char *call; /* the method of Work */
} hooks[] = {
	{POOL, "execute", "(" RUNNABLE ")", TELL, 1, RUNNABLE, "queued"},
	{POOL, "runWorker", "(" WORKER ")", FIRST, 1, WORKER, "took"},
	{POOL, "beforeExecute", "(Ljava/lang/Thread;" RUNNABLE ")", TELL, 2, RUNNABLE, "begins"},
	{POOL, "getTask", "()", TAKE, 0, RUNNABLE, "took"},
	{TASK, "<init>", "(" CALLABLE ")", WRAP, 1, CALLABLE, "wrap"},
	{TASK, "<init>", "(" RUNNABLE "Ljava/lang/Object;)", WRAP, 1, RUNNABLE, "wrap"},
	{FORKJOIN, "execute", "(" RUNNABLE ")", WRAP_FOR, 1, RUNNABLE, "wrap"},
	{FORKJOIN, "submit", "(" RUNNABLE ")", WRAP_FOR, 1, RUNNABLE, "wrap"},
	{FORKJOIN, "submit", "(" RUNNABLE "Ljava/lang/Object;)", WRAP_FOR, 1, RUNNABLE, "wrap"},
	{FORKJOIN, "submit", "(" CALLABLE ")", WRAP_FOR, 1, CALLABLE, "wrap"},
	{COMPLETE, "asyncSupplyStage", "(" EXECUTOR SUPPLIER ")", WRAP, 1, SUPPLIER, "wrap"},
	{COMPLETE, "asyncRunStage", "(" EXECUTOR RUNNABLE ")", WRAP, 1, RUNNABLE, "wrap"},
	{COMPLETE, "completeAsync", "(" SUPPLIER EXECUTOR ")", WRAP, 1, SUPPLIER, "wrap"},
	{COMPLETE, "uniApplyStage", "(" EXECUTOR FUNCTION ")", WRAP, 2, FUNCTION, "wrap"},
	{COMPLETE, "uniAcceptStage", "(" EXECUTOR CONSUMER ")", WRAP, 2, CONSUMER, "wrap"},
	{COMPLETE, "uniRunStage", "(" EXECUTOR RUNNABLE ")", WRAP, 2, RUNNABLE, "wrap"},
	{COMPLETE, "uniWhenCompleteStage", "(" EXECUTOR CONSUMER2 ")", WRAP, 2, CONSUMER2, "wrap"},
	{COMPLETE, "uniHandleStage", "(" EXECUTOR FUNCTION2 ")", WRAP, 2, FUNCTION2, "wrap"},
	{COMPLETE, "uniExceptionallyStage", "(" EXECUTOR FUNCTION ")", WRAP, 2, FUNCTION, "wrap"},
	{COMPLETE, "uniComposeStage", "(" EXECUTOR FUNCTION ")", WRAP, 2, FUNCTION, "wrap"},
	{COMPLETE, "uniComposeExceptionallyStage", "(" EXECUTOR FUNCTION ")", WRAP, 2, FUNCTION,
	 "wrap"},
	{COMPLETE, "biApplyStage", "(" EXECUTOR STAGE FUNCTION2 ")", WRAP, 3, FUNCTION2, "wrap"},
	{COMPLETE, "biAcceptStage", "(" EXECUTOR STAGE CONSUMER2 ")", WRAP, 3, CONSUMER2, "wrap"},
	{COMPLETE, "biRunStage", "(" EXECUTOR STAGE RUNNABLE ")", WRAP, 3, RUNNABLE, "wrap"},
	{COMPLETE, "orApplyStage", "(" EXECUTOR STAGE FUNCTION ")", WRAP, 3, FUNCTION, "wrap"},
	{COMPLETE, "orAcceptStage", "(" EXECUTOR STAGE CONSUMER ")", WRAP, 3, CONSUMER, "wrap"},
	{COMPLETE, "orRunStage", "(" EXECUTOR STAGE RUNNABLE ")", WRAP, 3, RUNNABLE, "wrap"},
	/* java.net.http: what writes an exchange's bytes, whoever runs it (static methods). */
	{HTTP, "lockingScheduler", "(" RUNNABLE ")", WRAP, 0, RUNNABLE, "wrapWrites"},
	{HTTP, "synchronizedScheduler", "(" RUNNABLE ")", WRAP, 0, RUNNABLE, "wrapWrites"},
	{VIRTUAL, "start", "(Ljdk/internal/vm/ThreadContainer;)", TELL, 0, "Ljava/lang/Thread;",
	 "started"},
	/* Its pool is its own: a connection has something to read, or work on it goes on. */
	{TOMCAT, "run", "()", AROUND, 0, "", "done"},
	/*
	 * Netty: a loop reads a connection (NIO, epoll); what it queues, and what waits for a promise, goes on with the
	 * work of whoever queued it or asked for it.
	 */
	{NETTY "channel/nio/AbstractNioByteChannel$NioByteUnsafe", "read", "()", AROUND, 0, "",
	 "done"},
	{NETTY "channel/epoll/AbstractEpollStreamChannel$EpollStreamUnsafe", "epollInReady", "()",
	 AROUND, 0, "", "done"},
	{LOOP, "execute", "(" RUNNABLE ")", WRAP, 1, RUNNABLE, "carry"},
	{LOOP, "lazyExecute", "(" RUNNABLE ")", WRAP, 1, RUNNABLE, "carry"},
	{PROMISED, "<init>", "(" LOOP_ARG RUNNABLE, WRAP, 2, RUNNABLE, "carry"},
	{PROMISED, "<init>", "(" LOOP_ARG CALLABLE, WRAP, 2, CALLABLE, "carry"},
	{PROMISE, "addListener0", "(" LISTENER ")", TELL_BOTH, 0, "", "listening"},
	{PROMISE, "notifyListener", "(" LOOP_ARG PROMISE_ARG LISTENER ")", TELL_BOTH, 1, "",
	 "listening"},
	{PROMISE, "notifyListener0", "(" PROMISE_ARG LISTENER ")", AROUND_BOTH, 0, "", "tells"},
};

#define N_HOOKS	 (sizeof(hooks) / sizeof(*hooks))
#define MAX_ARGS 512

/* Length of what % stands for in this class's name; -1: that is another class. */
static int package_of(const char *class, const char *pattern)
{
	size_t n = strlen(class), m;

	if (*pattern != '%')
		return strcmp(class, pattern) ? -1 : 0;
	m = strlen(++pattern);
	if (n < m || strcmp(class + n - m, pattern) != 0 || (n > m && class[n - m - 1] != '/'))
		return -1;
	return (int)(n - m);
}

bool hooks_know(const char *class)
{
	for (size_t i = 0; i < N_HOOKS; i++)
		if (package_of(class, hooks[i].class) >= 0)
			return true;
	return false;
}

/* The arguments as they are in this class, with that long a package before %; false: they do not fit. */
static bool args_of(const char *class, int package, const char *args, char ret[MAX_ARGS])
{
	size_t n = 0;

	for (; *args && n < MAX_ARGS - 1; args++) {
		if (*args != '%') {
			ret[n++] = *args;
			continue;
		}
		if (n + (size_t)package >= MAX_ARGS - 1)
			return false;
		memcpy(ret + n, class, package);
		n += package;
	}
	ret[n] = 0;
	return !*args;
}

const struct hook *hook_of(const struct class *c, uint16_t name, uint16_t type)
{
	char args[MAX_ARGS];

	for (size_t i = 0; i < N_HOOKS; i++) {
		int package = package_of(c->name, hooks[i].class);

		if (package >= 0 && utf8_is(c, name, hooks[i].method, false) &&
		    args_of(c->name, package, hooks[i].args, args) && utf8_is(c, type, args, true))
			return &hooks[i];
	}
	return NULL;
}

#define WORK   "clew/agent/Work"
#define OBJECT "Ljava/lang/Object;"

enum {
	NOP = 0x00,
	ALOAD = 0x19,
	ALOAD_0 = 0x2a,
	ALOAD_1 = 0x2b,
	ASTORE = 0x3a,
	DUP = 0x59,
	IFEQ = 0x99,
	ARETURN = 0xb0,
	RETURN = 0xb1,
	GETFIELD = 0xb4,
	INVOKEVIRTUAL = 0xb6,
	INVOKESPECIAL = 0xb7,
	INVOKESTATIC = 0xb8,
	ATHROW = 0xbf,
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

/* "this.method()", or, of a static method, "method(a, b)". */
static void call_again(struct class *c, const struct hook *h, struct prefix *p)
{
	bool both = h->kind == AROUND_BOTH;
	char args[MAX_ARGS];

	if (!args_of(c->name, package_of(c->name, h->class), h->args, args))
		c->new.bad = true;
	op1(p, ALOAD_0);
	if (both)
		op1(p, ALOAD_1);
	op3(p, both ? INVOKESTATIC : INVOKESPECIAL, /* of this very class */
	    new_ref(c, 10, c->name, h->method, args, "V"));
}

static void make_around(struct class *c, const struct hook *h, struct prefix *p)
{
	bool both = h->kind == AROUND_BOTH;
	uint16_t ask = both ? new_ref(c, 10, WORK, h->call, "(" OBJECT OBJECT ")", "Z")
			    : new_ref(c, 10, WORK, "reads", "()", "Z");
	uint16_t done = new_ref(c, 10, WORK, both ? "told" : h->call, "()", "V");
	uint8_t jump;

	if (both) {
		op1(p, ALOAD_0);
		op1(p, ALOAD_1);
	}
	op3(p, INVOKESTATIC, ask);
	jump = p->n;
	op3(p, IFEQ, 0);
	p->from = p->n;
	call_again(c, h, p);
	p->to = p->n;
	op3(p, INVOKESTATIC, done);
	op1(p, RETURN);
	p->catches = p->n;
	p->throwable = new_class(c, "java/lang/Throwable");
	op3(p, INVOKESTATIC, done);
	op1(p, ATHROW);
	p->branch = p->n;
	p->code[jump + 2] = p->branch - jump;
	op1(p, NOP);
	p->stack = 2;
}

void make_prefix(struct class *c, const struct hook *h, struct prefix *p)
{
	memset(p, 0, sizeof(*p));
	p->stack = 1;
	switch (h->kind) {
	case WRAP_FOR:
		op1(p, ALOAD_0);
		op2(p, ALOAD, h->arg);
		op3(p, INVOKESTATIC, new_call(c, h, h->call, OBJECT, h->type));
		op2(p, ASTORE, h->arg);
		p->stack = 2;
		break;
	case WRAP:
		op2(p, ALOAD, h->arg);
		op3(p, INVOKESTATIC, new_call(c, h, h->call, "", h->type));
		op2(p, ASTORE, h->arg);
		break;
	case TELL:
		op2(p, ALOAD, h->arg);
		op3(p, INVOKESTATIC, new_call(c, h, h->call, "", "V"));
		break;
	case TELL_BOTH:
		op2(p, ALOAD, h->arg);
		op2(p, ALOAD, h->arg + 1);
		op3(p, INVOKESTATIC, new_ref(c, 10, WORK, h->call, "(" OBJECT OBJECT ")", "V"));
		p->stack = 2;
		break;
	case FIRST:
		op2(p, ALOAD, h->arg);
		op3(p, GETFIELD, new_ref(c, 9, POOL "$Worker", "firstTask", "", RUNNABLE));
		op3(p, INVOKESTATIC, new_ref(c, 10, WORK, h->call, "(" RUNNABLE ")", "V"));
		break;
	case TAKE:
		make_take(c, h, p);
		break;
	case AROUND:
	case AROUND_BOTH:
		make_around(c, h, p);
		break;
	}
	while (p->n & 3)
		op1(p, NOP);
}
