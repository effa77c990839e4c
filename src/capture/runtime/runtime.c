/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that finds runtimes.
 *
 *	inbox (lock)    thread records of processes, from the reader
 *	procs           one for each process that lives; with what was found, its chain and probes
 *	active          those that are to be looked at again, at next_ns
 *	out (lock)      finished process records, for the reader
 *
 * All but inbox and out belongs to this thread alone.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <uthash.h>
#include <utlist.h>

#include <bpf/bpf.h>

#include "base/log.h"
#include "capture/internal.h"
#include "capture/runtime/proc.h"
#include "clew.skel.h"

#define MS	      1000000ull
#define ROUND_NS      (10 * MS)	   /* at most one round in this time */
#define SWEEP_NS      (10000 * MS) /* ends of processes that were not told */
#define QUARANTINE_NS (1000 * MS)  /* a hook may still read a slot that became free */
#define CHECK_FIRST   (20 * MS)
#define CHECK_LAST    (30000 * MS)
#define OUT_BYTES     (8u << 20)

/* Who may have begun a moment ago is looked at then, and again: after this time each. */
static const uint64_t tries_ns[] = {10 * MS, 50 * MS, 250 * MS, 1000 * MS, 5000 * MS};
#define TRIES (sizeof(tries_ns) / sizeof(*tries_ns))

/* The first that knows the process has it. */
static const struct {
	const char *name;
	runtime_detect_fn detect;
} finders[] = {
	{"go", runtime_detect_go},
	{"cpython", runtime_detect_cpython},
	{"nodejs", runtime_detect_node},
	{"jvm", runtime_detect_hotspot},
};

struct proc {
	UT_hash_handle hh;
	struct proc *prev, *next; /* in active */
	uint32_t tgid;
	struct clew_rec_thread t; /* what it was first heard by */
	uint64_t image, born_ns, next_ns;
	size_t tries; /* done; TRIES: no more */
	bool active;
	struct runtime_info *info; /* NULL: no runtime is known */
	uint32_t slot;		   /* of its chain; 0: none */
	bool trusted;
	uint32_t checked; /* samples that were looked at */
	uint64_t check_ns;
	uint64_t renew_ns; /* when its agent is to hear of us; 0: it has none */
	struct bpf_link *links[RUNTIME_MAX_PROBES];
};

struct event {
	struct event *next;
	struct clew_rec_thread t;
};

struct slot {
	bool used;
	uint64_t free_ns; /* became free then */
};

struct runtimes {
	struct clew_capture *capture;
	struct clew_runtime_opts opts;
	pthread_t thread;
	bool joined;
	pthread_mutex_t lock; /* of those up to busy */
	pthread_cond_t more;
	struct event *inbox, **inbox_end;
	size_t n_inbox;
	uint64_t agents, agents_failed;
	char agent_why[240]; /* of the last one that failed */
	bool busy;	     /* a process is not looked at yet */
	struct clew_buf out;
	bool stop;

