/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of processes: (tgid, start time) to what is known of it, and its resource once asked
 * for.
 *
 * A forked process is what its parent was until it says otherwise by exec: so prefork workers carry
 * their master's name.
 *
 * Processes that have ended are kept a while, because their last exchanges are still being decided:
 * those that nobody asked for (most short commands) for KEEP_NS of record time, the others until
 * there are MAX_ENDED of them, for what is said of a service names its first process.
 */
#include "identity/identity.h"

#include <ctype.h>
#include <fnmatch.h>
#include <stdio.h>
#include <utlist.h>

#include "base/buf.h"
#include "base/hash.h"
#include "identity/service_name.h"

/* The table's limit; the process that ended longest ago goes first, then the oldest. */
#define MAX_PROCESSES 131072u
#define MAX_ENDED     32768u
#define KEEP_NS	      60000000000ull /* an exchange of a process that ended is decided in half of it */
#define MAX_ARGS      64u
#define RECENT	      64u

struct proc_key {
	uint64_t start_ns;
	uint32_t tgid;
	uint32_t zero;
};

/* What an exec said; shared by the processes forked from it. */
struct program {
	int refs;
	char *exe, *cgroup, *container;
	char *runtime; /* NAME/VERSION/TASK */
	char **args;
	size_t n_args;
};

struct proc {
	struct proc_key key;
	struct program *program; /* NULL: not known */
	uint64_t program_ns;	 /* when it ran that, as its record says; 0: its parent's */
	char comm[16];
	uint32_t nspid;
	bool gone;
	bool asked; /* known from a question only: no record told of it yet */
	uint64_t gone_ns;
	struct proc **list;		/* silent or ended, if it is gone */
	struct proc *prev, *next;	/* in that list */
	struct clew_resource *resource; /* made when it is asked for */
	UT_hash_handle hh;
	UT_hash_handle hh_live; /* by tgid, while it lives */
};

struct rule {
	uint32_t pid; /* 0: by executable */
	char *glob, *service;
};

struct clew_identity {
	struct proc *procs;
	struct proc *live;
	struct proc *silent; /* gone, and nobody asked for them; the first first */
	struct proc *ended;  /* gone; the first first */
	size_t n_ended;
	uint64_t now_ns;
	struct proc *recent[RECENT]; /* by tgid: who was asked for last */
	struct rule *rules;
	size_t n_rules;
	char *host, *machine_id, *own_cgroup;
	struct clew_id128 boot_id;
};

static void program_unref(struct program *p)
{
	if (!p || --p->refs)
		return;
	free(p->exe);
	free(p->cgroup);
	free(p->container);
	free(p->runtime);
	for (size_t i = 0; i < p->n_args; i++)
		free(p->args[i]);
	free(p->args);
	free(p);
}

static void proc_forget_program(struct proc *p)
{
	program_unref(p->program);
	p->program = NULL;
	clew_resource_unref(p->resource);
	p->resource = NULL;
}

static void unlist(struct clew_identity *id, struct proc *p)
{
	if (!p->list)
		return;
	id->n_ended -= p->list == &id->ended;
	DL_DELETE(*p->list, p);
	p->list = NULL;
}

/* It is gone: among which of those that are does it wait? */
static void list(struct clew_identity *id, struct proc *p)
{
	struct proc **where = p->resource || p->asked ? &id->ended : &id->silent;

	unlist(id, p);
	DL_APPEND(*where, p);
	p->list = where;
	id->n_ended += where == &id->ended;
}

static void proc_gone(struct clew_identity *id, struct proc *p)
{
	if (p->gone)
		return;
	HASH_DELETE(hh_live, id->live, p);
	p->gone = true;
	p->gone_ns = id->now_ns;
	list(id, p);
}

static void proc_free(struct clew_identity *id, struct proc *p)
{
	proc_gone(id, p);
	unlist(id, p);
	if (id->recent[p->key.tgid % RECENT] == p)
		id->recent[p->key.tgid % RECENT] = NULL;
	HASH_DEL(id->procs, p);
	proc_forget_program(p);
	free(p);
}

int clew_identity_new(struct clew_identity **ret)
{
	struct clew_identity *id = calloc(1, sizeof(*id));

	if (!id)
		return -ENOMEM;
	*ret = id;
	return 0;
}

