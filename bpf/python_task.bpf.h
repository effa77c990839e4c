/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * For which task a thread of CPython sends, where the context that it has entered does not say it.
 *
 * uvloop	What a task writes is put into a queue. The loop sends for all of them, from a context of its
 *		own. It adds the transport to a set each time, with PySet_Add: there the task is still entered.
 * greenlets	gevent and eventlet enter no context. The extension keeps the greenlet that runs in a
 *		thread-local variable.
 * workers	A thread that runs what another thread's task handed to it and waits for. The future is in a
 *		frame near the bottom of the thread's stack, and knows whom it will wake:
 *
 *	   thread's stack of frames ─► run() ─► work item ─► future ─► callback ─► the loop's future
 *	      (_bootstrap, _worker, ...)  │						   │
 *	                         anyio    └────────────► the loop's future ◄───────────────┘
 *	                                                   │ who is woken by it: {task's wakeup, Context}
 *
 * Each of these pointers may be anything: what counts is that the last one leads to an object of type Context,
 * next to a function in C (a task's wakeup; whoever waits through gather() or wait_for() has others).
 *
 * futures	A future that no task waits for (submit(), result()) has a lock of its own, made when it was: a
 *		probe on sem_init notes by whom. So the work has a number, and is told to be given by that one.
 */
#pragma once

#define UV_NAMED_PIPE 7
#define UV_TCP	      12

#define UVLOOP_HANDLE 24  /* UVHandle._handle: behind the object's head and Cython's table */
#define UV_STREAM_FD  184 /* uv_stream_t.io_watcher.fd; libuv 1.x on x86-64 */

#define PY_TYPE	     8	/* PyObject */
#define PY_ITEMS     24 /* PyTupleObject.ob_item[]; PyListObject.ob_item, a pointer */
#define PY_LENGTH    16 /* PyUnicodeObject, PyListObject */
#define PY_CELL	     16 /* PyCellObject.ob_ref */
#define RLOCK_LOCK   16 /* rlockobject.rlock_lock: a sem_t of its own */
#define FUT_CALLBACK 24 /* FutureObj of _asyncio: fut_callback0, fut_context0, fut_callbacks */
#define FUT_MORE     40
#define MANAGED_DICT 24 /* in front of an instance: its dict */
#define DICT_KEYS    32 /* PyDictObject: ma_keys, ma_values */
#define DICT_VALUES  40
#define KEYS_SHAPE   8 /* PyDictKeysObject: dk_log2_size, dk_log2_index_bytes, dk_kind */
#define KEYS_INDEX   32
#define INLINE_VALID (0xffull << 24) /* 3.13: the valid byte in front of the values */
#define CHUNK_FRAMES 32		     /* _PyStackChunk.data[1], where the first one's frames begin */
#define CHUNKS	     4
#define WORKER_DEPTH 8 /* frames from the bottom that may be a worker's run() */
#define OFTEN	     256

/* Who put what is sent next on a connection into uvloop's queue. By socket cookie; the oldest go. */
struct python_queued {
	__u64 task;
	__u64 tasks; /* 0: nothing is queued; 1: task alone; 2: several, or nobody knows */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, struct python_queued);
} python_queue SEC(".maps");

/* Who made a lock, and when. By its address; the oldest go. */
struct python_lock {
	__u64 at;
	__u64 start_ns; /* of the process */
};

struct python_maker {
	__u64 work; /* its number, if it is a future's: CLEW_TASK() */
	__u64 task;
	__u64 ns;
	__u32 tid;
	__u32 told;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct python_lock);
	__type(value, struct python_maker);
} python_makers SEC(".maps");
__u64 python_works;

static __always_inline bool python_word(__u64 *ret, __u64 at)
{
	return !bpf_probe_read_user(ret, sizeof(*ret), (void *)at) && *ret;
}

/* The greenlet that runs; 0: the thread's main one, or there are none. */
__noinline __u64 python_greenlet(struct clew_task_chain *c)
{
	struct task_struct *t = bpf_get_current_task_btf();
	__u64 at = t->thread.fsbase, now[2]; /* ThreadState: main_greenlet, current_greenlet */

	if (!c)
		return 0;
	barrier_var(at); /* one load of the pointer would be refused */
	if (!python_word(&at, at + 8) || !python_word(&at, at + c->python.green_dtv) ||
	    !python_word(&at, at + c->python.green_tls) ||
	    bpf_probe_read_user(now, sizeof(now), (void *)at) || !now[1] || now[0] == now[1])
		return 0;
	return CLEW_TASK(CLEW_TASK_GREENLET, now[1]);
}

