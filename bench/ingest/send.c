/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sends prepared OTLP requests (payloads.py) as fast as they are answered, over HTTP/1.1 or gRPC.
 *
 *	clew-send http|grpc PORT FILE CONNECTIONS SECONDS
 *
 * Each connection has a thread and one request in flight. Ids and times are made new for each
 * sending, so that no span is sent twice. A 503 (UNAVAILABLE) is sent again a little later. Prints one
 * JSON object.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <nghttp2/nghttp2.h>

enum { PATCH_TRACE, PATCH_SPAN, PATCH_TIME };

struct patch {
	uint32_t offset, kind;
};

struct payload {
	uint32_t n, spans, n_patches;
	const unsigned char *bytes;
	const struct patch *patches;
};

struct sender {
	pthread_t thread;
	int number, fd;
	unsigned char *buf; /* 5 bytes of prefix, then the message */
	uint64_t spans, bytes, requests, refused, failed;
	/* gRPC's call in flight */
	nghttp2_session *session;
	size_t buf_n, sent;
	int status;
	int closed;
};

static struct payload *payloads;
static size_t n_payloads, largest;
static int port, use_grpc;
static uint64_t end_ns, spans_each; /* of a connection; whichever comes first */

static uint64_t now_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void load(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint32_t head[3];

	if (!f)
		die(path);
	while (fread(head, sizeof(head), 1, f) == 1) {
		unsigned char *bytes = malloc(head[0]);
		struct patch *patches = malloc(head[2] * sizeof(*patches));

		payloads = realloc(payloads, (n_payloads + 1) * sizeof(*payloads));
		if (!payloads || !bytes || !patches || fread(bytes, 1, head[0], f) != head[0] ||
		    fread(patches, sizeof(*patches), head[2], f) != head[2])
			die("payloads");
		payloads[n_payloads++] =
			(struct payload){head[0], head[1], head[2], bytes, patches};
		largest = head[0] > largest ? head[0] : largest;
	}
	fclose(f);
	if (!n_payloads)
		die("no payloads");
}

