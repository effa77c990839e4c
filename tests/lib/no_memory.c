/* SPDX-License-Identifier: Apache-2.0 */
#include "no_memory.h"

#include <errno.h>
#include <stddef.h>

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);

static bool armed, all;
static unsigned countdown;
unsigned no_memory_failed;

void no_memory_from(unsigned others, bool for_good)
{
	countdown = others;
	all = for_good;
	no_memory_failed = 0;
	armed = true;
}

void no_memory_end(void)
{
	armed = false;
}

static bool fails(void)
{
	if (!armed || (countdown && countdown--))
		return false;
	armed = all;
	no_memory_failed++;
	errno = ENOMEM;
	return true;
}

void *__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails() ? NULL : __real_realloc(p, n);
}

char *__wrap_strdup(const char *s)
{
	return fails() ? NULL : __real_strdup(s);
}
