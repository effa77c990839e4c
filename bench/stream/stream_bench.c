/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parsers and the stream layer cost: ns of CPU a head, a record, an exchange, on records made in
 * memory. Each figure stands beside that of a plain copy of the same bytes, the least that could be done.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "proto/http1.h"
#include "stream/stream.h"

static const char request[] =
	"GET /item/12345?q=abcdef HTTP/1.1\r\nHost: shop.example.com:8080\r\n"
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\n"
	"Accept: text/html,application/xhtml+xml\r\nAccept-Encoding: gzip, deflate\r\n"
	"Accept-Language: en-US,en;q=0.5\r\nConnection: keep-alive\r\n"
	"Cookie: session=0123456789abcdef0123456789abcdef\r\n"
	"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"
	"X-Request-ID: 0123456789\r\n\r\n";
static const char response[] =
	"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sun, 22 Nov 2026 21:00:00 GMT\r\n"
	"Content-Type: text/html\r\nContent-Length: 612\r\n"
	"Last-Modified: Tue, 04 Dec 2018 14:52:24 GMT\r\nConnection: keep-alive\r\n"
	"ETag: \"5c0692e1-264\"\r\nAccept-Ranges: bytes\r\n\r\n";
static const char resp_query[] = "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n";

struct op {
	struct clew_rec_io io;
	uint64_t counters[6];
	char text[1024];
};

static volatile long sink;

static double cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void heads(struct slice in, ssize_t (*parse)(struct slice, struct clew_http1_head *),
		  const char *name)
{
	enum { N = 2000000 };
	struct clew_http1_head h;
	char copy[1024];
	double t = cpu_ns(), plain;

	for (int i = 0; i < N; i++) {
		memcpy(copy, in.p, in.n);
		__asm__ volatile("" ::"r"(copy) : "memory");
	}
	plain = (cpu_ns() - t) / N;
	t = cpu_ns();
	for (int i = 0; i < N; i++)
		sink += parse(in, &h);
	t = (cpu_ns() - t) / N;
	printf("%-34s %6.0f ns a head    (copy of its bytes: %.0f)\n", name, t, plain);
}

static void on_end(void *u, struct clew_exchange *x)
{
	++*(unsigned long *)u;
	clew_exchange_free(x);
}

static void set(struct op *o, enum clew_dir dir, struct slice text, uint32_t unseen)
{
	*o = (struct op){.io = {.hdr = {.len = sizeof(*o), .type = CLEW_REC_IO},
				.hdr_bytes = sizeof(o->io),
				.n_counters = 6,
				.dir = dir,
				.tgid = 5,
				.tid = 5,
				.cap_len = (uint32_t)text.n,
				.bytes = (uint32_t)text.n + unseen}};
	memcpy(o->text, text.p, text.n);
}

static int records(const char *name, struct slice req, struct slice resp, uint32_t body,
		   unsigned n_conns)
{
	static const struct clew_stream_ops ops = {.end = on_end};
	static const struct clew_stream_opts opts;
	unsigned long n = 0, rounds = 2000000 / n_conns;
	struct clew_stream *s;
	struct op op[2];
	uint64_t now = 1;
	double t;

	if (clew_stream_new(&ops, &n, &opts, &s))
		return 1;
	set(&op[0], CLEW_DIR_RX, req, 0);
	set(&op[1], CLEW_DIR_TX, resp, body);
	for (unsigned c = 0; c < n_conns; c++) {
		struct clew_rec_conn k = {.hdr = {.len = sizeof(k), .type = CLEW_REC_CONN},
					  .ts_ns = now,
					  .conn = c * 7 + 1,
					  .hdr_bytes = sizeof(k),
					  .event = CLEW_CONN_ACCEPTED,
					  .role = CLEW_ROLE_SERVER,
					  .family = CLEW_AF_INET};

		if (clew_stream_feed(s, &k.hdr))
			return 1;
	}
	t = cpu_ns();
	for (unsigned long k = 0; k < rounds; k++) {
		for (unsigned c = 0; c < n_conns; c++) {
			for (int d = 0; d < 2; d++) {
				struct clew_rec_io *io = &op[d].io;

				io->conn = c * 7 + 1;
				io->offset = k * io->bytes;
				io->begin_ns = now;
				io->end_ns = now += 1000;
				if (clew_stream_feed(s, &io->hdr))
					return 1;
			}
		}
	}
	t = cpu_ns() - t;
	clew_stream_flush(s);
	printf("%-24s %7u conns %4.0f ns a record, %4.0f ns an exchange\n", name, n_conns,
	       t / (double)(rounds * n_conns * 2), t / (double)n);
	clew_stream_free(s);
	return n != rounds * n_conns;
}

int main(void)
{
	int r = 0;

	heads(SLICE(request), clew_http1_request, "request, 406 bytes, 9 fields");
	heads(SLICE(response), clew_http1_response, "response, 238 bytes, 8 fields");
	for (unsigned conns = 10; conns <= 100000; conns *= 100) {
		r |= records("HTTP/1.1 keep-alive", SLICE(request), SLICE(response), 612, conns);
		r |= records("raw", SLICE(resp_query), SLICE("+OK\r\n"), 0, conns);
	}
	if (r)
		fprintf(stderr, "exchanges are missing\n");
	return r;
}
