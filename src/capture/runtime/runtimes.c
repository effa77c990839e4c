/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that finds runtimes: processes that come and go, their finders, the self-test. What it
 * keeps is in state.h.
 */
#include <stdio.h>
#include <utlist.h>

#include "base/log.h"
#include "capture/runtime/hotspot_moved.h"
#include "capture/runtime/runtimes.h"
#include "capture/runtime/state.h"
#include "clew.skel.h"

#define ROUND_NS    (10 * MS)	 /* at most one round in this time */
#define SWEEP_NS    (10000 * MS) /* ends of processes that were not told */
#define CHECK_FIRST (20 * MS)
#define CHECK_SOON  (10 * MS)
#define CHECK_IDLE  (80 * MS)
#define CHECK_LAST  (30000 * MS)

/* Who may have begun a moment ago is looked at then, and again: after this time each. */
static const uint64_t tries_ns[] = {10 * MS, 50 * MS, 250 * MS, 1000 * MS, 5000 * MS};
#define TRIES (sizeof(tries_ns) / sizeof(*tries_ns))
/* A runtime that is known may load more: looked for then. */
static const uint64_t later_ns[] = {250 * MS,  500 * MS,  1000 * MS,  2000 * MS,
				    4000 * MS, 8000 * MS, 30000 * MS, 120000 * MS};
#define LATER (sizeof(later_ns) / sizeof(*later_ns))

/* The first that knows the process has it. */
static const struct {
	const char *name;
	runtime_detect_fn detect;
} finders[] = {
	{"go", runtime_detect_go},	 {"cpython", runtime_detect_cpython},
	{"nodejs", runtime_detect_node}, {"jvm", runtime_detect_hotspot},
	{"tokio", runtime_detect_tokio},
};

/* Processes */

static void proc_idle(struct runtimes *r, struct proc *p)
{
	if (p->active)
		DL_DELETE(r->active, p);
	p->active = false;
}

static void proc_wait(struct runtimes *r, struct proc *p, uint64_t until_ns)
{
	if (!p->active)
		DL_APPEND(r->active, p);
	p->active = true;
	p->next_ns = until_ns;
}

static void proc_reset(struct runtimes *r, struct proc *p)
{
	proc_idle(r, p);
	chain_remove(r, p);
	probes_detach(p);
	agents_done(p);
	free(p->info);
	p->info = NULL;
	p->tries = 0;
	p->later = 0;
}

static void proc_forget(struct runtimes *r, struct proc *p)
{
	proc_reset(r, p);
	HASH_DEL(r->procs, p);
	free(p);
}

static struct proc *proc_find(struct runtimes *r, uint32_t tgid)
{
	struct proc *p;

	HASH_FIND(hh, r->procs, &tgid, sizeof(tgid), p);
	return p;
}

/* The text of CLEW_TAG_RUNTIME. */
static void describe(const struct runtime_info *info, bool has_task, char *ret, size_t size)
{
	snprintf(ret, size, "%s/%s/%s", info->name, info->version[0] ? info->version : "unknown",
		 has_task ? info->task : "thread");
}

void runtime_emit(struct runtimes *r, struct proc *p)
{
	char text[128];
	int err;

	describe(p->info, p->slot, text, sizeof(text));
	log_debug("process %u (%s) runs %s%s%s", p->tgid, r->data->exe, text,
		  p->info->why_not[0] ? ": " : "", p->info->why_not);
	err = procinfo_record(&p->t, text, &r->scratch);
	if (err)
		return;
	pthread_mutex_lock(&r->lock);
	err = clew_buf_add(&r->out, r->scratch.data, r->scratch.len);
	pthread_mutex_unlock(&r->lock);
	if (err)
		atomic_fetch_add(&r->dropped, 1);
}

static void look_later(struct runtimes *r, struct proc *p)
{
	uint64_t now = clew_mono_ns();

	while (p->later < LATER && p->born_ns + later_ns[p->later] <= now)
		p->later++;
	if (p->info->more && p->later < LATER)
		proc_wait(r, p, p->born_ns + later_ns[p->later]);
}

/* p->info was filled in: put it to use. */
static void proc_found(struct runtimes *r, struct proc *p)
{
	struct runtime_info *info = p->info;
	int err = 0;

	atomic_fetch_add(&r->found, 1);
	p->tries = TRIES;
	proc_idle(r, p);
	if (info->chain.kind)
		err = chain_install(r, p);
	if (err) {
		atomic_fetch_add(&r->dropped, 1);
		snprintf(info->why_not, sizeof(info->why_not), "no room for its chain: %s",
			 strerror(-err));
	}
	if (p->slot) {
		atomic_fetch_add(&r->tasks, 1);
		if (!r->opts.no_probes)
			probes_attach(r, p);
		if (info->plausible) {
			p->check_ns = CHECK_FIRST;
			proc_wait(r, p, clew_mono_ns() + p->check_ns);
		}
	}
	if (!p->active)
		look_later(r, p);
	agents_found(r, p);
	runtime_emit(r, p);
}

