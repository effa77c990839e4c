/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a receiver's answer means: taken, to be sent again, or never.
 *
 * OTLP 1.x: over HTTP 429, 502, 503 and 504 are to be sent again; over gRPC CANCELLED,
 * DEADLINE_EXCEEDED, ABORTED, OUT_OF_RANGE, UNAVAILABLE, DATA_LOSS, and RESOURCE_EXHAUSTED when it
 * comes with RetryInfo. Without one it may mean a request that is too large or a quota that is used
 * up: a large request is sent in halves, a small one again later.
 */
#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

#include "export/internal.h"
#include "model/otlp_answer.h"

/* No receiver refuses less than this for its size. */
#define SMALL_BYTES (64u << 10)
#define NS_PER_S    1000000000ull

void answer_printable(char *text)
{
	for (unsigned char *p = (unsigned char *)text; *p; p++)
		if (*p < 0x20 || *p >= 0x7f)
			*p = *p >= 0x7f ? '?' : ' ';
}

void answer_clear(struct raw_answer *a)
{
	a->status = 0;
	a->retry_after = 0;
	a->json = a->html = false;
	a->grpc_status = -1;
	clew_buf_clear(&a->body);
	clew_buf_clear(&a->grpc_message);
	clew_buf_clear(&a->grpc_details);
}

void answer_done(struct raw_answer *a)
{
	clew_buf_done(&a->body);
	clew_buf_done(&a->grpc_message);
	clew_buf_done(&a->grpc_details);
}

/* ---- headers ---- */

/* The value of the header, if it is this one. */
static bool is_header(struct slice line, const char *name, struct slice *ret)
{
	size_t n = strlen(name);

	if (line.n <= n || line.p[n] != ':' || strncasecmp(line.p, name, n) != 0)
		return false;
	for (n++; n < line.n && (line.p[n] == ' ' || line.p[n] == '\t'); n++)
		;
	while (line.n > n && strchr(" \t\r\n", line.p[line.n - 1]))
		line.n--;
	*ret = slice_of(line.p + n, line.n - n);
	return true;
}

void answer_header(struct raw_answer *a, struct slice line)
{
	struct slice v;

	if (slice_starts(line, SLICE("HTTP/"))) {
		answer_clear(a); /* after a 100, or of the next attempt */
	} else if (is_header(line, "content-type", &v)) {
		a->json = v.n >= 16 && !strncasecmp(v.p, "application/json", 16);
		a->html = v.n >= 9 && !strncasecmp(v.p, "text/html", 9);
	} else if (is_header(line, "grpc-status", &v)) {
		a->grpc_status = 0;
		for (size_t i = 0; i < v.n && i < 3 && v.p[i] >= '0' && v.p[i] <= '9'; i++)
			a->grpc_status = a->grpc_status * 10 + v.p[i] - '0';
	} else if (is_header(line, "grpc-message", &v)) {
		clew_buf_add(&a->grpc_message, v.p, v.n);
	} else if (is_header(line, "grpc-status-details-bin", &v)) {
		clew_buf_add(&a->grpc_details, v.p, v.n);
	}
}

/* grpc-message: %XX for what is not printable ASCII. */
static void unpercent(struct slice s, char *out, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n && n + 1 < size; i++) {
		uint8_t c = (uint8_t)s.p[i];

		if (c == '%' && i + 2 < s.n && !clew_unhex(s.p + i + 1, 2, &c, 1))
			i += 2;
		out[n++] = (char)c;
	}
	out[n] = '\0';
}

static int base64_value(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *p = c ? strchr(digits, c) : NULL;

	return p ? (int)(p - digits) : c == '-' ? 62 : c == '_' ? 63 : -1;
}

/* With or without padding; ends at what is none. */
static void unbase64(struct clew_buf *out, struct slice s)
{
	uint32_t bits = 0;
	int n = 0, v;

	for (size_t i = 0; i < s.n && (v = base64_value(s.p[i])) >= 0; i++) {
		bits = bits << 6 | (uint32_t)v;
		n += 6;
		if (n >= 8) {
			n -= 8;
			clew_buf_addc(out, (char)(bits >> n));
		}
	}
}

/* ---- judgement ---- */

static void set_wait(struct judgement *j, uint64_t ns)
{
	j->wait_ns = ns < CLEW_EXPORT_WAIT_MAX_NS ? ns : CLEW_EXPORT_WAIT_MAX_NS;
}

/* Taken, perhaps not all of it. */
static void sent(struct judgement *j, struct slice body, bool json)
{
	struct clew_otlp_answer a = {0};

	j->verdict = VERDICT_SENT;
	if (clew_otlp_response_read(body, json, &a) < 0 || !a.rejected)
		return;
	j->rejected = a.rejected;
	answer_printable(a.message);
	snprintf(j->why, sizeof(j->why), "%" PRIu64 " spans were rejected: %.180s", a.rejected,
		 a.message);
}

