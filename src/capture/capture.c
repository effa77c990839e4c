/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Load, attach, poll.
 *
 *	open	load, fill the maps, attach the hooks, then walk what already runs: what is born
 *		meanwhile is seen by the hooks, so nobody falls in between
 *	look	follow the rings, add the records that user space makes: meta first, clock every
 *		second, a process record behind each exec and first sight, loss when a counter moved
 *	take	records -> fn, in the order of time
 *	stop	hooks off; what is in the rings can still be polled
 */
#include <limits.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>

#include "base/clock.h"
#include "capture/clocks.h"
#include "capture/internal.h"
#include "capture/load_log.h"
#include "capture/pages.h"
#include "capture/per_cpu.h"
#include "capture/ring.h"
#include "capture/runtime/runtimes.h"
#include "clew.skel.h"

#define CLOCK_EVERY_NS 1000000000ull
#define COUNT_EVERY_NS 1000000000ull
/* Programs that still run when their hook is off end within microseconds. */
#define LAST_LOOKS    50
#define LAST_PAUSE_NS 1000000

/* The hooks; walks are attached when they run. */
struct hook {
	struct bpf_program *prog;
	struct bpf_link **link;
	uint32_t lazy;	      /* enum clew_lazy_hook: attached when it is wanted */
	const char *optional; /* tracepoint that a kernel may lack */
};

#define MAX_HOOKS 16

static size_t hooks(struct clew_bpf *s, struct hook *h)
{
	const struct hook all[] = {
		{s->progs.on_fork, &s->links.on_fork},
		{s->progs.on_exec, &s->links.on_exec},
		{s->progs.on_exit, &s->links.on_exit},
		{s->progs.on_cgroup_attach, &s->links.on_cgroup_attach, 0, "cgroup_attach_task"},
		{s->progs.on_state, &s->links.on_state},
		{s->progs.on_waking, &s->links.on_waking, 0, "sched_waking"},
		{s->progs.on_recv, &s->links.on_recv},
		{s->progs.on_send, &s->links.on_send},
		{s->progs.on_splice, &s->links.on_splice, CLEW_LAZY_SPLICE, "tcp_rcv_space_adjust"},
		{s->progs.on_send_begin, &s->links.on_send_begin, CLEW_LAZY_BEGIN,
		 "tcp_sendmsg_locked"},
	};
	_Static_assert(sizeof(all) / sizeof(*all) <= MAX_HOOKS, "hooks");

	memcpy(h, all, sizeof(all));
	return sizeof(all) / sizeof(*all);
}

static int attach_hook(const struct hook *h)
{
	if (!bpf_program__autoload(h->prog))
		return 0;
	*h->link = bpf_program__attach(h->prog);
	return *h->link ? 0 : -errno;
}

/*
 * What this kernel lacks is left out, if we can do without it, and what it has is found. Of one
 * without BTF libbpf tells.
 */
static int fit_kernel(struct clew_bpf *s, char **ret_error)
{
	struct btf *btf = btf__load_vmlinux_btf();
	struct hook h[MAX_HOOKS];
	size_t n = hooks(s, h);
	int err = btf ? capture_needs(btf, ret_error) : 0;

	for (size_t i = 0; btf && i < n; i++)
		if (h[i].optional && !capture_has_tracepoint(btf, h[i].optional))
			bpf_program__set_autoload(h[i].prog, false);
	if (btf) {
		s->rodata->opt_irq_time_at = per_cpu_distance(btf, "runqueues", "cpu_irqtime");
		s->rodata->opt_steal_time_at = per_cpu_distance(btf, "runqueues", "steal_time");
	}
	btf__free(btf);
	return err;
}

static int attach(struct clew_capture *c, char **ret_error)
{
	struct hook h[MAX_HOOKS];
	size_t n = hooks(c->skel, h);

	for (size_t i = 0; i < n; i++) {
		int err = h[i].lazy ? 0 : attach_hook(&h[i]);

		if (err)
			return errorf(ret_error, err, "cannot attach %s: %s; see `clew check`",
				      bpf_program__name(h[i].prog), strerror(-err));
	}
	return 0;
}