/* The frames of this thread: where they begin and end. False: it has none. */
static __always_inline bool python_frames(struct clew_task_chain *c, __u64 *ret_first,
					  __u64 *ret_top)
{
	struct task_struct *t = bpf_get_current_task_btf();
	__u64 at = t->thread.fsbase, words[2], before = 0; /* datastack_chunk, datastack_top */

	barrier_var(at);
	for (__u32 i = 0; i < 2; i++)
		if (i + 1 < c->n_steps && !python_word(&at, at + c->step[i]))
			return false;
	if (bpf_probe_read_user(words, sizeof(words), (void *)(at + c->python.stack)) || !words[0])
		return false;
	for (__u32 i = 0; i < CHUNKS && python_word(&before, words[0]); i++) {
		words[0] = before;
		words[1] = ~0ull;
		before = 0;
	}
	*ret_first = words[0] + CHUNK_FRAMES;
	*ret_top = words[1];
	return true;
}

/* Is this the code of a function whose frame leads to a future? -1: no. */
static __always_inline int python_worker_kind(struct clew_task_chain *c, __u64 code)
{
	__u64 name, length, text[2];

	if (!python_word(&name, code + c->python.code_name) ||
	    !python_word(&length, name + PY_LENGTH) || (length != 13 && length != 16) ||
	    bpf_probe_read_user(text, sizeof(text), (void *)(name + c->python.text)))
		return -1;
	if (length == 13 && !__builtin_memcmp(text, "_WorkItem.run", 13))
		return CLEW_PYTHON_WORK_ITEM;
	if (length == 16 && !__builtin_memcmp(text, "WorkerThread.run", 16))
		return CLEW_PYTHON_ANYIO;
	return -1;
}

/* Searches the frames at the bottom of a thread for a worker's. */
__noinline int python_find_worker(struct clew_task_chain *c, __u64 first, __u64 top)
{
	__u64 at = first, code;
	__u32 size = 0, more = 0;

	if (!c)
		return 0;
	for (__u32 i = 0; i < WORKER_DEPTH; i++) {
		int kind;

		if (at + c->python.frame_locals > top ||
		    !python_word(&code, at + c->python.frame_code))
			break;
		kind = python_worker_kind(c, code);
		if (kind >= 0) {
			struct clew_python_worker *w = &c->python.worker[kind & 1];

			w->at = at - first;
			w->code = code;
			return 1;
		}
		if (bpf_probe_read_user(&size, sizeof(size), (void *)(code + c->python.code_size)))
			break;
		if (c->python.code_more &&
		    bpf_probe_read_user(&more, sizeof(more), (void *)(code + c->python.code_more)))
			break;
		at += ((__u64)size + more) * 8 + c->python.code_header;
	}
	return 0;
}

/* ... where the instance has a dict: its values, or its keys' entries, in the order in which they were set. */
static __always_inline __u64 python_dict_value(struct clew_task_chain *c, __u64 object, __u32 n)
{
	__u64 dict, keys, values = 0, ret;
	__u8 shape
		[4]; /* of the keys: logarithms of their size and of their index's bytes, their kind */

	if (!python_word(&dict, object - MANAGED_DICT) || !python_word(&keys, dict + DICT_KEYS))
		return 0;
	if (python_word(&values, dict + DICT_VALUES))
		return python_word(&ret, values + (c->python.minor >= 13 ? 8 : 0) + 8 * n) ? ret
											   : 0;
	if (bpf_probe_read_user(shape, sizeof(shape), (void *)(keys + KEYS_SHAPE)))
		return 0;
	keys += KEYS_INDEX + (1ull << (shape[1] & 31));
	/* {hash, key, value}; strings as keys: {key, value} */
	keys += shape[2] ? 16 * n + 8 : 24 * n + 16;
	return python_word(&ret, keys) ? ret : 0;
}

/*
 * The n-th attribute that a class's __init__ sets. Most instances have an array of them beside the object, but not
 * those of classes of which many instances were made at once at the beginning.
 */
