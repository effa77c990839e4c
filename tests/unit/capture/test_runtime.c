/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading strange executables: what is told of good ones, and that bad ones only give errors.
 */
#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/buf.h"
#include "capture/runtime/cpython.h"
#include "capture/runtime/go.h"
#include "capture/runtime/runtime.h"
#include "capture/runtime/tokio.h"

static void put(struct clew_buf *b, uint64_t v, size_t n)
{
	assert_int_equal(clew_buf_add(b, &v, n), 0);
}

static void build_info(struct clew_buf *b, const char *version)
{
	clew_buf_init(b, 0);
	clew_buf_add(b, "\xff Go buildinf:\x08\x02", 16);
	put(b, 0, 8);
	put(b, 0, 8);
	put(b, strlen(version), 1);
	clew_buf_adds(b, version);
}

static void test_version(void **state)
{
	struct go_version v = {0};
	struct clew_buf b;

	build_info(&b, "go1.26.8 X:nosynchashtriemap");
	assert_int_equal(go_buildinfo_version(clew_buf_slice(&b), &v), 0);
	assert_int_equal(v.major, 1);
	assert_int_equal(v.minor, 26);
	assert_string_equal(v.text, "1.26.8");
	/* Every shorter one ends in the middle. */
	for (size_t n = 0; n < b.len; n++)
		assert_int_equal(go_buildinfo_version(slice_of(b.data, n), &v), -EBADMSG);
	b.data[15] = 0;
	assert_int_equal(go_buildinfo_version(clew_buf_slice(&b), &v), -ENOTSUP);
	b.data[15] = 2;
	memset(b.data + 32, 0xff, 8);
	assert_int_equal(go_buildinfo_version(clew_buf_slice(&b), &v), -EBADMSG);
	clew_buf_done(&b);
	build_info(&b, "devel go1.27-a1b2c3");
	assert_int_equal(go_buildinfo_version(clew_buf_slice(&b), &v), -EBADMSG);
	clew_buf_done(&b);
}

#define N_FUNCS 3

/* header, names, table of functions, functions */
static void function_table(struct clew_buf *b)
{
	static const char names[] = "\0main.main\0runtime.chansend\0runtime.chansend1";
	const uint32_t name_at[N_FUNCS] = {1, 11, 28};
	uint64_t names_at = 72, funcs_at = 72 + sizeof(names) + (-sizeof(names) & 7);

	clew_buf_init(b, 0);
	put(b, 0xfffffff1, 4);
	put(b, 0x08010000, 4);
	put(b, N_FUNCS, 8);
	put(b, 0, 8);
	put(b, 0x401000, 8);
	put(b, names_at, 8);
	put(b, 0, 8);
	put(b, 0, 8);
	put(b, 0, 8);
	put(b, funcs_at, 8);
	clew_buf_add(b, names, sizeof(names));
	put(b, 0, -sizeof(names) & 7);
	for (uint32_t i = 0; i < N_FUNCS; i++) {
		put(b, 0x100 * (i + 1), 4);
		put(b, N_FUNCS * 8 + i * 8, 4);
	}
	for (uint32_t i = 0; i < N_FUNCS; i++) {
		put(b, 0x100 * (i + 1), 4);
		put(b, name_at[i], 4);
	}
}

static void test_calls(void **state)
{
	/* At 0x1000: NOP; CALL 0x900; CALL 0x2000; CALL 0x900, the last byte of it missing. */
	static const char code[] = "\x90\xe8\xfa\xf8\xff\xff\xe8\xf5\x0f\x00\x00\xe8\xf0\xf8\xff";
	struct slice s = slice_of(code, sizeof(code) - 1);
	uint64_t at = 0;

	assert_int_equal(go_find_call(s, 0x1000, 0x900, &at), 0);
	assert_int_equal(at, 1);
	at++;
	assert_int_equal(go_find_call(s, 0x1000, 0x900, &at), -ENOENT);
	assert_int_equal(go_find_call(s, 0x1000, 0x2000, &at), 0);
	assert_int_equal(at, 6);
	assert_int_equal(go_find_call(slice_of(code, 3), 0x1000, 0x900, &at), -ENOENT);
}

