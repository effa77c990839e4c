/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Help: the overview, a command's page, the topic "config", and the man page, all from the two
 * tables.
 */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/out.h"

static unsigned help_width(void)
{
	unsigned width = out_style().width;

	return width > 100 ? 100 : width;
}

/* Paragraphs are separated by an empty line. */
static void print_paragraphs(struct clew_buf *b, const char *text, unsigned width)
{
	for (const char *end; *text; text = end + strspn(end, "\n")) {
		_cleanup_(freep) char *paragraph = NULL;

		end = strstr(text, "\n\n");
		if (!end)
			end = text + strlen(text);
		paragraph = strndup(text, (size_t)(end - text));
		if (!paragraph) {
			b->err = -ENOMEM;
			return;
		}
		clew_buf_addc(b, '\n');
		clew_text_wrap(b, paragraph, 0, 0, width);
	}
}

/* Lines in turn: a command, what it does. */
static void print_examples(struct clew_buf *b, const char *examples)
{
	clew_buf_adds(b, "\nExamples:\n");
	for (const char *s = examples; *s;) {
		size_t n = strcspn(s, "\n"), m = strcspn(s + n + 1, "\n");

		clew_buf_addf(b, "  %.*s\n      %.*s\n", (int)n, s, (int)m, s + n + 1);
		s += n + 1 + m + 1;
	}
}

int cli_help_command(const struct cli_command *c)
{
	struct clew_buf b;
	int r;

	clew_buf_init(&b, 0);
	clew_buf_addf(&b, "Usage: clew %s%s%s\n", c->name, *c->args ? " " : "", c->args);
	print_paragraphs(&b, c->text, help_width());
	clew_option_help(&b, cli_options, c->bit, help_width());
	if (c->examples)
		print_examples(&b, c->examples);
	r = out_write(&b);
	clew_buf_done(&b);
	return r;
}

int cli_help_overview(void)
{
	struct clew_buf b;
	int r;

	clew_buf_init(&b, 0);
	clew_buf_adds(&b, "clew follows every request through your services, with nothing to "
			  "instrument.\n\nUsage: clew COMMAND [options]\n\n");
	for (const struct cli_command *c = cli_commands; c->name; c++)
		if (!c->later)
			clew_buf_addf(&b, "  %-10s %s\n", c->name, c->summary);
	clew_buf_adds(
		&b, "\nBegin with:\n"
		    "  clew check               does tracing work here?\n"
		    "  clew run -- CMD          trace a program\n"
		    "  clew trace --last        look at what it did\n\n"
		    "clew help COMMAND explains each; clew help config the configuration file.\n");
	r = out_write(&b);
	clew_buf_done(&b);
	return r;
}

static const char config_text[] =
	"An option on the command line wins over the environment, that over the configuration "
	"file, that over the default. The file is the one that --config or CLEW_CONFIG names, else "
	"/etc/clew/clew.conf for root, else clew/clew.conf in the XDG configuration directory "
	"(~/.config); "
	"only a named one must be there.\n\n"
	"The file holds lines of key = value; # begins a comment. A key may stand in several lines "
	"where several values make sense; a variable then separates them by commas. Flags are yes "
	"or no. One file serves all commands: each takes what it knows.";

/* A key that means the same to other commands stands there once. */
static bool said_before(const struct clew_option *row)
{
	for (const struct clew_option *r = cli_options; r < row; r++)
		if (r->env && !strcmp(r->env, row->env))
			return true;
	return false;
}

static int help_config(void)
{
	struct clew_buf b;
	int r;

	clew_buf_init(&b, 0);
	clew_buf_adds(&b, "Configuration file and environment\n");
	print_paragraphs(&b, config_text, help_width());
	clew_buf_addf(&b, "\n  %-18s %-22s %s\n", "KEY", "VARIABLE", "VALUE");
	for (const struct clew_option *row = cli_options; row->name; row++)
		if (row->env && !said_before(row))
			clew_buf_addf(&b, "  %-18s %-22s %s%s%s\n", row->config ? row->name : "-",
				      row->env, row->arg ? row->arg : "yes or no",
				      row->def ? ", default " : "", row->def ? row->def : "");
	clew_buf_adds(&b, "\nExample:\n"
			  "  db = /srv/traces\n"
			  "  payload = 8KiB\n"
			  "  capture-header = x-tenant   # kept as a span attribute\n"
			  "  name = gunicorn=checkout\n");
	r = out_write(&b);
	clew_buf_done(&b);
	return r;
}