/* A target turned out to need more. A failure costs only what `clew check` says. */
static void attach_lazy(struct clew_capture *c)
{
	struct hook h[MAX_HOOKS];
	size_t n = hooks(c->skel, h);

	c->lazy_done = c->skel->bss->lazy_wanted;
	for (size_t i = 0; i < n; i++)
		if ((h[i].lazy & c->lazy_done) && !*h[i].link)
			attach_hook(&h[i]);
}

static int add(struct clew_capture *c, const struct clew_rec *rec)
{
	if (ring_add(c->ring, rec))
		c->dropped++;
	return 0;
}

static int add_scratch(struct clew_capture *c)
{
	return add(c, (const struct clew_rec *)c->scratch.data);
}

/* Seen on its way: names are read from /proc now, as the process may be gone when it is taken. */
static int on_thread(void *user, struct clew_rec *rec)
{
	const struct clew_rec_thread *t = (const struct clew_rec_thread *)rec;
	struct clew_capture *c = user;
	bool exec = t->event == CLEW_THREAD_EXEC;
	int err;

	if (exec) {
		err = procinfo_redact_exec(t, &c->scratch);
		if (err)
			return err;
		add_scratch(c);
		rec->type = CLEW_RING_PAD;
		if (t->tgid == c->spawned)
			c->spawned_exec_ns = t->ts_ns;
	} else {
		bool seen = t->event == CLEW_THREAD_SEEN && t->tid == t->tgid;

		if (c->runtimes && !seen && t->tid == t->tgid)
			runtimes_process(c->runtimes, t);
		/*
		 * Between our fork and its exec the command is still this program: no name for it
		 * yet. The exec may be looked at first: it may be in another processor's ring.
		 */
		if (!seen || (t->tgid == c->spawned &&
			      (!c->spawned_exec_ns || t->ts_ns < c->spawned_exec_ns)))
			return 0;
	}
	if (c->runtimes)
		runtimes_process(c->runtimes, t);
	err = procinfo_record(t, NULL, &c->scratch);
	return err ? err : add_scratch(c);
}

static int hand(void *user, const struct clew_rec *rec)
{
	struct clew_capture *c = user;

	c->stats.records++;
	c->stats.bytes += rec->len;
	if (rec->type == CLEW_REC_HEAP && c->runtimes)
		runtimes_heap(c->runtimes, (const struct clew_rec_heap *)rec);
	return c->fn(c->user, rec);
}

/*
 * A program is not entered again on a CPU where it was preempted or interrupted: the kernel counts a miss instead
 * (CLEW_LOSS_NOT_RUN). For us that is a record at the most: it may have been of no target.
 */
static uint64_t read_misses(const struct clew_capture *c)
{
	struct hook h[MAX_HOOKS];
	size_t n = hooks(c->skel, h);
	uint64_t misses = 0;

	for (size_t i = 0; i < n; i++) {
		struct bpf_prog_info info = {};
		uint32_t len = sizeof(info);
		int fd = bpf_program__fd(h[i].prog);

		if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len))
			misses += info.recursion_misses;
	}
	return misses;
}

static struct clew_rec_clock read_clocks(void)
{
	struct clew_rec_clock r = {
		.hdr = {.len = sizeof(r), .type = CLEW_REC_CLOCK},
		.mono_ns = clew_mono_ns(),
		.real_ns = clew_clock_ns(CLOCK_REALTIME),
		.boot_ns = clew_clock_ns(CLOCK_BOOTTIME),
	};

	return r;
}

static int tell_clock(struct clew_capture *c, uint64_t now)
{
	struct clew_rec_clock r = read_clocks();

	c->next_clock_ns = now + CLOCK_EVERY_NS;
	c->misses = read_misses(c);
	return add(c, &r.hdr);
}

static int read_losses(const struct clew_capture *c, uint64_t *ret)
{
	int cpus = libbpf_num_possible_cpus();
	_cleanup_(freep) uint64_t *per_cpu = NULL;

	if (cpus < 0)
		return cpus;
	per_cpu = calloc(cpus, sizeof(*per_cpu));
	if (!per_cpu)
		return -ENOMEM;
	for (uint32_t where = 0; where < CLEW_LOSS_MAX; where++) {
		ret[where] = 0;
		if (bpf_map__lookup_elem(c->skel->maps.losses, &where, sizeof(where), per_cpu,
					 cpus * sizeof(*per_cpu), 0))
			continue;
		for (int i = 0; i < cpus; i++)
			ret[where] += per_cpu[i];
	}
	ret[CLEW_LOSS_NOT_RUN] = c->misses;
	return 0;
}

