/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request at a time over a connection that is kept where it can be, by libcurl.
 *
 * gRPC is one POST over HTTP/2: known beforehand without TLS, by ALPN with it; its status comes in the
 * trailers, which libcurl hands over as headers. (gRPC over HTTP/2, grpc/doc/PROTOCOL-HTTP2.md)
 */
#include "export/internal.h"

#include <stdio.h>

#include "base/clock.h"

#define NS_PER_MS 1000000ull
/* Of an answer; no more of it is read. */
#define MAX_ANSWER (64u << 10)
#define MAX_HEADER (16u << 10)

static size_t on_body(char *p, size_t size, size_t n, void *user)
{
	struct raw_answer *a = user;
	size_t room = MAX_ANSWER - a->body.len;

	clew_buf_add(&a->body, p, n < room ? n : room);
	return n;
}

static size_t on_header(char *p, size_t size, size_t n, void *user)
{
	answer_header(user, slice_of(p, n));
	return n;
}

static int add_header(struct curl_slist **list, const char *line)
{
	struct curl_slist *more = curl_slist_append(*list, line);

	if (!more)
		return -ENOMEM;
	*list = more;
	return 0;
}

static int make_headers(struct sender *s)
{
	const struct target *t = s->target;
	char timeout[48];
	int r;

	curl_slist_free_all(s->headers);
	s->headers = NULL;
	s->headers_gzip = t->gzip;
	r = add_header(&s->headers, t->grpc   ? "content-type: application/grpc"
				    : t->json ? "Content-Type: application/json"
					      : "Content-Type: application/x-protobuf");
	if (!r)
		r = add_header(&s->headers, "Expect:");
	if (!r && t->grpc) {
		snprintf(timeout, sizeof(timeout), "grpc-timeout: %llum",
			 (unsigned long long)(t->timeout_ns / NS_PER_MS % 100000000));
		r = add_header(&s->headers, "te: trailers");
		if (!r)
			r = add_header(&s->headers, timeout);
	}
	if (!r && t->gzip)
		r = add_header(&s->headers,
			       t->grpc ? "grpc-encoding: gzip" : "Content-Encoding: gzip");
	for (const struct curl_slist *h = t->headers; h && !r; h = h->next)
		r = add_header(&s->headers, h->data);
	return r;
}

/*
 * libcurl 7.88 cannot use a connection a second time that is known to speak HTTP/2 beforehand (curl
 * issue 10634, mended in 8.0): a connection for each request then, which is a batch of a second.
 */
static bool must_not_reuse(const struct target *t, bool tls)
{
	return t->grpc && !tls && curl_version_info(CURLVERSION_NOW)->version_num < 0x080000;
}

static void set_options(struct sender *s, struct slice body)
{
	const struct target *t = s->target;
	CURL *c = s->easy;
	bool tls = !strncmp(t->url, "https:", 6);

	curl_easy_setopt(c, CURLOPT_HTTPHEADER, s->headers);
	curl_easy_setopt(c, CURLOPT_URL, t->url);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_POST, 1L);
	curl_easy_setopt(c, CURLOPT_POSTFIELDS, body.p ? body.p : "");
	curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)(t->timeout_ns / NS_PER_MS));
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_USERAGENT, t->user_agent);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, &s->answer);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, &s->answer);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, s->error);
	curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(c, CURLOPT_HTTP_VERSION,
			 !t->grpc ? (long)CURL_HTTP_VERSION_1_1
			 : tls	  ? (long)CURL_HTTP_VERSION_2TLS
				  : (long)CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE);
	curl_easy_setopt(c, CURLOPT_FORBID_REUSE, must_not_reuse(t, tls) ? 1L : 0L);
	if (t->tls_ca)
		curl_easy_setopt(c, CURLOPT_CAINFO, t->tls_ca);
	if (t->tls_cert)
		curl_easy_setopt(c, CURLOPT_SSLCERT, t->tls_cert);
	if (t->tls_key)
		curl_easy_setopt(c, CURLOPT_SSLKEY, t->tls_key);
}

