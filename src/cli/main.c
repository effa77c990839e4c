/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clew: read the command line, find the command, run it.
 */
#include <assert.h>
#include <fcntl.h>
#include <limits.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/units.h"
#include "cli/cli.h"

const struct cli_command cli_commands[] = {
	{"check", CLI_CHECK, "[--json]", "say what this kernel allows",
	 "Probes this kernel feature by feature and says what is lost without each. Exits with 0 "
	 "when "
	 "tracing works here, else with 1.",
	 NULL, cli_check},
	{"run", CLI_RUN, "[options] [--] CMD [ARG...]", "start a command and trace it",
	 "Starts CMD as the target and traces it and all its descendants from their first "
	 "instruction, "
	 "until the last of them has ended.\n\n"
	 "Exits with CMD's own status; 125 when clew itself failed, 126 when CMD cannot be "
	 "executed, 127 "
	 "when it is not found, and 128 plus the signal's number when a signal killed it.",
	 "clew run -- python3 app.py\ntrace a program from its first instruction\n"
	 "clew run --live -d /tmp/shop -- ./start-everything.sh\nprint each trace as it ends, keep "
	 "them in "
	 "a store of their own\n",
	 cli_run, 1, SIZE_MAX, .stop_early = true},
	{"record", CLI_RECORD, "TARGET... [options]", "trace what already runs",
	 "Traces running processes, and their descendants, until it is interrupted. Targets add "
	 "up; the "
	 "whole host is traced only when --all says so. Nothing outside the targets is read.",
	 "clew record --port 8080\ntrace what listens on port 8080\n"
	 "clew record --exe nginx --exe 'gunicorn*' --duration 30s\ntrace by executable for half a "
	 "minute\n",
	 cli_record},
	{"replay", CLI_REPLAY, "FILE [options]", "make traces from a recording",
	 "Runs the same pipeline over a recording that --raw wrote, on the recording's own time: "
	 "the same "
	 "recording gives the same traces each time.",
	 "clew replay shop.clew -d /tmp/shop\nread a recording into a store of its own\n",
	 cli_replay, 1, 1},
	{"dump", CLI_DUMP, "FILE", "print a recording as JSON lines",
	 "Prints each record of a recording, field for field, one JSON object a line. - is "
	 "standard "
	 "input.",
	 NULL, cli_dump, 1, 1},
	{"traces", CLI_TRACES, "[filters] [--json]", "list traces",
	 "Lists the traces that hold a span for which all the filters are true, the newest first.",
	 "clew traces --error --since 10m\nwhat failed in the last ten minutes\n"
	 "clew traces --sort duration --limit 5\nthe five slowest\n"
	 "clew traces --attr http.response.status_code=503\nby any attribute\n",
	 cli_traces},
	{"spans", CLI_SPANS, "[filters]", "print spans as JSON lines",
	 "Prints the spans for which all the filters are true, one flat JSON object a line.",
	 "clew spans --service cart --min-duration 250ms | jq .name\nfor use with other tools\n",
	 cli_spans},
	{"trace", CLI_TRACE, "ID|--last [--json] [--why]", "draw one trace",
	 "Draws the trace as a waterfall: the tree of its spans on the left, their time on one "
	 "axis on "
	 "the right. The unique beginning of an id is enough.",
	 "clew trace --last --why\nthe newest trace, and how each of its links is known\n"
	 "clew trace 4bf92f35\nby the beginning of its id\n",
	 cli_trace, 0, 1},
	{"services", CLI_SERVICES, "[--json]", "list services",
	 "Lists the services that were seen, with their requests, errors and latencies.", NULL,
	 cli_services},
	{"map", CLI_MAP, "[--dot|--json]", "draw who calls whom",
	 "Draws the services and the calls between them, with their number, errors and latencies.",
	 "clew map --dot | dot -Tsvg > map.svg\na picture\n", cli_map},
	{"sql", CLI_SQL, "QUERY [--json|--csv]", "ask the store in SQL",
	 "Runs one read-only statement on the store. docs/schema.md describes the tables.",
	 "clew sql 'SELECT service, count(*) FROM spans GROUP BY ALL'\nspans by service\n", cli_sql,
	 1, 1},
	{"version", CLI_VERSION, "", "print the version", "Prints the version of clew.", NULL,
	 cli_version},
	{"help", CLI_HELP, "[COMMAND|config]", "explain a command",
	 "Explains a command, or with config the configuration file and the environment.", NULL,
	 cli_help, 0, 1},
	{.name = "pcap", .later = true},
	{NULL},
};

const struct cli_command *cli_find_command(const char *name)
{
	for (const struct cli_command *c = cli_commands; c->name; c++)
		if (!strcmp(c->name, name))
			return c;
	return NULL;
}

int cli_usage(const struct cli *cli, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_error("%s: %s\nUsage: clew %s %s", cli->command->name, text, cli->command->name,
		  cli->command->args);
	return CLI_USAGE;
}

