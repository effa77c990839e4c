/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokio (Rust): the id of the task that a thread polls.
 *
 *	fsbase ── the executable's thread-locals ──► tokio::runtime::context::CONTEXT
 *	                                                  current_task_id: Option<task::Id>, 0: none
 *
 * The order of CONTEXT's fields is the compiler's affair. But one function stores the id and returns the one before:
 * tokio::runtime::context::set_current_task_id(). Its code is read for where:
 *
 *	mov d(base), x		or	mov fs:o, x
 *	mov y, d(base)			mov y, fs:o
 *
 * A binary without symbols, or where that function went into its callers, keeps its threads; so does one whose
 * function stores more than one word (a tokio of before 1.33, whose ids may be 0). Ids count up from 1 in the whole
 * process. The self-test wants to see several of them: what is always the same is no id.
 *
 * Source: tokio 1.54.1, src/runtime/context.rs, src/runtime/task/id.rs; ELF TLS, variant II (x86-64).
 */
#include <stdio.h>
#include <string.h>

#include "abi/record.h"
#include "capture/runtime/runtime.h"
#include "capture/runtime/tokio.h"

#define ID_LIMIT (1ull << 40)
#define LEARN	 64 /* samples */
#define CODE_MAX 512
#define TP_MAX	 65536 /* bytes of thread-locals of an executable */

/* One move of 64 bits between memory and a register. */
struct move {
	bool store, fs;
	uint8_t base;
	int32_t disp;
};

/* At least 8 bytes are readable at at. Returns whether there is such a move. */
static bool decode(const uint8_t *at, size_t n, struct move *ret)
{
	bool fs = at[0] == 0x64;
	uint8_t rex, op, modrm;

	at += fs;
	n -= fs;
	rex = at[0];
	op = at[1];
	modrm = at[2];
	if ((rex & 0xf8) != 0x48 || (op != 0x8b && op != 0x89))
		return false;
	*ret = (struct move){.store = op == 0x89, .fs = fs};
	if (fs) { /* no base: a SIB byte of 0x25, and 32 bits */
		if ((modrm & 0xc7) != 0x04 || at[3] != 0x25 || n < 8)
			return false;
		memcpy(&ret->disp, at + 4, sizeof(ret->disp));
		return true;
	}
	ret->base = (modrm & 7) | (rex & 1) << 3;
	if ((modrm & 7) == 4 || ret->base == 5 || (modrm & 0xc0) != 0x40)
		return false; /* a SIB byte; the frame; no displacement of one byte */
	ret->disp = (int8_t)at[3];
	return true;
}

int tokio_find_id(struct slice code, int32_t tp_off, uint64_t size, int32_t *ret)
{
	struct move m, load = {0};
	const uint8_t *bytes = (const void *)code.p;
	size_t load_at = 0;
	int32_t found = 0;
	bool any = false;

	for (size_t i = 0; i + 9 <= code.n && i < CODE_MAX; i++) {
		int64_t at;

		if (!decode(bytes + i, code.n - i, &m))
			continue;
		if (!m.store) {
			load = m;
			load_at = i + 1;
			continue;
		}
		if (!load_at || i - (load_at - 1) > 16 || load.fs != m.fs || load.base != m.base ||
		    load.disp != m.disp)
			continue;
		at = m.fs ? m.disp : (int64_t)tp_off + m.disp;
		if (at < tp_off || (uint64_t)(at - tp_off) + 8 > size)
			continue;
		if (any && at != found)
			return -ENOTSUP; /* more than a word */
		any = true;
		found = (int32_t)at; /* of this thread-local, so near the thread pointer */
	}
	if (!any)
		return -ENOENT;
	*ret = found;
	return 0;
}

/* Panics name their source: .../tokio-1.54.1/src/... */
static void find_version(const struct runtime_elf *e, char *ret, size_t size)
{
	static const char mark[] = "/tokio-1.";
	struct slice data;
	uint64_t addr;
	const char *at;
	size_t n = 0;

	if (runtime_elf_section(e, ".rodata", &data, &addr) || !data.n)
		return;
	at = memmem(data.p, data.n, mark, sizeof(mark) - 1);
	if (!at)
		return;
	at += sizeof("/tokio-") - 1;
	while (n + 1 < size && at + n < data.p + data.n &&
	       (at[n] == '.' || (at[n] >= '0' && at[n] <= '9'))) {
		ret[n] = at[n];
		n++;
	}
	ret[n] = 0;
}

static int plausible(const struct runtime_proc *p, const struct clew_task_chain *c,
		     const uint64_t *ids, size_t n)
{
	bool differ = false;

	for (size_t i = 0; i < n; i++) {
		if (!ids[i] || ids[i] >= ID_LIMIT)
			return -EBADMSG;
		differ |= ids[i] != ids[0];
	}
	return differ ? 0 : -EAGAIN;
}

/* All of them or none: who is woken by one that is not probed would be taken for somebody else's. */
static const struct {
	const char *symbol, *program;
	bool at_return;
} wanted[] = {
	{"5tokio7runtime4task2id2Id4next", "on_tokio_new", true},
	{"5tokio7runtime4task5waker11wake_by_val", "on_tokio_wake", false},
	{"5tokio7runtime4task5waker11wake_by_ref", "on_tokio_wake", false},
};

/* Functions that wake who waits for a permit, a lock or a notification. */
static const char *const locks[] = {"18add_permits_locked", "4util9wake_list", "4sync6notify",
				    NULL};
static const char *const permits[] = {"18add_permits_locked", NULL};