static void test_functions(void **state)
{
	struct clew_buf b;
	uint64_t at = 7;

	function_table(&b);
	assert_int_equal(go_pclntab_find(clew_buf_slice(&b), "runtime.chansend", &at), 0);
	assert_int_equal(at, 0x200);
	assert_int_equal(go_pclntab_find(clew_buf_slice(&b), "runtime.chansend1", &at), 0);
	assert_int_equal(at, 0x300);
	assert_int_equal(go_pclntab_end(clew_buf_slice(&b), 0x200, &at), 0);
	assert_int_equal(at, 0x300);
	assert_int_equal(go_pclntab_end(clew_buf_slice(&b), 0x201, &at), -ENOENT);
	at = 7;
	assert_int_equal(go_pclntab_find(clew_buf_slice(&b), "runtime.chan", &at), -ENOENT);
	assert_int_equal(at, 7);
	for (size_t n = 0; n < b.len; n++) {
		char *exact = malloc(n ? n : 1);

		/* Memory of its own, so that a tool sees a byte too far. */
		assert_non_null(exact);
		memcpy(exact, b.data, n);
		assert_int_not_equal(go_pclntab_find(slice_of(exact, n), "runtime.chansend1", &at),
				     0);
		free(exact);
	}
	for (size_t i = 0; i < b.len * 8; i++) {
		b.data[i / 8] ^= (char)(1 << i % 8);
		(void)go_pclntab_find(clew_buf_slice(&b), "runtime.chansend1", &at);
		(void)go_pclntab_end(clew_buf_slice(&b), 0x200, &at);
		b.data[i / 8] ^= (char)(1 << i % 8);
	}
	clew_buf_done(&b);
}

static void test_prologues(void **state)
{
	static const struct {
		struct slice code;
		int at; /* or -errno */
	} cases[] = {
		{SLICE("\x55\x48\x89\xe5\x48\x83\xec\x20"), 0},
		{SLICE("\x49\x3b\x66\x10\x0f\x86\xb5\x05\x00\x00\x55\x48\x89\xe5"), 10},
		{SLICE("\x49\x3b\x66\x10\x76\x20\x55\x48\x89\xe5"), 6},
		{SLICE("\x4c\x8d\x64\x24\xd0\x4d\x3b\x66\x10\x76\x20\x55\x48\x89\xe5"), 11},
		{SLICE("\x4c\x8d\xa4\x24\x58\xfe\xff\xff\x4d\x3b\x66\x10\x0f\x86\x68\x0e\x00\x00"
		       "\x55\x48"
		       "\x89\xe5"),
		 18},
		/* cut before the end of the sequence */
		{SLICE("\x49\x3b\x66\x10\x76\x20\x55\x48\x89"), -ENOENT},
		{SLICE("\x49\x3b\x66"), -ENOENT},
		/* a frame without a base pointer, and something else */
		{SLICE("\x48\x83\xec\x20\x90\x90\x90\x90"), -ENOENT},
		{SLICE(""), -ENOENT},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint32_t at = 99;
		int err = go_find_push(cases[i].code, &at);

		assert_int_equal(err ? err : (int)at, cases[i].at);
		assert_true(!err || at == 99);
	}
}

