/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <strings.h>
#include <sys/eventfd.h>

#include <zlib.h>

#include "base/clock.h"
#include "server/grpc.h"

#define EXPORT_PATH "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
/* Of a gRPC message: a flag and the length. */
#define PREFIX 5u

struct grpc_call *grpc_call_new(struct grpc_conn *c, int32_t stream)
{
	struct grpc_call *call = calloc(1, sizeof(*call));

	if (!call)
		return NULL;
	call->loop = c->loop;
	call->conn = c;
	call->stream = stream;
	call->begin_ns = clew_mono_ns();
	call->authorized = !c->loop->grpc->server->token;
	clew_buf_init(&call->body, GRPC_MAX_MESSAGE + PREFIX);
	call->next = c->calls;
	if (call->next)
		call->next->prev = call;
	c->calls = call;
	c->n_calls++;
	atomic_fetch_add(&c->loop->grpc->server->active, 1);
	return call;
}

void grpc_call_header(struct grpc_call *call, struct slice name, struct slice value)
{
	if (slice_eq(name, SLICE(":path"))) {
		call->path_ok = slice_eq(value, SLICE(EXPORT_PATH));
	} else if (slice_eq(name, SLICE("content-type"))) {
		call->type_ok = slice_starts(value, SLICE("application/grpc"));
	} else if (slice_eq(name, SLICE("grpc-encoding"))) {
		call->gzip = slice_eq(value, SLICE("gzip"));
		call->coding_bad = !call->gzip && !slice_eq(value, SLICE("identity"));
	} else if (slice_eq(name, SLICE("authorization")) && call->loop->grpc->server->token) {
		_cleanup_(freep) char *text = strndup(value.p, value.n);

		call->authorized = text && auth_token_sent(call->loop->grpc->server, text);
	}
}

static void refuse(struct grpc_call *call, enum clew_rpc_code code, const char *why)
{
	struct clew_server *s = call->loop->grpc->server;

	call->refuse = code;
	call->refuse_why = why;
	/* What was read of it is of no use any more. */
	atomic_fetch_sub(&s->bodies, call->body.len);
	clew_buf_done(&call->body);
	clew_buf_init(&call->body, GRPC_MAX_MESSAGE + PREFIX);
}

bool grpc_call_data(struct grpc_call *call, const uint8_t *data, size_t n)
{
	struct clew_server *s = call->loop->grpc->server;

	call->taken += n;
	if (call->refuse)
		return call->taken <= GRPC_DISCARD;
	if (atomic_fetch_add(&s->bodies, n) + n > SERVER_BODIES) {
		atomic_fetch_sub(&s->bodies, n);
		s->counters.refused_busy++;
		refuse(call, CLEW_RPC_UNAVAILABLE, "too many requests at a time: try again");
	} else if (clew_buf_add(&call->body, data, n) < 0) {
		atomic_fetch_sub(&s->bodies, n);
		s->counters.refused_size++;
		refuse(call, CLEW_RPC_RESOURCE_EXHAUSTED, "the message is larger than 4 MiB");
	}
	return true;
}

/* ---- the answer ---- */

static ssize_t read_answer(nghttp2_session *session, int32_t stream, uint8_t *out, size_t n,
			   uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct grpc_call *call = source->ptr;
	static const nghttp2_nv ok = {.name = (uint8_t *)(uintptr_t)"grpc-status",
				      .value = (uint8_t *)(uintptr_t)"0",
				      .namelen = 11,
				      .valuelen = 1};

	if (n > call->answer.len - call->answered)
		n = call->answer.len - call->answered;
	memcpy(out, call->answer.data + call->answered, n);
	call->answered += n;
	if (call->answered == call->answer.len) {
		*flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
		nghttp2_submit_trailer(session, stream, &ok, 1);
	}
	return (ssize_t)n;
}

static nghttp2_nv header(const char *name, const char *value)
{
	return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
			    .value = (uint8_t *)(uintptr_t)value,
			    .namelen = strlen(name),
			    .valuelen = strlen(value)};
}

/* Percent-encoded, as grpc-message wants it. */
static void encode(const char *text, char *out, size_t size)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t n = 0;

	for (; *text && n + 4 < size; text++) {
		unsigned char c = (unsigned char)*text;

		if (c >= 0x20 && c < 0x7f && c != '%') {
			out[n++] = (char)c;
		} else {
			out[n++] = '%';
			out[n++] = hex[c >> 4];
			out[n++] = hex[c & 15];
		}
	}
	out[n] = '\0';
}

static void answer_failure(struct grpc_call *call)
{
	char code[8], message[1024];

	snprintf(code, sizeof(code), "%d", call->res.code);
	encode(call->res.message, message, sizeof(message));
	const nghttp2_nv headers[] = {
		header(":status", "200"),
		header("content-type", "application/grpc"),
		header("grpc-status", code),
		header("grpc-message", message),
		header("grpc-accept-encoding", "identity,gzip"),
	};

	nghttp2_submit_response(call->conn->session, call->stream, headers,
				sizeof(headers) / sizeof(headers[0]), NULL);
}

static void answer(struct grpc_call *call)
{
	const nghttp2_nv headers[] = {
		header(":status", "200"),
		header("content-type", "application/grpc"),
		header("grpc-accept-encoding", "identity,gzip"),
	};
	const nghttp2_data_provider body = {.source.ptr = call, .read_callback = read_answer};
	uint32_t n;

	if (call->res.code != CLEW_RPC_OK) {
		answer_failure(call);
		return;
	}
	clew_buf_add(&call->answer, "\0\0\0\0\0", PREFIX);
	clew_otlp_response(&call->answer, false, call->res.rejected, call->res.message);
	if (call->answer.err) {
		call->res = (struct ingest_result){.code = CLEW_RPC_UNAVAILABLE};
		answer_failure(call);
		return;
	}
	n = __builtin_bswap32((uint32_t)(call->answer.len - PREFIX));
	memcpy(call->answer.data + 1, &n, sizeof(n));
	nghttp2_submit_response(call->conn->session, call->stream, headers,
				sizeof(headers) / sizeof(headers[0]), &body);
}

