/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this kernel allows: each feature is tried, not guessed from a version.
 */
#include <stdio.h>
#include <sys/utsname.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "capture/internal.h"

struct check {
	struct clew_feature *out;
	size_t max, n;
};

static struct clew_feature *add(struct check *c, const char *name, const char *without,
				bool required, bool ok)
{
	static struct clew_feature beyond;
	struct clew_feature *f = c->n < c->max ? &c->out[c->n] : &beyond;

	c->n++;
	*f = (struct clew_feature){
		.name = name, .without = without, .required = required, .ok = ok};
	return f;
}

static void say(struct clew_feature *f, const char *fmt, ...) CLEW_PRINTF(2, 3);
static void say(struct clew_feature *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f->detail, sizeof(f->detail), fmt, ap);
	va_end(ap);
}

static void check_kernel(struct check *c)
{
	struct clew_feature *f;
	unsigned int major = 0, minor = 0;
	struct utsname u;

	if (uname(&u))
		return;
	sscanf(u.release, "%u.%u", &major, &minor);
	f = add(c, "kernel", "nothing is traced", true, major > 6 || (major == 6 && minor >= 3));
	say(f, f->ok ? "%s" : "%s: 6.3 or newer is needed (older kernels are later work)",
	    u.release);
}

static void check_caps(struct check *c)
{
	static const struct {
		int bit;
		const char *name, *without;
		bool required;
	} caps[] = {
		{39, "CAP_BPF", "no BPF program can be loaded", true},
		{38, "CAP_PERFMON", "no BPF program can look at the kernel", true},
		{19, "CAP_SYS_PTRACE", "names and arguments of other users' processes are not read",
		 false},
		{6, "CAP_SETGID", "run --user", false},
		{7, "CAP_SETUID", "run --user", false},
	};
	unsigned long long effective = 0;
	char line[256];
	FILE *s = fopen("/proc/self/status", "re");

	while (s && fgets(line, sizeof(line), s))
		if (sscanf(line, "CapEff: %llx", &effective) == 1)
			break;
	if (s)
		fclose(s);
	for (size_t i = 0; i < sizeof(caps) / sizeof(*caps); i++) {
		/* CAP_SYS_ADMIN stands for the first two. */
		bool ok = effective >> caps[i].bit & 1 || (i < 2 && effective >> 21 & 1);

		say(add(c, caps[i].name, caps[i].without, caps[i].required, ok),
		    ok ? "present" : "missing: run as root, or see docs/capabilities.md");
	}
}

static void check_btf(struct check *c, struct btf **ret)
{
	struct btf *btf = btf__load_vmlinux_btf();
	struct clew_feature *f =
		add(c, "BTF", "nothing is traced: the programs cannot be fitted", true, btf);

	say(f,
	    btf ? "/sys/kernel/btf/vmlinux" : "the kernel was built without CONFIG_DEBUG_INFO_BTF");
	*ret = btf;
}

/* Linux has had all that are required since 6.3, sock_send_length and sock_recv_length since then only. */
static const struct {
	const char *name, *without;
	bool required;
} points[] = {
	{"sock_send_length", "what is sent is not seen", true},
	{"sock_recv_length", "what is received is not seen", true},
	{"inet_sock_set_state", "connections are not seen to open and close", true},
	{"sched_process_fork", "children of targets are not traced", true},
	{"sched_process_exec", "programs are not named as they start", true},
	{"sched_process_exit", "the end of targets is not seen", true},
	{"sched_waking", "work handed from thread to thread is not followed", false},
	{"cgroup_attach_task", "processes that move into a target's cgroup are not traced", false},
	{"tcp_rcv_space_adjust", "bytes spliced out of a TCP socket are not counted", false},
	{"tcp_sendmsg_locked", "when a long send began is not known, only its end", false},
};

bool capture_has_tracepoint(const struct btf *btf, const char *point)
{
	char name[64];

	snprintf(name, sizeof(name), "btf_trace_%s", point);
	return btf && btf__find_by_name_kind(btf, name, BTF_KIND_TYPEDEF) > 0;
}

int capture_needs(const struct btf *btf, char **ret_error)
{
	struct utsname u = {};

	uname(&u);
	for (size_t i = 0; i < sizeof(points) / sizeof(*points); i++)
		if (points[i].required && !capture_has_tracepoint(btf, points[i].name))
			return errorf(ret_error, -ENOTSUP,
				      "this kernel, %s, has no tracepoint %s: Linux 6.3 or newer "
				      "is needed; see `clew check`",
				      u.release, points[i].name);
	return 0;
}

static void check_tracepoints(struct check *c, const struct btf *btf)
{
	for (size_t i = 0; i < sizeof(points) / sizeof(*points); i++) {
		bool ok = capture_has_tracepoint(btf, points[i].name);

		say(add(c, points[i].name, points[i].without, points[i].required, ok),
		    ok ? "tracepoint" : "not in this kernel's BTF");
	}
}

static void check_map(struct check *c, enum bpf_map_type type, const char *name,
		      const char *without)
{
	/* No CAP_BPF, no map: the load below says which it is. */
	int ok = libbpf_probe_bpf_map_type(type, NULL);

	say(add(c, name, without, true, ok > 0),
	    ok > 0 ? "map type" : "the kernel refuses to make one");
}

static void check_kfunc(struct check *c, const struct btf *btf)
{
	bool ok = btf && btf__find_by_name_kind(btf, "bpf_rdonly_cast", BTF_KIND_FUNC) > 0;

	say(add(c, "bpf_rdonly_cast", "nothing is traced", true, ok),
	    ok ? "kernel function" : "since 6.2");
}

static void check_load(struct check *c)
{
	struct clew_capture_opts opts = {.ring_bytes = 64 << 10};
	struct clew_capture *capture = NULL;
	struct clew_feature *f;
	_cleanup_(freep) char *error = NULL;
	int err = clew_capture_open(&opts, &capture, &error);

	clew_capture_free(capture);
	f = add(c, "load", "nothing is traced", true, !err);
	if (err)
		say(f, "%s", error ? error : strerror(-err));
	else
		say(f, "the programs were loaded, attached and removed");
}

size_t clew_capture_check(struct clew_feature *features, size_t max)
{
	struct check c = {.out = features, .max = max};
	struct btf *btf = NULL;

	check_kernel(&c);
	check_caps(&c);
	check_btf(&c, &btf);
	check_map(&c, BPF_MAP_TYPE_TASK_STORAGE, "task storage", "nothing is traced");
	check_map(&c, BPF_MAP_TYPE_SK_STORAGE, "socket storage", "nothing is traced");
	check_kfunc(&c, btf);
	check_tracepoints(&c, btf);
	check_load(&c);
	btf__free(btf);
	return c.n;
}
