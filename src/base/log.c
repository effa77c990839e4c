/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/units.h"

static enum clew_log_level level_now = CLEW_LOG_INFO;
static bool as_json;

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

void clew_log_set_json(bool json)
{
	as_json = json;
}

static void put_json(enum clew_log_level level, const char *event, const char *msg)
{
	char time[CLEW_UNITS_TEXT];
	struct clew_buf b = {0};

	clew_buf_addf(&b, "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%s\",\"msg\":",
		      clew_format_time(clew_now_ns(), time), names[level], event);
	clew_json_str(&b, slice_str(msg));
	clew_buf_adds(&b, "}\n");
	if (!b.err)
		(void)!write(STDERR_FILENO, b.data, b.len);
	clew_buf_done(&b);
}

static void put_text(enum clew_log_level level, const char *msg)
{
	char line[2200];
	int n = snprintf(line, sizeof(line), "clew: %s%s\n",
			 level == CLEW_LOG_WARN	   ? "warning: "
			 : level == CLEW_LOG_DEBUG ? "debug: "
						   : "",
			 msg);

	(void)!write(STDERR_FILENO, line, (size_t)n);
}

static void put(enum clew_log_level level, const char *event, const char *fmt, va_list ap)
{
	int saved = errno;
	char msg[2048];

	if (level > level_now)
		return;
	vsnprintf(msg, sizeof(msg), fmt, ap);
	if (as_json)
		put_json(level, event, msg);
	else
		put_text(level, msg);
	errno = saved;
}

void clew_log(enum clew_log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put(level, "log", fmt, ap);
	va_end(ap);
}

void clew_log_event(const char *event, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put(CLEW_LOG_INFO, event, fmt, ap);
	va_end(ap);
}