static int tell_losses(struct clew_capture *c)
{
	uint64_t counted = c->skel->bss->losses_counted + c->misses;
	uint64_t now[CLEW_LOSS_MAX];
	int err;

	if (counted == c->losses_seen)
		return 0;
	c->losses_seen = counted;
	err = read_losses(c, now);
	for (uint32_t where = 0; err >= 0 && where < CLEW_LOSS_MAX; where++) {
		struct clew_rec_loss r = {
			.hdr = {.len = sizeof(r), .type = CLEW_REC_LOSS},
			.ts_ns = clew_mono_ns(),
			.count = now[where] - c->losses_told[where],
			.where = where,
			.hdr_bytes = sizeof(r),
		};

		if (!r.count)
			continue;
		c->losses_told[where] = now[where];
		err = add(c, &r.hdr);
	}
	return err;
}

static void put_tag(struct clew_buf *b, uint16_t tag, const char *s)
{
	uint16_t head[2] = {tag, strlen(s)};

	clew_buf_add(b, head, sizeof(head));
	clew_buf_add(b, s, head[1]);
}

static void put_file(struct clew_buf *b, uint16_t tag, const char *path)
{
	char line[256] = "";
	FILE *f = fopen(path, "re");

	if (!f)
		return;
	if (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		put_tag(b, tag, line);
	}
	fclose(f);
}

static int make_meta(struct clew_capture *c, char *const *options)
{
	struct clew_rec_meta m = {
		.hdr.type = CLEW_REC_META,
		.abi_version = CLEW_ABI_VERSION,
		.payload_bytes = c->opts.payload_bytes,
		.mono_ns = clew_mono_ns(),
		.hdr_bytes = sizeof(m),
	};
	struct clew_buf *b = &c->meta;
	struct utsname u;

	clew_buf_add(b, &m, sizeof(m));
	if (!uname(&u)) {
		put_tag(b, CLEW_TAG_HOST, u.nodename);
		put_tag(b, CLEW_TAG_KERNEL, u.release);
	}
	put_file(b, CLEW_TAG_BOOT_ID, "/proc/sys/kernel/random/boot_id");
	put_file(b, CLEW_TAG_MACHINE_ID, "/etc/machine-id");
	put_tag(b, CLEW_TAG_VERSION, CLEW_VERSION);
	for (size_t i = 0; options && options[i]; i++)
		put_tag(b, CLEW_TAG_OPTION, options[i]);
	m.tail_len = b->len - sizeof(m);
	while (!b->err && b->len % 8)
		clew_buf_addc(b, 0);
	if (b->err)
		return b->err;
	m.hdr.len = b->len;
	memcpy(b->data, &m, sizeof(m));
	c->first_clock = read_clocks();
	return 0;
}

static int add_record(void *user, const struct clew_rec *rec)
{
	return add(user, rec);
}

/* What was claimed before the hooks went off is waited for. */
static int look_last(struct clew_capture *c)
{
	const struct timespec pause = {.tv_nsec = LAST_PAUSE_NS};
	int err = ring_look(c->ring, UINT64_MAX, on_thread, c);

	for (int i = 0; err > 0 && i < LAST_LOOKS; i++) {
		nanosleep(&pause, NULL);
		err = ring_look(c->ring, UINT64_MAX, on_thread, c);
	}
	return err;
}

int clew_capture_look(struct clew_capture *c)
{
	uint64_t now = clew_mono_ns();
	int err = 0;

	if (c->meta.len) {
		add(c, (const struct clew_rec *)c->meta.data);
		clew_buf_done(&c->meta);
		add(c, &c->first_clock.hdr);
	}
	if (now >= c->next_clock_ns)
		err = tell_clock(c, now);
	if (err >= 0 && !c->stopped && c->rescan_done != c->skel->bss->rescan) {
		c->rescan_done = c->skel->bss->rescan;
		ring_deepen(c->ring);
		err = targets_walk(c);
	}
	if (!c->stopped && c->lazy_done != c->skel->bss->lazy_wanted)
		attach_lazy(c);
	if (err >= 0 && c->runtimes)
		err = runtimes_take(c->runtimes, add_record, c);
	if (err >= 0)
		err = tell_losses(c);
	if (err < 0)
		return err;
	/* Before the heads are read: all that is older is in front of them. */
	now = clew_mono_ns();
	err = c->stopped ? look_last(c) : ring_look(c->ring, now, on_thread, c);
	atomic_store(&c->polled, true);
	return err < 0 ? err : 0;
}