__noinline __u64 python_attribute(struct clew_task_chain *c, __u64 object, __u32 n)
{
	__u64 word = 0, ret;

	if (!c || bpf_probe_read_user(&word, sizeof(word), (void *)(object + c->python.values)))
		return 0;
	if (c->python.minor == 11 && word)
		word += 8 * n;
	else if (c->python.minor == 12 && word & 1)
		word += 1 + 8 * n;
	else if (c->python.minor >= 13 && word & INLINE_VALID)
		word = object + c->python.values + 8 + 8 * n;
	else
		return python_dict_value(c, object, n);
	return python_word(&ret, word) ? ret : 0;
}

/*
 * A concurrent.futures work item whose future is chained to one of asyncio (run_in_executor(), wrap_future()):
 * _done_callbacks[0] is a function of _chain_future() that knows the latter.
 */
static __always_inline bool python_chained(struct clew_task_chain *c, __u64 *at)
{
	*at = python_attribute(c, *at, 5); /* Future._done_callbacks */
	return *at && python_word(at, *at + PY_ITEMS) && python_word(at, *at) &&
	       python_word(at, *at + c->python.closure) &&
	       python_word(at,
			   *at + PY_ITEMS + 8 * 2) && /* destination: they stand by their names */
	       python_word(at, *at + PY_CELL);
}

/* {callback, Context}: is it a task that waits? Its context. */
static __always_inline __u64 python_waiter(struct clew_task_chain *c, const __u64 *pair)
{
	__u64 type;

	if (!pair[0] || !pair[1] || !python_word(&type, pair[0] + PY_TYPE) ||
	    type != c->python.function_type || !python_word(&type, pair[1] + PY_TYPE) ||
	    type != c->guard[0].value)
		return 0;
	return CLEW_TASK(CLEW_TASK_PYTHON, pair[1]);
}

/* The task that waits for asyncio's future: the first that was added, or the one after. */
static __always_inline __u64 python_waits_for(struct clew_task_chain *c, __u64 future)
{
	__u64 pair[2], at, task;

	if (bpf_probe_read_user(pair, sizeof(pair), (void *)(future + FUT_CALLBACK)))
		return 0;
	task = python_waiter(c, pair);
	if (task)
		return task;
	if (!python_word(&at, future + FUT_MORE) || !python_word(&at, at + PY_ITEMS) ||
	    !python_word(&at, at) ||
	    bpf_probe_read_user(pair, sizeof(pair), (void *)(at + PY_ITEMS)))
		return 0;
	return python_waiter(c, pair);
}

/* The work whose future this is, by the future's lock. */
static __noinline struct python_maker *python_maker_of(struct clew_task_chain *c, __u64 future)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct python_lock key = {.start_ns = t->group_leader->start_time};

	key.at = python_attribute(c, future, 0); /* Future._condition */
	if (key.at)
		key.at = python_attribute(c, key.at, 0); /* Condition._lock */
	if (!key.at || !python_word(&key.at, key.at + RLOCK_LOCK))
		return NULL;
	return bpf_map_lookup_elem(&python_makers, &key);
}

/* Its number; tells who gave it. */
static __always_inline __u64 python_work(struct clew_task_chain *c, __u64 future)
{
	struct python_maker *m = python_maker_of(c, future);

	if (!m)
		return 0;
	if (!m->told) {
		m->told = 1;
		tell_task_by(m->tid, m->task, m->work, m->ns, 0);
	}
	return m->work;
}

static __always_inline __u64 python_item(struct clew_task_chain *c, __u64 item)
{
	__u64 future = python_attribute(c, item, 0), at, task = 0; /* _WorkItem.future */

	if (!future)
		return 0;
	at = future;
	if (python_chained(c, &at))
		task = python_waits_for(c, at);
	return task || !c->python.makers ? task : python_work(c, future);
}

/* The task that waits for what this worker thread does, or its work's number; 0: neither. */
__noinline __u64 python_awaited(struct clew_task_chain *c)
{
	__u64 first = 0, top = 0, code, at;

	if (!c || !python_frames(c, &first, &top))
		return 0;
	for (__u32 kind = 0; kind < CLEW_PYTHON_WORKERS; kind++) {
		const struct clew_python_worker *w = &c->python.worker[kind];

		at = first + w->at;
		if (!w->code || at + c->python.frame_locals >= top ||
		    !python_word(&code, at + c->python.frame_code) || code != w->code)
			continue;
		/* _WorkItem.run(self); in anyio's WorkerThread.run(self): item, context, func, args, future */
		at += c->python.frame_locals + (kind == CLEW_PYTHON_ANYIO ? 8 * 5 : 0);
		if (!python_word(&at, at))
			return 0;
		return kind == CLEW_PYTHON_ANYIO ? python_waits_for(c, at) : python_item(c, at);
	}
	/* Other threads are not searched for ever. */
	if (c->python.looks++ < OFTEN || !(c->python.looks % OFTEN))
		python_find_worker(c, first, top);
	return 0;
}

