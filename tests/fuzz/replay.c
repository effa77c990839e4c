/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Run a fuzz target over files and folders, without libFuzzer: the corpus as a quick test.
 *
 * With --out-of-memory as the first argument each input is run again and again, and each of its allocations fails
 * in turn, alone, then with all that follow (tests/lib/no_memory.h).
 */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "fuzz.h"
#include "tests/lib/no_memory.h"

/* Of one input; those of a large one are much the same from there on. */
#define MAX_FAILURES 200

static unsigned n_inputs, n_failed;
static bool memory_fails;

static void run_input(const uint8_t *bytes, size_t n)
{
	LLVMFuzzerTestOneInput(bytes, n);
	n_inputs++;
	for (unsigned i = 0; memory_fails && i < 2 * MAX_FAILURES; i++) {
		no_memory_from(i / 2, i % 2);
		LLVMFuzzerTestOneInput(bytes, n);
		no_memory_end();
		n_failed += no_memory_failed;
		if (!no_memory_failed)
			return;
	}
}

/* A file of many inputs: see pack.py. */
static int run_pack(const char *path, const uint8_t *bytes, size_t n)
{
	uint32_t len;

	for (size_t at = 0; at < n; at += len) {
		_cleanup_(freep) uint8_t *input = NULL;

		if (n - at < sizeof(len))
			goto bad;
		memcpy(&len, bytes + at, sizeof(len));
		at += sizeof(len);
		if (len > n - at)
			goto bad;
		/* A copy of its own: a read past its end is seen. */
		input = malloc(len ? len : 1);
		if (!input)
			abort();
		memcpy(input, bytes + at, len);
		run_input(input, len);
	}
	return 0;
bad:
	fprintf(stderr, "%s: cut short\n", path);
	return 1;
}

static int run_file(const char *path)
{
	_cleanup_(freep) uint8_t *bytes = NULL;
	const char *dot = strrchr(path, '.');
	struct stat st;
	FILE *f = fopen(path, "rb");
	size_t n;

	if (!f || fstat(fileno(f), &st)) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return 1;
	}
	bytes = malloc((size_t)st.st_size + 1);
	if (!bytes)
		abort();
	n = fread(bytes, 1, (size_t)st.st_size, f);
	fclose(f);
	fprintf(stderr, "%s (%zu bytes)\n", path, n);
	if (dot && !strcmp(dot, ".pack"))
		return run_pack(path, bytes, n);
	run_input(bytes, n);
	return 0;
}

static int run(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	int r = 0;

	if (!d)
		return run_file(path);
	while ((e = readdir(d))) {
		char name[4096];

		if (e->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		r |= run_file(name);
	}
	closedir(d);
	return r;
}

int main(int argc, char **argv)
{
	int r = 0;

	memory_fails = argc > 1 && !strcmp(argv[1], "--out-of-memory");
	for (int i = 1 + memory_fails; i < argc; i++)
		r |= run(argv[i]);
	printf("%u inputs, %u allocations failed\n", n_inputs, n_failed);
	return r || !n_inputs || (memory_fails && !n_failed);
}
