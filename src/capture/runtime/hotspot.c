/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HotSpot (OpenJDK and its distributions): the virtual thread that is mounted on a thread.
 *
 *	fsbase ─► value of the VM's pthread key ──┐
 *	fsbase ─► dtv ─► libjvm's TLS block ──────┴► the JavaThread
 *	                                             │ guard: a virtual thread is mounted
 *	                                             └ its id (java.lang.Thread.threadId())
 *
 * Guard and id come from the native JavaThread, never from the Java heap: a collector may move what lies
 * there at any moment, so this holds for all of them. The offsets come from the tables that libjvm carries
 * (vmstructs.h):
 *
 *	24, 25	JavaThread::_cont_entry is not NULL while a continuation is mounted, and
 *		_monitor_owner_id (24: _lock_id) is the id of whoever owns monitors then
 *	21..23	flight recorder's JfrThreadLocal::_vthread and _vthread_id, which the VM keeps whether
 *		or not anything is recorded
 *	before	no virtual threads: a thread is its own task
 *
 * Which key, and where in the TLS block, needs no symbol: the VM's own list of threads says which
 * JavaThread has which fsbase (OSThread::_pthread_id is the thread's control block, in glibc and in musl),
 * and the one place that is right for every thread is it. Run with 17.0, 21.0.8 and 25.0; 22 to 24 are
 * taken from the sources.
 */
#include <stdio.h>
#include <string.h>

#include "abi/record.h"
#include "base/log.h"
#include "capture/agent/java_agent.h"
#include "capture/runtime/hotspot_heap.h"

#define MAX_THREADS   64 /* that a place is tried on */
#define MIN_THREADS   4	 /* the VM's own are more, from its start */
#define MAX_TLS_BLOCK 512
#define MAX_DTV	      64 /* words of it that are looked at */
#define MAX_THREAD_ID (1ull << 40)

/* struct pthread's specific_1stblock, glibc 2.4 to 2.42 on x86-64 (nptl/descr.h). */
#define GLIBC_KEY_BLOCK 0x310
#define GLIBC_KEYS	32

enum slot {
	F_RELEASE,
	F_MAJOR,
	F_LIST,
	F_LENGTH,
	F_THREADS,
	F_OSTHREAD,
	F_PTHREAD,
	F_STACK_BASE,
	F_STACK_SIZE,
	F_OWNER_ID,
	F_CONT_ENTRY,
	F_JFR_LOCAL,
	F_JFR_VTHREAD,
	F_JFR_ID,
	F_MAX
};

static const struct vm_field_row rows[] = {
	{F_RELEASE, "Abstract_VM_Version", "_s_vm_release"},
	{F_MAJOR, "Abstract_VM_Version", "_vm_major_version"},
	{F_LIST, "ThreadsSMRSupport", "_java_thread_list"},
	{F_LENGTH, "ThreadsList", "_length"},
	{F_THREADS, "ThreadsList", "_threads"},
	{F_OSTHREAD, "JavaThread", "_osthread"},
	{F_OSTHREAD, "Thread", "_osthread"},
	{F_PTHREAD, "OSThread", "_pthread_id"},
	{F_STACK_BASE, "JavaThread", "_stack_base"},
	{F_STACK_SIZE, "JavaThread", "_stack_size"},
	{F_OWNER_ID, "JavaThread", "_monitor_owner_id"},
	{F_OWNER_ID, "JavaThread", "_lock_id"},
	{F_CONT_ENTRY, "JavaThread", "_cont_entry"},
};

static const struct vm_field_row hidden_rows[] = {
	{F_JFR_LOCAL, "Thread", "_jfr_thread_local"},
	{F_JFR_VTHREAD, "JfrThreadLocal", "_vthread"},
	{F_JFR_ID, "JfrThreadLocal", "_vthread_id"},
};

#define N_ROWS(r) (sizeof(r) / sizeof(*(r)))

struct hotspot {
	const struct runtime_proc *proc;
	struct runtime_info *info;
	struct vm_field field[F_MAX];
	uint32_t major;
	struct java_thread thread[MAX_THREADS];
	size_t n_threads;
	int no_threads;	 /* read_threads()'s error */
	int32_t step[3]; /* from fsbase to the JavaThread */
	size_t n_steps;
	uint64_t guard_off, guard_mask, id_off;
	struct clew_heap heap;
	const char *no_heap; /* why it is not read */
};

static uint64_t off(const struct hotspot *h, enum slot s)
{
	return h->field[s].value;
}

static bool have(const struct hotspot *h, enum slot first, enum slot last)
{
	for (unsigned int s = first; s <= last; s++)
		if (!h->field[s].found)
			return false;
	return true;
}

static int say(struct hotspot *h, int err, const char *why)
{
	return runtime_fail(h->info, err, "%s", why);
}

/* "25.0.1+8-LTS". */
static void read_version(struct hotspot *h)
{
	const struct runtime_proc *p = h->proc;
	char release[sizeof(h->info->version)] = {};
	uint32_t major = 0;
	uint64_t at;

	if (h->field[F_MAJOR].found && !runtime_read(p, off(h, F_MAJOR), &major, sizeof(major)))
		h->major = major;
	if (h->field[F_RELEASE].found && !runtime_read_u64(p, off(h, F_RELEASE), &at) && at)
		(void)runtime_read(p, at, release, sizeof(release) - 1);
	for (char *c = release; *c; c++)
		if (*c <= ' ' || *c > '~' || *c == '/')
			*c = '_';
	snprintf(h->info->version, sizeof(h->info->version), "%s", release);
}

/* What tells a mounted virtual thread, and which one. 0, or why_not. */
static int choose_fields(struct hotspot *h)
{
	if (h->field[F_OWNER_ID].found && h->field[F_CONT_ENTRY].found) {
		h->guard_off = off(h, F_CONT_ENTRY);
		h->guard_mask = ~0ull;
		h->id_off = off(h, F_OWNER_ID);
		return 0;
	}
	if (have(h, F_JFR_LOCAL, F_JFR_ID)) {
		h->guard_off = off(h, F_JFR_LOCAL) + off(h, F_JFR_VTHREAD);
		h->guard_mask = 0xff;
		h->id_off = off(h, F_JFR_LOCAL) + off(h, F_JFR_ID);
		return 0;
	}
	if (h->major && h->major < 21)
		return say(h, -ENOTSUP,
			   "this version has no virtual threads: threads are its tasks");
	return say(h, -ENOTSUP,
		   "this build does not tell where it keeps the mounted virtual thread");
}

static int read_thread(struct hotspot *h, uint64_t addr)
{
	const struct runtime_proc *p = h->proc;
	struct java_thread *t = &h->thread[h->n_threads];
	uint64_t os, size;
	int err;

	*t = (struct java_thread){.addr = addr};
	err = runtime_read_u64(p, addr + off(h, F_OSTHREAD), &os);
	if (!err)
		err = runtime_read_u64(p, os + off(h, F_PTHREAD), &t->fsbase);
	if (!err)
		err = runtime_read_u64(p, addr + off(h, F_STACK_BASE), &t->stack_high);
	if (!err)
		err = runtime_read_u64(p, addr + off(h, F_STACK_SIZE), &size);
	if (err || !t->fsbase || size > t->stack_high)
		return -EAGAIN;
	t->stack_low = t->stack_high - size;
	h->n_threads++;
	return 0;
}

/* The VM's list changes at any moment: what is half there is left out. */
static int read_threads(struct hotspot *h)
{
	uint64_t list, array[MAX_THREADS], from;
	uint32_t n;

	if (!have(h, F_LIST, F_STACK_SIZE))
		return say(h, -ENOTSUP, "this build does not tell where its threads are");
	if (runtime_read_u64(h->proc, off(h, F_LIST), &list) || !list ||
	    runtime_read(h->proc, list + off(h, F_LENGTH), &n, sizeof(n)) ||
	    runtime_read_u64(h->proc, list + off(h, F_THREADS), &from))
		return -EAGAIN;
	if (n > MAX_THREADS)
		n = MAX_THREADS;
	if (runtime_read(h->proc, from, array, n * sizeof(*array)))
		return -EAGAIN;
	for (uint32_t i = 0; i < n; i++)
		(void)read_thread(h, array[i]);
	return h->n_threads >= MIN_THREADS ? 0 : -EAGAIN;
}

/* What the chain would read: the JavaThread of the thread with that fsbase, 0 if none. */
static uint64_t walk(const struct hotspot *h, uint64_t fsbase)
{
	uint64_t at = fsbase;

	for (size_t i = 0; i < h->n_steps; i++)
		if (runtime_read_u64(h->proc, at + h->step[i], &at))
			return 0;
	return at;
}

/* Does the place hold for the threads, and for none of them something else? */
static bool place_holds(const struct hotspot *h)
{
	size_t right = 0;

	for (size_t i = 0; i < h->n_threads; i++) {
		uint64_t at = walk(h, h->thread[i].fsbase);

		if (at && at != h->thread[i].addr) /* 0: it is beginning or ending */
			return false;
		right += !!at;
	}
	return right >= MIN_THREADS;
}

/*
 * glibc keeps the values of a thread's first 32 keys in its control block: {sequence, value} each. The VM
 * keeps its thread under a key too, and this way is two reads shorter than the other. (Other words of the
 * block may hold a JavaThread by chance: the argument of its start function.)
 */
static int find_key(struct hotspot *h)
{
	h->n_steps = 1;
	for (int key = 0; key < GLIBC_KEYS; key++) {
		h->step[0] = GLIBC_KEY_BLOCK + key * 16 + 8;
		if (place_holds(h))
			return 0;
	}
	return -ENOENT;
}

/* A place in the TLS block of one module. */
static int try_block(struct hotspot *h, uint64_t block, const struct java_thread *t)
{
	uint64_t words[MAX_TLS_BLOCK / 8];
	size_t n = MAX_TLS_BLOCK;

	/* Static blocks end where the control block begins. */
	if (block < t->fsbase && t->fsbase - block < n)
		n = t->fsbase - block;
	/* A block may be the last thing before the end of a mapping. */
	while (n >= 8 && runtime_read(h->proc, block, words, n))
		n /= 2;
	for (size_t i = 0; i < n / 8; i++) {
		h->step[2] = i * 8;
		if (words[i] == t->addr && place_holds(h))
			return 0;
	}
	return -ENOENT;
}

/*
 * The vector of TLS blocks. glibc's entries are {block, to free}, musl's are blocks: each word is tried, and
 * the chain keeps its offset.
 */
static int find_tls(struct hotspot *h)
{
	h->n_steps = 3;
	h->step[0] = 8;
	for (size_t i = 0; i < h->n_threads && i < 4; i++) {
		const struct java_thread *t = &h->thread[i];
		uint64_t dtv, vector[MAX_DTV];
		size_t n = MAX_DTV;

		if (runtime_read_u64(h->proc, t->fsbase + 8, &dtv))
			continue;
		while (n && runtime_read(h->proc, dtv, vector, n * 8))
			n /= 2;
		for (size_t m = 0; m < n; m++) {
			h->step[1] = m * 8;
			if (vector[m] > 4096 && !(vector[m] & 7) && !try_block(h, vector[m], t))
				return 0;
		}
	}
	return -ENOENT;
}

/*
 * Do guard and id hold what they should in every thread? A continuation's entry lies on its thread's
 * stack; the flag is 0 or 1; the id of a thread without a virtual one is its own, and nobody else's.
 */
static int check_fields(struct hotspot *h)
{
	uint64_t ids[MAX_THREADS];
	size_t n_ids = 0;

	for (size_t i = 0; i < h->n_threads; i++) {
		const struct java_thread *t = &h->thread[i];
		uint64_t gate, id;

		if (walk(h, t->fsbase) != t->addr)
			continue;
		if (runtime_read_u64(h->proc, t->addr + h->guard_off, &gate) ||
		    runtime_read_u64(h->proc, t->addr + h->id_off, &id))
			return -EAGAIN;
		gate &= h->guard_mask;
		if (h->guard_mask == 0xff ? gate > 1
					  : gate && (gate < t->stack_low || gate >= t->stack_high))
			return -EINVAL;
		if (id >= MAX_THREAD_ID)
			return -EINVAL;
		if (gate || h->guard_mask == 0xff)
			continue;
		if (!id)
			return -EAGAIN;
		for (size_t k = 0; k < n_ids; k++)
			if (ids[k] == id)
				return -EAGAIN;
		ids[n_ids++] = id;
	}
	return 0;
}

static void make_chain(const struct hotspot *h, struct clew_task_chain *c)
{
	c->kind = CLEW_TASK_JVM;
	c->base = CLEW_CHAIN_FSBASE;
	c->id = CLEW_CHAIN_ID_WORD;
	c->n_steps = h->n_steps;
	memcpy(c->step, h->step, h->n_steps * sizeof(*h->step));
	c->id_off = h->id_off;
	c->max_id = MAX_THREAD_ID;
	c->window = h->guard_off;
	c->guard[0] = (struct clew_chain_guard){.mask = h->guard_mask, .word = 0, .differs = 1};
}

/* Ids of threads are given out from 3 up. */
static int plausible(const struct runtime_proc *p, const struct clew_task_chain *chain,
		     const uint64_t *ids, size_t n)
{
	(void)p;
	(void)chain;
	for (size_t i = 0; i < n; i++)
		if (ids[i] >= MAX_THREAD_ID)
			return -EINVAL;
	return n ? 0 : -EAGAIN;
}

static int look(struct hotspot *h, const struct runtime_map *m, const struct runtime_elf *elf)
{
	struct vm_image im;
	int err = vm_image_read(h->proc, m, &im);

	if (err)
		return err == -ENOMEM ? err : -EAGAIN;
	err = vm_fields_exported(h->proc, &im, elf, rows, N_ROWS(rows), h->field);
	if (!err && !h->field[F_OWNER_ID].found)
		vm_fields_hidden(&im, hidden_rows, N_ROWS(hidden_rows), h->field);
	if (!err) {
		/* In this order: where its threads are, its heap is. */
		h->no_threads = read_threads(h);
		(void)hotspot_heap_find(h->proc, &im, elf, &h->heap, &h->no_heap);
	}
	vm_image_done(&im);
	if (err == -EAGAIN)
		return err;
	if (err) {
		snprintf(h->info->name, sizeof(h->info->name), "jvm");
		return say(h, err,
			   "its libjvm has no table of fields: not HotSpot, or one made smaller");
	}
	read_version(h);
	err = choose_fields(h);
	if (!err)
		err = h->no_threads;
	if (!err)
		err = find_key(h);
	if (err == -ENOENT)
		err = find_tls(h);
	if (err == -ENOENT)
		err = say(h, -EAGAIN, "its threads' local storage was not found");
	if (!err)
		err = check_fields(h);
	return err == -EINVAL ? say(h, err, "its threads do not look as this version's should")
			      : err;
}

/* What its threads make: for those that stand for themselves. A JVM that has just begun has too few of them. */
static void add_heap(struct hotspot *h)
{
	struct clew_task_chain *c = &h->info->chain;

	if (!h->heap.bytes)
		return;
	h->info->more = true;
	h->no_heap = "its threads do not look as this version's should";
	if (h->n_steps != 1 ||
	    hotspot_heap_check(h->proc, h->thread, h->n_threads, h->step[0], &h->heap))
		return;
	h->no_heap = NULL;
	h->info->more = false;
	c->heap = h->heap;
}

/* Threads are its tasks: a chain that finds none, for what else is read of them. */
static void without_tasks(struct hotspot *h)
{
	struct clew_task_chain *c = &h->info->chain;

	/* One that has just begun may have no heap yet, either, and not know its collector. */
	h->info->more = h->heap.bytes || h->no_threads == -EAGAIN;
	if (!h->heap.bytes || h->no_threads || find_key(h))
		return;
	add_heap(h);
	if (!c->heap.bytes)
		return;
	c->kind = CLEW_TASK_JVM;
	c->base = CLEW_CHAIN_FSBASE;
	c->only_tid = UINT32_MAX;
	snprintf(h->info->task, sizeof(h->info->task), "thread");
}

static void tell_heap(const struct hotspot *h)
{
	const char *why = h->no_heap ? h->no_heap : "its threads were not found";

	if (h->no_threads == -EAGAIN)
		why = "it has hardly a thread yet";
	if (h->info->chain.heap.bytes)
		log_debug("process %u: what its threads make is read", h->proc->tgid);
	else
		log_debug("process %u: what its threads make is not read: %s", h->proc->tgid, why);
}

static int agent_renew(void *agent)
{
	return java_agent_renew(agent);
}

static void agent_done(void *agent)
{
	java_agent_detach(agent);
}

/* Without it the process stays as it was found, and why_not says why. */
static int with_agent(struct hotspot *h)
{
	struct runtime_info *info = h->info;
	struct clew_task_chain *c = &info->chain;
	struct java_agent *agent;
	int32_t cell;
	int err = java_agent_attach(h->proc, info, &agent, &cell);

	if (err)
		return err == -EAGAIN ? err : 0;
	if (c->kind) {
		c->cell = cell;
	} else {
		c->kind = CLEW_TASK_AGENT;
		c->base = CLEW_CHAIN_FSBASE;
		c->id = CLEW_CHAIN_ID_WORD;
		c->n_steps = 1;
		c->step[0] = cell;
	}
	info->why_not[0] = 0;
	snprintf(info->task, sizeof(info->task), "%s",
		 h->guard_mask ? "virtual thread, work" : "work");
	info->agent = agent;
	info->agent_renew = agent_renew;
	info->agent_done = agent_done;
	info->agent_renew_ns = JAVA_AGENT_RENEW_NS;
	return 0;
}

int runtime_detect_hotspot(const struct runtime_proc *p, struct runtime_info *ret)
{
	const struct runtime_map *m = runtime_map_named(p, "libjvm.so");
	_cleanup_(runtime_elf_closep) struct runtime_elf *elf = NULL;
	struct hotspot h = {.proc = p, .info = ret};
	int err;

	if (!m)
		return -ENOENT;
	snprintf(ret->name, sizeof(ret->name), "hotspot");
	err = runtime_elf_open(p, m, &elf);
	if (err)
		return say(&h, err == -ENOENT ? -EIO : err,
			   "its libjvm.so cannot be read any more");
	err = look(&h, m, elf);
	if (err == -ENOTSUP || err == -EINVAL || err == -ENOENT || err == -EBADMSG) {
		if (h.field[F_LIST].found && p->opts->agents & CLEW_AGENT_JAVA)
			return with_agent(&h);
		if (err == -ENOTSUP)
			without_tasks(&h);
		tell_heap(&h);
		return 0;
	}
	if (err)
		return err;
	ret->why_not[0] = 0;
	snprintf(ret->task, sizeof(ret->task), "virtual thread");
	make_chain(&h, &ret->chain);
	ret->plausible = plausible;
	if (p->opts->agents & CLEW_AGENT_JAVA)
		return with_agent(&h);
	add_heap(&h);
	tell_heap(&h);
	return 0;
}
