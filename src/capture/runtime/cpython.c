/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPython: the contextvars Context that a thread has entered, which asyncio gives to each task.
 *
 *	fsbase ─► pthread key autoTSSkey ─► PyThreadState ── context ──► Context
 *	   ▲						│		    ob_type == &PyContext_Type
 *	   └────────────── thread_id ───────────────────┘		    ctx_entered != 0
 *
 * - The thread state comes from the thread's own pthread key, never from tstate_current: the
 *   interpreter lock is released inside socket calls, and another thread may be current there.
 * - A context that nobody has entered is the thread's base context: then the thread is the task.
 * - Offsets are those of CPython's own headers (offsetof, compiled against each version's
 *   Include/internal) and of glibc's struct pthread on x86-64 (nptl/descr.h). Nothing is believed
 *   before the process's own thread states agree with its threads: a build that is laid out in
 *   another way ends in "thread". BPF compares the context's type at each read.
 */
#include <stdio.h>

#include "abi/record.h"
#include "capture/runtime/cpython.h"

/* Source: the headers of 3.9.18, 3.10.13, 3.11.2, 3.11.7, 3.12.1 and 3.13.0. */
struct layout {
	uint32_t minor;
	uint32_t key;	       /* _PyRuntimeState: autoTSSkey, a Py_tss_t */
	uint32_t main_interp;  /* _PyRuntimeState: interpreters.main */
	uint32_t threads_head; /* PyInterpreterState */
	uint32_t thread_id;    /* PyThreadState: pthread_self() */
	uint32_t context;      /* PyThreadState */
};

static const struct layout layouts[] = {
	{9, 584, 40, 8, 176, 240},    {10, 584, 40, 8, 176, 240},      {11, 592, 48, 16, 152, 224},
	{12, 1544, 48, 72, 136, 208}, {13, 2160, 640, 7344, 152, 208},
};

#define TS_NEXT	      8 /* PyThreadState, all versions */
#define TS_INTERP     16
#define OB_TYPE	      8	 /* PyObject, where there is an interpreter lock */
#define CTX_ENTERED   40 /* PyContext, an int, all versions */
#define GC_HEAD	      16 /* before an object; with it a Context is 64 bytes */
#define FREE_THREADED 16 /* _Py_DebugOffsets at the beginning of _PyRuntime, since 3.13 */

#define PTHREAD_SELF   0x10  /* header.self */
#define PTHREAD_KEYS   0x310 /* specific_1stblock: 32 of {sequence, data} */
#define PTHREAD_BLOCKS 0x510 /* specific: pointers to further blocks, one for 32 keys */
#define KEYS_BLOCK     32
#define KEYS_MAX       1024

#define MAX_STATES 256 /* thread states that are looked at, newest first; the rest is not */

/*
 * 3.11 and later hold their version number (PY_VERSION_HEX); before, it is in the name of the file:
 * libpython3.9.so.1.0, python3.9. ret_micro stays -1 where it is not known.
 */
static int find_version(const struct runtime_proc *p, const struct runtime_elf *e, const char *path,
			unsigned *ret_minor, int *ret_micro)
{
	const char *name = strrchr(path, '/');
	uint64_t at, size, hex;

	if (!runtime_elf_symbol(e, "Py_Version", &at, &size) && !runtime_read_u64(p, at, &hex)) {
		if (hex >> 24 != 3)
			return -ENOTSUP;
		*ret_minor = hex >> 16 & 0xff;
		*ret_micro = hex >> 8 & 0xff;
		return 0;
	}
	name = strstr(name ? name : path, "python3.");
	if (!name || sscanf(name, "python3.%u", ret_minor) != 1)
		return -ENOTSUP;
	*ret_micro = -1;
	return 0;
}

static const struct layout *find_layout(unsigned minor)
{
	for (size_t i = 0; i < sizeof(layouts) / sizeof(*layouts); i++)
		if (layouts[i].minor == minor)
			return &layouts[i];
	return NULL;
}

