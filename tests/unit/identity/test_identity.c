/* SPDX-License-Identifier: Apache-2.0 */
/* How processes are named, and what their resources hold. */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "identity/identity.h"
#include "identity/service_name.h"

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void names_from_commands(void **state)
{
	const struct {
		const char *exe;
		const char *const *args;
		const char *cgroup;
		const char *want;
	} cases[] = {
		{"/usr/sbin/nginx", ARGS("nginx: worker process"), "/", "nginx"},
		{"/usr/sbin/nginx", ARGS("nginx"), "/system.slice/edge.service", "edge"},
		{"/usr/bin/python3.11", ARGS("python3", "-u", "/srv/shop/orders.py", "--port=1"),
		 NULL, "orders"},
		{"/usr/bin/python3.11", ARGS("python3", "-X", "dev", "-m", "http.server", "80"),
		 NULL, "http.server"},
		{"/usr/bin/python3.11",
		 ARGS("/usr/bin/python3", "/usr/bin/gunicorn", "-w", "4", "-b", "127.0.0.1:80",
		      "shop.web:app"),
		 NULL, "shop.web"},
		{"/usr/bin/python3.11", ARGS("python3", "-c", "import x"), NULL, "python3.11"},
		{"/usr/bin/node", ARGS("node", "--max-old-space-size=99", "/srv/pricing.js"), NULL,
		 "pricing"},
		{"/usr/bin/node", ARGS("node", "-e", "1"), NULL, "node"},
		{"/usr/bin/java", ARGS("java", "-Xmx1g", "-jar", "/opt/cart-1.4.2.jar", "x"), NULL,
		 "cart"},
		{"/usr/bin/java", ARGS("java", "-cp", "a:b", "org.example.Main"), NULL, "Main"},
		{"/bin/dash", ARGS("sh", "-c", "sleep 1"), NULL, "dash"},
		{"/bin/dash", ARGS("sh", "/opt/loop.sh"), NULL, "loop"},
		{"/opt/app (deleted)", ARGS("app"), NULL, "app"},
		{NULL, ARGS("x"), "/lxc.payload.web/init.scope", "web"},
		{"/usr/bin/redis-server", ARGS("redis"), "/user.slice/user@0.service/x.scope",
		 "redis-server"},
		{NULL, NULL, NULL, "unknown_service"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct clew_command c = {
			.exe = cases[i].exe, .args = cases[i].args, .cgroup = cases[i].cgroup};
		struct slice got;

		while (c.args && c.args[c.n_args])
			c.n_args++;
		got = clew_service_name(&c);
		assert_int_equal(got.n, strlen(cases[i].want));
		assert_memory_equal(got.p, cases[i].want, got.n);
	}
}

static void a_link_names_what_it_starts(void **state)
{
	struct clew_command c = {.exe = "/usr/bin/redis-check-rdb",
				 .args = ARGS("/usr/bin/redis-server 127.0.0.1:6379"),
				 .n_args = 1,
				 .comm = "redis-server"};

	assert_true(slice_eq(clew_service_name(&c), SLICE("redis-server")));
	c.comm = "something else";
	assert_true(slice_eq(clew_service_name(&c), SLICE("redis-check-rdb")));
	c = (struct clew_command){.exe = "/opt/tool",
				  .args = ARGS("/opt/a-name-of-20-bytes"),
				  .n_args = 1,
				  .comm = "a-name-of-20-by"};
	assert_true(slice_eq(clew_service_name(&c), SLICE("a-name-of-20-bytes")));
}

static void a_unit_that_holds_the_tracer_names_nothing(void **state)
{
	struct clew_command c = {.exe = "/usr/sbin/nginx",
				 .cgroup = "/system.slice/ci.service",
				 .own_cgroup = "/system.slice/ci.service"};

	assert_true(slice_eq(clew_service_name(&c), SLICE("nginx")));
}

static size_t put_tag(char *at, uint16_t tag, const char *text)
{
	uint16_t len = (uint16_t)strlen(text);

	memcpy(at, &tag, 2);
	memcpy(at + 2, &len, 2);
	memcpy(at + 4, text, len);
	return 4u + len;
}

static void learn_process_at(struct clew_identity *id, uint32_t tgid, const char *exe,
			     const char *arg, uint64_t ts_ns)
{
	_Alignas(8) char bytes[512] = {0};
	struct clew_rec_process *r = (struct clew_rec_process *)bytes;
	size_t n = sizeof(*r);

	n += put_tag(bytes + n, CLEW_TAG_EXE, exe);
	n += put_tag(bytes + n, CLEW_TAG_ARG, exe);
	n += put_tag(bytes + n, CLEW_TAG_ARG, arg);
	*r = (struct clew_rec_process){
		.hdr = {.len = (uint32_t)((n + 7) & ~7u), .type = CLEW_REC_PROCESS},
		.ts_ns = ts_ns,
		.proc_start_ns = 1000 + tgid,
		.tgid = tgid,
		.hdr_bytes = sizeof(*r),
		.tail_len = (uint32_t)(n - sizeof(*r)),
	};
	assert_int_equal(clew_identity_record(id, &r->hdr), 0);
}

static void learn_process(struct clew_identity *id, uint32_t tgid, const char *exe, const char *arg)
{
	learn_process_at(id, tgid, exe, arg, 0);
}

static void learn_thread_at(struct clew_identity *id, uint32_t tgid, uint32_t parent, int event,
			    uint64_t ts_ns)
{
	struct clew_rec_thread t = {
		.ts_ns = ts_ns,
		.hdr = {.len = sizeof(t), .type = CLEW_REC_THREAD},
		.tgid = tgid,
		.tid = tgid,
		.ptgid = parent,
		.proc_start_ns = 1000 + tgid,
		.hdr_bytes = sizeof(t),
		.event = (uint16_t)event,
		.comm = "worker",
	};

	assert_int_equal(clew_identity_record(id, &t.hdr), 0);
}

static void learn_thread(struct clew_identity *id, uint32_t tgid, uint32_t parent, int event)
{
	learn_thread_at(id, tgid, parent, event, 0);
}

static void children_carry_the_name_until_they_exec(void **state)
{
	struct clew_identity *id;
	struct clew_resource *master, *worker;

	assert_int_equal(clew_identity_new(&id), 0);
	learn_process(id, 10, "/usr/bin/python3", "/srv/orders.py");
	learn_thread(id, 11, 10, CLEW_THREAD_FORK);
	master = clew_identity_resource(id, 10, 1010);
	worker = clew_identity_resource(id, 11, 1011);
	assert_true(slice_eq(master->service, SLICE("orders")));
	assert_true(slice_eq(worker->service, SLICE("orders")));
	assert_false(slice_eq(master->instance, worker->instance));
	assert_true(master->id != worker->id);
	learn_process(id, 11, "/usr/bin/node", "/srv/price.js");
	worker = clew_identity_resource(id, 11, 1011);
	assert_true(slice_eq(worker->service, SLICE("price")));
	clew_identity_free(id);
}

/* A thread of its own finds runtimes, from a fork on: what was before an exec may be told late. */
static void what_is_told_late_of_before_an_exec_is_not_believed(void **state)
{
	struct clew_identity *id;

	assert_int_equal(clew_identity_new(&id), 0);
	learn_process_at(id, 10, "/usr/bin/python3", "/srv/shop.py", 100);
	learn_thread_at(id, 11, 10, CLEW_THREAD_FORK, 200);
	learn_process_at(id, 11, "/opt/opt-cache", "x", 300);
	learn_process_at(id, 11, "/usr/bin/python3", "/srv/shop.py", 200);
	assert_true(slice_eq(clew_identity_resource(id, 11, 1011)->service, SLICE("opt-cache")));
	/* Said again of the same moment: what was found out of it since. */
	learn_process_at(id, 11, "/opt/opt-store", "x", 300);
	assert_true(slice_eq(clew_identity_resource(id, 11, 1011)->service, SLICE("opt-store")));
	clew_identity_free(id);
}

static void a_reused_pid_is_another_process(void **state)
{
	struct clew_identity *id;

	assert_int_equal(clew_identity_new(&id), 0);
	learn_process(id, 10, "/usr/bin/python3", "/srv/orders.py");
	learn_thread(id, 10, 1, CLEW_THREAD_EXIT);
	assert_true(
		slice_eq(clew_identity_resource(id, 10, 77)->service, SLICE("unknown_service")));
	assert_true(slice_eq(clew_identity_resource(id, 10, 1010)->service, SLICE("orders")));
	clew_identity_free(id);
}

/* A late span of a process that was forgotten: its pid's next owner is still who lives. */
static void asking_changes_nobody(void **state)
{
	struct clew_identity *id;

	assert_int_equal(clew_identity_new(&id), 0);
	learn_process(id, 10, "/opt/opt-shop", "x");
	assert_non_null(clew_identity_resource(id, 10, 1));
	learn_thread(id, 11, 10, CLEW_THREAD_FORK);
	assert_true(slice_eq(clew_identity_resource(id, 11, 1011)->service, SLICE("opt-shop")));
	/* asked for before its records came: alive from then on, as any other */
	assert_non_null(clew_identity_resource(id, 20, 1020));
	learn_process(id, 20, "/opt/opt-cart", "x");
	learn_thread(id, 21, 20, CLEW_THREAD_FORK);
	assert_true(slice_eq(clew_identity_resource(id, 21, 1021)->service, SLICE("opt-cart")));
	clew_identity_free(id);
}

static bool known(struct clew_identity *id, uint32_t tgid)
{
	return slice_eq(clew_identity_resource(id, tgid, 1000 + tgid)->service, SLICE("job"));
}

/* One that nobody asked for is forgotten a minute after its end; one that made spans is not. */
static void short_processes_are_forgotten(void **state)
{
	struct clew_identity *id;
	const uint64_t s = 1000000000;

	assert_int_equal(clew_identity_new(&id), 0);
	for (uint32_t i = 1; i <= 3; i++)
		learn_process(id, i, "/opt/job", "x");
	assert_true(known(id, 1));
	for (uint32_t i = 1; i <= 3; i++)
		learn_thread_at(id, i, 0, CLEW_THREAD_EXIT, 100 * s);
	learn_thread_at(id, 10, 0, CLEW_THREAD_FORK, 159 * s);
	assert_true(known(id, 3)); /* late, and in time */
	learn_thread_at(id, 11, 0, CLEW_THREAD_FORK, 161 * s);
	assert_true(known(id, 1));
	assert_true(known(id, 3));
	assert_false(known(id, 2));
	clew_identity_free(id);
}

/* However many come and go, there are so many in the table, and the last of them. */
static void the_table_has_limits(void **state)
{
	const uint32_t n = 300000, asked = 40000;
	struct clew_identity *id;
	size_t half = 0, all;

	assert_int_equal(clew_identity_new(&id), 0);
	for (uint32_t i = 1; i <= n; i++) {
		learn_process(id, i, "/opt/job", "x");
		learn_thread_at(id, i, 0, CLEW_THREAD_EXIT, i * 2000000ull);
		if (i == n / 2)
			half = mallinfo2().uordblks;
	}
	all = mallinfo2().uordblks;
	assert_true(all <= half + half / 10);
	assert_true(known(id, n));
	for (uint32_t i = n + 1; i <= n + asked; i++) {
		learn_process(id, i, "/opt/job", "x");
		assert_true(known(id, i));
		learn_thread_at(id, i, 0, CLEW_THREAD_EXIT, i * 2000000ull);
	}
	assert_false(known(id, n + 1));
	assert_true(known(id, n + asked));
	assert_true(known(id, n + asked - 30000));
	clew_identity_free(id);
}

static void name_rules_win(void **state)
{
	struct clew_identity *id;

	assert_int_equal(clew_identity_new(&id), 0);
	assert_int_equal(clew_identity_name_rule(id, "10=checkout"), 0);
	assert_int_equal(clew_identity_name_rule(id, "node*=frontend"), 0);
	assert_int_equal(clew_identity_name_rule(id, "nothing"), -EINVAL);
	assert_int_equal(clew_identity_name_rule(id, "=x"), -EINVAL);
	assert_int_equal(clew_identity_name_rule(id, "x="), -EINVAL);
	learn_process(id, 10, "/usr/bin/python3", "/srv/orders.py");
	learn_process(id, 12, "/usr/bin/node", "/srv/x.js");
	assert_true(slice_eq(clew_identity_resource(id, 10, 1010)->service, SLICE("checkout")));
	assert_true(slice_eq(clew_identity_resource(id, 12, 1012)->service, SLICE("frontend")));
	clew_identity_free(id);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_from_commands),
		cmocka_unit_test(a_link_names_what_it_starts),
		cmocka_unit_test(a_unit_that_holds_the_tracer_names_nothing),
		cmocka_unit_test(children_carry_the_name_until_they_exec),
		cmocka_unit_test(what_is_told_late_of_before_an_exec_is_not_believed),
		cmocka_unit_test(a_reused_pid_is_another_process),
		cmocka_unit_test(asking_changes_nobody),
		cmocka_unit_test(short_processes_are_forgotten),
		cmocka_unit_test(the_table_has_limits),
		cmocka_unit_test(name_rules_win),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