	struct proc *procs, *active;
	struct slot slots[CLEW_MAX_CHAINS];
	uint32_t next_slot;
	uint64_t next_sweep_ns;
	struct runtime_proc_data *data;
	struct clew_buf scratch;
	atomic_ullong found, tasks, dropped, distrusted;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

/* Chains */

static void slot_write(struct runtimes *r, uint32_t slot, const struct clew_task_chain *chain)
{
	bpf_map__update_elem(r->capture->skel->maps.task_chains, &slot, sizeof(slot), chain,
			     sizeof(*chain), BPF_ANY);
}

static int slot_read(struct runtimes *r, uint32_t slot, struct clew_task_chain *ret)
{
	return bpf_map__lookup_elem(r->capture->skel->maps.task_chains, &slot, sizeof(slot), ret,
				    sizeof(*ret), 0);
}

static void chains_changed(struct runtimes *r)
{
	__atomic_add_fetch(&r->capture->skel->bss->chain_gen, 1, __ATOMIC_RELEASE);
}

static void chain_remove(struct runtimes *r, struct proc *p)
{
	static const struct clew_task_chain none;

	if (!p->slot)
		return;
	bpf_map__delete_elem(r->capture->skel->maps.task_chain_of, &p->tgid, sizeof(p->tgid), 0);
	slot_write(r, p->slot, &none);
	chains_changed(r);
	r->slots[p->slot] = (struct slot){.free_ns = now_ns()};
	p->slot = 0;
	p->trusted = false;
}

static uint32_t slot_find(struct runtimes *r)
{
	uint64_t now = now_ns();

	for (uint32_t i = 1; i < CLEW_MAX_CHAINS; i++) {
		uint32_t at = 1 + (r->next_slot + i) % (CLEW_MAX_CHAINS - 1);

		if (r->slots[at].used || now - r->slots[at].free_ns < QUARANTINE_NS)
			continue;
		r->next_slot = at;
		return at;
	}
	return 0;
}

static int chain_install(struct runtimes *r, struct proc *p)
{
	struct clew_task_chain *chain = &p->info->chain;
	uint32_t slot = slot_find(r);
	int err;

	if (!slot)
		return -ENOSPC;
	chain->start_ns = p->t.proc_start_ns;
	chain->image = p->image;
	chain->tgid = p->tgid;
	chain->state = p->info->learn ? CLEW_CHAIN_LEARN : CLEW_CHAIN_TRUSTED;
	chain->n_samples = 0;
	slot_write(r, slot, chain);
	err = bpf_map__update_elem(r->capture->skel->maps.task_chain_of, &p->tgid, sizeof(p->tgid),
				   &slot, sizeof(slot), BPF_ANY);
	if (err)
		return err;
	r->slots[slot].used = true;
	p->slot = slot;
	p->checked = 0;
	p->trusted = chain->state == CLEW_CHAIN_TRUSTED;
	chains_changed(r);
	return 0;
}

/* Probes */

static void probes_detach(struct proc *p)
{
	for (size_t i = 0; i < RUNTIME_MAX_PROBES; i++) {
		bpf_link__destroy(p->links[i]);
		p->links[i] = NULL;
	}
}

static void probes_attach(struct runtimes *r, struct proc *p)
{
	for (size_t i = 0; i < p->info->n_probes; i++) {
		const struct runtime_probe *probe = &p->info->probes[i];
		DECLARE_LIBBPF_OPTS(bpf_uprobe_opts, opts, .retprobe = probe->at_return);
		struct bpf_program *prog =
			bpf_object__find_program_by_name(r->capture->skel->obj, probe->program);

		p->links[i] =
			prog ? bpf_program__attach_uprobe_opts(prog, (pid_t)p->tgid, probe->path,
							       probe->offset, &opts)
			     : NULL;
		if (!p->links[i])
			log_debug("process %u: cannot attach %s: %s", p->tgid, probe->program,
				  strerror(prog ? errno : ENOENT));
	}
}

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

static void agent_done(struct proc *p)
{
	if (p->info && p->info->agent)
		p->info->agent_done(p->info->agent);
	if (p->info)
		p->info->agent = NULL;
	p->renew_ns = 0;
}

static void proc_reset(struct runtimes *r, struct proc *p)
{
	proc_idle(r, p);
	chain_remove(r, p);
	probes_detach(p);
	agent_done(p);
	free(p->info);
	p->info = NULL;
	p->tries = 0;
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

static void emit(struct runtimes *r, struct proc *p)
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

static void agent_failed(struct runtimes *r, const struct proc *p)
{
	pthread_mutex_lock(&r->lock);
	r->agents_failed++;
	snprintf(r->agent_why, sizeof(r->agent_why), "process %u: %s", p->tgid, p->info->why_not);
	pthread_mutex_unlock(&r->lock);
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
			proc_wait(r, p, now_ns() + p->check_ns);
		}
	}
	if (info->agent_failed)
		agent_failed(r, p);
	if (info->agent) {
		p->renew_ns = now_ns() + info->agent_renew_ns;
		pthread_mutex_lock(&r->lock);
		r->agents += !info->agent_failed;
		pthread_mutex_unlock(&r->lock);
	}
	emit(r, p);
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

/* The self-test: what the hooks have read since the last look. */
static void proc_check(struct runtimes *r, struct proc *p)
{
	struct clew_task_chain chain;
	uint64_t ids[CLEW_CHAIN_SAMPLES];
	uint32_t n;
	int err = runtime_proc_init(r->data, p->tgid, p->t.proc_start_ns);

	r->data->proc.capture = r->capture;
	r->data->proc.opts = &r->opts;
	if (err || r->data->proc.image != p->image || slot_read(r, p->slot, &chain)) {
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
		emit(r, p);
		return;
	}
	if (!err)
		p->checked = chain.n_samples;
	if (!err && !p->trusted && chain.n_samples >= p->info->learn) {
		chain.state = CLEW_CHAIN_TRUSTED;
		slot_write(r, p->slot, &chain);
		p->trusted = true;
	}
	if (p->trusted && p->checked >= 1024) {
		proc_idle(r, p);
		return;
	}
	p->check_ns = p->check_ns * 2 < CHECK_LAST ? p->check_ns * 2 : CHECK_LAST;
	if (!p->trusted && p->check_ns > 500 * MS)
		p->check_ns = 500 * MS;
	proc_wait(r, p, now_ns() + p->check_ns);
}

/* Tell the agents that we live. Returns when the next one is due. */
static uint64_t renew_agents(struct runtimes *r, uint64_t now)
{
	uint64_t due = UINT64_MAX;
	struct proc *p, *next;

	HASH_ITER (hh, r->procs, p, next) {
		if (!p->renew_ns)
			continue;
		if (p->renew_ns <= now) {
			p->renew_ns = now + p->info->agent_renew_ns;
			if (p->info->agent_renew(p->info->agent) < 0) {
				snprintf(p->info->why_not, sizeof(p->info->why_not),
					 "its agent is gone");
				if (!p->info->agent_failed && runtime_image(p->tgid) == p->image)
					agent_failed(r, p);
				agent_done(p);
				chain_remove(r, p);
				emit(r, p);
				continue;
			}
		}
		due = p->renew_ns < due ? p->renew_ns : due;
	}
	return due;
}

static void take_event(struct runtimes *r, const struct clew_rec_thread *t)
{
	struct proc *p = proc_find(r, t->tgid);
	uint64_t now = now_ns();

	if (t->event == CLEW_THREAD_EXIT) {
		if (p)
			proc_forget(r, p);
		return;
	}
	if (p) {
		proc_reset(r, p);
	} else if (HASH_COUNT(r->procs) >= RUNTIME_MAX_PROCS || !(p = calloc(1, sizeof(*p)))) {
		atomic_fetch_add(&r->dropped, 1);
		return;
	} else {
		p->tgid = t->tgid;
		HASH_ADD(hh, r->procs, tgid, sizeof(p->tgid), p);
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
	uint64_t now = now_ns(), due;
	struct event *next;
	struct proc *p, *tmp;

	for (; events; events = next) {
		next = events->next;
		take_event(r, &events->t);
		free(events);
	}
	if (now >= r->next_sweep_ns) {
		sweep(r);
		r->next_sweep_ns = now + SWEEP_NS;
	}
	DL_FOREACH_SAFE(r->active, p, tmp)
	{
		if (p->next_ns > now)
			continue;
		if (p->info)
			proc_check(r, p);
		else
			proc_try(r, p);
		/* That may have attached an agent, which takes long. */
		if (r->opts.agents)
			renew_agents(r, now_ns());
	}
	due = r->opts.agents ? renew_agents(r, now) : UINT64_MAX;
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

		if (!r->inbox && due > now_ns()) {
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

/* The reader's side */

void runtimes_process(struct runtimes *r, const struct clew_rec_thread *t)
{
	struct event *e = malloc(sizeof(*e));

	if (e) {
		e->next = NULL;
		e->t = *t;
		pthread_mutex_lock(&r->lock);
		if (r->n_inbox < RUNTIME_MAX_PROCS) {
			*r->inbox_end = e;
			r->inbox_end = &e->next;
			if (!r->n_inbox++)
				pthread_cond_signal(&r->more);
			e = NULL;
		}
		pthread_mutex_unlock(&r->lock);
	} else {
		atomic_fetch_add(&r->dropped, 1);
	}
	if (e) {
		free(e);
		atomic_fetch_add(&r->dropped, 1);
	}
}

bool runtimes_settled(struct runtimes *r)
{
	bool settled;

	pthread_mutex_lock(&r->lock);
	settled = !r->inbox && !r->busy;
	pthread_mutex_unlock(&r->lock);
	return settled;
}

int runtimes_take(struct runtimes *r, clew_record_fn fn, void *user)
{
	struct clew_buf out;
	int err = 0;

	/* Whoever holds it is quick, but may have been preempted: the next poll will do. */
	if (pthread_mutex_trylock(&r->lock))
		return 0;
	out = r->out;
	if (out.len)
		clew_buf_init(&r->out, OUT_BYTES);
	pthread_mutex_unlock(&r->lock);
	if (!out.len)
		return 0;
	for (size_t at = 0; err >= 0 && at < out.len;) {
		const struct clew_rec *rec = (const struct clew_rec *)(out.data + at);

		err = fn(user, rec);
		at += rec->len;
	}
	clew_buf_done(&out);
	return err < 0 ? err : 0;
}

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
	r->next_sweep_ns = now_ns() + SWEEP_NS;
	clew_buf_init(&r->out, OUT_BYTES);
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
		agent_done(p);
	}
}

void runtimes_stats(struct runtimes *r, struct clew_capture_stats *ret)
{
	ret->runtimes = atomic_load(&r->found);
	ret->runtime_tasks = atomic_load(&r->tasks);
	ret->runtime_dropped = atomic_load(&r->dropped);
	ret->runtime_distrusted = atomic_load(&r->distrusted);
	pthread_mutex_lock(&r->lock);
	ret->agents = r->agents;
	ret->agents_failed = r->agents_failed;
	memcpy(ret->agent_why, r->agent_why, sizeof(ret->agent_why));
	pthread_mutex_unlock(&r->lock);
}

void runtimes_free(struct runtimes *r)
{
	struct event *e, *after;
	struct proc *p, *next;

	if (!r)
		return;
	runtimes_stop(r);
	HASH_ITER (hh, r->procs, p, next) {
		proc_forget(r, p);
	}
	for (e = r->inbox; e; e = after) {
		after = e->next;
		free(e);
	}
	clew_buf_done(&r->out);
	clew_buf_done(&r->scratch);
	clew_buf_done(&r->data->text);
	free(r->data);
	pthread_cond_destroy(&r->more);
	pthread_mutex_destroy(&r->lock);
	free(r);
}