void clew_identity_free(struct clew_identity *id)
{
	struct proc *p, *tmp;

	if (!id)
		return;
	HASH_ITER (hh, id->procs, p, tmp)
		proc_free(id, p);
	for (size_t i = 0; i < id->n_rules; i++) {
		free(id->rules[i].glob);
		free(id->rules[i].service);
	}
	free(id->rules);
	free(id->host);
	free(id->machine_id);
	free(id->own_cgroup);
	free(id);
}

int clew_identity_name_rule(struct clew_identity *id, const char *rule)
{
	const char *eq = strrchr(rule, '=');
	struct rule r = {0}, *rules;
	char *end;

	if (!eq || eq == rule || !eq[1])
		return -EINVAL;
	rules = realloc(id->rules, (id->n_rules + 1) * sizeof(*rules));
	if (!rules)
		return -ENOMEM;
	id->rules = rules;
	r.glob = strndup(rule, (size_t)(eq - rule));
	r.service = strdup(eq + 1);
	if (!r.glob || !r.service) {
		free(r.glob);
		free(r.service);
		return -ENOMEM;
	}
	if (isdigit((unsigned char)r.glob[0])) {
		unsigned long pid = strtoul(r.glob, &end, 10);

		if (!*end && pid && pid <= UINT32_MAX)
			r.pid = (uint32_t)pid;
	}
	id->rules[id->n_rules++] = r;
	return 0;
}

static bool rule_matches(const struct rule *r, const struct proc *p)
{
	const char *exe = p->program && p->program->exe ? p->program->exe : p->comm;
	const char *base = strrchr(exe, '/');

	if (r->pid)
		return r->pid == p->key.tgid;
	return !fnmatch(r->glob, exe, 0) || !fnmatch(r->glob, base ? base + 1 : exe, 0);
}

static struct proc *find(struct clew_identity *id, uint32_t tgid, uint64_t start_ns)
{
	struct proc_key key = {.start_ns = start_ns, .tgid = tgid};
	struct proc *p = id->recent[tgid % RECENT];

	if (p && p->key.tgid == tgid && p->key.start_ns == start_ns)
		return p;
	HASH_FIND(hh, id->procs, &key, sizeof(key), p);
	if (p)
		id->recent[tgid % RECENT] = p;
	return p;
}

static void make_room(struct clew_identity *id)
{
	while (id->silent && id->silent->gone_ns + KEEP_NS < id->now_ns)
		proc_free(id, id->silent);
	while (id->n_ended > MAX_ENDED)
		proc_free(id, id->ended);
	if (HASH_COUNT(id->procs) < MAX_PROCESSES)
		return;
	/* uthash keeps the order of insertion. */
	proc_free(id, id->silent ? id->silent : id->ended ? id->ended : id->procs);
}

static struct proc *find_live(struct clew_identity *id, uint32_t tgid)
{
	struct proc *p;

	HASH_FIND(hh_live, id->live, &tgid, sizeof(tgid), p);
	return p;
}

static struct proc *add(struct clew_identity *id, uint32_t tgid, uint64_t start_ns)
{
	struct proc *p;

	make_room(id);
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->key = (struct proc_key){.start_ns = start_ns, .tgid = tgid};
	p->nspid = tgid;
	p->gone = p->asked = true;
	HASH_ADD(hh, id->procs, key, sizeof(p->key), p);
	if (!p->hh.tbl) {
		free(p);
		return NULL;
	}
	list(id, p);
	return p;
}

/* A process of which a record tells that it lives. */
static struct proc *find_or_add(struct clew_identity *id, uint32_t tgid, uint64_t start_ns)
{
	struct proc *p = find(id, tgid, start_ns), *before;

	if (p && !p->asked)
		return p;
	if (!p)
		p = add(id, tgid, start_ns);
	if (!p)
		return NULL;
	before = find_live(id, tgid);
	if (before) /* its exit was lost */
		proc_gone(id, before);
	HASH_ADD(hh_live, id->live, key.tgid, sizeof(p->key.tgid), p);
	if (!p->hh_live.tbl)
		return NULL;
	unlist(id, p);
	p->gone = p->asked = false;
	return p;
}

static void set_str(char **at, struct slice s)
{
	free(*at);
	*at = strndup(s.p ? s.p : "", s.n);
}

/* Walk {u16 tag, u16 len, bytes}; false at the end. */
static bool next_tag(struct slice *rest, uint16_t *tag, struct slice *value)
{
	uint16_t len;

	if (rest->n < 4)
		return false;
	memcpy(tag, rest->p, 2);
	memcpy(&len, rest->p + 2, 2);
	if (rest->n < 4u + len)
		return false;
	*value = slice_of(rest->p + 4, len);
	*rest = slice_of(rest->p + 4 + len, rest->n - 4 - len);
	return true;
}