/* The steps from fsbase to the value of a pthread key. Returns how many. */
static uint32_t key_steps(uint32_t key, int32_t *step)
{
	if (key < KEYS_BLOCK) {
		step[0] = PTHREAD_KEYS + 16 * key + 8;
		return 1;
	}
	step[0] = PTHREAD_BLOCKS + 8 * (key / KEYS_BLOCK);
	step[1] = 16 * (key % KEYS_BLOCK) + 8;
	return 2;
}

static int walk(const struct runtime_proc *p, uint64_t at, const int32_t *step, uint32_t n,
		uint64_t *ret)
{
	for (uint32_t i = 0; i < n; i++) {
		int err = at ? runtime_read_u64(p, at + step[i], &at) : -EFAULT;

		if (err)
			return err;
	}
	*ret = at;
	return 0;
}

struct check {
	uint32_t agree;	   /* thread states whose thread leads back to them */
	uint32_t differ;   /* their thread has another one */
	uint32_t contexts; /* of these that agree: have a context, and it is one */
	uint32_t alien;	   /* have something else there */
};

static void check_state(const struct runtime_proc *p, const struct layout *l,
			const struct clew_task_chain *c, uint64_t state, struct check *r)
{
	uint64_t thread, self, found, context, type;

	if (runtime_read_u64(p, state + l->thread_id, &thread) || !thread ||
	    runtime_read_u64(p, thread + PTHREAD_SELF, &self) || self != thread)
		return; /* not begun, or gone */
	if (walk(p, thread, c->step, c->n_steps - 1, &found) || !found)
		return;
	if (found != state) {
		r->differ++;
		return;
	}
	r->agree++;
	if (runtime_read_u64(p, state + l->context, &context) || !context)
		return;
	if (!runtime_read_u64(p, context + OB_TYPE, &type) && type == c->guard[0].value)
		r->contexts++;
	else
		r->alien++;
}

/*
 * Walk the main interpreter's thread states. They change meanwhile: what was read of a state that
 * ends is thrown away by its thread, which does not lead back to it.
 */
static int check_states(const struct runtime_proc *p, const struct layout *l, uint64_t runtime,
			const struct clew_task_chain *c, struct check *r)
{
	uint64_t interp, state, owner;

	if (runtime_read_u64(p, runtime + l->main_interp, &interp) || !interp)
		return -EAGAIN;
	if (runtime_read_u64(p, interp + l->threads_head, &state))
		return -EAGAIN;
	for (int i = 0; state && i < MAX_STATES; i++) {
		if (runtime_read_u64(p, state + TS_INTERP, &owner) || owner != interp)
			return -EAGAIN;
		check_state(p, l, c, state, r);
		if (runtime_read_u64(p, state + TS_NEXT, &state))
			return -EAGAIN;
	}
	return 0;
}

static int make_chain(const struct runtime_proc *p, const struct layout *l, uint64_t runtime,
		      uint64_t context_type, struct clew_task_chain *c)
{
	uint64_t tss; /* Py_tss_t: int _is_initialized, pthread_key_t _key */
	uint32_t key;

	if (runtime_read_u64(p, runtime + l->key, &tss) || !(uint32_t)tss)
		return -EAGAIN;
	key = tss >> 32;
	if ((uint32_t)tss != 1 || key >= KEYS_MAX)
		return -ENOTSUP;
	c->kind = CLEW_TASK_PYTHON;
	c->base = CLEW_CHAIN_FSBASE;
	c->id = CLEW_CHAIN_ID_ADDRESS;
	c->n_steps = key_steps(key, c->step);
	c->step[c->n_steps++] = l->context;
	/* What lies behind a Context may not be mapped. */
	c->window = -GC_HEAD;
	c->guard[0] = (struct clew_chain_guard){
		.mask = UINT64_MAX, .value = context_type, .word = (GC_HEAD + OB_TYPE) / 8};
	c->guard[1] = (struct clew_chain_guard){
		.mask = UINT32_MAX, .word = (GC_HEAD + CTX_ENTERED) / 8, .differs = 1};
	return 0;
}

