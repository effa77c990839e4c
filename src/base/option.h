/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options from one table: a row makes the parser, the help, the man page, the configuration file's
 * key and the environment variable.
 *
 *	command line  ─wins over─►  environment  ─wins over─►  configuration file  ─►  default
 *
 * A repeatable option given at one level replaces what the levels below it said.
 *
 * Every message names the option as the user wrote it and says what to write instead. Values borrow
 * from argv and the environment, or from what this object owns; they live as long as it does.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum clew_option_type {
	CLEW_OPT_FLAG,	   /* no argument; --name=no undoes it; in a file: yes or no */
	CLEW_OPT_STRING,   /* anything but the empty string */
	CLEW_OPT_NUMBER,   /* whole, up to .max */
	CLEW_OPT_SIZE,	   /* bytes, up to .max */
	CLEW_OPT_DURATION, /* ns, up to .max */
	CLEW_OPT_TIME,	   /* Unix ns */
	CLEW_OPT_CHOICE,   /* one word of .choices */
	CLEW_OPT_PAIR,	   /* KEY=VALUE, both non-empty */
};

struct clew_option {
	const char *name; /* long name, without dashes; a last '*' stands for any ending */
	char letter;	  /* short name, or 0 */
	enum clew_option_type type;
	const char *arg;     /* what help calls the argument; NULL for a flag */
	const char *def;     /* default, as it would be written; NULL: none */
	uint32_t commands;   /* which commands know it: a bit each, the caller's */
	const char *help;    /* a phrase or some sentences */
	const char *choices; /* "start|duration" */
	uint64_t min, max;   /* of numbers, sizes and durations; max 0: no limit */
	bool repeat;	     /* may be given more than once */
	const char *env;     /* environment variable, or NULL */
	bool config;	     /* the name is a key of the configuration file */
	bool later;	     /* the name is kept for later work, and refused */
	const char *group;   /* heading of this row and those that follow */
};

enum clew_option_source {
	CLEW_OPT_UNSET,
	CLEW_OPT_DEFAULT,
	CLEW_OPT_FILE,
	CLEW_OPT_ENV,
	CLEW_OPT_CMDLINE,
};

struct clew_option_value;

struct clew_options {
	const struct clew_option *table; /* ends with a row whose name is NULL */
	struct clew_option_value *values;
	size_t n;
	uint32_t command; /* the bit of the command that is parsed */
	const char *what; /* its name, for messages: "clew record" */
	uint64_t now_ns;  /* ages count back from here */
	char **args;	  /* what was not an option, in order, NULL-terminated; points into argv */
	size_t n_args;
	char error[512]; /* why the last call failed, one line, without "clew: " */
};

/* The most values that one repeatable option takes. */
#define CLEW_OPTION_MAX_VALUES 1024
/* The longest configuration file. */
#define CLEW_CONFIG_MAX_BYTES (1u << 20)

/**
 * clew_options_init() - defaults only. what and table are borrowed.
 * Returns 0 or -ENOMEM; an assertion fails on a default that its own row refuses.
 */
int clew_options_init(struct clew_options *o, const struct clew_option *table, uint32_t command,
		      const char *what, uint64_t now_ns);
void clew_options_done(struct clew_options *o);

/**
 * clew_options_cmdline() - read argv[0..argc). "--" ends the options.
 * stop_early: the first word that is no option ends them too (what follows is another program's).
 * Returns 0; -EINVAL with o->error; -ENOMEM.
 */
int clew_options_cmdline(struct clew_options *o, int argc, char **argv, bool stop_early);

/** clew_options_env() - read the environment, for what the command line left out. Same returns. */
int clew_options_env(struct clew_options *o);

/**
 * clew_options_file() - read "key = value" lines, '#' begins a comment; for what command line and
 * environment left out. Keys of every command are known, so that one file serves all.
 * Returns 0; -EINVAL with o->error (path and line in it); -errno of the file, with o->error.
 */
int clew_options_file(struct clew_options *o, const char *path);

/*
 * Values by the row's long name; asking for a name that the table lacks is an assertion. Rows of
 * different commands may share a name: the parsed command's is meant.
 * Unset: NULL, 0, false, an empty list.
 */
enum clew_option_source clew_options_source(const struct clew_options *o, const char *name);
const char *clew_options_str(const struct clew_options *o, const char *name);
uint64_t clew_options_u64(const struct clew_options *o, const char *name);
bool clew_options_flag(const struct clew_options *o, const char *name);
/** clew_options_list() - a repeatable option's texts, NULL-terminated; NULL when there are none. */
char *const *clew_options_list(const struct clew_options *o, const char *name, size_t *ret_n);
/** clew_options_u64s() - a repeatable number's values; NULL when there are none. */
const uint64_t *clew_options_u64s(const struct clew_options *o, const char *name, size_t *ret_n);

static inline bool clew_options_given(const struct clew_options *o, const char *name)
{
	return clew_options_source(o, name) > CLEW_OPT_DEFAULT;
}

/**
 * clew_nearest() - the word of the list (NULL-terminated) that is the likeliest meant by a typing
 * mistake; NULL if none is near.
 */
const char *clew_nearest(const char *word, const char *const *list);

/** clew_option_help() - the rows of one command for a terminal of width columns. 0 or -errno. */
int clew_option_help(struct clew_buf *b, const struct clew_option *table, uint32_t command,
		     unsigned width);

/** clew_option_man() - every row as man(7) source; names: what the bits of .commands are called, in
 * order, ends with NULL. */
int clew_option_man(struct clew_buf *b, const struct clew_option *table, const char *const *names);

/** clew_text_wrap() - append text in lines of at most width columns, indent blanks before each but
 * the first, which begins at column col. ASCII only. Ends with a newline. */
void clew_text_wrap(struct clew_buf *b, const char *text, unsigned indent, unsigned col,
		    unsigned width);

/** clew_man_escape() - append text as man(7) source prints it. */
void clew_man_escape(struct clew_buf *b, const char *text);