/* The tail of a record whose fixed part says how long it is; empty if the record is malformed. */
static struct slice tail(const struct clew_rec *rec, size_t fixed, uint16_t hdr_bytes, uint32_t len)
{
	if (rec->len < fixed || hdr_bytes < fixed || (uint64_t)hdr_bytes + len > rec->len)
		return SLICE("");
	return slice_of((const char *)rec + hdr_bytes, len);
}

static void learn_meta(struct clew_identity *id, const struct clew_rec_meta *m)
{
	struct slice rest, value;
	uint16_t tag;

	if (m->hdr.len < sizeof(*m))
		return;
	rest = tail(&m->hdr, sizeof(*m), m->hdr_bytes, m->tail_len);
	while (next_tag(&rest, &tag, &value)) {
		char text[37] = "", *w = text;

		if (tag == CLEW_TAG_HOST)
			set_str(&id->host, value);
		if (tag == CLEW_TAG_MACHINE_ID)
			set_str(&id->machine_id, value);
		if (tag == CLEW_TAG_OPTION && slice_starts(value, SLICE("own-cgroup=")))
			set_str(&id->own_cgroup, slice_of(value.p + 11, value.n - 11));
		if (tag != CLEW_TAG_BOOT_ID || value.n > 36)
			continue;
		for (size_t i = 0; i < value.n; i++)
			if (isxdigit((unsigned char)value.p[i]))
				*w++ = value.p[i];
		(void)clew_unhex(text, (size_t)(w - text), id->boot_id.b, sizeof(id->boot_id.b));
	}
}

static void add_arg(struct program *g, struct slice value)
{
	char **args, *arg;

	if (g->n_args == MAX_ARGS)
		return;
	args = reallocarray(g->args, g->n_args + 1, sizeof(*args));
	if (!args)
		return;
	g->args = args;
	arg = strndup(value.p, value.n);
	if (arg)
		g->args[g->n_args++] = arg;
}

static struct program *program_of(struct slice tlv)
{
	struct program *g = calloc(1, sizeof(*g));
	struct slice value;
	uint16_t tag;

	if (!g)
		return NULL;
	g->refs = 1;
	while (next_tag(&tlv, &tag, &value)) {
		if (tag == CLEW_TAG_EXE)
			set_str(&g->exe, value);
		else if (tag == CLEW_TAG_CGROUP)
			set_str(&g->cgroup, value);
		else if (tag == CLEW_TAG_CONTAINER)
			set_str(&g->container, value);
		else if (tag == CLEW_TAG_RUNTIME)
			set_str(&g->runtime, value);
		else if (tag == CLEW_TAG_ARG)
			add_arg(g, value);
	}
	return g;
}

static int learn_process(struct clew_identity *id, const struct clew_rec_process *r)
{
	struct program *g;
	struct proc *p;

	if (r->hdr.len < sizeof(*r))
		return 0;
	p = find_or_add(id, r->tgid, r->proc_start_ns);
	/* What was found out of it before an exec may be told after that: it is so no more. */
	if (p && r->ts_ns < p->program_ns)
		return 0;
	g = program_of(tail(&r->hdr, sizeof(*r), r->hdr_bytes, r->tail_len));
	if (!p || !g) {
		program_unref(g);
		return -ENOMEM;
	}
	proc_forget_program(p);
	p->program = g;
	p->program_ns = r->ts_ns;
	p->nspid = r->nspid ? r->nspid : r->tgid;
	return 0;
}

static int learn_thread(struct clew_identity *id, const struct clew_rec_thread *t)
{
	struct proc *p, *parent;

	if (t->hdr.len < sizeof(*t))
		return 0;
	if (t->ts_ns > id->now_ns)
		id->now_ns = t->ts_ns;
	if (t->event == CLEW_THREAD_EXIT) {
		p = t->tid == t->tgid ? find(id, t->tgid, t->proc_start_ns) : NULL;
		if (p)
			proc_gone(id, p);
		return 0;
	}
	if (t->tid != t->tgid)
		return 0;
	p = find_or_add(id, t->tgid, t->proc_start_ns);
	if (!p)
		return -ENOMEM;
	memcpy(p->comm, t->comm, sizeof(p->comm));
	p->comm[sizeof(p->comm) - 1] = '\0';
	if (t->nspid)
		p->nspid = t->nspid;
	if (t->event == CLEW_THREAD_FORK && !p->program) {
		parent = find_live(id, t->ptgid);
		if (parent && parent->program) {
			p->program = parent->program;
			p->program->refs++;
		}
	}
	return 0;
}

