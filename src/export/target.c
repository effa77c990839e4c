/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where spans are sent, out of the options: the URL, headers, TLS.
 *
 *	otlp+http://HOST[:4318][/v1/traces]	otlp+grpc://HOST[:4317]
 *	otlp+https://...			otlp+grpcs://...
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#include "export/internal.h"

#define GRPC_PATH "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
#define HTTP_PATH "/v1/traces"
/* Of a value that stands in a file. */
#define MAX_VALUE 65536u

static int fail(char **ret_error, int err, const char *fmt, ...) CLEW_PRINTF(3, 4);
static int fail(char **ret_error, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(ret_error, fmt, ap) < 0)
		*ret_error = NULL;
	va_end(ap);
	return err;
}

/* ---- the URL ---- */

struct scheme {
	const char *name;
	const char *http;
	bool grpc;
};

static const struct scheme schemes[] = {
	{"otlp+http://", "http://", false},
	{"otlp+https://", "https://", false},
	{"otlp+grpc://", "http://", true},
	{"otlp+grpcs://", "https://", true},
};

static const struct scheme *find_scheme(const char *url)
{
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
		if (!strncasecmp(url, schemes[i].name, strlen(schemes[i].name)))
			return &schemes[i];
	return NULL;
}

static bool has_part(CURLU *u, CURLUPart part)
{
	char *text = NULL;
	bool there = curl_url_get(u, part, &text, 0) == CURLUE_OK;

	curl_free(text);
	return there;
}

static bool has_path(CURLU *u)
{
	char *path = NULL;
	bool there = curl_url_get(u, CURLUPART_PATH, &path, 0) == CURLUE_OK && strcmp(path, "/");

	curl_free(path);
	return there;
}

static int check_parts(const struct target *t, CURLU *u, char **ret_error)
{
	if (has_part(u, CURLUPART_USER) || has_part(u, CURLUPART_PASSWORD))
		return fail(ret_error, -EINVAL,
			    "credentials do not belong into the address; write --export-header "
			    "authorization=@FILE");
	if (has_part(u, CURLUPART_FRAGMENT))
		return fail(ret_error, -EINVAL, "an address of a receiver has no '#'");
	if (t->grpc && (has_path(u) || has_part(u, CURLUPART_QUERY)))
		return fail(ret_error, -EINVAL,
			    "gRPC has a path of its own; write the host and port alone");
	return 0;
}

/* exact: the path is taken as it is, and a missing port is the scheme's (as OpenTelemetry has it). */
static int read_url(struct target *t, const char *url, bool exact, char **ret_error)
{
	const struct scheme *scheme = find_scheme(url);
	_cleanup_(freep) char *http = NULL;
	char *whole = NULL;
	CURLU *u;
	int r;

	if (!scheme)
		return fail(
			ret_error, -EINVAL,
			"not an address; write otlp+http://HOST:4318, otlp+grpc://HOST:4317, the "
			"same with https or grpcs for TLS, or env");
	t->grpc = scheme->grpc;
	if (asprintf(&http, "%s%s", scheme->http, url + strlen(scheme->name)) < 0) {
		http = NULL;
		return -ENOMEM;
	}
	u = curl_url();
	if (!u)
		return -ENOMEM;
	if (curl_url_set(u, CURLUPART_URL, http, 0) != CURLUE_OK)
		r = fail(ret_error, -EINVAL,
			 "not an address: host or port are missing or malformed");
	else
		r = check_parts(t, u, ret_error);
	if (r == 0 && !exact && !has_part(u, CURLUPART_PORT))
		curl_url_set(u, CURLUPART_PORT, t->grpc ? "4317" : "4318", 0);
	if (r == 0 && t->grpc)
		curl_url_set(u, CURLUPART_PATH, GRPC_PATH, 0);
	else if (r == 0 && !exact && !has_path(u))
		curl_url_set(u, CURLUPART_PATH, HTTP_PATH, 0);
	if (r == 0 && curl_url_get(u, CURLUPART_URL, &whole, 0) != CURLUE_OK)
		r = -ENOMEM;
	if (r == 0)
		t->url = strdup(whole);
	curl_free(whole);
	curl_url_cleanup(u);
	return r < 0 ? r : t->url ? 0 : -ENOMEM;
}

/* ---- headers ---- */

static bool is_token(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] <= ' ' || (uint8_t)p[i] >= 0x7f || strchr("()<>@,;:\\\"/[]?={}", p[i]))
			return false;
	return n > 0;
}

/* Those that the exporter itself sets. */
static bool is_ours(const char *name, size_t n)
{
	static const char *const ours[] = {
		"content-type",	     "content-length", "content-encoding",
		"transfer-encoding", "host",	       "te",
		"connection",	     "expect"};

	if (n >= 5 && !strncasecmp(name, "grpc-", 5))
		return true;
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (strlen(ours[i]) == n && !strncasecmp(name, ours[i], n))
			return true;
	return false;
}

/* A file's content without its last newline. */
static int read_value(const char *path, char **ret, char **ret_error)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_(freep) char *text = malloc(MAX_VALUE + 1);
	ssize_t n, all = 0;

	if (!text)
		return -ENOMEM;
	if (fd < 0)
		return fail(ret_error, -errno, "cannot read %s: %s", path, strerror(errno));
	while ((n = read(fd, text + all, (size_t)(MAX_VALUE + 1 - all))) > 0)
		all += n;
	if (n < 0)
		return fail(ret_error, -errno, "cannot read %s: %s", path, strerror(errno));
	if (all > MAX_VALUE)
		return fail(ret_error, -EFBIG, "%s is larger than 64 KiB", path);
	while (all && (text[all - 1] == '\n' || text[all - 1] == '\r'))
		all--;
	text[all] = '\0';
	if (strlen(text) != (size_t)all)
		return fail(ret_error, -EINVAL, "%s is not a line of text", path);
	*ret = clew_steal(text);
	return 0;
}

