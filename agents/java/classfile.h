/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading and writing class files, for the files beside this one. (The Java Virtual Machine Specification,
 * chapter 4.)
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_EXTRA 4096 /* bytes of new constants */

/* What is read: never beyond its end; bad once it was tried. */
struct in {
	const uint8_t *p, *end;
	bool bad;
};

/** take() - the next n bytes; NULL: there are not so many. */
const uint8_t *take(struct in *in, size_t n);
/** u1(), u2(), u4() - numbers of that many bytes; 0 where there is nothing. */
uint8_t u1(struct in *in);
uint16_t u2(struct in *in);
uint32_t u4(struct in *in);

/* What is written; bad once it did not fit. */
struct out {
	uint8_t *at, *end;
	bool bad;
};

void put(struct out *o, const void *p, size_t n);
void p1(struct out *o, uint8_t v);
void p2(struct out *o, uint16_t v);
void p4(struct out *o, uint32_t v);
/** patch4() - a length that is known when what follows was written. */
void patch4(struct out *o, uint8_t *where, uint32_t v);
/** copy() - n bytes as they are. */
void copy(struct out *o, struct in *in, size_t n);

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

/** read_pool() - the constants of the class that in stands at. */
void read_pool(struct class *c, struct in *in);
/** utf8_is() - is this constant that Utf8 text, or does it begin so? */
bool utf8_is(const struct class *c, uint16_t i, const char *s, bool prefix);
/** new_class() - a constant that names a class; it may be there already. */
uint16_t new_class(struct class *c, const char *name);
/** new_ref() - a constant that names a method (tag 10) or a field (9). */
uint16_t new_ref(struct class *c, uint8_t tag, const char *class, const char *name,
		 const char *args, const char *type);