int clew_identity_record(struct clew_identity *id, const struct clew_rec *rec)
{
	switch (rec->type) {
	case CLEW_REC_META:
		learn_meta(id, (const struct clew_rec_meta *)rec);
		return 0;
	case CLEW_REC_PROCESS:
		return learn_process(id, (const struct clew_rec_process *)rec);
	case CLEW_REC_THREAD:
		return learn_thread(id, (const struct clew_rec_thread *)rec);
	default:
		return 0;
	}
}

struct attr_list {
	struct clew_attr a[16];
	size_t n;
};

static void add_str(struct attr_list *l, const char *key, struct slice value)
{
	if (value.n && l->n < sizeof(l->a) / sizeof(*l->a))
		l->a[l->n++] = (struct clew_attr){
			.key = slice_str(key), .type = CLEW_ATTR_STR, .str = value};
}

static struct slice name_of(const struct clew_identity *id, const struct proc *p)
{
	struct program *g = p->program;
	struct clew_command c = {
		.exe = g ? g->exe : NULL,
		.args = g ? (const char *const *)g->args : NULL,
		.n_args = g ? g->n_args : 0,
		.comm = p->comm,
		.cgroup = g ? g->cgroup : NULL,
		.own_cgroup = id->own_cgroup,
	};

	for (size_t i = 0; i < id->n_rules; i++)
		if (rule_matches(&id->rules[i], p))
			return slice_str(id->rules[i].service);
	return clew_service_name(&c);
}

/* "go/1.26.8/goroutine" */
static void add_runtime(struct attr_list *l, const char *text)
{
	static const char *const keys[] = {"process.runtime.name", "process.runtime.version",
					   "clew.runtime.task"};

	for (size_t i = 0; text && i < 3; i++) {
		size_t n = i < 2 ? strcspn(text, "/") : strlen(text);

		add_str(l, keys[i], slice_of(text, n));
		text += n + (text[n] == '/');
	}
}

static struct clew_resource *make_resource(struct clew_identity *id, const struct proc *p)
{
	struct program *g = p->program;
	struct clew_buf instance = {0}, command = {0};
	struct attr_list l = {.n = 0};
	struct clew_resource *r;
	const char *base;

	clew_buf_addf(&instance, "%s:%u", id->host ? id->host : "unknown", p->key.tgid);
	add_str(&l, "service.name", name_of(id, p));
	add_str(&l, "service.instance.id", clew_buf_slice(&instance));
	add_str(&l, "host.name", slice_str(id->host));
	add_str(&l, "host.id", slice_str(id->machine_id));
	l.a[l.n++] = (struct clew_attr){
		.key = SLICE("process.pid"), .type = CLEW_ATTR_INT, .i = p->key.tgid};
	if (g && g->exe) {
		base = strrchr(g->exe, '/');
		add_str(&l, "process.executable.path", slice_str(g->exe));
		add_str(&l, "process.executable.name", slice_str(base ? base + 1 : g->exe));
	}
	for (size_t i = 0; g && i < g->n_args; i++)
		clew_buf_addf(&command, "%s%s", i ? " " : "", g->args[i]);
	add_str(&l, "process.command_line", clew_buf_slice(&command));
	if (g) {
		add_str(&l, "container.id", slice_str(g->container));
		add_str(&l, "clew.cgroup", slice_str(g->cgroup));
		add_runtime(&l, g->runtime);
	}
	r = clew_resource_new(l.a, l.n, &id->boot_id);
	clew_buf_done(&instance);
	clew_buf_done(&command);
	return r;
}

struct clew_resource *clew_identity_resource(struct clew_identity *id, uint32_t tgid,
					     uint64_t proc_start_ns)
{
	struct proc *p = find(id, tgid, proc_start_ns);

	/* A question says nothing of who lives: the process may be long gone, and forgotten. */
	if (!p)
		p = add(id, tgid, proc_start_ns);
	if (!p)
		return NULL;
	if (!p->resource) {
		p->resource = make_resource(id, p);
		if (p->list == &id->silent)
			list(id, p);
	}
	return p->resource;
}

struct clew_id128 clew_identity_boot_id(const struct clew_identity *id)
{
	return id->boot_id;
}
