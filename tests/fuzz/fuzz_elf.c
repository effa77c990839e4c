/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz what is read of the executables of traced processes, which may be anybody's: ELF files, Go's tables,
 * machine code. Whatever the bytes: errors or answers that lie inside.
 *
 * Input: one byte (0: an ELF file, 1: .go.buildinfo, 2: .gopclntab, 3: code), then the bytes.
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "capture/agent/java_agent.h"
#include "capture/runtime/cpython.h"
#include "capture/runtime/go.h"
#include "capture/runtime/tokio.h"
#include "fuzz.h"

/* There is no process behind these files. */
int runtime_read(const struct runtime_proc *p, uint64_t addr, void *ret, size_t n)
{
	return -ESRCH;
}

int runtime_read_u64(const struct runtime_proc *p, uint64_t addr, uint64_t *ret)
{
	return -ESRCH;
}

int runtime_threads(const struct runtime_proc *p, struct runtime_thread *ret, size_t max)
{
	return -ESRCH;
}

const struct runtime_map *runtime_map_named(const struct runtime_proc *p, const char *prefix)
{
	return NULL;
}

const struct runtime_map *runtime_map_exe(const struct runtime_proc *p)
{
	return NULL;
}

int runtime_fail(struct runtime_info *info, int err, const char *fmt, ...)
{
	return err;
}

static void read_bytes(struct slice s)
{
	volatile unsigned sum = 0;

	for (size_t i = 0; i < s.n; i++)
		sum += (uint8_t)s.p[i];
}

static void look_around(const struct runtime_elf *e)
{
	static const char *const sections[] = {".text", ".go.buildinfo", ".gopclntab", ".rodata",
					       ".bss"};
	static const char *const parts[] = {"mai", "tokio", NULL};
	struct runtime_range ranges[4];
	uint64_t at, n, offset;
	struct slice s;

	if (!runtime_elf_symbol(e, "main", &at, &n) && !runtime_elf_bytes(e, at, 32, &s)) {
		FUZZ_CHECK(s.n == 32 && !runtime_elf_offset(e, at, &offset));
		read_bytes(s);
	}
	(void)runtime_elf_symbol_like(e, "mai", RUNTIME_SYMBOL_CODE, &at, &n);
	(void)runtime_elf_symbol_like(e, "tls", RUNTIME_SYMBOL_TLS, &at, &n);
	FUZZ_CHECK(runtime_elf_code_like(e, parts, ranges, 4) <= 4);
	for (size_t i = 0; i < sizeof(sections) / sizeof(*sections); i++)
		if (!runtime_elf_section(e, sections[i], &s, &at))
			read_bytes(s);
	(void)runtime_elf_tls(e, &at, &n);
	(void)runtime_elf_needs(e, "libc.so");
}

static void elf_file(const uint8_t *bytes, size_t n)
{
	static int fd = -1;
	struct runtime_elf *e;
	char path[64];

	if (fd < 0)
		fd = memfd_create("elf", MFD_CLOEXEC);
	FUZZ_CHECK(fd >= 0 && !ftruncate(fd, 0));
	FUZZ_CHECK(pwrite(fd, bytes, n, 0) == (ssize_t)n);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (runtime_elf_open_path(path, &e))
		return;
	look_around(e);
	runtime_elf_close(e);
}

static void pclntab(struct slice table)
{
	uint64_t at, end;

	if (!go_pclntab_find(table, "main.main", &at) && !go_pclntab_end(table, at, &end))
		FUZZ_CHECK(end > at);
	(void)go_pclntab_end(table, 0, &end);
}

static void code(struct slice c)
{
	int32_t from, found;
	uint64_t at = 0;
	uint32_t push;

	for (int i = 0; i < 100 && !go_find_call(c, 0x1000, 0x1010, &at); i++, at++)
		FUZZ_CHECK(at + 5 <= c.n);
	if (!go_find_push(c, &push))
		FUZZ_CHECK(push + 4 <= c.n);
	FUZZ_CHECK(cpython_probe_at(c) <= c.n);
	if (c.n < sizeof(from))
		return;
	memcpy(&from, c.p, sizeof(from));
	from = -(from & 0xffff);
	if (!tokio_find_id(slice_of(c.p + 4, c.n - 4), from, 80, &found))
		FUZZ_CHECK(found >= from && found <= from + 72);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct go_version v;
	struct slice bytes;

	if (size < 1 || size > 65536)
		return 0;
	bytes = slice_of(data + 1, size - 1);
	switch (data[0] % 4) {
	case 0:
		elf_file(data + 1, size - 1);
		break;
	case 1:
		if (!go_buildinfo_version(bytes, &v))
			FUZZ_CHECK(memchr(v.text, 0, sizeof(v.text)));
		break;
	case 2:
		pclntab(bytes);
		break;
	case 3:
		code(bytes);
		break;
	}
	return 0;
}
