/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables of fields: this program carries some of its own, under the names that libjvm exports, and is looked at
 * as a process.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "capture/runtime/proc.h"
#include "capture/runtime/vmstructs.h"

/* As HotSpot has it. */
struct entry {
	const char *type, *name, *field_type;
	int32_t is_static, pad;
	uint64_t offset;
	const void *address;
};

/* Another layout: everything elsewhere, and longer. */
struct other_entry {
	const void *address;
	uint64_t offset, unused;
	int32_t pad, is_static;
	const char *name, *type;
	uint64_t more[3];
};

static uint64_t a_static = 4711;

static struct entry table[] = {
	{"Thread", "_osthread", "OSThread*", 0, 0, 88, NULL},
	{"Abstract_VM_Version", "_s_vm_release", "const char*", 1, 0, 0, &a_static},
	{"JavaThread", "_lock_id", "jlong", 0, 0, 1312, NULL},
	{"JavaThread", "_monitor_owner_id", "jlong", 0, 0, 1320, NULL},
	{"NotMine", "_osthread", "OSThread*", 0, 0, 99, NULL},
	{"JavaThread", NULL, NULL, 0, 0, 7, NULL},
	{NULL, NULL, NULL, 0, 0, 0, NULL},
};

static struct other_entry other_table[] = {
	{NULL, 24, 1, 0, 0, "_osthread", "Thread", {1, 2, 3}},
	{&a_static, 0, 1, 0, 1, "_s_vm_release", "Abstract_VM_Version", {1, 2, 3}},
	{NULL, 0, 0, 0, 0, NULL, NULL, {0}},
};

/* More entries of 8 bytes than a table may have, and none of zeroes. */
static char endless[8 * VMSTRUCTS_MAX_ENTRIES + 64] = {1};

struct entry *gHotSpotVMStructs = table;
uint64_t gHotSpotVMStructEntryArrayStride = sizeof(struct entry);
uint64_t gHotSpotVMStructEntryTypeNameOffset = offsetof(struct entry, type);
uint64_t gHotSpotVMStructEntryFieldNameOffset = offsetof(struct entry, name);
uint64_t gHotSpotVMStructEntryIsStaticOffset = offsetof(struct entry, is_static);
uint64_t gHotSpotVMStructEntryOffsetOffset = offsetof(struct entry, offset);
uint64_t gHotSpotVMStructEntryAddressOffset = offsetof(struct entry, address);

enum { F_OSTHREAD, F_RELEASE, F_OWNER, F_ABSENT, F_MAX };

static const struct vm_field_row rows[] = {
	{F_RELEASE, "Abstract_VM_Version", "_s_vm_release"},
	{F_OSTHREAD, "JavaThread", "_osthread"},
	{F_OSTHREAD, "Thread", "_osthread"},
	{F_OWNER, "JavaThread", "_monitor_owner_id"},
	{F_OWNER, "JavaThread", "_lock_id"},
	{F_ABSENT, "JavaThread", "_osthrea"},
};

#define N_ROWS (sizeof(rows) / sizeof(*rows))