static void test_probe_places(void **state)
{
	static const struct {
		struct slice code;
		unsigned at;
	} cases[] = {
		{SLICE("\x55\x48\x89\xe5"), 0},				/* push */
		{SLICE("\xf3\x0f\x1e\xfa\x41\x57\x41\x56"), 4},		/* endbr64, push r15 */
		{SLICE("\x85\xd2\x78\x1c\x89\xd0"), 2},			/* test, js */
		{SLICE("\xf3\x0f\x1e\xfa\x85\xd2\x0f\x88\x10\x00"), 6}, /* ..., js far */
		/* What is not emulated, or may change a register: at the beginning. */
		{SLICE("\x85\xd2\x89\xd0"), 0},
		{SLICE("\x48\x89\xfb\x53"), 0},
		{SLICE("\x58\xc3"), 0},
		{SLICE("\x41\x58"), 0},
		{SLICE("\xf3\x0f\x1e\xfa"), 0},
		{SLICE("\xf3\x0f\x1e\xfa\x41"), 0},
		{SLICE(""), 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(cpython_probe_at(cases[i].code), cases[i].at);
}

static void look_around(const struct runtime_elf *e)
{
	static const char *const sections[] = {".text", ".go.buildinfo", ".bss", ".dynstr"};
	uint64_t a = 0, n = 0;
	struct slice s;

	(void)runtime_elf_symbol(e, "main", &a, &n);
	(void)runtime_elf_symbol(e, "no such symbol", &a, &n);
	for (size_t i = 0; i < sizeof(sections) / sizeof(*sections); i++)
		if (!runtime_elf_section(e, sections[i], &s, &a) && a)
			(void)runtime_elf_bytes(e, a, 64, &s);
	(void)runtime_elf_bytes(e, UINT64_MAX - 3, 64, &s);
	(void)runtime_elf_tls(e, &a, &n);
	(void)runtime_elf_needs(e, "libc.so");
}

static void test_good_elf(void **state)
{
	struct runtime_elf *e = NULL;
	uint64_t addr = 0, size = 0, offset;
	struct slice text, code;

	assert_int_equal(runtime_elf_open_path("/proc/self/exe", &e), 0);
	assert_int_equal(runtime_elf_symbol(e, "main", &addr, &size), 0);
	assert_true(size > 0);
	assert_int_equal(runtime_elf_section(e, ".text", &text, &offset), 0);
	assert_true(addr >= offset && addr - offset < text.n);
	assert_int_equal(runtime_elf_bytes(e, addr, 16, &code), 0);
	assert_memory_equal(code.p, text.p + (addr - offset), 16);
	assert_int_equal(runtime_elf_symbol(e, "no such symbol", &addr, &size), -ENOENT);
	assert_int_equal(runtime_elf_bytes(e, 1ull << 60, 1, &code), -EFAULT);
	assert_true(runtime_elf_needs(e, "libc.so"));
	assert_false(runtime_elf_needs(e, "libc.musl"));
	runtime_elf_close(e);
}

static void write_file(const char *path, const char *p, size_t n)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

static void test_bad_elf(void **state)
{
	char path[] = "/tmp/clew-elf-XXXXXX";
	uint64_t seed = 88172645463325252ull;
	int fd = mkstemp(path), opened = 0;
	struct runtime_elf *e = NULL;
	struct clew_buf b;
	char chunk[65536];
	size_t n;
	FILE *f;

	assert_true(fd >= 0);
	close(fd);
	clew_buf_init(&b, 0);
	f = fopen("/proc/self/exe", "re");
	assert_non_null(f);
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		clew_buf_add(&b, chunk, n);
	fclose(f);
	for (int i = 0; i < 400; i++) {
		char *copy = malloc(b.len);
		size_t len = i % 4 ? b.len : b.len * (i / 4) / 100;

		assert_non_null(copy);
		memcpy(copy, b.data, b.len);
		/* The headers, at both ends of the file, are what steers. */
		for (int k = 0; k < 1 + i % 13; k++) {
			seed ^= seed << 13;
			seed ^= seed >> 7;
			seed ^= seed << 17;
			n = k % 2 ? seed % 1024 : b.len - 1 - seed % 4096;
			if (n > 16)
				copy[n] = (char)(seed >> 40);
		}
		write_file(path, copy, len);
		free(copy);
		if (!runtime_elf_open_path(path, &e)) {
			opened++;
			look_around(e);
			runtime_elf_close(e);
		}
	}
	assert_true(opened > 20);
	write_file(path, "#!/bin/sh\n", 10);
	assert_int_equal(runtime_elf_open_path(path, &e), -ENOEXEC);
	unlink(path);
	assert_int_equal(runtime_elf_open_path(path, &e), -ENOENT);
	assert_int_equal(runtime_elf_open_path("/dev/zero", &e), -ENOEXEC);
	clew_buf_done(&b);
}

/* Files that are mostly holes claim to have what would take gigabytes of our memory. */
static void test_huge_elf(void **state)
{
	const struct {
		uint16_t in_header;
		uint64_t n, size;
		int err;
	} cases[] = {
		{2, 0, 1 << 20, 0},
		{2, 0, 1 << 30, -EFBIG},     /* a table of symbols */
		{20000, 0, 1 << 20, -EFBIG}, /* sections */
		{0, 1 << 24, 1 << 20, -EFBIG},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		Elf64_Ehdr h = {
			.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
			.e_type = ET_DYN,
			.e_machine = EM_X86_64,
			.e_version = EV_CURRENT,
			.e_shoff = sizeof(h),
			.e_ehsize = sizeof(h),
			.e_shentsize = sizeof(Elf64_Shdr),
			.e_shnum = cases[i].in_header};
		Elf64_Shdr s[2] = {{.sh_size = cases[i].n},
				   {.sh_type = SHT_SYMTAB,
				    .sh_offset = 4096,
				    .sh_size = cases[i].size,
				    .sh_entsize = sizeof(Elf64_Sym)}};
		char path[] = "/tmp/clew-elf-XXXXXX";
		struct runtime_elf *e = NULL;
		int fd = mkstemp(path);

		assert_true(fd >= 0);
		assert_int_equal(pwrite(fd, &h, sizeof(h), 0), sizeof(h));
		assert_int_equal(pwrite(fd, s, sizeof(s), sizeof(h)), sizeof(s));
		assert_int_equal(ftruncate(fd, 2ll << 30), 0);
		close(fd);
		assert_int_equal(runtime_elf_open_path(path, &e), cases[i].err);
		runtime_elf_close(e);
		unlink(path);
	}
}

static int find_id(const char *code, size_t n, int32_t *ret)
{
	/* A thread-local of 80 bytes, 0x158 below the thread pointer. */
	return tokio_find_id(slice_of(code, n), -0x158, 80, ret);
}

#define FIND(code, ret) find_id(code, sizeof(code) - 1, ret)
#define PAD		"\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90"

/* What tokio::runtime::context::set_current_task_id() was compiled to, and what it must not be taken for. */
static void test_tokio_id(void **state)
{
	/* mov 0x30(%rax),%rcx; mov %rbx,0x30(%rax) */
	static const char swap[] = "\x53\x48\x8b\x48\x30\x48\x89\x58\x30\xc3" PAD;
	/* mov %fs:-0x120,%rax; mov %rdi,%fs:-0x120 */
	static const char direct[] = "\x64\x48\x8b\x04\x25\xe0\xfe\xff\xff"
				     "\x64\x48\x89\x3c\x25\xe0\xfe\xff\xff\xc3" PAD;
	/* Two words are swapped: an Option of a number that may be 0. */
	static const char two[] = "\x48\x8b\x48\x30\x48\x89\x58\x30"
				  "\x48\x8b\x50\x38\x48\x89\x70\x38" PAD;
	static const char other_base[] = "\x48\x8b\x48\x30\x48\x89\x5a\x30" PAD;
	static const char other_place[] = "\x48\x8b\x48\x30\x48\x89\x58\x28" PAD;
	static const char outside[] = "\x48\x8b\x48\x50\x48\x89\x58\x50" PAD;
	static const char narrow[] = "\x8b\x48\x30\x89\x58\x30" PAD;
	/* As far from the thread pointer as 31 bits go. */
	static const char far[] = "\x64\x48\x8b\x04\x25\xff\xff\xff\x7f"
				  "\x64\x48\x89\x3c\x25\xff\xff\xff\x7f\xc3" PAD;
	int32_t at = 7;

	assert_int_equal(FIND(other_base, &at), -ENOENT);
	assert_int_equal(FIND(other_place, &at), -ENOENT);
	assert_int_equal(FIND(outside, &at), -ENOENT);
	assert_int_equal(FIND(narrow, &at), -ENOENT);
	assert_int_equal(FIND(far, &at), -ENOENT);
	assert_int_equal(FIND(two, &at), -ENOTSUP);
	for (size_t n = 0; n < 10; n++)
		assert_int_equal(find_id(swap, n, &at), -ENOENT);
	assert_int_equal(at, 7);
	assert_int_equal(FIND(swap, &at), 0);
	assert_int_equal(at, -0x128);
	assert_int_equal(FIND(direct, &at), 0);
	assert_int_equal(at, -0x120);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_version),	     cmocka_unit_test(test_calls),
		cmocka_unit_test(test_functions),    cmocka_unit_test(test_prologues),
		cmocka_unit_test(test_probe_places), cmocka_unit_test(test_good_elf),
		cmocka_unit_test(test_bad_elf),	     cmocka_unit_test(test_huge_elf),
		cmocka_unit_test(test_tokio_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
