/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the exporter share: where to, what to send, what came of it. */
#pragma once

#include <curl/curl.h>

#include "base/buf.h"
#include "export/export.h"
#include "model/otlp_out.h"

/* ---- target.c: the options, read ---- */

struct target {
	bool grpc, json, gzip;
	char *url;   /* of requests, as curl wants it */
	char *shown; /* as it was given */
	char *user_agent, *tls_ca, *tls_cert, *tls_key;
	struct curl_slist *headers; /* "Name: value" */
	uint64_t timeout_ns;
};

/** target_init() - Returns as clew_export_open(). */
int target_init(struct target *t, const struct clew_export_opts *o, char **ret_error);
void target_done(struct target *t);

/* ---- env.c: OpenTelemetry's variables ---- */

struct target_env {
	char *url; /* with our schemes */
	char **headers;
	const char *tls_ca, *tls_cert, *tls_key;
	uint64_t timeout_ns;
	bool json, no_gzip, exact_path;
};

int target_env_read(struct target_env *env, char **ret_error);
void target_env_done(struct target_env *env);

/* ---- body.c: what a request carries ---- */

struct body {
	struct clew_otlp_out writer;
	struct clew_buf plain, bytes; /* bytes: compressed and framed as asked */
};

/**
 * body_make() - of n spans. Returns 0; -EFBIG: it is larger than limit before compression (body->plain
 * says how large, if it is not much larger); -ENOMEM.
 */
int body_make(struct body *b, const struct target *t, struct clew_span *const *spans, size_t n,
	      uint64_t limit);
void body_done(struct body *b);

/* ---- answer.c: what an answer means ---- */

enum verdict {
	VERDICT_SENT,
	VERDICT_RETRY,
	VERDICT_TOO_LARGE,
	VERDICT_NO_GZIP, /* it does not know gzip */
	VERDICT_REFUSED, /* the same request will never be taken */
	VERDICT_STOPPED, /* by us */
};

/* An answer as it came. */
struct raw_answer {
	long status;	     /* of HTTP */
	int64_t retry_after; /* seconds; 0: none said */
	bool json, html;     /* its content type */
	struct clew_buf body;
	int grpc_status;			    /* -1: none came */
	struct clew_buf grpc_message, grpc_details; /* as they stand in the headers */
};

struct judgement {
	enum verdict verdict;
	uint64_t rejected;
	uint64_t wait_ns; /* of a retry: the receiver asks for it; 0: it does not */
	char why[256];	  /* for the user; printable */
};

/** answer_judge() - sources: OTLP 1.x, "OTLP/gRPC Response" and "OTLP/HTTP Response". */
void answer_judge(const struct target *t, const struct raw_answer *a, size_t body_bytes,
		  struct judgement *ret);
/** answer_header() - one header line (or trailer) as curl hands it over. */
void answer_header(struct raw_answer *a, struct slice line);
void answer_clear(struct raw_answer *a);
void answer_done(struct raw_answer *a);
/** answer_printable() - what others said, for a terminal: one line, no control characters. */
void answer_printable(char *text);

/* ---- request.c: one request at a time, by libcurl ---- */

struct sender {
	const struct target *target;
	CURLM *multi;
	CURL *easy;
	struct curl_slist *headers; /* of the request */
	bool headers_gzip;	    /* ... were made for a body with gzip */
	struct raw_answer answer;
	char error[CURL_ERROR_SIZE];
};

int sender_init(struct sender *s, const struct target *t);
void sender_done(struct sender *s);
/**
 * sender_send() - and wait for the answer, at the latest until until_ns() of user, which is asked again
 * after each sender_wake(). Any failure is a judgement.
 */
void sender_send(struct sender *s, struct slice body, uint64_t (*until_ns)(void *user), void *user,
		 struct judgement *ret);
/** sender_wake() - from any thread. */
void sender_wake(struct sender *s);

/* ---- backoff.c ---- */

/** backoff_ns() - before attempt 1, 2, ...: in [half, whole) of from * 2^(attempt - 1), at most to. */
uint64_t backoff_ns(unsigned int attempt, uint64_t from, uint64_t to, uint32_t random);
