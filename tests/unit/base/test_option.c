/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/option.h"

enum { REC = 1, ASK = 2 };

static const struct clew_option table[] = {
	{"pid", 'p', CLEW_OPT_NUMBER, "PID", NULL, REC, "A process.", .min = 1, .max = 4194304,
	 .repeat = true, .group = "Targets"},
	{"db", 'd', CLEW_OPT_STRING, "DIR", NULL, REC | ASK, "The store.", .env = "T_DB",
	 .config = true, .group = "Others"},
	{"payload", 0, CLEW_OPT_SIZE, "BYTES", "4096", REC, "Captured bytes.", .max = 16384,
	 .env = "T_PAYLOAD", .config = true},
	{"name", 0, CLEW_OPT_PAIR, "EXE=SERVICE", NULL, REC, "Names.", .repeat = true,
	 .env = "T_NAME", .config = true},
	{"live", 'l', CLEW_OPT_FLAG, NULL, NULL, REC, "Live.", .env = "T_LIVE", .config = true},
	{"quiet", 'q', CLEW_OPT_FLAG, NULL, NULL, REC | ASK, "Quiet."},
	{"name", 0, CLEW_OPT_STRING, "OP", NULL, ASK, "Spans of this name."},
	{"min-duration", 0, CLEW_OPT_DURATION, "D", NULL, ASK, "Least duration."},
	{"since", 0, CLEW_OPT_TIME, "T", NULL, ASK, "Time."},
	{"sort", 0, CLEW_OPT_CHOICE, "start|duration", NULL, ASK, "Order.",
	 .choices = "start|duration"},
	{"server", .commands = REC | ASK, .later = true},
	{"retention-*", .commands = REC | ASK, .later = true},
	{NULL},
};

static const uint64_t now_ns = 1790000000000000000ull;

/* Parse words separated by blanks. */
static int parse(struct clew_options *o, uint32_t command, const char *line, bool stop_early)
{
	static char copy[512];
	static char *argv[32];
	int argc = 0;

	snprintf(copy, sizeof(copy), "%s", line);
	for (char *w = strtok(copy, " "); w; w = strtok(NULL, " "))
		argv[argc++] = strcmp(w, "''") ? w : w + 2;
	assert_int_equal(
		clew_options_init(o, table, command, command == REC ? "t rec" : "t ask", now_ns),
		0);
	return clew_options_cmdline(o, argc, argv, stop_early);
}

static void test_values(void **state)
{
	struct clew_options o;
	const uint64_t *pids;
	char *const *names;
	size_t n;

	assert_int_equal(parse(&o, REC,
			       "-p 1 --pid=2 -p3 --payload 8k --name a=b -lq --name c=d=e x",
			       false),
			 0);
	pids = clew_options_u64s(&o, "pid", &n);
	assert_int_equal(n, 3);
	assert_true(pids[0] == 1 && pids[1] == 2 && pids[2] == 3);
	assert_int_equal(clew_options_u64(&o, "payload"), 8192);
	names = clew_options_list(&o, "name", &n);
	assert_int_equal(n, 2);
	assert_string_equal(names[1], "c=d=e");
	assert_null(names[2]);
	assert_true(clew_options_flag(&o, "live") && clew_options_flag(&o, "quiet"));
	assert_int_equal(o.n_args, 1);
	assert_string_equal(o.args[0], "x");
	assert_null(o.args[1]);
	assert_null(clew_options_str(&o, "db"));
	assert_int_equal(clew_options_source(&o, "db"), CLEW_OPT_UNSET);
	clew_options_done(&o);

	assert_int_equal(
		parse(&o, ASK, "--name op --min-duration 1.5ms --since 5m --sort duration", false),
		0);
	assert_string_equal(clew_options_str(&o, "name"), "op");
	assert_int_equal(clew_options_u64(&o, "min-duration"), 1500000);
	assert_int_equal(clew_options_u64(&o, "since"), now_ns - 300000000000ull);
	assert_string_equal(clew_options_str(&o, "sort"), "duration");
	clew_options_done(&o);
}

static void test_defaults_and_last_wins(void **state)
{
	struct clew_options o;

	assert_int_equal(parse(&o, REC, "", false), 0);
	assert_int_equal(clew_options_u64(&o, "payload"), 4096);
	assert_false(clew_options_given(&o, "payload"));
	assert_null(clew_options_list(&o, "name", NULL));
	clew_options_done(&o);
	assert_int_equal(parse(&o, REC, "--payload 1 --payload 2 --live --live=no", false), 0);
	assert_int_equal(clew_options_u64(&o, "payload"), 2);
	assert_false(clew_options_flag(&o, "live"));
	clew_options_done(&o);
}