/* A fork of a process that is known runs the same image. */
static bool proc_inherit(struct runtimes *r, struct proc *p)
{
	struct proc *parent = proc_find(r, p->t.ptgid);

	if (p->t.event != CLEW_THREAD_FORK || !parent || parent->tries < TRIES ||
	    parent->image != p->image)
		return false;
	p->tries = TRIES;
	if (!parent->info) {
		proc_idle(r, p);
		return true;
	}
	p->info = malloc(sizeof(*p->info));
	if (!p->info)
		return false;
	*p->info = *parent->info;
	if (parent->info->agent || (parent->info->chain.kind && !parent->slot))
		p->info->chain.kind = 0; /* the agent is the parent's, or it was distrusted */
	p->info->agent = NULL;
	proc_found(r, p);
	return true;
}

static int ask_finders(struct runtimes *r, struct runtime_info *info)
{
	struct runtime_proc *proc = &r->data->proc;
	int err = -ENOENT;

	for (size_t i = 0; err == -ENOENT && i < sizeof(finders) / sizeof(*finders); i++) {
		memset(info, 0, sizeof(*info));
		err = finders[i].detect(proc, info);
		if (err != -ENOENT && !info->name[0])
			snprintf(info->name, sizeof(info->name), "%s", finders[i].name);
	}
	return err;
}

static void proc_try(struct runtimes *r, struct proc *p)
{
	_cleanup_(freep) struct runtime_info *info = NULL;
	struct runtime_proc *proc = &r->data->proc;
	int err = runtime_proc_init(r->data, p->tgid, p->t.proc_start_ns);

	proc->capture = r->capture;
	proc->opts = &r->opts;
	p->tries++;
	if (err) {
		/* Between fork and end, or not ours to look at. */
		p->tries = TRIES;
		proc_idle(r, p);
		return;
	}
	p->image = proc->image;
	if (proc_inherit(r, p))
		return;
	info = calloc(1, sizeof(*info));
	if (!info)
		return;
	err = ask_finders(r, info);
	if (runtime_image(p->tgid) != p->image) {
		/* exec() came in between, and its record will follow. */
		proc_idle(r, p);
		return;
	}
	if ((err == -ENOENT || err == -EAGAIN) && p->tries < TRIES) {
		proc_wait(r, p, p->born_ns + tries_ns[p->tries]);
		return;
	}
	proc_idle(r, p);
	if (err == -ENOENT)
		return;
	if (err) {
		info->chain.kind = 0;
		if (!info->why_not[0])
			snprintf(info->why_not, sizeof(info->why_not), "cannot be read: %s",
				 strerror(-err));
	}
	p->info = clew_steal(info);
	proc_found(r, p);
}

static bool is_same(const struct runtime_info *a, const struct runtime_info *b)
{
	return a->n_probes == b->n_probes &&
	       !memcmp(&a->chain.python, &b->chain.python, sizeof(a->chain.python)) &&
	       !memcmp(&a->chain.heap, &b->chain.heap, sizeof(a->chain.heap));
}

/* What it has loaded since may add to what was found. */
static void proc_again(struct runtimes *r, struct proc *p)
{
	_cleanup_(freep) struct runtime_info *info = calloc(1, sizeof(*info));
	struct runtime_proc *proc = &r->data->proc;
	int err = runtime_proc_init(r->data, p->tgid, p->t.proc_start_ns);

	proc->capture = r->capture;
	proc->opts = &r->opts;
	proc_idle(r, p);
	if (!info || err || proc->image != p->image)
		return;
	err = ask_finders(r, info);
	if (err || is_same(info, p->info)) {
		look_later(r, p);
		return;
	}
	if (p->slot)
		atomic_fetch_sub(&r->tasks, 1);
	chain_remove(r, p);
	probes_detach(p);
	free(p->info);
	p->info = clew_steal(info);
	atomic_fetch_sub(&r->found, 1);
	proc_found(r, p);
}

/* Until it is trusted, records name no task: once there are samples, it is not long before there are enough. */
static void wait_for_samples(struct runtimes *r, struct proc *p, uint32_t n_samples)
{
	if (n_samples)
		p->check_ns = CHECK_SOON;
	else if (p->check_ns < CHECK_IDLE)
		p->check_ns *= 2;
	proc_wait(r, p, clew_mono_ns() + p->check_ns);
}

