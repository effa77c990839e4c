/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets in command lines.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "capture/internal.h"

struct row {
	const char *in, *out; /* arguments divided by '|' */
};

static void check(const struct row *row)
{
	char in[512];
	size_t n = strlen(row->in);
	struct clew_buf out;

	memcpy(in, row->in, n);
	for (size_t i = 0; i < n; i++)
		if (in[i] == '|')
			in[i] = 0;
	clew_buf_init(&out, 0);
	assert_int_equal(redact_args(in, n, &out), 0);
	for (size_t i = 0; i < out.len; i++)
		if (!out.data[i])
			out.data[i] = '|';
	assert_string_equal(out.data ? out.data : "", row->out);
	clew_buf_done(&out);
}

static void test_rows(void **state)
{
	static const struct row rows[] = {
		{"", ""},
		{"ls|-l|/tmp|", "ls|-l|/tmp|"},
		{"a|--password=x|b", "a|--password=***|b"},
		{"a|--password|x|b", "a|--password|***|b"},
		{"a|--password|--other|b", "a|--password|--other|b"},
		{"env|API_KEY=abc|B=c", "env|API_KEY=***|B=c"},
		{"env|DBPASSWORD=a=b|", "env|DBPASSWORD=***|"},
		{"x|--access-token|t", "x|--access-token|***"},
		{"x|-Dapi.secret=s|-jar|app.jar", "x|-Dapi.secret=***|-jar|app.jar"},
		{"c|http://u:p@h/", "c|http://u:***@h/"},
		{"c|postgres://u:p:q@h:5432/db?sslmode=no",
		 "c|postgres://u:***@h:5432/db?sslmode=no"},
		{"c|http://h/a@b:c", "c|http://h/a@b:c"},
		{"c|http://h/?a=1&token=t&b=2", "c|http://h/?a=1&token=***&b=2"},
		{"c|-H|Authorization: Bearer t", "c|-H|Authorization: ***"},
		{"c|-H|X-Api-Key:|d", "c|-H|X-Api-Key: ***|d"},
		{"x|--monkey=a|--keyboard=us", "x|--monkey=a|--keyboard=us"},
		{"x|--password=", "x|--password="},
		{"x|a=b=c", "x|a=b=c"},
		/* an argument that was cut off has no NUL */
		{"x|--token=ab", "x|--token=***"},
		{"|", "|"},
		/* every URL, a token for a user, and what is no secret */
		{"x|amqp://a:s@h1,amqp://a:s@h2/v", "x|amqp://a:***@h1,amqp://a:***@h2/v"},
		{"git|https://s@github.com/x", "git|https://***@github.com/x"},
		{"git|ssh://git@h/x", "git|ssh://git@h/x"},
		{"c|http://h/a;jsessionid=s?x=1", "c|http://h/a;jsessionid=***"},
		{"c|-H|X-Token:s", "c|-H|X-Token: ***"},
		{"gunicorn|auth:app", "gunicorn|auth:app"},
		{"c|-u|me:s|http://h/", "c|-u|me:***|http://h/"},
		{"c|--user=me:s", "c|--user=me:***"},
		{"c|-ume:s", "c|-ume:***"},
		{"python3|-u|a.py|--user|me", "python3|-u|a.py|--user|me"},
		{"python3|-u|http://h/x", "python3|-u|http://h/x"},
		{"c|-d|[{\"password\":\"s\\\"s\", \"a\":1}]", "c|-d|[{\"password\":***, \"a\":1}]"},
		{"c|-d|{\"a\":{\"pin\":2,\"token\":42}}", "c|-d|{\"a\":{\"pin\":2,\"token\":***}}"},
		{"c|-d|{\"token\":\"s", "c|-d|{\"token\":***"},
		{"c|\"|\"\"|\":", "c|\"|\"\"|\":"},
		{"mysql|-ps|-u|root|db", "mysql|-p***|-u|root|db"},
		{"/usr/bin/redis-cli|-a|s|PING", "/usr/bin/redis-cli|-a|***|PING"},
		{"ls|-a|x|-px", "ls|-a|x|-px"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		check(&rows[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
