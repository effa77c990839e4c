/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extensions of CPython that run tasks in their own way. How the hooks use what is found: bpf/python_task.bpf.h.
 *
 * uvloop	sends for all tasks from one place. A probe on PySet_Add, which it calls once for each write, tells
 *		whose it is.
 * greenlet	keeps the current greenlet in a thread-local variable, since 2.0:
 *
 *	fsbase ─► vector of thread-local blocks ─► block of _greenlet.so ─► ThreadState ─► {main, current greenlet}
 *
 *		Which entry of the vector, and which word of the block, needs no symbol: the one that leads to two
 *		objects of type greenlet.
 */
#include <stdio.h>
#include <string.h>

#include "capture/runtime/cpython.h"

#define OB_TYPE	    8
#define TP_BASE	    256 /* PyTypeObject, the same in 3.9 to 3.13 */
#define DTV	    8	/* tcbhead_t of glibc; the first of its entries holds a count */
#define DTV_ENTRY   16
#define MAX_ENTRIES 128
#define MAX_BLOCK   256
#define MAX_THREADS 64
#define MAX_BASES   8 /* classes between gevent's and greenlet's */

/* Is it an object of this type, or of one made from it? */
static bool is_a(const struct runtime_proc *p, uint64_t object, uint64_t type)
{
	uint64_t at;

	if (!object || runtime_read_u64(p, object + OB_TYPE, &at))
		return false;
	for (int i = 0; i < MAX_BASES && at != type; i++)
		if (!at || runtime_read_u64(p, at + TP_BASE, &at))
			return false;
	return at == type;
}

/* The word of a thread-local block that leads to greenlet's ThreadState; -ENOENT: none. */
static int find_word(const struct runtime_proc *p, uint64_t block, uint64_t size, uint64_t type)
{
	for (uint64_t i = 0; i + 8 <= size && i < MAX_BLOCK; i += 8) {
		uint64_t state, greenlets[2];

		if (runtime_read_u64(p, block + i, &state))
			return -ENOENT;
		if (state > 4096 && !runtime_read(p, state, greenlets, sizeof(greenlets)) &&
		    is_a(p, greenlets[0], type) && is_a(p, greenlets[1], type))
			return (int)i;
	}
	return -ENOENT;
}

static bool find_in_thread(const struct runtime_proc *p, uint64_t fsbase, uint64_t size,
			   uint64_t type, struct clew_python *ret)
{
	uint64_t dtv, block;

	if (runtime_read_u64(p, fsbase + DTV, &dtv))
		return false;
	for (int32_t at = DTV_ENTRY; at < MAX_ENTRIES * DTV_ENTRY; at += DTV_ENTRY) {
		int word;

		if (runtime_read_u64(p, dtv + at, &block))
			return false;
		if (block <= 4096 || block % 8)
			continue;
		word = find_word(p, block, size, type);
		if (word >= 0) {
			ret->green_dtv = at;
			ret->green_tls = word;
			return true;
		}
	}
	return false;
}

static bool find_greenlets(const struct runtime_proc *p, struct clew_python *ret)
{
	const struct runtime_map *m = runtime_map_named(p, "_greenlet.");
	_cleanup_(runtime_elf_closep) struct runtime_elf *e = NULL;
	struct runtime_thread threads[MAX_THREADS];
	uint64_t type, size, align;
	int n;

	if (!m || runtime_elf_open(p, m, &e) ||
	    runtime_elf_symbol(e, "PyGreenlet_Type", &type, &size) ||
	    runtime_elf_tls(e, &size, &align))
		return false;
	n = runtime_threads(p, threads, MAX_THREADS);
	for (int i = 0; i < n; i++)
		if (find_in_thread(p, threads[i].fsbase, size, type, ret))
			return true;
	return false;
}

unsigned cpython_probe_at(struct slice code)
{
	static const struct slice free_ones[] = {SLICE("\xf3\x0f\x1e\xfa"), /* endbr64 */
						 SLICE("\x85\xd2"),	    /* test edx, edx */
						 SLICE("\x85\xf6")};
	unsigned at = 0;

	for (size_t i = 0; i < sizeof(free_ones) / sizeof(*free_ones); i++)
		if (code.n >= at + free_ones[i].n &&
		    !memcmp(code.p + at, free_ones[i].p, free_ones[i].n))
			at += free_ones[i].n;
	if (at < code.n && ((code.p[at] & 0xf8) == 0x50 || (code.p[at] & 0xf0) == 0x70))
		return at;
	if (at + 1 < code.n && ((code.p[at] == 0x41 && (code.p[at + 1] & 0xf8) == 0x50) ||
				(code.p[at] == 0x0f && (code.p[at + 1] & 0xf0) == 0x80)))
		return at;
	return 0;
}

/* A probe early in a function, while its arguments are still in their registers. */
static bool want(const struct runtime_elf *e, const char *symbol, const char *program,
		 struct runtime_info *ret)
{
	struct runtime_probe *probe = &ret->probes[ret->n_probes];
	struct slice code;
	uint64_t at, size;

	if (ret->n_probes >= RUNTIME_MAX_PROBES || runtime_elf_symbol(e, symbol, &at, &size))
		return false;
	if (!runtime_elf_bytes(e, at, 12, &code))
		at += cpython_probe_at(code);
	if (runtime_elf_offset(e, at, &probe->offset))
		return false;
	probe->program = program;
	probe->at_return = false;
	snprintf(probe->path, sizeof(probe->path), "%s", runtime_elf_path(e));
	ret->n_probes++;
	return true;
}

/* The mapping of one of uvloop's files: uvloop/loop.cpython-311-x86_64-linux-gnu.so. */
static bool has_uvloop(const struct runtime_proc *p)
{
	for (size_t i = 0; i < p->n_maps; i++)
		if (p->maps[i].first && strstr(p->maps[i].path, "/uvloop/loop."))
			return true;
	return false;
}

void cpython_add_makers(const struct runtime_proc *p, struct runtime_info *ret)
{
	static const char *const names[] = {"libc.so.6", "libpthread.so.0"};
	struct clew_python *py = &ret->chain.python;

	for (size_t i = 0; py->stack && !py->makers && i < 2; i++) {
		const struct runtime_map *m = runtime_map_named(p, names[i]);
		_cleanup_(runtime_elf_closep) struct runtime_elf *e = NULL;

		if (m && !runtime_elf_open(p, m, &e))
			py->makers = want(e, "sem_init", "on_python_lock", ret);
	}
}

void cpython_add_loops(const struct runtime_proc *p, const struct runtime_elf *e,
		       struct runtime_info *ret)
{
	struct clew_python *py = &ret->chain.python;

	if (has_uvloop(p)) {
		py->queues = want(e, "PySet_Add", "on_python_set_add", ret);
		if (!py->queues)
			runtime_fail(ret, 0, "uvloop's writes are not told apart: no PySet_Add");
	}
	if (find_greenlets(p, py))
		snprintf(ret->task, sizeof(ret->task), "context+greenlet");
}