/* The self-test: what the hooks have read since the last look. */
static void proc_check(struct runtimes *r, struct proc *p)
{
	struct clew_task_chain chain;
	uint64_t ids[CLEW_CHAIN_SAMPLES];
	uint32_t n;
	int err = chain_read(r, p, &chain);

	if (!err && !p->trusted && chain.n_samples < p->info->learn) {
		wait_for_samples(r, p, chain.n_samples);
		return;
	}
	err = runtime_proc_init(r->data, p->tgid, p->t.proc_start_ns);
	r->data->proc.capture = r->capture;
	r->data->proc.opts = &r->opts;
	if (err || r->data->proc.image != p->image || chain_read(r, p, &chain)) {
		proc_idle(r, p);
		return;
	}
	n = chain.n_samples - p->checked;
	n = n < CLEW_CHAIN_SAMPLES ? n : CLEW_CHAIN_SAMPLES;
	for (uint32_t i = 0; i < n; i++)
		ids[i] = chain.samples[(chain.n_samples - 1 - i) & (CLEW_CHAIN_SAMPLES - 1)];
	err = n ? p->info->plausible(&r->data->proc, &chain, ids, n) : -EAGAIN;
	if (err && err != -EAGAIN) {
		atomic_fetch_add(&r->distrusted, 1);
		snprintf(p->info->why_not, sizeof(p->info->why_not),
			 "the self-test failed: what was read is no %s", p->info->task);
		proc_idle(r, p);
		chain_remove(r, p);
		probes_detach(p);
		runtime_emit(r, p);
		return;
	}
	if (!err)
		p->checked = chain.n_samples;
	if (!err && !p->trusted && chain.n_samples >= p->info->learn) {
		chain.state = CLEW_CHAIN_TRUSTED;
		chain_write(r, p, &chain);
		p->trusted = true;
	}
	if (p->trusted && p->checked >= 1024) {
		proc_idle(r, p);
		return;
	}
	p->check_ns = p->check_ns * 2 < CHECK_LAST ? p->check_ns * 2 : CHECK_LAST;
	if (!p->trusted && p->check_ns > 500 * MS)
		p->check_ns = 500 * MS;
	proc_wait(r, p, clew_mono_ns() + p->check_ns);
}

/* A process's objects were moved: where to is told at once, as the room is soon filled again. */
static void take_moved(struct runtimes *r, const struct moved_rooms *rooms)
{
	struct proc *p = proc_find(r, rooms->tgid);
	const struct runtime_proc proc = {.tgid = rooms->tgid, .start_ns = rooms->proc_start_ns};
	uint32_t unread = 0;
	int err;

	if (!p || !p->info || !p->info->chain.heap.bytes ||
	    p->t.proc_start_ns != rooms->proc_start_ns)
		return;
	clew_buf_clear(&r->scratch);
	err = moved_find(&proc, &p->info->chain.heap, rooms, &r->scratch, &unread);
	atomic_fetch_add(&r->rooms_unread, unread);
	if (!err) {
		pthread_mutex_lock(&r->lock);
		err = clew_buf_add(&r->out, r->scratch.data, r->scratch.len);
		pthread_mutex_unlock(&r->lock);
	}
	if (err) {
		log_debug("process %u: where its collection moved objects is not known: %s",
			  p->tgid, strerror(-err));
		atomic_fetch_add(&r->dropped, 1);
	}
}

static struct proc *proc_add(struct runtimes *r, uint32_t tgid)
{
	struct proc *p = HASH_COUNT(r->procs) < RUNTIME_MAX_PROCS ? calloc(1, sizeof(*p)) : NULL;

	if (!p)
		return NULL;
	p->tgid = tgid;
	HASH_ADD(hh, r->procs, tgid, sizeof(p->tgid), p);
	if (!p->hh.tbl) {
		free(p);
		return NULL;
	}
	return p;
}

static void take_event(struct runtimes *r, const struct clew_rec_thread *t)
{
	struct proc *p = proc_find(r, t->tgid);
	uint64_t now = clew_mono_ns();

	if (t->event == CLEW_THREAD_EXIT) {
		if (p)
			proc_forget(r, p);
		return;
	}
	if (p) {
		proc_reset(r, p);
	} else if (!(p = proc_add(r, t->tgid))) {
		atomic_fetch_add(&r->dropped, 1);
		return;
	}
	p->t = *t;
	p->t.hdr_bytes = sizeof(p->t);
	p->t.tail_len = 0;
	p->born_ns = now;
	proc_wait(r, p, t->event == CLEW_THREAD_SEEN ? now : now + tries_ns[0]);
}

static void sweep(struct runtimes *r)
{
	struct proc *p, *next;

	HASH_ITER (hh, r->procs, p, next) {
		if (!p->active && runtime_image(p->tgid) != p->image)
			proc_forget(r, p);
	}
}

