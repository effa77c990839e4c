/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is let go with the objects of the engine.
 *
 * A source of evidence keeps what it needs in nodes, contexts, processes and groups. When one of these goes, only its
 * own file knows; what it holds for a source, only that source's file does. So the engine has a table of who has
 * something to let go (causality.c), and the files of the objects, which are below all sources, know none of them.
 */
#pragma once

struct ctx;
struct group;
struct node;
struct proc;

/* In each list NULL is after the last one. */
struct forget {
	/* The call's link is decided. */
	void (*decided[8])(struct node *call);
	/* Nobody refers to it any more; a call was decided before. */
	void (*node[8])(struct node *n);
	/* The thread or task has ended; and again when nobody refers to the context any more. */
	void (*ctx[10])(struct ctx *ctx);
	/* Records of it were lost, or it has ended: what it works on is not known. */
	void (*lost[2])(struct ctx *ctx);
	/* The process has ended. */
	void (*proc[4])(struct proc *p);
	/* Its last process is gone. */
	void (*group[4])(struct group *g);
};

#define FORGET_ALL(c, what, object)                           \
	do {                                                  \
		for (int i_ = 0; (c)->forget->what[i_]; i_++) \
			(c)->forget->what[i_](object);        \
	} while (0)