static void test_where_options_end(void **state)
{
	struct clew_options o;

	assert_int_equal(parse(&o, REC, "-q cmd -p --foo -- bar", true), 0);
	assert_int_equal(o.n_args, 5);
	assert_string_equal(o.args[1], "-p");
	assert_string_equal(o.args[3], "--");
	clew_options_done(&o);
	assert_int_equal(parse(&o, REC, "-q -- -p --foo", false), 0);
	assert_int_equal(o.n_args, 2);
	assert_string_equal(o.args[0], "-p");
	clew_options_done(&o);
	assert_int_equal(parse(&o, REC, "- -q", false), 0); /* standard input's name */
	assert_string_equal(o.args[0], "-");
	assert_true(clew_options_flag(&o, "quiet"));
	clew_options_done(&o);
}

static void test_errors(void **state)
{
	static const struct {
		uint32_t command;
		const char *line, *error;
	} cases[] = {
		{REC, "--payload 12x",
		 "--payload: '12x' is not a size; write a number with an optional unit, e.g. 4096 "
		 "or 4KiB"},
		{REC, "--payload 1MiB",
		 "--payload: '1MiB' is out of range; write a value from 0 B to 16.0 KiB"},
		{REC, "-p x", "-p: 'x' is not a number; write digits only, e.g. 8080"},
		{REC, "-p 0", "-p: '0' is out of range; write a value from 1 to 4194304"},
		{REC, "-p 99999999999999999999",
		 "-p: '99999999999999999999' is out of range; write a value from 1 to 4194304"},
		{REC, "-p", "-p: its value is missing; write -p PID"},
		{REC, "--pid", "--pid: its value is missing; write --pid PID"},
		{REC, "--db ''", "--db: the value is empty; write DIR"},
		{REC, "--name ab",
		 "--name: 'ab' is not EXE=SERVICE; write a name, '=' and a value"},
		{REC, "--name =b",
		 "--name: '=b' is not EXE=SERVICE; write a name, '=' and a value"},
		{REC,
		 "--name a=", "--name: 'a=' is not EXE=SERVICE; write a name, '=' and a value"},
		{REC, "--live=maybe", "--live: 'maybe' is neither yes nor no; write yes or no"},
		{REC, "--paylaod 1",
		 "unknown option '--paylaod'; did you mean --payload? (t rec --help lists them)"},
		{REC, "--xyzzy", "unknown option '--xyzzy'; t rec --help lists the options"},
		{REC, "-x", "unknown option '-x'; t rec --help lists the options"},
		{REC, "--since 5m",
		 "--since: 't rec' has no such option; t rec --help lists those that it has"},
		{REC, "--server",
		 "--server is kept for later work: this version does not have it; leave it out"},
		{ASK, "--retention-age=5d",
		 "--retention-age is kept for later work: this version does not have it; leave it "
		 "out"},
		{ASK, "--min-duration 5",
		 "--min-duration: '5' is not a duration; write a number and a unit (ns, us, ms, s, "
		 "m, "
		 "h, d), e.g. 250ms or 1m30s"},
		{ASK, "--since tomorrow",
		 "--since: 'tomorrow' is not a time; write RFC 3339, e.g. 2026-01-31T12:00:00Z, or "
		 "an "
		 "age, e.g. 5m"},
		{ASK, "--sort name", "--sort: 'name' is not known; write start or duration"},
		{ASK, "--n\x1b[31m", "unknown option '--n?[31m'; t ask --help lists the options"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct clew_options o;

		assert_int_equal(parse(&o, cases[i].command, cases[i].line, false), -EINVAL);
		assert_string_equal(o.error, cases[i].error);
		clew_options_done(&o);
	}
}

/* A configuration file of this text; removed by the caller. */
static const char *make_file(const char *text)
{
	static char path[] = "/tmp/clew-option-XXXXXX";
	int fd;

	strcpy(path + sizeof(path) - 7, "XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	return path;
}

static void test_precedence(void **state)
{
	const char *path = make_file("# comment\n\n db = /file # here\r\npayload=1k\nname = f=1\n"
				     "name = f=2\nlive = yes\n");
	struct clew_options o;
	size_t n;

	setenv("T_DB", "/env", 1);
	setenv("T_NAME", "e=1,e=2,e=3", 1);
	setenv("T_PAYLOAD", "", 1);
	assert_int_equal(parse(&o, REC, "--db /cmd", false), 0);
	assert_int_equal(clew_options_env(&o), 0);
	assert_int_equal(clew_options_file(&o, path), 0);
	assert_string_equal(clew_options_str(&o, "db"), "/cmd");
	assert_int_equal(clew_options_source(&o, "name"), CLEW_OPT_ENV);
	assert_string_equal(clew_options_list(&o, "name", &n)[0], "e=1");
	assert_int_equal(n, 3);
	assert_int_equal(clew_options_u64(&o, "payload"), 1024);
	assert_int_equal(clew_options_source(&o, "payload"), CLEW_OPT_FILE);
	assert_true(clew_options_flag(&o, "live"));
	clew_options_done(&o);

	unsetenv("T_NAME");
	unsetenv("T_DB");
	assert_int_equal(parse(&o, REC, "--live=no", false), 0);
	assert_int_equal(clew_options_env(&o), 0);
	assert_int_equal(clew_options_file(&o, path), 0);
	assert_string_equal(clew_options_str(&o, "db"), "/file");
	assert_string_equal(clew_options_list(&o, "name", &n)[1], "f=2");
	assert_int_equal(n, 2);
	assert_false(clew_options_flag(&o, "live"));
	clew_options_done(&o);
	unlink(path);
}

static void test_file_errors(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{"db\n", ":1: 'db' is not a setting; write key = value"},
		{"\n\npayloda = 3\n",
		 ":3: unknown key 'payloda'; did you mean 'payload'?; see clew help config"},
		{"quiet = yes\n", ":1: unknown key 'quiet'; see clew help config"},
		{"payload = lots\n", ":1: payload: 'lots' is not a size; write a number with an "
				     "optional unit, e.g. 4096 or "
				     "4KiB"},
		{"db =\n", ":1: db: the value is empty; write DIR"},
		{"server = x\n",
		 ":1: server is kept for later work: this version does not have it; leave it out"},
	};
	struct clew_options o;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *path = make_file(cases[i].text);

		/* Keys that this command does not know are checked too. */
		assert_int_equal(parse(&o, ASK, "", false), 0);
		assert_int_equal(clew_options_file(&o, path), -EINVAL);
		assert_memory_equal(o.error, path, strlen(path));
		assert_string_equal(o.error + strlen(path), cases[i].error);
		clew_options_done(&o);
		unlink(path);
	}
	assert_int_equal(parse(&o, ASK, "", false), 0);
	assert_int_equal(clew_options_file(&o, "/nonexistent/file"), -ENOENT);
	assert_non_null(strstr(o.error, "No such file"));
	assert_int_equal(clew_options_file(&o, "/tmp"), -EINVAL);
	clew_options_done(&o);
}

