/* SPDX-License-Identifier: Apache-2.0 */
/* clew-load's own: its options, its figures and a connection. load.c says what it is. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

#define MAX_CONNS    4096
#define MAX_REQUEST  8192
#define MAX_HEAD     16384
#define TOKEN_DIGITS 32
#define NS	     1000000000ull

enum state { CLOSED, IDLE, CONNECTING, SENDING, HEAD, BODY };

/* Where a chunked body is: the size's line, the data with its CRLF, or the trailer's lines. */
enum chunk_state { CH_SIZE, CH_DATA, CH_TRAILER };

struct conn {
	int fd;
	enum state state;
	uint64_t due_ns;     /* intended start, monotonic */
	uint64_t start_ns;   /* Unix */
	uint64_t not_before; /* thinking until then, monotonic */
	char token[TOKEN_DIGITS + 1];
	size_t out_len, out_off, in_len;
	int status;
	bool keep, chunked, to_eof;
	uint64_t body_left;
	enum chunk_state chunk;
	bool chunk_digits, line_empty;
	char out[MAX_REQUEST];
	char in[MAX_HEAD];
};

struct load_opts {
	struct sockaddr_storage addr;
	socklen_t addr_len;
	char host[256];
	char path[4096];
	char headers[2048];
	const char *method;
	unsigned int n_conns;
	uint64_t n_requests, duration_ns, think_ns;
	double rate;
	bool close_each;
	FILE *log;
};
extern struct load_opts opt;

struct load_stats {
	uint64_t sent, done, ok, cut, broken, samples_lost, in_flight_sum;
	uint64_t by_class[6]; /* status / 100 */
	unsigned int in_flight;
	uint64_t *lat;
	size_t n_lat, cap_lat;
};
extern struct load_stats st;

/* Say what is wrong, and with what, and end. */
_Noreturn void die(const char *what, const char *arg);

/* load_options.c: fills opt; what is wrong with the command line ends the program. */
void parse_options(int argc, char **argv);

/* load_answer.c: an answer's head, which ends at c->in_len (NUL-terminated there); false when it is no HTTP. */
bool read_head(struct conn *c);
/* Feeds body bytes; true when the body is whole. Broken chunks end it too: status stays what it was. */
bool read_body(struct conn *c, const char *p, size_t n);

/* load_report.c */
void add_sample(uint64_t ns);
/* One JSON object on standard output. */
void report(double seconds);
