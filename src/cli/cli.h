/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line: one row a command, one file a subcommand.
 *
 * A command's function gets its options parsed and checked, and returns the exit status of the
 * process. It says what went wrong itself, with log_error(): what, and what to do.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "base/option.h"

/* Bits of struct clew_option.commands. */
enum cli_bit {
	CLI_CHECK = 1 << 0,
	CLI_RUN = 1 << 1,
	CLI_RECORD = 1 << 2,
	CLI_REPLAY = 1 << 3,
	CLI_DUMP = 1 << 4,
	CLI_TRACES = 1 << 5,
	CLI_SPANS = 1 << 6,
	CLI_TRACE = 1 << 7,
	CLI_SERVICES = 1 << 8,
	CLI_MAP = 1 << 9,
	CLI_SQL = 1 << 10,
	CLI_VERSION = 1 << 11,
	CLI_HELP = 1 << 12,
	CLI_SERVER = 1 << 13,
	CLI_PATTERNS = 1 << 14,
	CLI_HIST = 1 << 15,
	CLI_DIFF = 1 << 16,
	CLI_TOP = 1 << 17,
};

#define CLI_SESSION (CLI_RUN | CLI_RECORD | CLI_REPLAY)
#define CLI_SERVES  (CLI_RUN | CLI_RECORD | CLI_SERVER)
#define CLI_CAPTURE (CLI_RUN | CLI_RECORD)
#define CLI_LISTS   (CLI_TRACES | CLI_SPANS)
#define CLI_FILTER  (CLI_LISTS | CLI_PATTERNS | CLI_HIST | CLI_DIFF)
#define CLI_QUERY   (CLI_FILTER | CLI_TRACE | CLI_SERVICES | CLI_MAP | CLI_SQL | CLI_TOP)
#define CLI_ALL	    ((1 << 18) - 1)

/* Exit status beside 0. */
#define CLI_FAILURE	1   /* it did not work */
#define CLI_USAGE	2   /* it was asked for in the wrong way */
#define CLI_RUN_FAILURE 125 /* `clew run`: we failed, not the command */

struct cli;

struct cli_command {
	const char *name;
	enum cli_bit bit;
	const char *args;     /* synopsis behind the name */
	const char *summary;  /* one line */
	const char *text;     /* paragraphs, separated by an empty line */
	const char *examples; /* "COMMAND\nwhat it does\n" pairs, or NULL */
	int (*run)(struct cli *cli);
	size_t min_args, max_args;
	bool stop_early; /* the first argument ends the options */
	bool later;	 /* the name is kept for later work */
};

struct cli {
	const struct cli_command *command;
	struct clew_options options;
};

/* The one table of options (options.c) and of commands (commands.c); the last row has no name. */
extern const struct clew_option cli_options[];
extern const struct cli_command cli_commands[];

const struct cli_command *cli_find_command(const char *name);

/** cli_usage() - report a usage error and name the help. Returns CLI_USAGE. */
int cli_usage(const struct cli *cli, const char *fmt, ...) CLEW_PRINTF(2, 3);

/** cli_db() - the store's directory: --db, CLEW_DB, the file, else the default. NULL for "none".
 * Borrowed from a static buffer or the options. */
const char *cli_db(const struct cli *cli);

/** cli_xdg_path() - $var/rest, or $HOME/fallback/rest. 0; -ENOENT without a home; -ENAMETOOLONG. */
int cli_xdg_path(const char *var, const char *fallback, const char *rest, char *out, size_t size);

struct clew_recording_reader;

/** cli_open_recording() - clew_recording_open(); says why it did not. */
int cli_open_recording(const char *path, struct clew_recording_reader **ret);

/** cli_check_trace_id() - may it be a trace's id, or the beginning of one? 0, else CLI_USAGE after having
 * said why not. */
int cli_check_trace_id(const struct cli *cli, const char *id);

/* help.c */
int cli_help_command(const struct cli_command *c);
int cli_help_overview(void);

/* One function a subcommand. */
int cli_check(struct cli *cli);
int cli_run(struct cli *cli);
int cli_record(struct cli *cli);
int cli_replay(struct cli *cli);
int cli_dump(struct cli *cli);
int cli_traces(struct cli *cli);
int cli_spans(struct cli *cli);
int cli_trace(struct cli *cli);
int cli_services(struct cli *cli);
int cli_map(struct cli *cli);
int cli_server(struct cli *cli);
int cli_patterns(struct cli *cli);
int cli_hist(struct cli *cli);
int cli_diff(struct cli *cli);
int cli_top(struct cli *cli);
int cli_sql(struct cli *cli);
int cli_version(struct cli *cli);
int cli_help(struct cli *cli);