static int append(struct curl_slist **list, const char *name, size_t n, const char *value)
{
	_cleanup_(freep) char *line = NULL;
	struct curl_slist *more;

	/* "Name;" is curl's way to send a header without a value. */
	if (asprintf(&line, *value ? "%.*s: %s" : "%.*s;", (int)n, name, value) < 0) {
		line = NULL;
		return -ENOMEM;
	}
	more = curl_slist_append(*list, line);
	if (!more)
		return -ENOMEM;
	*list = more;
	return 0;
}

static int read_header(struct target *t, const char *text, char **ret_error)
{
	_cleanup_(freep) char *from_file = NULL;
	const char *eq = strchr(text, '='), *value;
	size_t n = eq ? (size_t)(eq - text) : 0;
	int r;

	if (!is_token(text, n))
		return fail(ret_error, -EINVAL, "a header is written NAME=VALUE or NAME=@FILE");
	if (is_ours(text, n))
		return fail(ret_error, -EINVAL, "the header %.*s is set by clew itself", (int)n,
			    text);
	value = eq + 1;
	if (*value == '@') {
		r = read_value(value + 1, &from_file, ret_error);
		if (r < 0)
			return r;
		value = from_file;
	}
	for (const char *p = value; *p; p++)
		if (((uint8_t)*p < 0x20 && *p != '\t') || *p == 0x7f)
			return fail(ret_error, -EINVAL,
				    "the value of the header %.*s has control characters", (int)n,
				    text);
	return append(&t->headers, text, n, value);
}

/* ---- all of it ---- */

static int copy(char **to, const char *from)
{
	if (!from)
		return 0;
	*to = strdup(from);
	return *to ? 0 : -ENOMEM;
}

static int check_file(const char *path, const char *what, char **ret_error)
{
	if (path && access(path, R_OK) < 0)
		return fail(ret_error, -errno, "%s: cannot read %s: %s", what, path,
			    strerror(errno));
	return 0;
}

static int read_tls(struct target *t, const struct clew_export_opts *o,
		    const struct target_env *env, char **ret_error)
{
	const char *ca = o->tls_ca ? o->tls_ca : env->tls_ca;
	const char *cert = o->tls_cert ? o->tls_cert : env->tls_cert;
	const char *key = o->tls_key ? o->tls_key : env->tls_key;
	int r;

	if ((ca || cert || key) && strncmp(t->url, "https:", 6) != 0)
		return fail(ret_error, -EINVAL,
			    "certificates are of use with TLS only; write %s://",
			    t->grpc ? "otlp+grpcs" : "otlp+https");
	if (key && !cert)
		return fail(ret_error, -EINVAL,
			    "a key without its certificate; add --export-tls-cert");
	if ((r = check_file(ca, "the receiver's authority", ret_error)) < 0 ||
	    (r = check_file(cert, "our certificate", ret_error)) < 0 ||
	    (r = check_file(key, "our key", ret_error)) < 0)
		return r;
	if (copy(&t->tls_ca, ca) < 0 || copy(&t->tls_cert, cert) < 0 || copy(&t->tls_key, key) < 0)
		return -ENOMEM;
	return 0;
}

static int read_all(struct target *t, const struct clew_export_opts *o, struct target_env *env,
		    char **ret_error)
{
	const char *url = o->url;
	int r = 0;

	if (!strcmp(url, "env")) {
		r = target_env_read(env, ret_error);
		url = env->url;
	}
	if (r == 0)
		r = read_url(t, url, env->exact_path, ret_error);
	t->json = o->json || env->json;
	t->gzip = !o->no_gzip && !env->no_gzip;
	t->timeout_ns = o->timeout_ns	  ? o->timeout_ns
			: env->timeout_ns ? env->timeout_ns
					  : CLEW_EXPORT_TIMEOUT_NS;
	if (r == 0 && t->json && t->grpc)
		r = fail(ret_error, -EINVAL, "gRPC knows no JSON; write otlp+http://");
	/* What stands behind '?' may be a key. */
	if (r == 0)
		t->shown = strndup(url, strcspn(url, "?"));
	if (r == 0 &&
	    (!t->shown || copy(&t->user_agent, o->user_agent ? o->user_agent : "clew") < 0))
		r = -ENOMEM;
	if (r == 0)
		r = read_tls(t, o, env, ret_error);
	for (char **h = env->headers; h && *h && r == 0; h++)
		r = read_header(t, *h, ret_error);
	for (char *const *h = o->headers; h && *h && r == 0; h++)
		r = read_header(t, *h, ret_error);
	return r;
}

int target_init(struct target *t, const struct clew_export_opts *o, char **ret_error)
{
	struct target_env env = {0};
	int r;

	*t = (struct target){0};
	r = read_all(t, o, &env, ret_error);
	target_env_done(&env);
	if (r < 0)
		target_done(t);
	return r;
}

void target_done(struct target *t)
{
	char *texts[] = {t->url, t->shown, t->user_agent, t->tls_ca, t->tls_cert, t->tls_key};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		free(texts[i]);
	curl_slist_free_all(t->headers);
	*t = (struct target){0};
}