static void fail(struct grpc_call *call, enum clew_rpc_code code, const char *why)
{
	call->res = (struct ingest_result){.code = code};
	snprintf(call->res.message, sizeof(call->res.message), "%s", why);
	answer(call);
}

/* ---- the message ---- */

/* Into a buffer of its own. -EFBIG, -EBADMSG. */
static int inflate_message(struct slice in, struct clew_buf *out)
{
	z_stream z = {.next_in = (unsigned char *)(uintptr_t)in.p, .avail_in = (unsigned)in.n};
	unsigned char chunk[16384];
	int r = inflateInit2(&z, 15 + 16) == Z_OK ? Z_OK : Z_MEM_ERROR, e = 0;

	clew_buf_init(out, GRPC_MAX_MESSAGE);
	while (r == Z_OK && e == 0) {
		z.next_out = chunk;
		z.avail_out = sizeof(chunk);
		r = inflate(&z, Z_NO_FLUSH);
		e = clew_buf_add(out, chunk, sizeof(chunk) - z.avail_out);
	}
	inflateEnd(&z);
	if (e < 0)
		return e;
	return r == Z_STREAM_END && !z.avail_in ? 0 : -EBADMSG;
}

static void on_done(void *user, const struct ingest_result *res)
{
	struct grpc_call *call = user;
	struct grpc_loop *l = call->loop;

	pthread_mutex_lock(&l->lock);
	call->res = *res;
	call->done_next = l->finished;
	l->finished = call;
	/* With the lock held: the loop may end as soon as it has seen the last one. */
	if (!call->done_next)
		eventfd_write(l->event_fd, 1);
	pthread_mutex_unlock(&l->lock);
}

static void submit(struct grpc_call *call, struct slice message)
{
	struct grpc_loop *l = call->loop;
	struct ingest_result res;

	pthread_mutex_lock(&l->lock);
	l->waiting++;
	pthread_mutex_unlock(&l->lock);
	call->submitted = true;
	if (ingest_submit(l->grpc->server, message, false, false, on_done, call, &res))
		return;
	pthread_mutex_lock(&l->lock);
	l->waiting--;
	pthread_mutex_unlock(&l->lock);
	call->submitted = false;
	call->res = res;
	answer(call);
}

static void take_message(struct grpc_call *call)
{
	struct slice frame = clew_buf_slice(&call->body);
	_cleanup_(clew_buf_done) struct clew_buf plain = {0};
	struct slice message;
	uint32_t n;
	int r;

	if (frame.n >= PREFIX)
		memcpy(&n, frame.p + 1, sizeof(n));
	if (frame.n < PREFIX || __builtin_bswap32(n) != frame.n - PREFIX || frame.p[0] & ~1) {
		fail(call, CLEW_RPC_INVALID_ARGUMENT,
		     "nothing was kept: not one gRPC message of the length that it says");
		return;
	}
	message = slice_of(frame.p + PREFIX, frame.n - PREFIX);
	if (frame.p[0]) {
		r = call->gzip ? inflate_message(message, &plain) : -EBADMSG;
		if (r < 0) {
			fail(call,
			     r == -EFBIG ? CLEW_RPC_RESOURCE_EXHAUSTED : CLEW_RPC_INVALID_ARGUMENT,
			     r == -EFBIG ? "the message is larger than 4 MiB once decompressed"
					 : "nothing was kept: the message is not gzip");
			return;
		}
		message = clew_buf_slice(&plain);
	}
	submit(call, message);
}

void grpc_call_end(struct grpc_call *call)
{
	struct clew_server *s = call->loop->grpc->server;

	if (!call->type_ok) {
		fail(call, CLEW_RPC_INVALID_ARGUMENT, "content-type must be application/grpc");
	} else if (!call->authorized) {
		s->counters.refused_auth++;
		fail(call, CLEW_RPC_UNAUTHENTICATED,
		     "this server wants its token: send \"authorization: Bearer TOKEN\"");
	} else if (!call->path_ok) {
		fail(call, CLEW_RPC_UNIMPLEMENTED, "only " EXPORT_PATH " is served here");
	} else if (call->coding_bad) {
		fail(call, CLEW_RPC_UNIMPLEMENTED, "grpc-encoding must be gzip or identity");
	} else if (call->refuse) {
		fail(call, call->refuse, call->refuse_why);
	} else {
		take_message(call);
	}
	/* The spans are made: the message may go. */
	atomic_fetch_sub(&s->bodies, call->body.len);
	clew_buf_done(&call->body);
}

static void call_free(struct grpc_call *call)
{
	struct clew_server *s = call->loop->grpc->server;

	atomic_fetch_sub(&s->bodies, call->body.len);
	clew_buf_done(&call->body);
	clew_buf_done(&call->answer);
	atomic_fetch_sub(&s->active, 1);
	free(call);
}

void grpc_call_closed(struct grpc_call *call)
{
	if (call->prev)
		call->prev->next = call->next;
	else
		call->conn->calls = call->next;
	if (call->next)
		call->next->prev = call->prev;
	call->conn->n_calls--;
	call->conn = NULL;
	if (!call->submitted)
		call_free(call);
}

void grpc_call_finished(struct grpc_call *call)
{
	call->submitted = false;
	if (!call->conn) {
		call_free(call);
		return;
	}
	answer(call);
	grpc_conn_flush(call->conn);
}
