/* SPDX-License-Identifier: Apache-2.0 */
/* Error texts for the user: set once, the first one stays. */
#pragma once

#include <stdarg.h>
#include <stdio.h>

#include "base/cleanup.h"

/** set_error() - *ret_error becomes the text unless it is set or ret_error is NULL. Returns err. */
static inline int CLEW_PRINTF(3, 4) set_error(char **ret_error, int err, const char *fmt, ...)
{
	va_list ap;

	if (!ret_error || *ret_error)
		return err;
	va_start(ap, fmt);
	if (vasprintf(ret_error, fmt, ap) < 0)
		*ret_error = NULL;
	va_end(ap);
	return err;
}