int sender_init(struct sender *s, const struct target *t)
{
	*s = (struct sender){.target = t, .multi = curl_multi_init()};
	s->answer.body.limit = MAX_ANSWER;
	s->answer.grpc_message.limit = s->answer.grpc_details.limit = MAX_HEADER;
	if (!s->multi || make_headers(s) < 0) {
		sender_done(s);
		return -ENOMEM;
	}
	return 0;
}

void sender_done(struct sender *s)
{
	if (s->multi)
		curl_multi_cleanup(s->multi);
	curl_slist_free_all(s->headers);
	answer_done(&s->answer);
	*s = (struct sender){0};
}

void sender_wake(struct sender *s)
{
	if (s->multi)
		curl_multi_wakeup(s->multi);
}

/* CURLE_OK, another result, or -1: the time is over. */
static int perform(struct sender *s, uint64_t (*until_ns)(void *user), void *user)
{
	uint64_t begin = clew_mono_ns();
	int running = 1, left;

	while (running) {
		uint64_t now = clew_mono_ns(), until = until_ns(user);
		uint64_t ms = until > now ? (until - now) / NS_PER_MS + 1 : 0;

		if (!ms)
			return -1;
		if (now - begin > s->target->timeout_ns)
			return CURLE_OPERATION_TIMEDOUT;
		if (curl_multi_perform(s->multi, &running) != CURLM_OK)
			return CURLE_FAILED_INIT;
		if (running)
			curl_multi_poll(s->multi, NULL, 0, ms < 1000 ? (int)ms : 1000, NULL);
	}
	for (CURLMsg *m; (m = curl_multi_info_read(s->multi, &left));)
		if (m->msg == CURLMSG_DONE)
			return (int)m->data.result;
	return CURLE_FAILED_INIT;
}

/* A connection that breaks at the first byte: most often another protocol's port. */
static const char *guess(const struct target *t, int r)
{
	if (r != CURLE_SEND_ERROR && r != CURLE_RECV_ERROR && r != CURLE_HTTP2 &&
	    r != CURLE_WEIRD_SERVER_REPLY && r != CURLE_UNSUPPORTED_PROTOCOL)
		return "";
	return t->grpc ? " (is it the port of OTLP/gRPC?)" : " (is it the port of OTLP/HTTP?)";
}

static void failed(struct sender *s, int r, struct judgement *ret)
{
	*ret = (struct judgement){.verdict = r < 0 ? VERDICT_STOPPED : VERDICT_RETRY};
	snprintf(ret->why, sizeof(ret->why), "%.200s%s",
		 r < 0	       ? "no answer until the end"
		 : s->error[0] ? s->error
			       : curl_easy_strerror((CURLcode)r),
		 guess(s->target, r));
	answer_printable(ret->why);
}

void sender_send(struct sender *s, struct slice body, uint64_t (*until_ns)(void *user), void *user,
		 struct judgement *ret)
{
	curl_off_t retry_after = 0;
	int r = CURLE_OUT_OF_MEMORY;

	answer_clear(&s->answer);
	s->error[0] = '\0';
	s->easy = curl_easy_init();
	if (s->easy && (s->headers_gzip == s->target->gzip || make_headers(s) == 0)) {
		set_options(s, body);
		curl_multi_add_handle(s->multi, s->easy);
		r = perform(s, until_ns, user);
		curl_multi_remove_handle(s->multi, s->easy);
		curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &s->answer.status);
		curl_easy_getinfo(s->easy, CURLINFO_RETRY_AFTER, &retry_after);
	}
	curl_easy_cleanup(s->easy);
	s->easy = NULL;
	if (r != CURLE_OK) {
		failed(s, r, ret);
		return;
	}
	s->answer.retry_after = retry_after;
	answer_judge(s->target, &s->answer, body.n, ret);
}
