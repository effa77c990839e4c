/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz what is read of the memory of traced processes, which may hold anything and change at any moment: the finders
 * of CPython, HotSpot, Go and tokio, and what a collection of HotSpot's left behind. Whatever stands there, they end, and a
 * chain that they find is one that the hooks can walk.
 *
 * Input: one byte that chooses the finder, then the memory, three bytes a word: what kind of word, and a number.
 *
 *	a word    0 to 7: the number; 8 to 11: the address of that word; 12: an unusual one; 13 to 15: of eight letters
 *
 * The memory begins at BASE and is there once; a word whose number is above it cannot be read.
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/uio.h>

#include "abi/record.h"
#include "capture/agent/java_agent.h"
#include "capture/runtime/cpython.h"
#include "capture/runtime/hotspot_heap.h"
#include "capture/runtime/hotspot_moved.h"
#include "fuzz.h"

#define BASE  0x10000ull
#define WORDS 4096

static uint64_t memory[WORDS];
static size_t n_words;
/* What the tables say: taken one by one. */
static size_t next_told;

static uint64_t told(void)
{
	return n_words ? memory[next_told++ % n_words] : 0;
}

/* ---- the process ---- */

int runtime_read(const struct runtime_proc *p, uint64_t addr, void *ret, size_t n)
{
	if (addr < BASE || addr - BASE > n_words * 8 || n > n_words * 8 - (addr - BASE))
		return -EFAULT;
	memcpy(ret, (const char *)memory + (addr - BASE), n);
	return 0;
}

int runtime_read_u64(const struct runtime_proc *p, uint64_t addr, uint64_t *ret)
{
	return runtime_read(p, addr, ret, sizeof(*ret));
}

ssize_t process_vm_readv(pid_t pid, const struct iovec *local, unsigned long n_local,
			 const struct iovec *remote, unsigned long n_remote, unsigned long flags)
{
	size_t done = 0;

	for (unsigned long i = 0; i < n_remote; i++) {
		if (runtime_read(NULL, (uint64_t)(uintptr_t)remote[i].iov_base,
				 (char *)local->iov_base + done, remote[i].iov_len))
			break;
		done += remote[i].iov_len;
	}
	if (!done)
		errno = EFAULT;
	return done ? (ssize_t)done : -1;
}

int runtime_threads(const struct runtime_proc *p, struct runtime_thread *ret, size_t max)
{
	size_t n = told() % 8;

	n = n < max ? n : max;
	for (size_t i = 0; i < n; i++)
		ret[i] = (struct runtime_thread){(uint32_t)told(), told()};
	return (int)n;
}

int runtime_fail(struct runtime_info *info, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(info->why_not, sizeof(info->why_not), fmt, ap);
	va_end(ap);
	return err;
}

static const struct runtime_map map = {
	.start = BASE, .end = BASE + 4096, .inode = 1, .path = "/python3.11"};

const struct runtime_map *runtime_map_named(const struct runtime_proc *p, const char *prefix)
{
	return strcmp(prefix, "ld-musl") ? &map : NULL;
}

const struct runtime_map *runtime_map_exe(const struct runtime_proc *p)
{
	return &map;
}

/* ---- its files: what they say stands in the memory, too ---- */

struct runtime_elf {
	int none;
};

static struct runtime_elf file;

int runtime_elf_open(const struct runtime_proc *p, const struct runtime_map *m,
		     struct runtime_elf **ret)
{
	*ret = &file;
	return 0;
}

int runtime_elf_open_with(const struct runtime_proc *p, const char *prefix, const char *symbol,
			  struct runtime_elf **ret, const struct runtime_map **ret_map)
{
	*ret = &file;
	*ret_map = &map;
	return 0;
}

void runtime_elf_close(struct runtime_elf *e)
{
}

int runtime_elf_symbol(const struct runtime_elf *e, const char *name, uint64_t *ret_addr,
		       uint64_t *ret_size)
{
	uint64_t at = told();

	if (!at)
		return -ENOENT;
	*ret_addr = at;
	*ret_size = told();
	return 0;
}

int runtime_elf_symbol_like(const struct runtime_elf *e, const char *part, enum runtime_symbol kind,
			    uint64_t *ret_addr, uint64_t *ret_size)
{
	return runtime_elf_symbol(e, part, ret_addr, ret_size);
}

