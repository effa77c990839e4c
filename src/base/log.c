/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static enum clew_log_level level_now = CLEW_LOG_INFO;

static const char *const names[] = {"error", "warn", "info", "debug"};

void clew_log_set_level(enum clew_log_level level)
{
	level_now = level;
}

enum clew_log_level clew_log_get_level(void)
{
	return level_now;
}

int clew_log_level_parse(const char *name)
{
	for (int i = 0; i <= CLEW_LOG_DEBUG; i++)
		if (!strcmp(name, names[i]))
			return i;
	return -EINVAL;
}

void clew_log(enum clew_log_level level, const char *fmt, ...)
{
	char line[2048];
	int saved = errno, n;
	va_list ap;

	if (level > level_now)
		return;
	n = snprintf(line, sizeof(line), "clew: %s",
		     level == CLEW_LOG_INFO    ? ""
		     : level == CLEW_LOG_WARN  ? "warning: "
		     : level == CLEW_LOG_DEBUG ? "debug: "
					       : "");
	va_start(ap, fmt);
	n += vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, ap);
	va_end(ap);
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	(void)!write(STDERR_FILENO, line, (size_t)n);
	errno = saved;
}
