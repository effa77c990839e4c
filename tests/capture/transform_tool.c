/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transform_tool NAME: a class file on standard input, changed as the Java agent changes it, on standard output;
 * how many methods were changed on standard error. "cut": all its beginnings are tried instead, and the
 * file with each byte replaced; none may make the agent crash.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agents/java/transform.h"

#define MAX_CLASS (4u << 20)

/* In memory that ends where the class does, so that sanitizers see what is read beyond. */
static int try(const char *name, const uint8_t *class, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1), *changed = NULL;
	size_t size;
	int methods;

	memcpy(copy, class, n);
	methods = transform_class(name, copy, n, &changed, &size);
	if (methods > 0)
		free(changed);
	free(copy);
	return methods;
}

static void try_bad(const char *name, uint8_t *class, size_t n)
{
	static const uint8_t bad[] = {0, 1, 0x7f, 0xff};
	size_t refused = 0;

	for (size_t i = 0; i < n; i++)
		refused += try(name, class, i) < 0;
	fprintf(stderr, "%zu of %zu\n", refused, n);
	for (size_t i = 0; i < n; i++) {
		uint8_t was = class[i];

		for (size_t k = 0; k < sizeof(bad); k++) {
			class[i] = bad[k];
			(void)try(name, class, n);
		}
		class[i] = was;
	}
}

int main(int argc, char **argv)
{
	static uint8_t class[MAX_CLASS];
	size_t n = fread(class, 1, sizeof(class), stdin), size;
	uint8_t *changed;
	int methods;

	if (argc == 3 && !strcmp(argv[2], "cut")) {
		try_bad(argv[1], class, n);
		return 0;
	}
	if (argc != 2)
		return 2;
	methods = transform_class(argv[1], class, n, &changed, &size);
	fprintf(stderr, "%d\n", methods);
	if (methods > 0 && fwrite(changed, 1, size, stdout) != size)
		return 1;
	if (methods > 0)
		free(changed);
	return 0;
}