/* Who queued what is sent now; own: whose context sends it. */
static __always_inline __u64 python_queued_by(__u64 cookie, __u64 own)
{
	struct python_queued *q = bpf_map_lookup_elem(&python_queue, &cookie);
	__u64 task;

	if (!q || !q->tasks)
		return own; /* much at once is sent at once, by the task itself */
	task = q->tasks == 1 ? q->task : 0;
	q->tasks = 0;
	return task;
}

/* A thread sends n bytes, or reads, or connects. own: the context that it has entered. */
static __always_inline __u64 python_task(struct clew_sock_state *st, struct clew_task_chain *c,
					 struct task_struct *t, __u64 own, __u32 n, bool tx)
{
	__u64 task;

	if (c->python.stack && t->pid != t->tgid) {
		/* A worker reads where it has just written. */
		if (tx)
			task = python_awaited(c);
		else
			task = st->task_tid == (__u32)t->pid ? st->task : 0;
		st->task_tid = task ? t->pid : 0;
		if (tx && CLEW_TASK_KIND(task) == CLEW_TASK_PYTHON)
			st->waited = CLEW_IO_AWAITED;
		if (task)
			return task;
	}
	if (tx && n && c->python.queues)
		own = python_queued_by(st->cookie, own);
	if (!own && c->python.green_dtv)
		own = python_greenlet(c);
	return own;
}

/* PySet_Add(set, key): the key is a stream of uvloop, whose data its handle has. */
SEC("uprobe")
int on_python_set_add(struct pt_regs *regs)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct python_queued first = {.tasks = 1}, *q;
	struct clew_task_chain *c;
	__u64 handle, words[3], cookie; /* uv_handle_t: data, loop, type */
	__u32 slot = 0, fd = 0;

	/* Other things are added to sets, too: a read that fails costs more than one that does not. */
	if (!python_word(&handle, regs->si + UVLOOP_HANDLE) || handle & 7 || handle >> 47 ||
	    handle < 65536 || bpf_probe_read_user(words, sizeof(words), (void *)handle) ||
	    words[0] != regs->si ||
	    ((__u32)words[2] != UV_TCP && (__u32)words[2] != UV_NAMED_PIPE) ||
	    bpf_probe_read_user(&fd, sizeof(fd), (void *)(handle + UV_STREAM_FD)))
		return 0;
	c = chain_by_tgid(t, &slot);
	cookie = c && c->state == CLEW_CHAIN_TRUSTED && c->python.queues ? fd_cookie(t, fd) : 0;
	if (!cookie)
		return 0;
	first.task = chain_task(c, t);
	q = bpf_map_lookup_elem(&python_queue, &cookie);
	if (!q)
		bpf_map_update_elem(&python_queue, &cookie, &first, BPF_ANY);
	else if (!q->tasks)
		*q = first;
	else if (q->task != first.task)
		q->tasks = 2;
	return 0;
}

/* sem_init(lock, ...): a lock of Python's is made. */
SEC("uprobe")
int on_python_lock(struct pt_regs *regs)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct python_lock key = {.at = regs->di, .start_ns = t->group_leader->start_time};
	struct python_maker m = {.ns = bpf_ktime_get_ns(), .tid = t->pid};
	struct clew_task_chain *c;
	__u32 slot = 0;

	c = chain_by_tgid(t, &slot);
	if (!c || c->state != CLEW_CHAIN_TRUSTED || !c->python.makers)
		return 0;
	m.work = CLEW_TASK(CLEW_TASK_WORK, __sync_fetch_and_add(&python_works, 1) + 1);
	m.task = chain_task(c, t);
	if (!m.task && c->python.green_dtv)
		m.task = python_greenlet(c);
	bpf_map_update_elem(&python_makers, &key, &m, BPF_ANY);
	return 0;
}