int clew_capture_take(struct clew_capture *c, int max, clew_record_fn fn, void *user)
{
	c->fn = fn;
	c->user = user;
	return ring_take(c->ring, max, hand, c);
}

int clew_capture_poll(struct clew_capture *c, clew_record_fn fn, void *user)
{
	int err = clew_capture_look(c);

	return err < 0 ? err : clew_capture_take(c, INT_MAX, fn, user);
}

bool clew_capture_settled(const struct clew_capture *c)
{
	return !c->runtimes || (atomic_load(&c->polled) && runtimes_settled(c->runtimes));
}

uint64_t clew_capture_targets_alive(const struct clew_capture *c)
{
	struct clew_capture *own = (struct clew_capture *)c;
	uint64_t now = clew_mono_ns();

	/*
	 * A thread that was marked while it exited is never counted down again, so the living are
	 * counted one by one now and then.
	 */
	if (c->skel->bss->alive && !c->stopped && now >= c->next_count_ns) {
		own->next_count_ns = now + COUNT_EVERY_NS;
		if (!targets_walk_tasks(own))
			return c->skel->bss->walk_alive;
	}
	return c->skel->bss->alive;
}

static void size_ring(struct clew_capture *c, struct ring_sizes *ret)
{
	struct clew_bpf *s = c->skel;

	ring_plan(c->opts.ring_bytes, sysconf(_SC_NPROCESSORS_ONLN), s->rodata->opt_payload, ret);
	s->rodata->opt_ring_limit = ret->limit;
	s->rodata->opt_ring_record = ret->record;
	bpf_map__set_max_entries(s->maps.ring_cpus, libbpf_num_possible_cpus());
	bpf_map__set_max_entries(s->maps.ring_chunks, ret->n_chunks);
	bpf_map__set_value_size(s->maps.ring_chunks, ret->stride);
}

/* Maps an array of the kernel's; its values are a multiple of 8 bytes long. */
static int map_array(const struct bpf_map *map, void **ret, size_t *ret_bytes)
{
	size_t page = sysconf(_SC_PAGESIZE);
	size_t n = (size_t)bpf_map__max_entries(map) * bpf_map__value_size(map);
	void *p;

	n = (n + page - 1) / page * page;
	p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
	if (p == MAP_FAILED)
		return -errno;
	*ret = p;
	*ret_bytes = n;
	return 0;
}

static int make_ring(struct clew_capture *c, const struct ring_sizes *sizes)
{
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	struct ring_area area = {
		.n_cpus = bpf_map__max_entries(c->skel->maps.ring_cpus),
		.stride = sizes->stride,
		.n_chunks = sizes->n_chunks,
		.limit = sizes->limit,
	};
	int err = map_array(c->skel->maps.ring_cpus, &c->ring_cpus, &c->cpus_bytes);

	if (!err)
		err = map_array(c->skel->maps.ring_chunks, &c->ring_chunks, &c->chunks_bytes);
	if (err)
		return err;
	area.n_used = online > 0 && online < area.n_cpus ? online : area.n_cpus;
	area.cpus = c->ring_cpus;
	area.chunks = c->ring_chunks;
	return ring_new(&area, &c->ring);
}

static int load(struct clew_capture *c, const struct clew_capture_opts *opts,
		const struct load_log *log, char **ret_error)
{
	struct ring_sizes sizes;
	int err;

	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	c->skel = clew_bpf__open();
	if (!c->skel)
		return errorf(ret_error, -errno, "cannot open the BPF object: %s", strerror(errno));
	err = targets_prepare(c->skel, &opts->targets, ret_error);
	if (err)
		return err;
	c->skel->rodata->opt_payload =
		opts->payload_bytes > CLEW_MAX_PAYLOAD ? CLEW_MAX_PAYLOAD : opts->payload_bytes;
	err = fit_kernel(c->skel, ret_error);
	if (err)
		return err;
	size_ring(c, &sizes);
	err = clew_bpf__load(c->skel);
	if (err)
		return load_log_tell(log, err, ret_error);
	err = make_ring(c, &sizes);
	if (err)
		errorf(ret_error, err, "cannot map the rings: %s; a smaller --ring-size may help",
		       strerror(-err));
	return err;
}