int runtime_elf_code_like(const struct runtime_elf *e, const char *const *parts,
			  struct runtime_range *ret, size_t max)
{
	*ret = (struct runtime_range){told(), told()};
	return 1;
}

static int bytes_at(size_t n, struct slice *ret)
{
	size_t at = told() % WORDS;

	n = n < (WORDS - at) * 8 ? n : (WORDS - at) * 8;
	*ret = slice_of((const char *)(memory + at), n);
	return 0;
}

int runtime_elf_section(const struct runtime_elf *e, const char *name, struct slice *ret,
			uint64_t *ret_addr)
{
	*ret_addr = told();
	return *ret_addr ? bytes_at(4096, ret) : -ENOENT;
}

int runtime_elf_bytes(const struct runtime_elf *e, uint64_t addr, size_t n, struct slice *ret)
{
	return addr < BASE ? -EFAULT : bytes_at(n, ret);
}

int runtime_elf_offset(const struct runtime_elf *e, uint64_t addr, uint64_t *ret)
{
	*ret = addr - BASE;
	return addr < BASE ? -EFAULT : 0;
}

int runtime_elf_tls(const struct runtime_elf *e, uint64_t *ret_size, uint64_t *ret_align)
{
	*ret_size = told();
	*ret_align = told();
	return *ret_size ? 0 : -ENOENT;
}

bool runtime_elf_needs(const struct runtime_elf *e, const char *prefix)
{
	return false;
}

const char *runtime_elf_path(const struct runtime_elf *e)
{
	return "/file";
}

/* No agents. */
int java_agent_attach(const struct runtime_proc *p, struct runtime_info *info,
		      struct java_agent **ret, int32_t *ret_cell)
{
	return -ENOTSUP;
}

int java_agent_renew(struct java_agent *a)
{
	return 0;
}

void java_agent_detach(struct java_agent *a)
{
}

/*
 * HotSpot's fields have names that no fuzzer finds: their values are told, and the tables that they come from are read
 * by a case of their own.
 */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#define vm_fields_exported read_exported
#define vm_fields_hidden   read_hidden
#include "../../src/capture/runtime/vmstructs.c"
#undef vm_fields_exported
#undef vm_fields_hidden
#pragma GCC diagnostic pop

static int tell_fields(const struct vm_field_row *rows, size_t n_rows, struct vm_field *fields)
{
	for (size_t i = 0; i < n_rows; i++) {
		uint64_t value = told();

		if (!fields[rows[i].slot].found && value != 7)
			fields[rows[i].slot] = (struct vm_field){true, value};
	}
	return 0;
}

int vm_fields_exported(const struct runtime_proc *p, const struct vm_image *im,
		       const struct runtime_elf *elf, const struct vm_field_row *rows,
		       size_t n_rows, struct vm_field *fields)
{
	return tell_fields(rows, n_rows, fields);
}

void vm_fields_hidden(const struct vm_image *im, const struct vm_field_row *rows, size_t n_rows,
		      struct vm_field *fields)
{
	(void)tell_fields(rows, n_rows, fields);
}

/* ---- the cases ---- */

static void check_heap(const struct clew_heap *h)
{
	FUZZ_CHECK(h->gc_count <= 60 && h->gc_active <= 63);
	FUZZ_CHECK(h->room_start <= 56 && h->room_top <= 56 && h->room_end <= 56);
}

static void check_info(struct runtime_proc *p, int err, struct runtime_info *info)
{
	const struct clew_task_chain *c = &info->chain;
	uint64_t ids[4] = {told(), told(), told(), told()};

	FUZZ_CHECK(memchr(info->name, 0, sizeof(info->name)) &&
		   memchr(info->version, 0, sizeof(info->version)) &&
		   memchr(info->task, 0, sizeof(info->task)) &&
		   memchr(info->why_not, 0, sizeof(info->why_not)));
	FUZZ_CHECK(info->n_probes <= RUNTIME_MAX_PROBES);
	for (size_t i = 0; i < info->n_probes; i++)
		FUZZ_CHECK(info->probes[i].program && info->probes[i].path[0]);
	if (err || !c->kind)
		return;
	FUZZ_CHECK(c->n_steps <= sizeof(c->step) / sizeof(*c->step));
	check_heap(&c->heap);
	if (info->plausible)
		(void)info->plausible(p, c, ids, 4);
}