struct fixture {
	struct runtime_proc_data data;
	struct runtime_elf *elf;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	clew_buf_init(&f->data.text, RUNTIME_MAPS_BYTES);
	assert_int_equal(runtime_proc_init(&f->data, getpid(), 0), 0);
	assert_non_null(runtime_map_exe(&f->data.proc));
	assert_int_equal(runtime_elf_open(&f->data.proc, runtime_map_exe(&f->data.proc), &f->elf),
			 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	runtime_elf_close(f->elf);
	clew_buf_done(&f->data.text);
	free(f);
	gHotSpotVMStructs = table;
	gHotSpotVMStructEntryArrayStride = sizeof(struct entry);
	gHotSpotVMStructEntryTypeNameOffset = offsetof(struct entry, type);
	gHotSpotVMStructEntryFieldNameOffset = offsetof(struct entry, name);
	gHotSpotVMStructEntryIsStaticOffset = offsetof(struct entry, is_static);
	gHotSpotVMStructEntryOffsetOffset = offsetof(struct entry, offset);
	gHotSpotVMStructEntryAddressOffset = offsetof(struct entry, address);
	return 0;
}

static int exported(struct fixture *f, struct vm_field *ret)
{
	struct vm_image im;
	int err;

	memset(ret, 0, F_MAX * sizeof(*ret));
	assert_int_equal(vm_image_read(&f->data.proc, runtime_map_exe(&f->data.proc), &im), 0);
	err = vm_fields_exported(&f->data.proc, &im, f->elf, rows, N_ROWS, ret);
	vm_image_done(&im);
	assert_int_equal(im.n, 0);
	return err;
}

static void test_exported(void **state)
{
	struct vm_field fields[F_MAX];

	assert_int_equal(exported(*state, fields), 0);
	assert_true(fields[F_OSTHREAD].found);
	assert_int_equal(fields[F_OSTHREAD].value, 88);
	assert_true(fields[F_RELEASE].found);
	assert_int_equal(fields[F_RELEASE].value, (uintptr_t)&a_static);
	/* Two rows fill it: the one that the table has first. */
	assert_int_equal(fields[F_OWNER].value, 1312);
	/* A beginning of a name is not the name. */
	assert_false(fields[F_ABSENT].found);
}

static void test_another_layout(void **state)
{
	struct vm_field fields[F_MAX];

	gHotSpotVMStructs = (struct entry *)other_table;
	gHotSpotVMStructEntryArrayStride = sizeof(struct other_entry);
	gHotSpotVMStructEntryTypeNameOffset = offsetof(struct other_entry, type);
	gHotSpotVMStructEntryFieldNameOffset = offsetof(struct other_entry, name);
	gHotSpotVMStructEntryIsStaticOffset = offsetof(struct other_entry, is_static);
	gHotSpotVMStructEntryOffsetOffset = offsetof(struct other_entry, offset);
	gHotSpotVMStructEntryAddressOffset = offsetof(struct other_entry, address);
	assert_int_equal(exported(*state, fields), 0);
	assert_int_equal(fields[F_OSTHREAD].value, 24);
	assert_int_equal(fields[F_RELEASE].value, (uintptr_t)&a_static);
	assert_false(fields[F_OWNER].found);
}

static void test_not_yet(void **state)
{
	struct vm_field fields[F_MAX];

	gHotSpotVMStructs = NULL;
	assert_int_equal(exported(*state, fields), -EAGAIN);
	gHotSpotVMStructs = table;
	gHotSpotVMStructEntryArrayStride = 0;
	assert_int_equal(exported(*state, fields), -EAGAIN);
}

static void test_nonsense(void **state)
{
	struct vm_field fields[F_MAX];

	gHotSpotVMStructEntryArrayStride = 257;
	assert_int_equal(exported(*state, fields), -EBADMSG);
	/* Shorter than a word, with a field far outside. */
	gHotSpotVMStructEntryArrayStride = 7;
	gHotSpotVMStructEntryOffsetOffset = 1ull << 40;
	assert_int_equal(exported(*state, fields), -EBADMSG);
	gHotSpotVMStructEntryArrayStride = sizeof(struct entry);
	gHotSpotVMStructEntryOffsetOffset = sizeof(struct entry) - 7;
	assert_int_equal(exported(*state, fields), -EBADMSG);
	gHotSpotVMStructEntryOffsetOffset = UINT64_MAX;
	assert_int_equal(exported(*state, fields), -EBADMSG);
	gHotSpotVMStructEntryOffsetOffset = offsetof(struct entry, offset);
	/* Outside of the file, and a table without an end. */
	gHotSpotVMStructs = (struct entry *)state;
	assert_int_equal(exported(*state, fields), -EBADMSG);
	memset(endless, 1, sizeof(endless));
	gHotSpotVMStructs = (struct entry *)endless;
	gHotSpotVMStructEntryArrayStride = 8;
	gHotSpotVMStructEntryTypeNameOffset = 0;
	gHotSpotVMStructEntryFieldNameOffset = 0;
	gHotSpotVMStructEntryIsStaticOffset = 0;
	gHotSpotVMStructEntryOffsetOffset = 0;
	gHotSpotVMStructEntryAddressOffset = 0;
	assert_int_equal(exported(*state, fields), -EBADMSG);
}

static void test_no_table(void **state)
{
	struct fixture *f = *state;
	const struct runtime_map *m = runtime_map_named(&f->data.proc, "libc");
	struct vm_field fields[F_MAX] = {0};
	struct runtime_elf *libc;
	struct vm_image im;

	assert_non_null(m);
	assert_int_equal(runtime_elf_open(&f->data.proc, m, &libc), 0);
	assert_int_equal(vm_image_read(&f->data.proc, m, &im), 0);
	assert_int_equal(vm_fields_exported(&f->data.proc, &im, libc, rows, N_ROWS, fields),
			 -ENOENT);
	vm_image_done(&im);
	runtime_elf_close(libc);
}

/* A process with mappings of the test's choice. */
static void test_image(void **state)
{
	size_t page = sysconf(_SC_PAGESIZE);
	char *mem =
		mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t at = (uintptr_t)mem;
	struct runtime_map maps[VMSTRUCTS_MAX_REGIONS + 8] = {
		{.start = at, .end = at + page, .inode = 5, .exec = true, .first = true},
		{.start = at + page, .end = at + 2 * page, .inode = 5, .exec = true}, /* code */
		{.start = at + 2 * page, .end = at + 3 * page, .inode = 5},
		{.start = at, .end = at + page, .inode = 6},			/* another file */
		{.start = at, .end = at + page, .inode = 5, .dev_minor = 1},	/* and another */
		{.start = 0x1000, .end = 0x2000, .inode = 5},			/* cannot be read */
		{.start = at, .end = at + VMSTRUCTS_MAX_IMAGE + 1, .inode = 5}, /* too much */
	};
	struct runtime_proc p = {.tgid = getpid(), .maps = maps, .n_maps = 7};
	struct vm_image im;

	(void)state;
	mem[0] = 'a';
	mem[2 * page] = 'c';
	assert_int_equal(vm_image_read(&p, &maps[0], &im), 0);
	assert_int_equal(im.n, 2);
	assert_int_equal(im.region[0].data[0], 'a');
	assert_int_equal(im.region[1].start, at + 2 * page);
	assert_int_equal(im.region[1].size, page);
	assert_int_equal(im.region[1].data[0], 'c');
	vm_image_done(&im);
	/* No more regions than there is room for. */
	for (size_t i = 0; i < VMSTRUCTS_MAX_REGIONS + 8; i++)
		maps[i] = maps[0];
	p.n_maps = VMSTRUCTS_MAX_REGIONS + 8;
	assert_int_equal(vm_image_read(&p, &maps[0], &im), 0);
	assert_int_equal(im.n, VMSTRUCTS_MAX_REGIONS);
	vm_image_done(&im);
	p.n_maps = 0;
	assert_int_equal(vm_image_read(&p, &maps[0], &im), -ENOENT);
	munmap(mem, 3 * page);
}

/* Entries anywhere; strings and entries that are cut off by the region's end are nobody's. */
static void test_hidden(void **state)
{
	_Alignas(8) char data[256] = {0};
	struct vm_image im = {.region = {{0x10000, sizeof(data), data}}, .n = 1};
	struct vm_field fields[F_MAX] = {0};
	struct entry e = {(void *)0x10008, (void *)0x10010, NULL, 0, 0, 40, NULL};

	(void)state;
	memcpy(data + 8, "Thread", 7);
	memcpy(data + 16, "_osthread", 10);
	memcpy(data + 64, &e, sizeof(e));
	vm_fields_hidden(&im, rows, N_ROWS, fields);
	assert_true(fields[F_OSTHREAD].found);
	assert_int_equal(fields[F_OSTHREAD].value, 40);
	assert_false(fields[F_RELEASE].found);
	/* What stands where "is static" would be is no truth value: no entry. */
	memset(fields, 0, sizeof(fields));
	e.is_static = 2;
	memcpy(data + 64, &e, sizeof(e));
	vm_fields_hidden(&im, rows, N_ROWS, fields);
	assert_false(fields[F_OSTHREAD].found);
	/* The entry ends one byte behind the region; then the name's NUL does. */
	e.is_static = 0;
	memcpy(data + 64, &e, sizeof(e));
	im.region[0].size = 64 + sizeof(e) - 1;
	vm_fields_hidden(&im, rows, N_ROWS, fields);
	assert_false(fields[F_OSTHREAD].found);
	im.region[0].size = sizeof(data);
	e.name = (void *)(0x10000 + sizeof(data) - 9);
	memcpy(data + sizeof(data) - 9, "_osthread", 9);
	memcpy(data + 64, &e, sizeof(e));
	vm_fields_hidden(&im, rows, N_ROWS, fields);
	assert_false(fields[F_OSTHREAD].found);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_exported, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_another_layout, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_not_yet, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nonsense, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_table, set_up, tear_down),
		cmocka_unit_test(test_image),
		cmocka_unit_test(test_hidden),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
