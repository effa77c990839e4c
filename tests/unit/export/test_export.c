/* SPDX-License-Identifier: Apache-2.0 */
/* The queue's limits and the balance of what is counted, without a receiver; and with one that is slow. */
#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/clock.h"
#include "export/export.h"

/* A socket of which nobody takes connections: bound, and listening or not. */
static int socket_at(bool listens, char url[64])
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	if (listens)
		assert_int_equal(listen(fd, 10), 0);
	snprintf(url, 64, "otlp+http://127.0.0.1:%u", ntohs(a.sin_port));
	return fd;
}

static void append(struct clew_export *e, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct clew_span *s = clew_span_new();

		memset(s->trace_id.b, 1, 16);
		memset(s->span_id.b, 1, 8);
		clew_export_append(e, &s, 1);
		clew_span_free(s);
	}
}

static void assert_balance(struct clew_export *e, struct clew_export_stats *st)
{
	clew_export_stats(e, st);
	assert_int_equal(st->appended, st->sent + st->queued + clew_export_lost(st));
}

static void finish(struct clew_export *e, uint64_t ns)
{
	uint64_t begin = clew_mono_ns();

	clew_export_finish(e, begin + ns);
	while (!clew_export_wait_finished(e, 100))
		assert_true(clew_mono_ns() - begin < ns + 20000000000u);
}

static void a_full_queue_drops_and_counts(void **state)
{
	char url[64];
	int fd = socket_at(true, url);
	const struct clew_export_opts o = {
		.url = url, .queue_spans = 100, .batch_spans = 10, .linger_ns = 1};
	struct clew_export_stats st;
	struct clew_export *e;
	char *error = NULL;

	assert_int_equal(clew_export_open(&o, &e, &error), 0);
	append(e, 1000);
	assert_balance(e, &st);
	assert_int_equal(st.appended, 1000);
	assert_true(st.queued >= 100 && st.queued <= 110); /* and a batch on its way */
	assert_true(st.dropped_queue >= 890);
	assert_false(clew_export_wait_room(e, 1));
	finish(e, 1);
	assert_balance(e, &st);
	assert_int_equal(st.queued, 0);
	assert_int_equal(st.sent, 0);
	assert_int_equal(st.lost_end + st.dropped_queue, 1000);
	append(e, 5); /* after the end */
	assert_balance(e, &st);
	assert_int_equal(st.queued, 0);
	clew_export_close(e);
	close(fd);
}

static void bytes_are_a_limit_too(void **state)
{
	char url[64];
	int fd = socket_at(true, url);
	const struct clew_export_opts o = {
		.url = url, .queue_bytes = 20000, .linger_ns = UINT32_MAX};
	struct clew_export_stats st;
	struct clew_export *e;
	char *error = NULL;

	assert_int_equal(clew_export_open(&o, &e, &error), 0);
	append(e, 100);
	assert_balance(e, &st);
	assert_true(st.queued > 4 && st.queued < 10);
	assert_int_equal(st.dropped_queue, 100 - st.queued);
	clew_export_close(e);
	close(fd);
}

static void it_gives_up_and_counts(void **state)
{
	char url[64];
	int fd = socket_at(false, url);
	const struct clew_export_opts o = {.url = url,
					   .batch_spans = 10,
					   .linger_ns = 1,
					   .backoff_ns = 1000000,
					   .backoff_max_ns = 4000000,
					   .give_up_ns = 30000000};
	struct clew_export_stats st;
	struct clew_export *e;
	char *error = NULL;

	assert_int_equal(clew_export_open(&o, &e, &error), 0);
	append(e, 30);
	for (int i = 0; i < 500; i++) {
		assert_balance(e, &st);
		if (st.gave_up == 30)
			break;
		(void)clew_export_wait_finished(e, 10);
	}
	assert_int_equal(st.gave_up, 30);
	assert_true(st.failing && st.last_error[0]);
	assert_true(st.retries > 6 && st.requests > st.retries);
	assert_true(clew_export_wait_room(e, 1)); /* nobody waits for a receiver that is down */
	clew_export_close(e);
	close(fd);
}

static void the_end_has_a_limit(void **state)
{
	char url[64];
	int fd = socket_at(true, url); /* takes the request, never answers */
	const struct clew_export_opts o = {.url = url, .batch_spans = 10, .linger_ns = 1};
	struct clew_export_stats st;
	struct clew_export *e;
	uint64_t begin;
	char *error = NULL;

	assert_int_equal(clew_export_open(&o, &e, &error), 0);
	append(e, 35);
	begin = clew_mono_ns();
	finish(e, 200000000);
	assert_true(clew_mono_ns() - begin >= 190000000);
	assert_balance(e, &st);
	assert_int_equal(st.lost_end, 35);
	clew_export_close(e);
	close(fd);
}

static void nothing_to_send_needs_no_receiver(void **state)
{
	const struct clew_export_opts o = {.url = "otlp+grpc://127.0.0.1:1"};
	struct clew_export_stats st;
	struct clew_export *e;
	char *error = NULL;

	assert_int_equal(clew_export_open(&o, &e, &error), 0);
	finish(e, 10000000000u);
	clew_export_stats(e, &st);
	assert_int_equal(st.requests, 0);
	clew_export_close(e);
	clew_export_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_queue_drops_and_counts),
		cmocka_unit_test(bytes_are_a_limit_too),
		cmocka_unit_test(it_gives_up_and_counts),
		cmocka_unit_test(the_end_has_a_limit),
		cmocka_unit_test(nothing_to_send_needs_no_receiver),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
