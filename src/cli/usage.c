/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What subcommands need of their command line: usage errors, the store's directory, a recording, a
 * trace's id.
 */
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>

#include "capture/recording.h"
#include "cli/cli.h"

int cli_usage(const struct cli *cli, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_error("%s: %s\nUsage: clew %s%s%s", cli->command->name, text, cli->command->name,
		  *cli->command->args ? " " : "", cli->command->args);
	return CLI_USAGE;
}

int cli_xdg_path(const char *var, const char *fallback, const char *rest, char *out, size_t size)
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
	if (cli_xdg_path("XDG_DATA_HOME", ".local/share", "clew", path, sizeof(path)) < 0)
		return "clew-data";
	return path;
}

int cli_open_recording(const char *path, struct clew_recording_reader **ret)
{
	int r = clew_recording_open(path, ret);

	if (r == -EBADMSG)
		log_error("%s: not a recording; name a file that --raw wrote", path);
	else if (r == -EPROTONOSUPPORT)
		log_error("%s: written by a newer version of clew; use that one to read it", path);
	else if (r < 0)
		log_error("%s: %s; name a file that --raw wrote", path, strerror(-r));
	return r;
}

/* The shortest beginning of an id that is looked for. */
#define ID_MIN_DIGITS 4

int cli_check_trace_id(const struct cli *cli, const char *id)
{
	size_t n = strlen(id);

	if (strspn(id, "0123456789abcdefABCDEF") != n)
		return cli_usage(
			cli, "'%s' is not a trace's id: hex digits only; clew traces lists them",
			id);
	if (n < ID_MIN_DIGITS || n > 32)
		return cli_usage(cli, "'%s' has %zu digits; give %d to 32 of them", id, n,
				 ID_MIN_DIGITS);
	return 0;
}