int clew_capture_open(const struct clew_capture_opts *opts, struct clew_capture **ret,
		      char **ret_error)
{
	struct clew_capture *c = calloc(1, sizeof(*c));
	struct load_log log;
	int err;

	if (!c)
		return -ENOMEM;
	c->opts = *opts;
	clew_buf_init(&c->meta, 1 << 20);
	clew_buf_init(&c->scratch, 1 << 20);
	load_log_begin(&log);
	err = load(c, opts, &log, ret_error);
	load_log_end();
	if (!err)
		err = targets_fill(c, &opts->targets, ret_error);
	if (!err)
		err = make_meta(c, opts->meta_options);
	if (!err && !opts->runtime.off)
		err = runtimes_new(c, &opts->runtime, &c->runtimes);
	if (!err)
		pages_find(c);
	if (!err) {
		clocks_learn(c->skel);
		err = attach(c, ret_error);
	}
	if (!err) {
		err = targets_walk(c);
		if (err)
			errorf(ret_error, err, "cannot walk the running processes: %s",
			       strerror(-err));
	}
	if (err) {
		clew_capture_free(c);
		return err;
	}
	*ret = c;
	return 0;
}

void clew_capture_stop(struct clew_capture *c)
{
	struct hook h[MAX_HOOKS];
	size_t n = hooks(c->skel, h);

	c->misses = read_misses(c);
	for (size_t i = 0; i < n; i++) {
		bpf_link__destroy(*h[i].link);
		*h[i].link = NULL;
	}
	if (c->runtimes)
		runtimes_stop(c->runtimes);
	c->stopped = true;
}

static void add_program_stats(const struct bpf_program *prog, struct clew_capture_stats *s)
{
	struct bpf_prog_info info = {};
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(bpf_program__fd(prog), &info, &len))
		return;
	s->kernel_ns += info.run_time_ns;
	s->kernel_runs += info.run_cnt;
}

void clew_capture_stats(const struct clew_capture *c, struct clew_capture_stats *ret)
{
	uint64_t lost[CLEW_LOSS_MAX] = {0};
	struct bpf_program *prog;

	*ret = c->stats;
	if (!read_losses(c, lost)) {
		ret->lost_ring = lost[CLEW_LOSS_RING];
		ret->lost_not_run = lost[CLEW_LOSS_NOT_RUN];
		ret->lost_task_state = lost[CLEW_LOSS_TASK_STATE];
		ret->lost_sock_state = lost[CLEW_LOSS_SOCK_STATE];
		ret->lost_payload = lost[CLEW_LOSS_PAYLOAD];
	}
	if (c->runtimes)
		runtimes_stats(c->runtimes, ret);
	ret->go_conns_unknown = c->skel->bss->go_conns_unknown;
	ret->go_gifts_unknown = c->skel->bss->go_gifts_unknown;
	ret->go_gifts_lent = c->skel->bss->go_gifts_lent;
	ret->tokio_wakes_unknown = c->skel->bss->tokio_wakes_unknown;
	ret->go_conns_full = c->skel->bss->go_conns_full;
	ret->slow = c->ring ? ring_spill_full(c->ring) : 0;
	ret->dropped = c->dropped;
	bpf_object__for_each_program(prog, c->skel->obj)
	{
		if (bpf_program__fd(prog) >= 0)
			add_program_stats(prog, ret);
	}
}

void clew_capture_free(struct clew_capture *c)
{
	if (!c)
		return;
	runtimes_free(c->runtimes);
	ring_free(c->ring);
	if (c->ring_cpus)
		munmap(c->ring_cpus, c->cpus_bytes);
	if (c->ring_chunks)
		munmap(c->ring_chunks, c->chunks_bytes);
	clew_bpf__destroy(c->skel);
	clew_buf_done(&c->meta);
	clew_buf_done(&c->scratch);
	free(c);
}
