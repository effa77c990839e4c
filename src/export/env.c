/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --export env: OpenTelemetry's own variables ("OpenTelemetry Protocol Exporter", specification 1.x).
 * They are read only when they are asked for by name: the environment of `clew run` is the command's,
 * and may be meant for it alone.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/units.h"
#include "export/internal.h"

#define MAX_HEADERS 64u

static int fail(char **ret_error, const char *fmt, ...) CLEW_PRINTF(2, 3);
static int fail(char **ret_error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(ret_error, fmt, ap) < 0)
		*ret_error = NULL;
	va_end(ap);
	return -EINVAL;
}

/* The variable for traces alone, else the one for all signals. */
static const char *variable(const char *ending)
{
	char name[64];
	const char *v;

	snprintf(name, sizeof(name), "OTEL_EXPORTER_OTLP_TRACES_%s", ending);
	v = getenv(name);
	if (v && *v)
		return v;
	snprintf(name, sizeof(name), "OTEL_EXPORTER_OTLP_%s", ending);
	v = getenv(name);
	return v && *v ? v : NULL;
}

/* "http://host:4318" of this protocol, as one of our addresses. */
static int make_url(struct target_env *env, bool grpc, char **ret_error)
{
	const char *own = getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
	const char *url = variable("ENDPOINT");
	bool tls, path_of_ours = !(own && *own) && !grpc;
	const char *rest;
	size_t n;

	if (!url)
		return fail(ret_error, "OTEL_EXPORTER_OTLP_ENDPOINT is not set");
	tls = !strncasecmp(url, "https://", 8);
	if (!tls && strncasecmp(url, "http://", 7) != 0)
		return fail(ret_error, "OTEL_EXPORTER_OTLP_ENDPOINT is not http:// or https://");
	rest = url + (tls ? 8 : 7);
	n = strlen(rest);
	while (n && path_of_ours && rest[n - 1] == '/')
		n--;
	if (asprintf(&env->url, "otlp+%s%s://%.*s%s", grpc ? "grpc" : "http", tls ? "s" : "",
		     (int)n, rest, path_of_ours ? "/v1/traces" : "") < 0) {
		env->url = NULL;
		return -ENOMEM;
	}
	env->exact_path = true;
	return 0;
}

static int read_protocol(struct target_env *env, bool *ret_grpc, char **ret_error)
{
	const char *v = variable("PROTOCOL");

	*ret_grpc = v && !strcmp(v, "grpc");
	env->json = v && !strcmp(v, "http/json");
	if (v && !*ret_grpc && !env->json && strcmp(v, "http/protobuf") != 0)
		return fail(
			ret_error,
			"OTEL_EXPORTER_OTLP_PROTOCOL is grpc, http/protobuf or http/json, not %s",
			v);
	return 0;
}

/* %XX in place. */
static void unpercent(char *p)
{
	char *out = p;
	uint8_t c;

	for (; *p; p++) {
		if (*p == '%' && p[1] && p[2] && !clew_unhex(p + 1, 2, &c, 1) && c) {
			*out++ = (char)c;
			p += 2;
		} else {
			*out++ = *p;
		}
	}
	*out = '\0';
}

/* "name=value,name=value", percent-encoded; blanks around them do not count. */
static int read_headers(struct target_env *env, char **ret_error)
{
	const char *v = variable("HEADERS");
	size_t n = 0;

	if (!v)
		return 0;
	env->headers = calloc(MAX_HEADERS + 1, sizeof(*env->headers));
	if (!env->headers)
		return -ENOMEM;
	while (*v) {
		size_t len;
		char *one;

		v += strspn(v, " \t,");
		len = strcspn(v, ",");
		if (!len)
			break;
		if (n == MAX_HEADERS)
			return fail(ret_error, "OTEL_EXPORTER_OTLP_HEADERS has too many headers");
		one = strndup(v, len);
		if (!one)
			return -ENOMEM;
		v += len;
		while (len && strchr(" \t", one[len - 1]))
			one[--len] = '\0';
		unpercent(one);
		env->headers[n++] = one;
		if (strstr(one, "=@"))
			return fail(ret_error,
				    "OTEL_EXPORTER_OTLP_HEADERS: a value cannot begin with @; "
				    "write --export-header for one that is in a file");
	}
	return 0;
}

static int read_timeout(struct target_env *env, char **ret_error)
{
	const char *v = variable("TIMEOUT");
	uint64_t ms;

	if (!v)
		return 0;
	if (clew_parse_u64(v, 3600u * 1000, &ms) < 0 || !ms)
		return fail(ret_error,
			    "OTEL_EXPORTER_OTLP_TIMEOUT is a number of milliseconds, not %s", v);
	env->timeout_ns = ms * CLEW_NS_PER_MS;
	return 0;
}

int target_env_read(struct target_env *env, char **ret_error)
{
	const char *v;
	bool grpc;
	int r;

	if ((r = read_protocol(env, &grpc, ret_error)) < 0 ||
	    (r = make_url(env, grpc, ret_error)) < 0 || (r = read_headers(env, ret_error)) < 0 ||
	    (r = read_timeout(env, ret_error)) < 0)
		return r;
	v = variable("COMPRESSION");
	if (v && strcmp(v, "gzip") != 0 && strcmp(v, "none") != 0)
		return fail(ret_error, "OTEL_EXPORTER_OTLP_COMPRESSION is gzip or none, not %s", v);
	env->no_gzip = v && !strcmp(v, "none");
	env->tls_ca = variable("CERTIFICATE");
	env->tls_cert = variable("CLIENT_CERTIFICATE");
	env->tls_key = variable("CLIENT_KEY");
	return 0;
}

void target_env_done(struct target_env *env)
{
	for (char **h = env->headers; h && *h; h++)
		free(*h);
	free(env->headers);
	free(env->url);
	*env = (struct target_env){0};
}
