/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "hooks.h"

enum kind {
	WRAP,	     /* argument = Work.wrap(argument) */
	WRAP_FOR,    /* argument = Work.wrap(this, argument) */
	WRAP_WRITES, /* argument = Work.wrapWrites(argument) */
	TELL,	     /* Work.call(argument) */
	FIRST,	     /* Work.took(argument.firstTask) */
	TAKE,	     /* if (Work.takes()) { r = this.method(); Work.took(r); return r; } */
	AROUND,	     /* if (Work.reads()) try { this.method(); return; } finally { Work.done(); } */
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

static const struct hook {
	const char *class, *method, *args; /* args: its descriptor up to the closing bracket */
	enum kind kind;
	uint8_t arg;	  /* number of the local variable */
	const char *type; /* of the argument */
	const char *call; /* TELL: the method of Work */
} hooks[] = {
	{POOL, "execute", "(" RUNNABLE ")", TELL, 1, RUNNABLE, "queued"},
	{POOL, "runWorker", "(" WORKER ")", FIRST, 1, WORKER, "took"},
	{POOL, "beforeExecute", "(Ljava/lang/Thread;" RUNNABLE ")", TELL, 2, RUNNABLE, "begins"},
	{POOL, "getTask", "()", TAKE, 0, RUNNABLE, "took"},
	{TASK, "<init>", "(" CALLABLE ")", WRAP, 1, CALLABLE, 0},
	{TASK, "<init>", "(" RUNNABLE "Ljava/lang/Object;)", WRAP, 1, RUNNABLE, 0},
	{FORKJOIN, "execute", "(" RUNNABLE ")", WRAP_FOR, 1, RUNNABLE, 0},
	{FORKJOIN, "submit", "(" RUNNABLE ")", WRAP_FOR, 1, RUNNABLE, 0},
	{FORKJOIN, "submit", "(" RUNNABLE "Ljava/lang/Object;)", WRAP_FOR, 1, RUNNABLE, 0},
	{FORKJOIN, "submit", "(" CALLABLE ")", WRAP_FOR, 1, CALLABLE, 0},
	{COMPLETE, "asyncSupplyStage", "(" EXECUTOR SUPPLIER ")", WRAP, 1, SUPPLIER, 0},
	{COMPLETE, "asyncRunStage", "(" EXECUTOR RUNNABLE ")", WRAP, 1, RUNNABLE, 0},
	{COMPLETE, "completeAsync", "(" SUPPLIER EXECUTOR ")", WRAP, 1, SUPPLIER, 0},
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
	/* Its pool is its own: a connection has something to read, or work on it goes on. */
	{TOMCAT, "run", "()", AROUND, 0, "", "done"},
};

#define N_HOOKS (sizeof(hooks) / sizeof(*hooks))

const char *const *hooks_classes(void)
{
	static const char *const names[] = {POOL,    TASK, FORKJOIN, COMPLETE,
					    VIRTUAL, HTTP, TOMCAT,   NULL};

	return names;
}

bool hooks_know(const char *class)
{
	for (const char *const *name = hooks_classes(); *name; name++)
		if (!strcmp(*name, class))
			return true;
	return false;
}

const struct hook *hook_of(const struct class *c, uint16_t name, uint16_t type)
{
	for (size_t i = 0; i < N_HOOKS; i++)
		if (!strcmp(hooks[i].class, c->name) && utf8_is(c, name, hooks[i].method, false) &&
		    utf8_is(c, type, hooks[i].args, true))
			return &hooks[i];
	return NULL;
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

static void make_around(struct class *c, const struct hook *h, struct prefix *p)
{
	uint16_t ask = new_ref(c, 10, WORK, "reads", "()", "Z");
	uint16_t again = new_ref(c, 10, h->class, h->method, h->args, "V");
	uint16_t done = new_ref(c, 10, WORK, h->call, "()", "V");
	uint8_t jump;

	op3(p, INVOKESTATIC, ask);
	jump = p->n;
	op3(p, IFEQ, 0);
	p->from = p->n;
	op1(p, ALOAD_0);
	op3(p, INVOKESPECIAL, again); /* of this very class */
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
	p->stack = 1;
}

void make_prefix(struct class *c, const struct hook *h, struct prefix *p)
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
	case AROUND:
		make_around(c, h, p);
		break;
	}
	while (p->n & 3)
		op1(p, NOP);
}
