/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz a connection of OTLP over gRPC: HTTP/2 frames of anybody, in pieces. Whatever comes, the connection ends, each call
 * that was begun ends too, and the memory of bodies is given back.
 *
 * Input: a byte (bit 0: the preface and SETTINGS go before; bit 1: a token is asked for; bit 2: what is stored is answered
 * later), a byte that says where to cut, then the bytes.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "server/grpc.h"

/* What ingest has and did not answer yet. */
static struct {
	ingest_done_fn done;
	void *user;
} waiting[1024];
static size_t n_waiting;
static bool later;

/* The store: takes what has an even length. */
bool ingest_submit(struct clew_server *s, struct slice body, bool json, bool may_wait,
		   ingest_done_fn done, void *user, struct ingest_result *ret)
{
	struct ingest_result res = {.code = CLEW_RPC_OK, .status = 200, .rejected = body.n & 2};

	if (body.n & 1 || n_waiting == sizeof(waiting) / sizeof(*waiting)) {
		*ret = (struct ingest_result){.code = CLEW_RPC_UNAVAILABLE, .message = "later\n%"};
		return false;
	}
	if (!later) {
		done(user, &res);
		return true;
	}
	waiting[n_waiting].done = done;
	waiting[n_waiting++].user = user;
	return true;
}

bool auth_token_sent(struct clew_server *s, const char *sent)
{
	return !strcmp(sent, s->token);
}

int grpc_tls_session(struct grpc_tls *t, int fd, void **ret)
{
	return -ENOTSUP;
}

void grpc_tls_end(void *session)
{
}

int grpc_tls_handshake(void *session)
{
	return -ENOTSUP;
}

ssize_t grpc_tls_read(void *session, void *p, size_t n)
{
	return -ENOTSUP;
}

ssize_t grpc_tls_write(void *session, const void *p, size_t n)
{
	return -ENOTSUP;
}

/* As the loop does it. */
static void take_finished(struct grpc_loop *l)
{
	struct ingest_result res = {.code = CLEW_RPC_OK, .status = 200};
	struct grpc_call *call, *next;

	while (n_waiting) {
		n_waiting--;
		waiting[n_waiting].done(waiting[n_waiting].user, &res);
	}
	call = l->finished;
	l->finished = NULL;
	for (; call; call = next) {
		next = call->done_next;
		call->done_next = NULL;
		l->waiting--;
		grpc_call_finished(call);
	}
}

static void empty(int fd)
{
	char bytes[65536];

	while (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
}

static void converse(struct grpc_loop *l, int fd, const uint8_t *p, size_t n, size_t step)
{
	for (size_t i = 0; n; i++) {
		size_t piece = n < step ? n : step;

		if (!l->conns || send(fd, p, piece, MSG_NOSIGNAL) != (ssize_t)piece)
			return;
		p += piece;
		n -= piece;
		grpc_conn_io(l->conns, EPOLLIN);
		if (i % 3 == 2)
			take_finished(l);
		empty(fd);
	}
}

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct clew_server server;
	static struct grpc g = {.server = &server};
	static struct grpc_loop *l = &g.loops[0];
	int pair[2];

	if (size < 2 || size > 65536)
		return 0;
	if (!g.callbacks) {
		*l = (struct grpc_loop){.grpc = &g,
					.epoll_fd = epoll_create1(EPOLL_CLOEXEC),
					.event_fd = eventfd(0, EFD_NONBLOCK)};
		pthread_mutex_init(&l->lock, NULL);
		FUZZ_CHECK(!grpc_callbacks(&g.callbacks) && !nghttp2_option_new(&g.option));
	}
	server.token = data[0] & 2 ? "t" : NULL;
	later = data[0] & 4;
	FUZZ_CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	FUZZ_CHECK(!fcntl(pair[0], F_SETFL, O_NONBLOCK));
	grpc_conn_new(l, pair[0]);
	if (data[0] & 1)
		converse(l, pair[1], (const uint8_t *)preface, sizeof(preface) - 1,
			 sizeof(preface));
	converse(l, pair[1], data + 2, size - 2, data[1] ? data[1] * 4u : size);
	if (l->conns)
		grpc_conn_look(l->conns, l->conns->active_ns + SERVER_REQUEST_NS * 2);
	close(pair[1]);
	if (l->conns)
		grpc_conn_io(l->conns, EPOLLIN | EPOLLHUP);
	take_finished(l);
	FUZZ_CHECK(!l->conns && !l->waiting && !server.active && !server.bodies && !g.n_conns);
	return 0;
}