static void man_paragraphs(struct clew_buf *b, const char *text)
{
	for (const char *end; *text; text = end + strspn(end, "\n")) {
		_cleanup_(freep) char *paragraph = NULL;

		end = strstr(text, "\n\n");
		if (!end)
			end = text + strlen(text);
		paragraph = strndup(text, (size_t)(end - text));
		if (!paragraph) {
			b->err = -ENOMEM;
			return;
		}
		clew_man_escape(b, paragraph);
		clew_buf_adds(b, *end ? "\n.PP\n" : "\n");
	}
}

static void man_command(struct clew_buf *b, const struct cli_command *c)
{
	clew_buf_addf(b, ".SS clew %s ", c->name);
	clew_man_escape(b, c->args);
	clew_buf_addc(b, '\n');
	man_paragraphs(b, c->text);
	for (const char *s = c->examples; s && *s;) {
		size_t n = strcspn(s, "\n"), m = strcspn(s + n + 1, "\n");
		_cleanup_(freep) char *command = strndup(s, n);
		_cleanup_(freep) char *what = strndup(s + n + 1, m);

		if (!command || !what) {
			b->err = -ENOMEM;
			return;
		}
		clew_buf_adds(b, ".IP\n.EX\n");
		clew_man_escape(b, command);
		clew_buf_adds(b, "\n.EE\n(");
		clew_man_escape(b, what);
		clew_buf_adds(b, ")\n");
		s += n + 1 + m + 1;
	}
}

static const char man_head[] = ".TH CLEW 1 \"\" \"clew " CLEW_VERSION "\" \"User Commands\"\n"
			       ".SH NAME\nclew \\- distributed tracing with nothing to instrument\n"
			       ".SH SYNOPSIS\n.B clew\n\\fICOMMAND\\fR [\\fIoptions\\fR]\n"
			       ".SH DESCRIPTION\n"
			       "clew follows every request through services, threads and machines. "
			       "It observes in the kernel what "
			       "the programs do with their sockets and makes traces of it: no SDK, "
			       "no restart, no sidecar.\n"
			       ".SH COMMANDS\n";

static const char man_tail[] =
	".SH EXIT STATUS\n"
	"0 for success, 1 for a failure, 2 for a command line, environment or configuration file "
	"that is wrong. \\fBclew run\\fR returns the status of its command; 125 when clew itself "
	"failed, 126 when the command cannot be executed, 127 when it is not found, and 128 plus "
	"the number of the signal "
	"that killed it.\n"
	".SH ENVIRONMENT\nBeside the variables above:\n"
	".TP\n.B COLUMNS\nThe width of what is drawn, where it is not that of the terminal.\n"
	".TP\n.B NO_COLOR\nWhen set, no colours.\n"
	".TP\n.B CLICOLOR_FORCE\nWhen set, colours also where standard output is no terminal.\n"
	".SH FILES\n"
	".TP\n.I /etc/clew/clew.conf\nThe configuration file for root.\n"
	".TP\n.I \\(ti/.config/clew/clew.conf\nThe configuration file for others.\n"
	".TP\n.I /var/lib/clew\nThe store for root.\n"
	".TP\n.I \\(ti/.local/share/clew\nThe store for others.\n";

static int help_man(void)
{
	const char *names[33] = {
		NULL}; /* by the commands' bits; the rows have an order of their own */
	struct clew_buf b;
	int r;

	clew_buf_init(&b, 0);
	clew_buf_adds(&b, man_head);
	for (const struct cli_command *c = cli_commands; c->name; c++) {
		if (c->later)
			continue;
		names[__builtin_ctz(c->bit)] = c->name;
		man_command(&b, c);
	}
	clew_buf_adds(&b, ".SH OPTIONS\n");
	clew_option_man(&b, cli_options, names);
	clew_buf_adds(&b, ".SH CONFIGURATION\n");
	man_paragraphs(&b, config_text);
	clew_buf_adds(&b, man_tail);
	r = out_write(&b);
	clew_buf_done(&b);
	return r;
}

int cli_help(struct cli *cli)
{
	const char *topic = cli->options.n_args ? cli->options.args[0] : NULL;
	const struct cli_command *c;

	if (clew_options_flag(&cli->options, "man"))
		return help_man();
	if (!topic)
		return cli_help_overview();
	if (!strcmp(topic, "config"))
		return help_config();
	c = cli_find_command(topic);
	if (c && c->later) {
		log_error("'clew %s' is kept for later work: this version does not have it", topic);
		return CLI_USAGE;
	}
	if (!c)
		return cli_usage(cli, "there is no command '%s'; clew --help lists them", topic);
	return cli_help_command(c);
}
