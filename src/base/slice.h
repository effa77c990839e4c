/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Borrowed bytes: a pointer and a length that somebody else owns. Never freed, never written.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
	const char *p;
	size_t n;
};

/** SLICE() - a slice over a string literal. */
#define SLICE(lit) ((struct slice){(lit), sizeof(lit) - 1})

static inline struct slice slice_of(const void *p, size_t n)
{
	return (struct slice){(const char *)p, n};
}

/** slice_str() - over a NUL-terminated string; NULL is the empty slice. */
static inline struct slice slice_str(const char *s)
{
	return (struct slice){s, s ? strlen(s) : 0};
}

/** slice_order() - by bytes: less than 0, 0, more than 0, as memcmp(); a beginning comes first. */
static inline int slice_order(struct slice a, struct slice b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n ? memcmp(a.p, b.p, n) : 0;

	return c ? c : (a.n > b.n) - (a.n < b.n);
}

static inline bool slice_eq(struct slice a, struct slice b)
{
	return a.n == b.n && (!a.n || !memcmp(a.p, b.p, a.n));
}

/** slice_ieq() - equal but for the case of ASCII letters. */
bool slice_ieq(struct slice a, struct slice b);

/** slice_number() - is all of it a finite number, as strtod() reads one? Less than 64 bytes. */
bool slice_number(struct slice text, double *ret);

static inline bool slice_starts(struct slice s, struct slice prefix)
{
	return s.n >= prefix.n && (!prefix.n || !memcmp(s.p, prefix.p, prefix.n));
}

static inline bool slice_ends(struct slice s, struct slice suffix)
{
	return s.n >= suffix.n && (!suffix.n || !memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n));
}