static void test_nearest(void **state)
{
	static const char *const words[] = {"record", "replay", "run", "trace", "traces", NULL};

	assert_string_equal(clew_nearest("recrod", words), "record");
	assert_string_equal(clew_nearest("rn", words), "run");
	assert_string_equal(clew_nearest("trac", words), "trace");
	assert_string_equal(clew_nearest("repl", words), "replay");
	assert_null(clew_nearest("", words));
	assert_null(clew_nearest("kubernetes", words));
	assert_null(clew_nearest("0123456789012345678901234567890123456789x", words));
}

static void test_help_and_man(void **state)
{
	static const char *const names[] = {"rec", "ask", NULL};
	struct clew_buf b;

	clew_buf_init(&b, 0);
	assert_int_equal(clew_option_help(&b, table, REC, 60), 0);
	assert_memory_equal(b.data,
			    "\nTargets:\n  -p, --pid PID ...         A process.\n\nOthers:\n", 56);
	assert_non_null(strstr(b.data, "  -d, --db DIR              The store.\n"));
	assert_non_null(strstr(b.data, "Captured bytes. [default: 4096]\n"));
	assert_null(strstr(b.data, "--since"));
	assert_null(strstr(b.data, "server"));
	clew_buf_clear(&b);
	assert_int_equal(clew_option_man(&b, table, names), 0);
	assert_non_null(strstr(b.data, ".SS Targets\n.TP\n\\fB\\-p\\fR, \\fB\\-\\-pid\\fR"));
	assert_non_null(strstr(b.data, "\\fB\\-\\-min\\-duration\\fR \\fID\\fR (ask)\n"));
	assert_null(strstr(b.data, "retention"));
	clew_buf_done(&b);
}

static void test_wrap(void **state)
{
	struct clew_buf b;

	clew_buf_init(&b, 0);
	clew_text_wrap(&b, "one two  three four averyveryverylongword x", 2, 2, 12);
	assert_string_equal(b.data, "one two\n  three four\n  averyveryverylongword\n  x\n");
	clew_buf_clear(&b);
	clew_man_escape(&b, ".a-b\\c\n'd");
	assert_string_equal(b.data, "\\&.a\\-b\\ec\n\\&\\(aqd");
	clew_buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_defaults_and_last_wins),
		cmocka_unit_test(test_where_options_end),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_precedence),
		cmocka_unit_test(test_file_errors),
		cmocka_unit_test(test_nearest),
		cmocka_unit_test(test_help_and_man),
		cmocka_unit_test(test_wrap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