static void detect(runtime_detect_fn fn, const struct clew_runtime_opts *opts)
{
	struct runtime_map maps[] = {map};
	struct runtime_proc p = {
		.tgid = 1, .exe = "/python3.11", .maps = maps, .n_maps = 1, .opts = opts};
	struct runtime_info info = {0};

	check_info(&p, fn(&p, &info), &info);
}

/* The tables of fields as they stand in the memory. */
static void tables(void)
{
	static const struct vm_field_row rows[] = {{0, "aaaaaaa", "bbbbbbb"}, {1, "ccc", "ddd"}};
	struct runtime_map maps[] = {map};
	struct runtime_proc p = {.tgid = 1, .maps = maps, .n_maps = 1};
	struct vm_field fields[2] = {{0}};
	struct vm_image im;

	maps[0].end = BASE + n_words * 8;
	if (vm_image_read(&p, &maps[0], &im))
		return;
	(void)read_exported(&p, &im, &file, rows, 2, fields);
	read_hidden(&im, rows, 2, fields);
	vm_image_done(&im);
}

static void moved(void)
{
	struct runtime_proc p = {.tgid = 1};
	struct clew_heap heap = {.start = BASE,
				 .bytes = told(),
				 .gc = told(),
				 .gc_count = told() % 61,
				 .gc_active = told() % 64};
	struct moved_watch *all = NULL;
	struct moved_rooms *rooms = NULL;
	struct clew_buf out;
	uint32_t left_out = 0;

	clew_buf_init(&out, 1 << 20);
	for (int i = 0; i < 6; i++) {
		struct clew_rec_heap h = {.tgid = 1,
					  .room_start = told(),
					  .room_top = told(),
					  .room_end = told(),
					  .collections = (uint32_t)i / 3};
		struct moved_rooms *more = moved_note(&all, &h);

		FUZZ_CHECK(!more || !rooms);
		rooms = more ? more : rooms;
	}
	if (rooms && !moved_find(&p, &heap, rooms, &out, &left_out))
		for (size_t at = 0; at < out.len; at += ((struct clew_rec *)(out.data + at))->len)
			FUZZ_CHECK(((struct clew_rec *)(out.data + at))->type == CLEW_REC_MOVED);
	free(rooms);
	moved_forget(&all);
	clew_buf_done(&out);
}

static void fill_memory(const uint8_t *p, size_t n)
{
	static const uint64_t unusual[] = {~0ull,      ~0ull - 7,  1ull << 63, 1ull << 47,
					   1ull << 40, 1ull << 32, 0x7fffffff, 0x80000000,
					   1ull << 36, 3};

	memset(memory, 0, sizeof(memory));
	next_told = 0;
	n_words = n / 3 < WORDS ? n / 3 : WORDS;
	for (size_t i = 0; i < n_words; i++, p += 3) {
		uint64_t number = p[1] | p[2] << 8;

		if (p[0] % 16 < 8)
			memory[i] = number;
		else if (p[0] % 16 < 12)
			memory[i] = BASE + number * 8;
		else if (p[0] % 16 == 12)
			memory[i] = unusual[number % (sizeof(unusual) / sizeof(*unusual))] +
				    (p[0] >> 4);
		else
			memory[i] = (number & 127) * 0x01010101010101ull;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const runtime_detect_fn finders[] = {runtime_detect_cpython, runtime_detect_hotspot,
						    runtime_detect_go, runtime_detect_tokio};
	static const struct clew_runtime_opts opts[] = {
		{0},
		{.go_channels = true, .tokio_wakers = true, .python_copies = true},
		{.no_probes = true}};

	if (size < 1 || size > 3 * WORDS)
		return 0;
	fill_memory(data + 1, size - 1);
	if (data[0] % 6 < 4)
		detect(finders[data[0] % 6], &opts[data[0] / 6 % 3]);
	else if (data[0] % 6 == 4)
		tables();
	else
		moved();
	return 0;
}
