/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The work of a request (see ../../case.py), for the services in C: settings, truth, plan, and the few
 * lines of HTTP/1.1 that they need. Bodies are never sent by clients of ours; answers have a length.
 */
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TOKEN	  32
#define MAX_HEAD  4096
#define MAX_STEPS 16
#define NS	  1000000000ull

static struct {
	const char *name, *back_name, *mode;
	int port, truth, steps, retries, workers, conns;
	double think_ns, skip, repeat, background, timer_ns;
	struct sockaddr_in back;
} flow;

static double flow_env(const char *name)
{
	const char *v = getenv(name);

	if (!v) {
		fprintf(stderr, "%s is not set\n", name);
		exit(2);
	}
	return atof(v);
}

static void flow_init(void)
{
	char host[64];
	int port;

	flow.name = getenv("NAME");
	flow.back_name = getenv("BACK_NAME");
	flow.mode = getenv("MODE") ?: "";
	flow.port = (int)flow_env("PORT");
	flow.steps = (int)flow_env("STEPS");
	flow.retries = (int)flow_env("RETRIES");
	flow.workers = (int)flow_env("WORKERS");
	flow.conns = (int)flow_env("CONNS");
	flow.think_ns = flow_env("THINK_MS") * 1e6;
	flow.timer_ns = flow_env("TIMER_MS") * 1e6;
	flow.skip = flow_env("SKIP");
	flow.repeat = flow_env("REPEAT");
	flow.background = flow_env("BACKGROUND");
	if (flow.steps * 2 > MAX_STEPS || sscanf(getenv("BACK"), "%63[^:]:%d", host, &port) != 2) {
		fprintf(stderr, "STEPS or BACK is not usable\n");
		exit(2);
	}
	flow.back = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	inet_pton(AF_INET, host, &flow.back.sin_addr);
	flow.truth = open(getenv("TRUTH"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
	if (flow.truth < 0) {
		perror("TRUTH");
		exit(2);
	}
	signal(SIGPIPE, SIG_IGN);
}

/* 0 to 1; each thread and each process has a sequence of its own. */
static double flow_chance(void)
{
	static __thread uint64_t a, b;
	static __thread pid_t owner;
	uint64_t x, y;

	if (owner != getpid()) {
		owner = getpid();
		if (getrandom(&a, sizeof(a), 0) != sizeof(a) ||
		    getrandom(&b, sizeof(b), 0) != sizeof(b))
			abort();
	}
	x = a;
	y = b;
	a = y;
	x ^= x << 23;
	b = x ^ y ^ (x >> 17) ^ (y >> 26);
	return (double)((b + y) >> 11) / (double)(1ull << 53);
}

static uint64_t flow_pause_ns(void)
{
	return (uint64_t)(flow_chance() * 2 * flow.think_ns);
}

static uint64_t flow_period_ns(void)
{
	return (uint64_t)((0.5 + flow_chance()) * flow.timer_ns);
}

static inline void flow_sleep(uint64_t ns)
{
	struct timespec t = {(time_t)(ns / NS), (long)(ns % NS)};

	nanosleep(&t, NULL);
}

/* The kinds of the calls that a request makes; returns how many. */
static int flow_plan(const char **kinds)
{
	int n = 0;

	for (int i = 0; i < flow.steps; i++) {
		if (flow_chance() < flow.skip)
			continue;
		kinds[n++] = "call";
		if (flow_chance() < flow.repeat)
			kinds[n++] = "repeat";
	}
	return n;
}

/* The kind of the next try: that of a job or a timer stays what it is. */
static const char *flow_retry(const char *kind)
{
	return !strcmp(kind, "background") || !strcmp(kind, "timer") ? kind : "retry";
}

static void flow_fresh(char token[TOKEN + 1])
{
	uint64_t r[2];

	if (getrandom(r, sizeof(r), 0) != sizeof(r))
		abort();
	snprintf(token, TOKEN + 1, "%016llx%016llx", (unsigned long long)r[0],
		 (unsigned long long)r[1]);
}

static void flow_truth(const char *incoming, const char *token, const char *kind)
{
	char line[256];
	int n = snprintf(line, sizeof(line), "%s\t%s\t%s\t%s\t%s\n", flow.name, incoming,
			 flow.back_name, token, kind);

	if (write(flow.truth, line, (size_t)n) != n)
		abort();
}

/* The request of a call; returns its length. */
static int flow_get(const char *token, char *out, size_t size)
{
	return snprintf(out, size, "GET /%s/%s HTTP/1.1\r\nHost: back\r\n\r\n", flow.back_name,
			token);
}

/* Writes the truth of a call that is about to be made, and its request; returns the request's length. */
static int flow_request(const char *incoming, const char *kind, char *out, size_t size)
{
	char token[TOKEN + 1];

	flow_fresh(token);
	flow_truth(incoming, token, kind);
	return flow_get(token, out, size);
}

/* The token at the end of a request's path; false when there is none. */
static bool flow_token(const char *head, char token[TOKEN + 1])
{
	const char *end = head;

	end = strchr(head, ' ');
	end = end ? strpbrk(end + 1, " ?\r") : NULL;
	if (!end || end - head < TOKEN)
		return false;
	memcpy(token, end - TOKEN, TOKEN);
	token[TOKEN] = 0;
	return true;
}

static int flow_answer(int status, bool last, char *out, size_t size)
{
	return snprintf(out, size, "HTTP/1.1 %s\r\nContent-Length: 5\r\n%s\r\ndone\n",
			status == 200 ? "200 OK" : "502 Bad Gateway",
			last ? "Connection: close\r\n" : "");
}

/* The bytes of the message at in (NUL-terminated), head and body; 0: not whole yet. */
static size_t flow_message(const char *in, size_t len)
{
	const char *end = strstr(in, "\r\n\r\n"), *length = strcasestr(in, "\r\ncontent-length:");
	size_t n;

	if (!end)
		return 0;
	n = (size_t)(end - in) + 4 + (length && length < end ? strtoul(length + 17, NULL, 10) : 0);
	return n <= len ? n : 0;
}

static int flow_status(const char *in)
{
	return atoi(in + 9);
}

static void flow_nodelay(int fd)
{
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static int flow_listen(int flags)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons((uint16_t)flow.port),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 4096)) {
		perror("PORT");
		exit(2);
	}
	return fd;
}