static uint64_t mix(uint64_t z)
{
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* A copy with ids and times of its own; parents and children stay so. */
static void make(struct sender *s, const struct payload *p, uint64_t round)
{
	uint64_t salt = mix(round * 0x9e3779b97f4a7c15u + (uint64_t)s->number + 1), v;
	uint64_t base = now_ns(CLOCK_REALTIME);
	unsigned char *m = s->buf + 5;

	memcpy(m, p->bytes, p->n);
	for (uint32_t i = 0; i < p->n_patches; i++) {
		unsigned char *at = m + p->patches[i].offset;

		memcpy(&v, at, 8);
		v = p->patches[i].kind == PATCH_TIME ? v + base : v ^ salt;
		memcpy(at, &v, 8);
	}
	s->buf[0] = 0;
	*(uint32_t *)(void *)(s->buf + 1) = htonl(p->n);
	s->buf_n = p->n + 5;
}

static void dial(struct sender *s)
{
	struct sockaddr_in sa = {.sin_family = AF_INET,
				 .sin_port = htons((uint16_t)port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	s->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (s->fd < 0 || connect(s->fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		die("connect");
	setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
}

static void write_all(int fd, const void *p, size_t n)
{
	const char *at = p;

	while (n) {
		ssize_t w = send(fd, at, n, MSG_NOSIGNAL);

		if (w <= 0)
			die("send");
		at += w;
		n -= (size_t)w;
	}
}

/* ---- HTTP ---- */

static int http_request(struct sender *s)
{
	char head[256], answer[4096];
	int n = snprintf(head, sizeof(head),
			 "POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
			 "application/x-protobuf\r\nContent-Length: %zu\r\n\r\n",
			 s->buf_n - 5);
	size_t got = 0;
	int status = 0;

	write_all(s->fd, head, (size_t)n);
	write_all(s->fd, s->buf + 5, s->buf_n - 5);
	for (;;) {
		ssize_t r = recv(s->fd, answer + got, sizeof(answer) - 1 - got, 0);
		char *end, *length;

		if (r <= 0)
			die("recv");
		got += (size_t)r;
		answer[got] = '\0';
		end = strstr(answer, "\r\n\r\n");
		length = strcasestr(answer, "content-length:");
		if (end && length &&
		    got >= (size_t)(end + 4 - answer) + strtoul(length + 15, NULL, 10))
			break;
	}
	sscanf(answer, "HTTP/1.1 %d", &status);
	return status == 200 ? 0 : status;
}

/* ---- gRPC ---- */

static ssize_t read_body(nghttp2_session *session, int32_t stream, uint8_t *out, size_t n,
			 uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct sender *s = user;

	if (n > s->buf_n - s->sent)
		n = s->buf_n - s->sent;
	memcpy(out, s->buf + s->sent, n);
	s->sent += n;
	if (s->sent == s->buf_n)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
		     size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags, void *user)
{
	struct sender *s = user;

	if (name_n == 11 && !memcmp(name, "grpc-status", 11))
		s->status = atoi((const char *)value);
	return 0;
}

static int on_close(nghttp2_session *session, int32_t stream, uint32_t error, void *user)
{
	((struct sender *)user)->closed = 1;
	return 0;
}

static void open_session(struct sender *s)
{
	const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0}};
	nghttp2_session_callbacks *cb;

	nghttp2_session_callbacks_new(&cb);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
	nghttp2_session_client_new(&s->session, cb, s);
	nghttp2_submit_settings(s->session, 0, settings, 1);
}

#define NV(n, v) \
	{(uint8_t *)(uintptr_t)(n), (uint8_t *)(uintptr_t)(v), sizeof(n) - 1, sizeof(v) - 1, 0}

static int grpc_request(struct sender *s)
{
	static const nghttp2_nv headers[] = {
		NV(":method", "POST"),
		NV(":scheme", "http"),
		NV(":path", "/opentelemetry.proto.collector.trace.v1.TraceService/Export"),
		NV(":authority", "localhost"),
		NV("content-type", "application/grpc"),
		NV("te", "trailers"),
	};
	nghttp2_data_provider body = {.read_callback = read_body};
	unsigned char in[16384];

	s->sent = 0;
	s->closed = 0;
	s->status = -1;
	nghttp2_submit_request(s->session, NULL, headers, sizeof(headers) / sizeof(headers[0]),
			       &body, NULL);
	while (!s->closed) {
		const uint8_t *out;
		ssize_t n;

		while ((n = nghttp2_session_mem_send(s->session, &out)) > 0)
			write_all(s->fd, out, (size_t)n);
		if (s->closed)
			break;
		n = recv(s->fd, in, sizeof(in), 0);
		if (n <= 0 || nghttp2_session_mem_recv(s->session, in, (size_t)n) != n)
			die("gRPC");
	}
	return s->status == 0 ? 0 : s->status == 14 ? 503 : 500;
}

static void *run(void *arg)
{
	struct sender *s = arg;

	dial(s);
	if (use_grpc)
		open_session(s);
	for (uint64_t round = 0; now_ns(CLOCK_MONOTONIC) < end_ns && s->spans < spans_each;
	     round++) {
		const struct payload *p = &payloads[(round * 7 + (uint64_t)s->number) % n_payloads];
		int r;

		make(s, p, round);
		while ((r = use_grpc ? grpc_request(s) : http_request(s)) == 503 || r == 429) {
			s->refused++;
			nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
		}
		if (r) {
			s->failed++;
			continue;
		}
		s->requests++;
		s->spans += p->spans;
		s->bytes += p->n;
	}
	close(s->fd);
	return NULL;
}

int main(int argc, char **argv)
{
	struct sender *senders, sum = {0};
	struct rusage ru;
	uint64_t begin;
	int n;

	if (argc != 6 && argc != 7) {
		fprintf(stderr,
			"usage: clew-send http|grpc PORT FILE CONNECTIONS SECONDS [SPANS]\n");
		return 2;
	}
	use_grpc = !strcmp(argv[1], "grpc");
	port = atoi(argv[2]);
	load(argv[3]);
	n = atoi(argv[4]);
	spans_each = argc > 6 ? strtoull(argv[6], NULL, 10) / (uint64_t)n : UINT64_MAX;
	senders = calloc((size_t)n, sizeof(*senders));
	begin = now_ns(CLOCK_MONOTONIC);
	end_ns = begin + (uint64_t)(atof(argv[5]) * 1e9);
	for (int i = 0; i < n; i++) {
		senders[i].number = i + (int)(getpid() % 10000) * 1000;
		senders[i].buf = malloc(largest + 5);
		pthread_create(&senders[i].thread, NULL, run, &senders[i]);
	}
	for (int i = 0; i < n; i++) {
		pthread_join(senders[i].thread, NULL);
		sum.spans += senders[i].spans;
		sum.bytes += senders[i].bytes;
		sum.requests += senders[i].requests;
		sum.refused += senders[i].refused;
		sum.failed += senders[i].failed;
	}
	getrusage(RUSAGE_SELF, &ru);
	printf("{\"spans\":%lu,\"bytes\":%lu,\"requests\":%lu,\"refused\":%lu,\"failed\":%lu,"
	       "\"seconds\":%.3f,\"cpu_s\":%.3f}\n",
	       sum.spans, sum.bytes, sum.requests, sum.refused, sum.failed,
	       (double)(now_ns(CLOCK_MONOTONIC) - begin) / 1e9,
	       (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
		       (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6);
	return 0;
}
