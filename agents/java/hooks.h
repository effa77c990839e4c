/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which methods are changed, and the code that is put before theirs.
 *
 * A method that is to be left through us, too, calls itself: the prefix asks whether this is the outer call.
 */
#pragma once

#include "classfile.h"

#define MAX_PREFIX 64

struct hook;

struct prefix {
	uint8_t code[MAX_PREFIX];
	uint8_t n;
	uint8_t branch;	    /* an address in it that is jumped to; 0: none */
	uint8_t stack;	    /* words of stack that it needs */
	uint8_t from, to;   /* what throws from here up to there ... */
	uint8_t catches;    /* ... is caught here; 0: nothing is */
	uint16_t throwable; /* the constant of that class */
};

/** hooks_know() - is that class, by its internal name, one of those that are changed? */
bool hooks_know(const char *class);
/** hook_of() - the entry for a method of c, by the indices of its name and type. NULL: it stays as it is. */
const struct hook *hook_of(const struct class *c, uint16_t name, uint16_t type);
/** make_prefix() - the code, a multiple of 4 long, and the constants it needs. */
void make_prefix(struct class *c, const struct hook *h, struct prefix *ret);
