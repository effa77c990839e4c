/* SPDX-License-Identifier: Apache-2.0 */
/* Why the kernel refused to load a program, out of what libbpf says. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/btf.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "capture/internal.h"
#include "capture/load_log.h"

static void expect(const struct load_log *l, int err, int want_err, const char *why,
		   const char *what)
{
	_cleanup_(freep) char *error = NULL;

	assert_int_equal(load_log_tell(l, err, &error), want_err);
	assert_non_null(error);
	if (!strstr(error, why) || !strstr(error, what))
		fail_msg("'%s' lacks '%s' or '%s'", error, why, what);
}

/* What was said, by kernel 6.18, of a program that reads through a pointer it did not check. */
static void test_verifier(void **state)
{
	struct load_log l = {0};

	load_log_add(&l, "libbpf: prog 'on_send': BPF program load failed: Permission denied\n");
	load_log_add(&l, "libbpf: prog 'on_send': -- BEGIN PROG LOAD LOG --\n"
			 "0: R1=ctx() R10=fp0\n"
			 "; u64 *v = lookup(&counts, &k); return *v; @ bad.bpf.c:5\n"
			 "2: (bf) r2 = r10                      ; R2=fp0 R10=fp0\n"
			 "7: (79) r0 = *(u64 *)(r0 +0)\n"
			 "R0 invalid mem access 'map_value_or_null'\n"
			 "verification time 75 usec\n"
			 "stack depth 8\n"
			 "processed 7 insns (limit 1000000) max_states_per_insn 0 total_states 0 "
			 "peak_states 0 mark_read 0\n"
			 "-- END PROG LOAD LOG --\n");
	load_log_add(&l, "libbpf: prog 'on_send': failed to load: -13\n");
	/* not for want of rights, though the errno is the same */
	expect(&l, -EACCES, -EACCES,
	       "verifier refuses on_send: R0 invalid mem access 'map_value_or_null';",
	       "CLEW_LIBBPF_LOG=1");
}

/* A log that was cut, or has nothing but its frame. */
static void test_odd_logs(void **state)
{
	struct load_log l = {0};

	load_log_add(&l, "libbpf: prog 'x': BPF program load failed: Invalid argument");
	load_log_add(&l, "-- BEGIN PROG LOAD LOG --");
	expect(&l, -EINVAL, -EINVAL, "prog 'x': BPF program load failed", "CLEW_LIBBPF_LOG=1");
	load_log_add(&l, "prog 'x': -- BEGIN PROG LOAD LOG --\n-- END PROG LOAD LOG --\n");
	expect(&l, -EINVAL, -EINVAL, "prog 'x': BPF program load failed", "CLEW_LIBBPF_LOG=1");
	load_log_add(&l, "prog 'x': -- BEGIN PROG LOAD LOG --\nunknown func bpf_later#999");
	expect(&l, -EINVAL, -EINVAL, "refuses x: unknown func bpf_later#999;", "report");
}

/* Without the verifier's word it is the first warning, whatever came of it. */
static void test_warnings(void **state)
{
	struct load_log none = {0}, files = {0};

	expect(&none, -EPERM, -EPERM, "refuses BPF programs", "docs/capabilities.md");
	expect(&none, -ENOMEM, -ENOMEM, "Cannot allocate memory", "--ring-size");
	load_log_add(&files, "libbpf: Error in bpf_create_map_xattr(sock_state):Too many open "
			     "files(-24). Retrying without BTF.\n");
	load_log_add(&files, "libbpf: map 'sock_state': failed to create: Invalid argument(-22)\n");
	expect(&files, -EINVAL, -EINVAL, "map_xattr(sock_state):Too many open files", "ulimit -n");
}

/* Before anything is loaded: a kernel of which nothing else would be known than what its verifier says. */
static void test_old_kernel(void **state)
{
	static const char *const old[] = {"inet_sock_set_state", "sched_process_fork",
					  "sched_process_exec", "sched_process_exit"};
	struct btf *btf = btf__new_empty();
	_cleanup_(freep) char *send = NULL, *recv = NULL, *none = NULL;
	char name[64];

	for (size_t i = 0; i < sizeof(old) / sizeof(*old); i++) {
		snprintf(name, sizeof(name), "btf_trace_%s", old[i]);
		assert_true(btf__add_typedef(btf, name, 0) > 0);
	}
	assert_int_equal(capture_needs(btf, &send), -ENOTSUP);
	assert_non_null(strstr(send, "no tracepoint sock_send_length: Linux 6.3 or newer"));
	assert_true(btf__add_typedef(btf, "btf_trace_sock_send_length", 0) > 0);
	assert_int_equal(capture_needs(btf, &recv), -ENOTSUP);
	assert_non_null(strstr(recv, "no tracepoint sock_recv_length: Linux 6.3 or newer"));
	assert_true(btf__add_typedef(btf, "btf_trace_sock_recv_length", 0) > 0);
	assert_int_equal(capture_needs(btf, &none), 0);
	assert_null(none);
	btf__free(btf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verifier),
		cmocka_unit_test(test_odd_logs),
		cmocka_unit_test(test_warnings),
		cmocka_unit_test(test_old_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
