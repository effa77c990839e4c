/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Go: the goroutine that runs on a thread, its parent, and the HTTP client's hand-over.
 *
 *	fs:-8 ─► g ─► .goid, .parentGoid        on the scheduler's own stack (g0): g.m ─► m.curg ─► .goid
 *
 * Offsets were read from the DWARF of programs that each toolchain built; within a minor version they did
 * not change (CLEW_GO_TOOLCHAINS has tests/e2e/runtime/test_go.py try others than the one that is there):
 *
 *	       g.m  g.goid  g.parentGoid  m.procid  m.curg  hchan.recvx  sudog.elem  g.sched.bp
 *	1.21    48     152           272        72     192           48          24         104
 *	1.22    48     152           272        72     192           48          24         104
 *	1.23    48     160           280        72     192           56          24         104
 *	1.24    48     160           280        72     192           56          24         104
 *	1.25    48     152           272        64     184           56          24          96
 *	1.26    48     152           280        64     184           56          32          96
 *
 * They are checked against the process's own threads: m.procid is the kernel's thread id.
 *
 * Wait reasons are from runtime2.go of each: select, chan receive, semacquire (a WaitGroup's, up to 1.23),
 * sync.Cond.Wait, sync.WaitGroup.Wait. A mutex is no sign of whose work was done.
 */
#include <stdio.h>

#include "capture/internal.h"
#include "capture/runtime/go.h"
#include "capture/runtime/runtime.h"

struct go_offsets {
	unsigned minor;
	int g_goid, g_parent, m_procid, m_curg, hchan_recvx, sudog_elem, sched_bp;
	uint8_t select, receive, semacquire, cond, group; /* wait reasons; 0: none */
};

static const struct go_offsets versions[] = {
	{21, 152, 272, 72, 192, 48, 24, 104, 9, 14, 18, 20, 0},
	{22, 152, 272, 72, 192, 48, 24, 104, 9, 14, 18, 20, 0},
	{23, 160, 280, 72, 192, 56, 24, 104, 9, 14, 18, 20, 0},
	{24, 160, 280, 72, 192, 56, 24, 104, 9, 14, 18, 20, 24},
	{25, 152, 272, 64, 184, 56, 24, 96, 9, 14, 19, 21, 25},
	{26, 152, 280, 64, 184, 56, 32, 96, 18, 19, 13, 21, 25},
};
#define MAX_TLS	       4096
#define G_M	       48
#define MAX_THREADS    256
#define MAX_NAMED      512	    /* bytes of a function's name */
#define GOID_LIMIT     (1ull << 36) /* beyond it are addresses */
#define PROLOGUE_BYTES 32
#define MODULE_TEXT    176

static uint32_t get32(const char *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint64_t get64(const char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static int parse_version(struct slice text, struct go_version *ret)
{
	struct go_version v = {0};

	if (!slice_starts(text, SLICE("go")) || text.n - 2 >= sizeof(v.text))
		return -EBADMSG;
	memcpy(v.text, text.p + 2, text.n - 2);
	if (sscanf(v.text, "%u.%u", &v.major, &v.minor) != 2)
		return -EBADMSG;
	/* "1.24.1 X:nocoverageredesign": experiments do not belong to the version. */
	v.text[strcspn(v.text, " ")] = 0;
	*ret = v;
	return 0;
}

int go_buildinfo_version(struct slice s, struct go_version *ret)
{
	static const char magic[] = "\xff Go buildinf:";
	uint64_t n = 0;
	size_t at = 32;

	if (s.n < at || memcmp(s.p, magic, sizeof(magic) - 1))
		return -EBADMSG;
	if (!(s.p[15] & 2))
		return -ENOTSUP;
	for (unsigned shift = 0;; shift += 7, at++) {
		if (at >= s.n || shift > 28)
			return -EBADMSG;
		n |= (uint64_t)(s.p[at] & 127) << shift;
		if (!(s.p[at] & 128))
			break;
	}
	at++;
	if (n > s.n - at)
		return -EBADMSG;
	return parse_version(slice_of(s.p + at, n), ret);
}

int go_pclntab_find(struct slice t, const char *name, uint64_t *ret_offset)
{
	size_t len = strlen(name) + 1;
	uint64_t n, names, funcs;

	/* magic, two zeros, quantum of instructions, bytes of a pointer */
	if (t.n < 72 || get32(t.p) != 0xfffffff1 || t.p[4] || t.p[5] || t.p[7] != 8)
		return -EBADMSG;
	n = get64(t.p + 8);
	names = get64(t.p + 32);
	funcs = get64(t.p + 64);
	if (names >= t.n || funcs >= t.n || n > (t.n - funcs) / 8)
		return -EBADMSG;
	for (uint64_t i = 0; i < n; i++) {
		uint64_t func = funcs + get32(t.p + funcs + i * 8 + 4);
		uint64_t at;

		if (func > t.n - 8)
			return -EBADMSG;
		at = names + get32(t.p + func + 4);
		if (at < t.n && len <= t.n - at && !memcmp(t.p + at, name, len)) {
			*ret_offset = get32(t.p + funcs + i * 8);
			return 0;
		}
	}
	return -ENOENT;
}

int go_pclntab_end(struct slice t, uint64_t offset, uint64_t *ret_end)
{
	uint64_t n, funcs;

	if (t.n < 72)
		return -EBADMSG;
	n = get64(t.p + 8);
	funcs = get64(t.p + 64);
	/* One more entry ends the table. */
	if (funcs >= t.n || n > (t.n - funcs) / 8 || (t.n - funcs) / 8 - n < 1)
		return -EBADMSG;
	for (uint64_t i = 0; i < n; i++) {
		const char *at = t.p + funcs + i * 8;

		if (get32(at) == offset && get32(at + 8) > offset) {
			*ret_end = get32(at + 8);
			return 0;
		}
	}
	return -ENOENT;
}

int go_find_call(struct slice code, uint64_t here, uint64_t callee, uint64_t *at)
{
	for (uint64_t i = *at; i + 5 <= code.n; i++) {
		int32_t to = (int32_t)get32(code.p + i + 1);

		if (code.p[i] == (char)0xe8 && here + i + 5 + (int64_t)to == callee) {
			*at = i;
			return 0;
		}
	}
	return -ENOENT;
}

/*
 * What the compiler puts before it (cmd/internal/obj/x86/obj6.go, stacksplit): nothing; CMPQ SP,
 * 16(R14) and a jump; or LEAQ -n(SP), R12, CMPQ R12, 16(R14) and a jump.
 */
int go_find_push(struct slice c, uint32_t *ret_at)
{
	static const struct slice steps[] = {
		{"\x4c\x8d\x64\x24", 5}, /* LEAQ, 8-bit displacement: one byte more */
		{"\x4c\x8d\xa4\x24", 8}, /* the same, 32-bit */
		{"\x49\x3b\x66\x10", 4}, /* CMPQ SP, 16(R14) */
		{"\x4d\x3b\x66\x10", 4}, /* CMPQ R12, 16(R14) */
		{"\x0f\x86", 6},	 /* JLS, 32-bit */
		{"\x76", 2},		 /* JLS, 8-bit */
	};
	static const uint8_t fixed[] = {4, 4, 4, 4, 2, 1};
	size_t at = 0, i;

	while (at < c.n) {
		if (c.n - at >= 4 && !memcmp(c.p + at, "\x55\x48\x89\xe5", 4)) {
			*ret_at = at;
			return 0;
		}
		for (i = 0; i < 6; i++)
			if (c.n - at >= steps[i].n && !memcmp(c.p + at, steps[i].p, fixed[i]))
				break;
		if (i == 6)
			return -ENOENT;
		at += steps[i].n;
	}
	return -ENOENT;
}

static const struct go_offsets *offsets_of(const struct go_version *v)
{
	for (size_t i = 0; i < sizeof(versions) / sizeof(*versions); i++)
		if (v->major == 1 && versions[i].minor == v->minor)
			return &versions[i];
	return NULL;
}

/* Is there a g behind this thread, does its m say the thread's id, and is its goroutine's id one? */
static bool thread_fits(const struct runtime_proc *p, const struct go_offsets *o,
			const struct runtime_thread *t, int slot)
{
	uint64_t g, m, procid, curg, goid;

	if (runtime_read_u64(p, t->fsbase + slot, &g) || !g || runtime_read_u64(p, g + G_M, &m) ||
	    !m || runtime_read_u64(p, m + o->m_procid, &procid) || procid != t->tid ||
	    runtime_read_u64(p, m + o->m_curg, &curg))
		return false;
	/* None: the thread waits for work. */
	return !curg ||
	       (!runtime_read_u64(p, curg + o->g_goid, &goid) && goid && goid < GOID_LIMIT);
}

/*
 * Where g is, from fsbase: right below it where Go's own linker made the program; a C linker puts
 * the thread-locals of C code beside it. Threads may be between two steps of their lives; if none fits
 * anywhere, this is no such Go. 0, -EAGAIN or -errno.
 */
static int find_slot(const struct runtime_proc *p, const struct runtime_elf *e,
		     const struct go_offsets *o, int *ret)
{
	struct runtime_thread threads[MAX_THREADS];
	int n = runtime_threads(p, threads, MAX_THREADS);
	uint64_t size = 8, align;
	int best = 0;

	if (n < 0)
		return n;
	if (runtime_elf_tls(e, &size, &align) || size < 8 || size > MAX_TLS)
		size = 8;
	for (int slot = -8; slot >= -(int)size - 64; slot -= 8) {
		int fits = 0;

		for (int i = 0; i < n; i++)
			fits += thread_fits(p, o, &threads[i], slot);
		if (fits > best) {
			best = fits;
			*ret = slot;
		}
	}
	return best ? 0 : -EAGAIN;
}

/* The reasons for which a goroutine waits until another one has done something. */
static uint64_t told_by_others(const struct go_offsets *o)
{
	uint64_t told = 1ull << o->receive | 1ull << o->semacquire | 1ull << o->cond;

	return o->group ? told | 1ull << o->group : told;
}

static int plausible(const struct runtime_proc *p, const struct clew_task_chain *c,
		     const uint64_t *ids, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!ids[i] || ids[i] >= GOID_LIMIT)
			return -EBADMSG;
	return 0;
}

static int find_version(const struct runtime_elf *e, struct go_version *ret)
{
	struct slice section;
	uint64_t addr;
	int err = runtime_elf_section(e, ".go.buildinfo", &section, &addr);

	return err ? -ENOENT : go_buildinfo_version(section, ret);
}

/*
 * Where Go's text begins in the process. The header of the table says it up to 1.25; from 1.26 on the
 * module's description does (runtime.moduledata: its first word is the table's address, .text is at 176).
 */
static int find_text(const struct runtime_proc *p, const struct runtime_elf *e, uint64_t table,
		     uint64_t *ret)
{
	struct slice section;
	uint64_t addr, first, size, text = 0;

	if (!runtime_read_u64(p, table + 24, &text) && text) {
		*ret = text;
		return 0;
	}
	if (!runtime_elf_section(e, ".go.module", &section, &addr) &&
	    !runtime_read_u64(p, addr, &first) && first == table &&
	    !runtime_read_u64(p, addr + MODULE_TEXT, &text) && text) {
		*ret = text;
		return 0;
	}
	return runtime_elf_symbol(e, "runtime.text", ret, &size);
}

/* Go's functions: their table, and where its text begins. */
struct functions {
	const struct runtime_elf *elf;
	struct slice table;
	uint64_t text;
};

static int find_functions(const struct runtime_proc *p, const struct runtime_elf *e,
			  struct functions *ret)
{
	uint64_t addr;

	ret->elf = e;
	if (runtime_elf_section(e, ".gopclntab", &ret->table, &addr) &&
	    runtime_elf_section(e, ".data.rel.ro.gopclntab", &ret->table, &addr))
		return -ENOENT;
	return find_text(p, e, addr, &ret->text);
}

static int add_probe(const struct functions *f, uint64_t addr, const char *program,
		     struct runtime_info *ret)
{
	struct runtime_probe *probe = &ret->probes[ret->n_probes];
	int err;

	if (ret->n_probes == RUNTIME_MAX_PROBES)
		return -ENOSPC;
	err = runtime_elf_offset(f->elf, addr, &probe->offset);
	if (err)
		return err;
	probe->program = program;
	snprintf(probe->path, sizeof(probe->path), "%s", runtime_elf_path(f->elf));
	ret->n_probes++;
	return 0;
}

/* A probe at a function's PUSHQ BP. */
static int want_probe(const struct functions *f, const char *function, const char *program,
		      struct runtime_info *ret)
{
	struct slice code;
	uint64_t func;
	uint32_t push;
	int err = go_pclntab_find(f->table, function, &func);

	if (!err)
		err = runtime_elf_bytes(f->elf, f->text + func, PROLOGUE_BYTES, &code);
	if (!err)
		err = go_find_push(code, &push);
	return err ? err : add_probe(f, f->text + func + push, program, ret);
}

/* Probes at the calls of another function in a function, of which there must be n. */
static int want_calls(const struct functions *f, const char *function, const char *name, size_t n,
		      const char *program, struct runtime_info *ret)
{
	uint64_t func, end, callee, at = 0;
	struct slice code;
	size_t found = 0;
	int err = go_pclntab_find(f->table, function, &func);

	if (!err)
		err = go_pclntab_find(f->table, name, &callee);
	if (!err)
		err = go_pclntab_end(f->table, func, &end);
	if (!err)
		err = runtime_elf_bytes(f->elf, f->text + func, end - func, &code);
	for (; !err && !go_find_call(code, func, callee, &at); at++, found++)
		err = add_probe(f, f->text + func + at, program, ret);
	if (err)
		return err;
	return found == n ? 0 : -EBADMSG;
}

static void cannot_probe(struct runtime_info *ret, const char *function, int err)
{
	snprintf(ret->why_not, sizeof(ret->why_not), "%s cannot be probed (%s)", function,
		 strerror(-err));
}

/* All of them or none: an unseen send would leave a slot to whoever sent there before. */
static void want_channels(const struct functions *f, struct runtime_info *ret)
{
	static const char move[] = "runtime.typedmemmove", clear[] = "runtime.typedmemclr";
	size_t before = ret->n_probes;
	int err = want_calls(f, "runtime.chansend", move, 1, "on_go_chansend", ret);

	if (!err)
		err = want_calls(f, "runtime.chanrecv", move, 1, "on_go_chanrecv", ret);
	if (!err)
		err = want_calls(f, "runtime.selectgo", move, 2, "on_go_select", ret);
	if (!err)
		err = want_calls(f, "runtime.selectgo", clear, 2, "on_go_select_clear", ret);
	if (!err)
		err = want_probe(f, "runtime.send", "on_go_send", ret);
	if (!err)
		err = want_probe(f, "runtime.recv", "on_go_recv", ret);
	if (!err) {
		ret->go_channels = true;
		return;
	}
	ret->n_probes = before;
	cannot_probe(ret, "channels", err);
}

static void want_probes(const struct runtime_proc *p, const struct runtime_elf *e,
			struct runtime_info *ret)
{
	static const char round_trip[] = "net/http.(*persistConn).roundTrip";
	struct functions f;
	int err;

	if (p->opts->no_probes)
		return;
	err = find_functions(p, e, &f);
	if (err) {
		cannot_probe(ret, "Go's functions", err);
		return;
	}
	/* The end first: what ends unseen must not be counted for ever. */
	if (!want_probe(&f, "runtime.goexit1", "on_go_end", ret))
		want_probe(&f, "runtime.newproc", "on_go_new", ret);
	err = want_probe(&f, round_trip, "on_go_round_trip", ret);
	if (!err)
		ret->chain.go_flags |= CLEW_GO_ROUND_TRIP;
	else if (err != -ENOENT) /* there is none without net/http */
		cannot_probe(ret, round_trip, err);
	if (p->opts->go_channels)
		want_channels(&f, ret);
}

int runtime_detect_go(const struct runtime_proc *p, struct runtime_info *ret)
{
	_cleanup_(runtime_elf_closep) struct runtime_elf *e = NULL;
	const struct runtime_map *exe = runtime_map_exe(p);
	const struct go_offsets *o;
	struct go_version v;
	int err;

	if (!exe || runtime_elf_open(p, exe, &e))
		return -ENOENT;
	err = find_version(e, &v);
	if (err == -ENOENT)
		return -ENOENT;
	snprintf(ret->name, sizeof(ret->name), "go");
	if (err) {
		snprintf(ret->why_not, sizeof(ret->why_not),
			 err == -ENOTSUP ? "Go before 1.18 is not known"
					 : "its build information is broken");
		return err;
	}
	snprintf(ret->version, sizeof(ret->version), "%s", v.text);
	o = offsets_of(&v);
	if (!o) {
		snprintf(ret->why_not, sizeof(ret->why_not),
			 "the layout of Go %u.%u is not known (1.21 to 1.26 are)", v.major,
			 v.minor);
		return 0;
	}
	snprintf(ret->task, sizeof(ret->task), "goroutine");
	ret->chain = (struct clew_task_chain){
		.kind = CLEW_TASK_GO,
		.base = CLEW_CHAIN_FSBASE,
		.id = CLEW_CHAIN_ID_WORD,
		.n_steps = 1,
		.step = {-8},
		.id_off = o->g_goid,
		.max_id = GOID_LIMIT,
		.go_m = G_M,
		.go_curg = o->m_curg,
		.go_parent = o->g_parent,
		.go_recvx = o->hchan_recvx,
		.go_sudog_elem = o->sudog_elem,
		.go_sched_bp = o->sched_bp,
		.go_select = o->select,
		.go_told = told_by_others(o),
	};
	ret->plausible = plausible;
	err = find_slot(p, e, o, &ret->chain.step[0]);
	if (err == -EAGAIN)
		snprintf(ret->why_not, sizeof(ret->why_not),
			 "no thread of it has a goroutine where Go %s keeps it", v.text);
	if (!err)
		want_probes(p, e, ret);
	return err;
}