static int say(struct runtime_info *ret, int err, const char *why)
{
	memset(&ret->chain, 0, sizeof(ret->chain));
	ret->task[0] = 0;
	return runtime_fail(ret, err, "%s", why);
}

static bool free_threaded(const struct runtime_proc *p, uint64_t runtime, unsigned minor)
{
	uint64_t flag;

	return minor >= 13 && !runtime_read_u64(p, runtime + FREE_THREADED, &flag) && flag;
}

/* Who copied which context: what asyncio does for each task, call_soon() and to_thread(). */
static void want_copies(const struct runtime_elf *e, struct runtime_info *ret)
{
	struct runtime_probe *probe = &ret->probes[ret->n_probes];
	uint64_t at, size;

	if (runtime_elf_symbol(e, "PyContext_CopyCurrent", &at, &size) ||
	    runtime_elf_offset(e, at, &probe->offset)) {
		runtime_fail(ret, 0,
			     "copies of contexts are not seen: it has no PyContext_CopyCurrent");
		return;
	}
	probe->program = "on_python_copy";
	probe->at_return = true;
	snprintf(probe->path, sizeof(probe->path), "%s", runtime_elf_path(e));
	ret->n_probes++;
}

static int find_chain(const struct runtime_proc *p, const struct runtime_elf *e, unsigned minor,
		      struct runtime_info *ret)
{
	const struct layout *l = find_layout(minor);
	struct check seen = {0};
	uint64_t runtime, type, size;
	int err;

	if (!l)
		return say(ret, 0, "this version's layout is not known (3.9 to 3.13 are)");
	if (runtime_elf_symbol(e, "_PyRuntime", &runtime, &size) ||
	    runtime_elf_symbol(e, "PyContext_Type", &type, &size))
		return say(ret, 0, "it has no symbol PyContext_Type");
	if (free_threaded(p, runtime, minor))
		return say(ret, 0, "built without the interpreter lock: not supported");
	if (runtime_map_named(p, "ld-musl") || runtime_elf_needs(e, "libc.musl"))
		return say(ret, 0, "built with musl: not supported");
	err = make_chain(p, l, runtime, type, &ret->chain);
	if (!err)
		err = check_states(p, l, runtime, &ret->chain, &seen);
	if (err == -EAGAIN || (!err && !seen.agree && !seen.differ))
		return say(ret, -EAGAIN, "its interpreter is not up yet");
	/* A state whose thread is about to begin, or has just ended, may differ. */
	if (err || !seen.agree || (seen.alien && !seen.contexts))
		return say(ret, 0, "its memory is not laid out as this version's headers say");
	snprintf(ret->task, sizeof(ret->task), "context");
	if (p->opts->python_copies)
		want_copies(e, ret);
	cpython_add_frames(e, minor, &ret->chain);
	cpython_add_makers(p, ret);
	cpython_add_loops(p, e, ret);
	ret->more = true;
	return 0;
}

int runtime_detect_cpython(const struct runtime_proc *p, struct runtime_info *ret)
{
	_cleanup_(runtime_elf_closep) struct runtime_elf *e = NULL;
	const struct runtime_map *m;
	unsigned minor;
	int micro, err;

	if (runtime_elf_open_with(p, "libpython3.", "_PyRuntime", &e, &m))
		return -ENOENT;
	snprintf(ret->name, sizeof(ret->name), "cpython");
	err = find_version(p, e, m->path, &minor, &micro);
	if (err)
		return say(ret, 0, "its version is not known");
	if (micro < 0)
		snprintf(ret->version, sizeof(ret->version), "3.%u", minor);
	else
		snprintf(ret->version, sizeof(ret->version), "3.%u.%d", minor, micro);
	return find_chain(p, e, minor, ret);
}
