/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clew: read the command line, find the command, run it.
 */
#include <fcntl.h>
#include <limits.h>
#include <locale.h>
#include <stdio.h>
#include <unistd.h>

#include "base/units.h"
#include "cli/cli.h"

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
	else if (cli_xdg_path("XDG_CONFIG_HOME", ".config", "clew/clew.conf", standard,
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
			  "clew --help",
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