/* One round; returns when the next one is due. */
static uint64_t round_of(struct runtimes *r, struct event *events)
{
	uint64_t now = clew_mono_ns(), due;
	struct event *next;
	struct proc *p, *tmp;

	for (; events; events = next) {
		next = events->next;
		if (events->moved)
			take_moved(r, events->moved);
		else
			take_event(r, &events->t);
		event_free(events);
	}
	if (now >= r->next_sweep_ns) {
		sweep(r);
		r->next_sweep_ns = now + SWEEP_NS;
	}
	DL_FOREACH_SAFE(r->active, p, tmp)
	{
		if (p->next_ns > now)
			continue;
		if (p->info && p->info->plausible)
			proc_check(r, p);
		else if (p->info)
			proc_again(r, p);
		else
			proc_try(r, p);
		/* That may have attached an agent, which takes long. */
		if (r->opts.agents)
			agents_renew(r, clew_mono_ns());
	}
	due = r->opts.agents ? agents_renew(r, now) : UINT64_MAX;
	due = r->next_sweep_ns < due ? r->next_sweep_ns : due;
	DL_FOREACH (r->active, p) {
		due = p->next_ns < due ? p->next_ns : due;
	}
	return due;
}

static bool is_busy(struct runtimes *r)
{
	struct proc *p;

	DL_FOREACH (r->active, p) {
		if (!p->tries)
			return true;
	}
	return false;
}

static void *find_all(void *user)
{
	struct runtimes *r = user;
	uint64_t due = 0;
	bool busy;

	pthread_mutex_lock(&r->lock);
	while (!r->stop) {
		const struct timespec pause = {.tv_nsec = ROUND_NS};
		struct timespec until = {.tv_sec = due / 1000000000, .tv_nsec = due % 1000000000};
		struct event *events;

		if (!r->inbox && due > clew_mono_ns()) {
			pthread_cond_timedwait(&r->more, &r->lock, &until);
			continue;
		}
		events = r->inbox;
		r->inbox = NULL;
		r->inbox_end = &r->inbox;
		r->n_inbox = 0;
		r->busy = true;
		pthread_mutex_unlock(&r->lock);
		due = round_of(r, events);
		busy = is_busy(r);
		nanosleep(&pause, NULL);
		pthread_mutex_lock(&r->lock);
		r->busy = busy;
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

/* Beginning and end */

static void init_sync(struct runtimes *r)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&r->more, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&r->lock, NULL);
}

int runtimes_new(struct clew_capture *c, const struct clew_runtime_opts *opts,
		 struct runtimes **ret)
{
	struct runtimes *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return -ENOMEM;
	r->data = calloc(1, sizeof(*r->data));
	if (!r->data) {
		free(r);
		return -ENOMEM;
	}
	r->capture = c;
	r->opts = *opts;
	r->inbox_end = &r->inbox;
	r->next_sweep_ns = clew_mono_ns() + SWEEP_NS;
	clew_buf_init(&r->out, RUNTIME_OUT_BYTES);
	clew_buf_init(&r->scratch, 1 << 20);
	clew_buf_init(&r->data->text, RUNTIME_MAPS_BYTES);
	init_sync(r);
	err = pthread_create(&r->thread, NULL, find_all, r);
	if (err) {
		r->joined = true;
		runtimes_free(r);
		return -err;
	}
	*ret = r;
	return 0;
}

void runtimes_stop(struct runtimes *r)
{
	struct proc *p, *next;

	if (!r->joined) {
		pthread_mutex_lock(&r->lock);
		r->stop = true;
		pthread_cond_signal(&r->more);
		pthread_mutex_unlock(&r->lock);
		pthread_join(r->thread, NULL);
		r->joined = true;
	}
	HASH_ITER (hh, r->procs, p, next) {
		probes_detach(p);
		agents_done(p);
	}
}

void runtimes_stats(struct runtimes *r, struct clew_capture_stats *ret)
{
	ret->runtimes = atomic_load(&r->found);
	ret->runtime_tasks = atomic_load(&r->tasks);
	ret->runtime_dropped = atomic_load(&r->dropped);
	ret->runtime_distrusted = atomic_load(&r->distrusted);
	ret->heap_rooms_unread = atomic_load(&r->rooms_unread);
	agents_stats(r, ret);
}

void runtimes_free(struct runtimes *r)
{
	struct proc *p, *next;

	if (!r)
		return;
	runtimes_stop(r);
	HASH_ITER (hh, r->procs, p, next) {
		proc_forget(r, p);
	}
	inbox_done(r);
	moved_forget(&r->watched);
	clew_buf_done(&r->out);
	clew_buf_done(&r->scratch);
	clew_buf_done(&r->data->text);
	free(r->data);
	pthread_cond_destroy(&r->more);
	pthread_mutex_destroy(&r->lock);
	free(r);
}