static int want_probe(const struct runtime_elf *e, size_t i, struct runtime_info *ret)
{
	struct runtime_probe *probe = &ret->probes[ret->n_probes];
	uint64_t addr, size;
	int err = runtime_elf_symbol_like(e, wanted[i].symbol, RUNTIME_SYMBOL_CODE, &addr, &size);

	if (!err)
		err = runtime_elf_offset(e, addr, &probe->offset);
	if (err)
		return err;
	probe->program = wanted[i].program;
	probe->at_return = wanted[i].at_return;
	snprintf(probe->path, sizeof(probe->path), "%s", runtime_elf_path(e));
	ret->n_probes++;
	return 0;
}

/* What cannot be told from a message must not be taken for one: without the functions there is nothing to follow. */
static int find_locks(const struct runtime_elf *e, struct runtime_info *ret)
{
	struct runtime_range found[CLEW_TOKIO_LOCKS];
	int n = runtime_elf_code_like(e, permits, found, CLEW_TOKIO_LOCKS);

	if (n == 0)
		return -ENOENT;
	if (n > 0)
		n = runtime_elf_code_like(e, locks, found, CLEW_TOKIO_LOCKS);
	for (int i = 0; i < n; i++) {
		ret->chain.tokio.lock[i].from = found[i].addr;
		ret->chain.tokio.lock[i].size = found[i].size;
	}
	return n < 0 ? n : 0;
}

/* Which task begins which, and with wakers, which wakes which: all of the probes or none but the first. */
static void want_probes(const struct runtime_elf *e, bool wakers, struct runtime_info *ret)
{
	const char *what = wanted[0].symbol;
	int err = want_probe(e, 0, ret);

	if (!err && wakers) {
		what = "add_permits_locked";
		err = find_locks(e, ret);
	}
	for (size_t i = 1; !err && wakers && i < sizeof(wanted) / sizeof(*wanted); i++) {
		what = wanted[i].symbol;
		err = want_probe(e, i, ret);
	}
	ret->tokio_wakers = wakers && !err;
	if (!err)
		return;
	ret->n_probes = ret->n_probes > 0;
	snprintf(ret->why_not, sizeof(ret->why_not), "tasks cannot be followed: %s is %s", what,
		 err == -ENOTUNIQ ? "there more than once"
		 : err == -ENOSPC ? "in too many places"
				  : "not there");
}

/* What stands there in the process's threads now: nothing, or an id. */
static int check_threads(const struct runtime_proc *p, int32_t id_off)
{
	struct runtime_thread threads[64];
	int n = runtime_threads(p, threads, 64);
	uint64_t id;

	for (int i = 0; i < n; i++) {
		if (!threads[i].fsbase)
			continue;
		if (runtime_read_u64(p, threads[i].fsbase + (uint64_t)(int64_t)id_off, &id))
			continue; /* it may have ended */
		if (id >= ID_LIMIT)
			return -EBADMSG;
	}
	return n > 0 ? 0 : -EAGAIN;
}

static int find_chain(const struct runtime_proc *p, const struct runtime_elf *e, uint64_t context,
		      uint64_t size, struct runtime_info *ret)
{
	uint64_t tls, align, at, code_size;
	int32_t id_off, tp_off;
	struct slice code;
	int err;

	if (runtime_elf_tls(e, &tls, &align) || tls > TP_MAX || align > TP_MAX ||
	    (align & (align - 1)) || context > tls || size > tls - context)
		return runtime_fail(ret, 0, "its thread-locals are not laid out as expected");
	if (align > 1)
		tls = (tls + align - 1) & ~(align - 1);
	tp_off = (int32_t)context - (int32_t)tls;
	if (runtime_elf_symbol_like(e, "5tokio7runtime7context19set_current_task_id",
				    RUNTIME_SYMBOL_CODE, &at, &code_size) ||
	    runtime_elf_bytes(e, at, code_size < CODE_MAX ? code_size : CODE_MAX, &code))
		return runtime_fail(ret, 0, "the function that sets its current task is not there");
	if (tokio_find_id(code, tp_off, size, &id_off))
		return runtime_fail(ret, 0, "where it keeps its current task is not known");
	err = check_threads(p, id_off);
	if (err == -EAGAIN)
		return runtime_fail(ret, err, "its threads are not up yet");
	if (err)
		return runtime_fail(ret, 0, "what stands where its task should be is none");
	ret->chain.kind = CLEW_TASK_TOKIO;
	ret->chain.base = CLEW_CHAIN_FSBASE;
	ret->chain.id = CLEW_CHAIN_ID_WORD;
	ret->chain.id_off = id_off;
	ret->chain.max_id = ID_LIMIT;
	ret->learn = LEARN;
	ret->plausible = plausible;
	snprintf(ret->task, sizeof(ret->task), "task");
	if (!p->opts->no_probes)
		want_probes(e, p->opts->tokio_wakers, ret);
	return 0;
}

int runtime_detect_tokio(const struct runtime_proc *p, struct runtime_info *ret)
{
	_cleanup_(runtime_elf_closep) struct runtime_elf *e = NULL;
	const struct runtime_map *m = runtime_map_exe(p);
	uint64_t context, size, align;

	/* Most programs have no thread-locals: then their symbols need not be read. */
	if (!m || runtime_elf_open(p, m, &e) || runtime_elf_tls(e, &size, &align) ||
	    runtime_elf_symbol_like(e, "5tokio7runtime7context7CONTEXT", RUNTIME_SYMBOL_TLS,
				    &context, &size))
		return -ENOENT;
	snprintf(ret->name, sizeof(ret->name), "tokio");
	find_version(e, ret->version, sizeof(ret->version));
	return find_chain(p, e, context, size, ret);
}
