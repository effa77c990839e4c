/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every subcommand needs of its command line: usage errors, the store's directory.
 */
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>

#include "cli/cli.h"

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
