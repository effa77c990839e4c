/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines on standard error, one level for the whole process.
 *
 * Libraries log at debug only; the subcommands say what a user should read.
 */
#pragma once

#include <stdbool.h>

#include "base/cleanup.h"

enum clew_log_level {
	CLEW_LOG_ERROR,
	CLEW_LOG_WARN,
	CLEW_LOG_INFO,
	CLEW_LOG_DEBUG,
};

/** clew_log_set_level() - lines above this level are dropped. The default is CLEW_LOG_INFO. */
void clew_log_set_level(enum clew_log_level level);
enum clew_log_level clew_log_get_level(void);
/** clew_log_level_parse() - "error", "warn", "info", "debug". Returns the level, or -EINVAL. */
int clew_log_level_parse(const char *name);
/** clew_log_set_json() - from now on each line is a JSON object: time, level, event, msg. */
void clew_log_set_json(bool json);
/** clew_log_event() - clew_log(CLEW_LOG_INFO) with a name for the kind of event, for programs. */
void clew_log_event(const char *event, const char *fmt, ...) CLEW_PRINTF(2, 3);
/** clew_log() - one line, "clew: " before it, a newline behind it; written with one write(). */
void clew_log(enum clew_log_level level, const char *fmt, ...) CLEW_PRINTF(2, 3);

#define log_error(...) clew_log(CLEW_LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  clew_log(CLEW_LOG_WARN, __VA_ARGS__)
#define log_info(...)  clew_log(CLEW_LOG_INFO, __VA_ARGS__)
#define log_debug(...) clew_log(CLEW_LOG_DEBUG, __VA_ARGS__)
