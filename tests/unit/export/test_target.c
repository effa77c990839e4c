/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses, headers and OpenTelemetry's variables, read; and how long is waited. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "export/internal.h"

#define GRPC "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

static void addresses_are_read(void **state)
{
	static const struct {
		const char *in, *out;
		bool grpc;
	} v[] = {
		{"otlp+http://h:1", "http://h:1/v1/traces", false},
		{"otlp+http://h", "http://h:4318/v1/traces", false},
		{"otlp+https://h:443/", "https://h:443/v1/traces", false},
		{"otlp+http://h:1/a/b?k=v", "http://h:1/a/b?k=v", false},
		{"OTLP+HTTP://[::1]:5", "http://[::1]:5/v1/traces", false},
		{"otlp+grpc://h", "http://h:4317" GRPC, true},
		{"otlp+grpcs://h:7/", "https://h:7" GRPC, true},
	};

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		const struct clew_export_opts o = {.url = v[i].in};
		struct target t;
		char *error = NULL;

		assert_int_equal(target_init(&t, &o, &error), 0);
		assert_string_equal(t.url, v[i].out);
		assert_int_equal(t.grpc, v[i].grpc);
		assert_true(t.gzip);
		assert_null(strchr(t.shown, '?'));
		assert_true(t.timeout_ns == CLEW_EXPORT_TIMEOUT_NS);
		target_done(&t);
	}
}

static void what_is_none_is_refused(void **state)
{
	static char *const bad[] = {"no-value", NULL}, *const ours[] = {"Content-Type=x", NULL},
			   *const grpc[] = {"grpc-timeout=1S", NULL},
			   *const line[] = {"a=b\r\nc: d", NULL}, *const name[] = {"a b=c", NULL},
			   *const file[] = {"a=@/does/not/exist", NULL};
	static const struct {
		struct clew_export_opts o;
		const char *says;
		int r;
	} v[] = {
		{{.url = "http://h:1"}, "otlp+http://HOST", -EINVAL},
		{{.url = "otlp+http://"}, "malformed", -EINVAL},
		{{.url = "otlp+http://h:99999"}, "malformed", -EINVAL},
		{{.url = "otlp+http://u:p@h:1"}, "--export-header", -EINVAL},
		{{.url = "otlp+grpc://h:1/path"}, "path of its own", -EINVAL},
		{{.url = "otlp+grpc://h:1", .json = true}, "no JSON", -EINVAL},
		{{.url = "otlp+http://h:1", .tls_ca = "/dev/null"}, "otlp+https://", -EINVAL},
		{{.url = "otlp+https://h:1", .tls_key = "/dev/null"}, "--export-tls-cert", -EINVAL},
		{{.url = "otlp+https://h:1", .tls_ca = "/does/not/exist"}, "cannot read", -ENOENT},
		{{.url = "otlp+http://h:1", .headers = bad}, "NAME=VALUE", -EINVAL},
		{{.url = "otlp+http://h:1", .headers = ours}, "by clew itself", -EINVAL},
		{{.url = "otlp+http://h:1", .headers = grpc}, "by clew itself", -EINVAL},
		{{.url = "otlp+http://h:1", .headers = line}, "control characters", -EINVAL},
		{{.url = "otlp+http://h:1", .headers = name}, "NAME=VALUE", -EINVAL},
		{{.url = "otlp+http://h:1", .headers = file}, "cannot read", -ENOENT},
	};

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct clew_export *e = NULL;
		char *error = NULL;

		assert_int_equal(clew_export_open(&v[i].o, &e, &error), v[i].r);
		assert_null(e);
		assert_non_null(error);
		assert_non_null(strstr(error, v[i].says));
		free(error);
	}
}

static void headers_come_from_files_too(void **state)
{
	char path[] = "/tmp/clew-header-XXXXXX", *headers[3] = {0}, *error = NULL;
	const struct clew_export_opts o = {.url = "otlp+http://h:1", .headers = headers};
	struct target t;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "Bearer secret=x\n", 16), 16);
	close(fd);
	assert_true(asprintf(&headers[0], "authorization=@%s", path) > 0);
	headers[1] = strdup("X-Scope-OrgID=a, b=c");
	assert_int_equal(target_init(&t, &o, &error), 0);
	assert_string_equal(t.headers->data, "authorization: Bearer secret=x");
	assert_string_equal(t.headers->next->data, "X-Scope-OrgID: a, b=c");
	target_done(&t);
	unlink(path);
	free(headers[0]);
	free(headers[1]);
}

static void clear_env(void)
{
	static const char *const names[] = {"ENDPOINT",	   "TRACES_ENDPOINT", "PROTOCOL",
					    "HEADERS",	   "TRACES_HEADERS",  "TIMEOUT",
					    "COMPRESSION", "CERTIFICATE"};
	char name[64];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(name, sizeof(name), "OTEL_EXPORTER_OTLP_%s", names[i]);
		unsetenv(name);
	}
}

static void variables_are_read_when_asked_for(void **state)
{
	const struct clew_export_opts o = {.url = "env"};
	struct target t;
	char *error = NULL;

	clear_env();
	assert_int_equal(target_init(&t, &o, &error), -EINVAL);
	assert_non_null(strstr(error, "OTEL_EXPORTER_OTLP_ENDPOINT is not set"));
	free(error);
	error = NULL;
	setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "https://h/otlp/", 1);
	setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%3Db%20c , x=1", 1);
	setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "2500", 1);
	setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none", 1);
	assert_int_equal(target_init(&t, &o, &error), 0);
	assert_string_equal(t.url, "https://h/otlp/v1/traces");
	assert_string_equal(t.headers->data, "api-key: a=b c");
	assert_string_equal(t.headers->next->data, "x: 1");
	assert_true(t.timeout_ns == 2500000000u);
	assert_false(t.gzip);
	target_done(&t);
	setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://h:4318/own/path", 1);
	setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", 1);
	assert_int_equal(target_init(&t, &o, &error), 0);
	assert_string_equal(t.url, "http://h:4318/own/path");
	assert_true(t.json);
	target_done(&t);
	setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://h:4317", 1);
	setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", 1);
	assert_int_equal(target_init(&t, &o, &error), 0);
	assert_string_equal(t.url, "http://h:4317" GRPC);
	target_done(&t);
	setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "smoke", 1);
	assert_int_equal(target_init(&t, &o, &error), -EINVAL);
	assert_non_null(strstr(error, "smoke"));
	free(error);
	clear_env();
}

static void variables_are_not_read_otherwise(void **state)
{
	const struct clew_export_opts o = {.url = "otlp+http://h:1"};
	struct target t;
	char *error = NULL;

	setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=secret", 1);
	assert_int_equal(target_init(&t, &o, &error), 0);
	assert_null(t.headers);
	target_done(&t);
	clear_env();
}

static void waits_grow_to_a_limit(void **state)
{
	for (unsigned int i = 1; i < 200; i++) {
		uint64_t whole = i < 8 ? 500ull << (i - 1) : 30000;
		uint64_t lo, hi;

		whole = whole < 30000 ? whole : 30000;
		lo = backoff_ns(i, 500, 30000, 0);
		hi = backoff_ns(i, 500, 30000, UINT32_MAX);
		assert_int_equal(lo, whole / 2);
		assert_true(hi > lo && hi < whole);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_read),
		cmocka_unit_test(what_is_none_is_refused),
		cmocka_unit_test(headers_come_from_files_too),
		cmocka_unit_test(variables_are_read_when_asked_for),
		cmocka_unit_test(variables_are_not_read_otherwise),
		cmocka_unit_test(waits_grow_to_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
