/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inspector's client, against one that this program plays: it lists one target, and answers over a WebSocket.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include <libwebsockets.h>

#include "base/clock.h"
#include "capture/agent/inspector.h"

#define SECOND 1000000000ull
#define GUID   "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

#define LIST "[{\"webSocketDebuggerUrl\": \"ws://127.0.0.1:%u/id\"}]"

/* What is answered, one for each question ("": nothing); then the connection is closed. */
struct fake {
	int listener;
	uint16_t port;
	const char *list;
	const char *const *answers;
	pthread_t thread;
};

static int take(const struct fake *f, char *head, size_t size)
{
	int fd = accept(f->listener, NULL, NULL);
	size_t have = 0;
	ssize_t n;

	head[0] = 0;
	while (!strstr(head, "\r\n\r\n") && (n = read(fd, head + have, size - 1 - have)) > 0) {
		have += (size_t)n;
		head[have] = 0;
	}
	return fd;
}

static void say(int fd, const void *p, size_t n)
{
	/* Who has left does not hear it. */
	(void)send(fd, p, n, MSG_NOSIGNAL);
}

static void tell_list(const struct fake *f)
{
	char head[4096], body[256], text[512];
	int fd = take(f, head, sizeof(head)), n;

	n = snprintf(body, sizeof(body), f->list, f->port);
	n = snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", n,
		     body);
	say(fd, text, (size_t)n);
	close(fd);
}

/* RFC 6455, 4.2.2. */
static void shake_hands(int fd, char *head)
{
	char *key = strcasestr(head, "sec-websocket-key: "), text[512], accept[64];
	unsigned char sum[20];
	int n;

	if (!key)
		return;
	key += strlen("sec-websocket-key: ");
	key[strcspn(key, "\r")] = 0;
	n = snprintf(text, sizeof(text), "%s" GUID, key);
	lws_SHA1((unsigned char *)text, (size_t)n, sum);
	lws_b64_encode_string((char *)sum, sizeof(sum), accept, sizeof(accept));
	n = snprintf(text, sizeof(text),
		     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
		     "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		     accept);
	say(fd, text, (size_t)n);
}

static void say_frame(int fd, const char *text)
{
	unsigned char frame[128] = {0x81, (unsigned char)strlen(text)};

	memcpy(frame + 2, text, frame[1]);
	say(fd, frame, 2u + frame[1]);
}

static void talk(const struct fake *f)
{
	char bytes[4096];
	int fd = take(f, bytes, sizeof(bytes));

	shake_hands(fd, bytes);
	/* A question is short: one read takes it. */
	for (const char *const *a = f->answers; read(fd, bytes, sizeof(bytes)) > 0 && *a; a++) {
		say_frame(fd, "{\"method\": \"an event\"}");
		if (**a)
			say_frame(fd, *a);
	}
	close(fd);
}

static void *play(void *arg)
{
	tell_list(arg);
	talk(arg);
	return NULL;
}

static void begin(struct fake *f, const char *list, const char *const *answers)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(at);

	*f = (struct fake){.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
			   .list = list,
			   .answers = answers};
	assert_int_equal(bind(f->listener, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(f->listener, 4), 0);
	assert_int_equal(getsockname(f->listener, (struct sockaddr *)&at, &n), 0);
	f->port = ntohs(at.sin_port);
	assert_int_equal(pthread_create(&f->thread, NULL, play, f), 0);
}

static void end(struct fake *f)
{
	shutdown(f->listener, SHUT_RDWR);
	pthread_join(f->thread, NULL);
	close(f->listener);
}

static void test_answers(void **state)
{
	static const char *const answers[] = {
		"{\"id\": 1, \"result\": {\"result\": {\"type\": \"number\", \"value\": 7}}}",
		"{\"id\": 2, \"result\": {\"exceptionDetails\": {\"exception\": {\"description\": "
		"\"no\"}}}}",
		"{\"id\": 3, \"result\": {\"result\": {\"type\": \"undefined\"}}}", "", NULL};
	struct inspector *i;
	json_t *value = NULL;
	struct fake f;
	uint64_t from;

	(void)state;
	begin(&f, LIST, answers);
	assert_int_equal(inspector_open("127.0.0.1", f.port, 60 * SECOND, &i), 0);
	assert_int_equal(inspector_eval(i, "1", 60 * SECOND, &value), 0);
	assert_int_equal(json_integer_value(value), 7);
	json_decref(value);
	assert_int_equal(inspector_eval(i, "2", 60 * SECOND, &value), -EPROTO);
	assert_string_equal(json_string_value(value), "no");
	json_decref(value);
	assert_int_equal(inspector_eval(i, "3", 60 * SECOND, &value), 0);
	assert_null(value);
	from = clew_mono_ns();
	assert_int_equal(inspector_eval(i, "4", SECOND / 100, &value), -ETIMEDOUT);
	/* By our deadline, and not by one of the library's, which are of 30 s. */
	assert_true(clew_mono_ns() - from < 25 * SECOND);
	inspector_close(i);
	end(&f);
}

/* Whoever has lost the connection may ask on: node_agent.c wants the inspector closed in any case. */
static void test_connection_lost(void **state)
{
	static const char *const answers[] = {NULL};
	struct inspector *i;
	json_t *value = NULL;
	struct fake f;

	(void)state;
	begin(&f, LIST, answers);
	assert_int_equal(inspector_open("127.0.0.1", f.port, 60 * SECOND, &i), 0);
	for (int k = 0; k < 3; k++)
		assert_int_equal(inspector_eval(i, "1", 60 * SECOND, &value), -EPIPE);
	inspector_close(i);
	end(&f);
}

static void test_no_inspector(void **state)
{
	static const char *const lists[] = {"",
					    "[]",
					    "{}",
					    "[{}]",
					    "no JSON",
					    "[{\"webSocketDebuggerUrl\": \"127.0.0.1\"}]",
					    "[{\"webSocketDebuggerUrl\": \"ws://no path\"}]",
					    "[{\"webSocketDebuggerUrl\": 1}]"};
	static const char *const answers[] = {NULL};
	struct inspector *i;
	struct fake f;

	(void)state;
	for (size_t k = 0; k < sizeof(lists) / sizeof(*lists); k++) {
		begin(&f, lists[k], answers);
		assert_int_equal(inspector_open("127.0.0.1", f.port, 60 * SECOND, &i), -EPROTO);
		end(&f);
	}
	assert_int_equal(inspector_open("127.0.0.1", f.port, 60 * SECOND, &i), -ECONNREFUSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_connection_lost),
		cmocka_unit_test(test_no_inspector),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