/* $var/rest, or $HOME/fallback/rest. -ENOENT without a home. */
static int xdg_path(const char *var, const char *fallback, const char *rest, char *out, size_t size)
{
	const char *base = getenv(var), *home = getenv("HOME");
	int n;

	/* Relative paths are to be ignored: XDG Base Directory Specification. */
	if (base && base[0] == '/')
		n = snprintf(out, size, "%s/%s", base, rest);
	else if (home && home[0] == '/')
		n = snprintf(out, size, "%s/%s/%s", home, fallback, rest);
	else
		return -ENOENT;
	return (size_t)n < size ? 0 : -ENAMETOOLONG;
}

const char *cli_db(const struct cli *cli)
{
	static char path[PATH_MAX];
	const char *db = clew_options_str(&cli->options, "db");

	if (db)
		return !strcmp(db, "none") ? NULL : db;
	if (!geteuid())
		return "/var/lib/clew";
	if (xdg_path("XDG_DATA_HOME", ".local/share", "clew", path, sizeof(path)) < 0)
		return "clew-data";
	return path;
}

/* --config or CLEW_CONFIG must be there; the default file need not. */
static int read_config(struct clew_options *o)
{
	const char *path = clew_options_str(o, "config");
	char standard[PATH_MAX];
	int r;

	if (path)
		return clew_options_file(o, path);
	if (!geteuid())
		snprintf(standard, sizeof(standard), "/etc/clew/clew.conf");
	else if (xdg_path("XDG_CONFIG_HOME", ".config", "clew/clew.conf", standard,
			  sizeof(standard)) < 0)
		return 0;
	r = clew_options_file(o, standard);
	return r == -ENOENT || r == -ENOTDIR ? 0 : r;
}

static int check_args(const struct cli *cli)
{
	const struct cli_command *c = cli->command;

	if (cli->options.n_args < c->min_args)
		return cli_usage(cli, "%s is missing",
				 c->bit == CLI_RUN   ? "the command to run"
				 : c->bit == CLI_SQL ? "the query"
						     : "the recording's file");
	if (cli->options.n_args > c->max_args)
		return cli_usage(
			cli, "'%s' is one argument too many%s", cli->options.args[c->max_args],
			c->bit == CLI_RECORD ? "; name targets with --pid, --cgroup, --exe, "
					       "--port or --netns"
					     : "");
	return 0;
}

static int run_command(const struct cli_command *command, int argc, char **argv)
{
	struct cli cli = {.command = command};
	struct clew_options *o = &cli.options;
	char what[64];
	int r;

	snprintf(what, sizeof(what), "clew %s", command->name);
	r = clew_options_init(o, cli_options, command->bit, what, clew_now_ns());
	if (!r)
		r = clew_options_cmdline(o, argc, argv, command->stop_early);
	/* Help is given whatever the environment and the file say. */
	if (!r && clew_options_flag(o, "help")) {
		r = cli_help_command(command);
		goto out;
	}
	if (!r)
		r = clew_options_env(o);
	if (!r)
		r = read_config(o);
	if (r < 0) {
		log_error("%s", r == -ENOMEM ? "out of memory" : o->error);
		r = r == -ENOMEM ? CLI_FAILURE : CLI_USAGE;
		goto out;
	}
	clew_log_set_level(
		(enum clew_log_level)clew_log_level_parse(clew_options_str(o, "log-level")));
	r = check_args(&cli);
	if (!r)
		r = command->run(&cli);
out:
	clew_options_done(o);
	return r;
}

/* What is opened later must not become standard output of all things. */
static void open_standard_fds(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
			(void)!open("/dev/null", O_RDWR);
}

static int unknown_command(const char *name)
{
	const char *names[32], *near;
	size_t n = 0;

	for (const struct cli_command *c = cli_commands; c->name; c++)
		if (!c->later)
			names[n++] = c->name;
	names[n] = NULL;
	near = clew_nearest(name, names);
	if (near)
		log_error("unknown command '%s'; did you mean clew %s?", name, near);
	else
		log_error("unknown command '%s'; clew --help lists the commands", name);
	return CLI_USAGE;
}

int main(int argc, char **argv)
{
	const struct cli_command *command;
	const char *name = argc > 1 ? argv[1] : NULL;

	open_standard_fds();
	/* Only the character set: numbers and times are printed as in C whatever the language. */
	setlocale(LC_CTYPE, "");
	if (!name) {
		cli_help_overview();
		return CLI_USAGE;
	}
	if (!strcmp(name, "--help") || !strcmp(name, "-h"))
		name = "help";
	else if (!strcmp(name, "--version") || !strcmp(name, "-V"))
		name = "version";
	command = cli_find_command(name);
	if (!command && name[0] == '-') {
		log_error("unknown option '%s' before a command; write clew COMMAND [options], see "
			  "clew "
			  "--help",
			  name);
		return CLI_USAGE;
	}
	if (!command)
		return unknown_command(name);
	if (command->later) {
		log_error("'clew %s' is kept for later work: this version does not have it", name);
		return CLI_USAGE;
	}
	return run_command(command, argc - 2, argv + 2);
}