static const char *hint(long status)
{
	switch (status) {
	case 401:
	case 403:
		return " (credentials: --export-header authorization=@FILE)";
	case 404:
	case 405:
		return " (is the path right? OTLP's is /v1/traces)";
	case 415:
		return " (try --export-encoding json)";
	default:
		return status / 100 == 3 ? " (redirects are not followed: name the place itself)"
					 : "";
	}
}

static void judge_status(const struct target *t, const struct raw_answer *a, struct judgement *j)
{
	switch (a->status) {
	case 429:
	case 502:
	case 503:
	case 504:
		j->verdict = VERDICT_RETRY;
		break;
	case 413:
		j->verdict = VERDICT_TOO_LARGE;
		break;
	case 415:
		j->verdict = t->gzip ? VERDICT_NO_GZIP : VERDICT_REFUSED;
		break;
	default:
		j->verdict = VERDICT_REFUSED;
	}
}

static void judge_http(const struct target *t, const struct raw_answer *a, struct judgement *j)
{
	struct clew_otlp_answer s = {0};

	if (a->status / 100 == 2 && !a->html) {
		sent(j, clew_buf_slice(&a->body), a->json);
		return;
	}
	judge_status(t, a, j);
	if (!a->html && clew_rpc_status_read(clew_buf_slice(&a->body), a->json, &s) == 0)
		answer_printable(s.message);
	if (a->retry_after > 0)
		set_wait(j, (uint64_t)a->retry_after * NS_PER_S);
	else if (s.retry_info)
		set_wait(j, s.retry_ns);
	if (a->status / 100 == 2)
		snprintf(j->why, sizeof(j->why), "a web page answers there, no OTLP receiver");
	else
		snprintf(j->why, sizeof(j->why), "HTTP %ld%s%.150s%s", a->status,
			 s.message[0] ? ": " : "", s.message, hint(a->status));
}

static enum verdict judge_code(int code, bool retry_info, size_t body_bytes)
{
	switch (code) {
	case CLEW_RPC_CANCELLED:
	case CLEW_RPC_DEADLINE_EXCEEDED:
	case CLEW_RPC_ABORTED:
	case CLEW_RPC_OUT_OF_RANGE:
	case CLEW_RPC_UNAVAILABLE:
	case CLEW_RPC_DATA_LOSS:
		return VERDICT_RETRY;
	case CLEW_RPC_RESOURCE_EXHAUSTED:
		return retry_info || body_bytes < SMALL_BYTES ? VERDICT_RETRY : VERDICT_TOO_LARGE;
	default:
		return VERDICT_REFUSED;
	}
}

static void judge_grpc(const struct target *t, const struct raw_answer *a, size_t body_bytes,
		       struct judgement *j)
{
	struct slice body = clew_buf_slice(&a->body);
	struct clew_otlp_answer s = {0};
	struct clew_buf details = {0};
	char text[200];

	if (a->status != 200 || a->grpc_status < 0) { /* a proxy's, or no gRPC at all */
		judge_status(t, a, j);
		if (j->verdict == VERDICT_NO_GZIP)
			j->verdict = VERDICT_REFUSED;
		snprintf(j->why, sizeof(j->why), "HTTP %ld without a status of gRPC%s", a->status,
			 a->status == 200 ? ": no gRPC receiver is there" : "");
		return;
	}
	if (a->grpc_status == CLEW_RPC_OK) {
		sent(j, body.n > 5 ? slice_of(body.p + 5, body.n - 5) : SLICE(""), false);
		return;
	}
	unbase64(&details, clew_buf_slice(&a->grpc_details));
	if (details.len)
		(void)clew_rpc_status_read(clew_buf_slice(&details), false, &s);
	clew_buf_done(&details);
	j->verdict = judge_code(a->grpc_status, s.retry_info, body_bytes);
	if (s.retry_info)
		set_wait(j, s.retry_ns);
	unpercent(clew_buf_slice(&a->grpc_message), text, sizeof(text));
	answer_printable(text);
	/* A receiver that does not know the encoding says so like this, and names those that it knows. */
	if (a->grpc_status == CLEW_RPC_UNIMPLEMENTED && t->gzip && strstr(text, "gzip"))
		j->verdict = VERDICT_NO_GZIP;
	snprintf(j->why, sizeof(j->why), "gRPC status %d%s%.160s%s", a->grpc_status,
		 text[0] ? ": " : "", text,
		 a->grpc_status == CLEW_RPC_UNAUTHENTICATED ? hint(401) : "");
}

void answer_judge(const struct target *t, const struct raw_answer *a, size_t body_bytes,
		  struct judgement *ret)
{
	*ret = (struct judgement){0};
	if (t->grpc)
		judge_grpc(t, a, body_bytes, ret);
	else
		judge_http(t, a, ret);
}
