/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scope cleanup: a local that owns something gives it back when its block ends.
 *
 *	_cleanup_(freep) char *line = NULL;
 *	_cleanup_(closep) int fd = -1;
 */
#pragma once

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(fn) __attribute__((cleanup(fn)))

/** CLEW_DEFINE_CLEANUP() - make NAMEp() for _cleanup_() out of a destructor that takes NULL. */
#define CLEW_DEFINE_CLEANUP(type, fn)     \
	static inline void fn##p(type *p) \
	{                                 \
		fn(*p);                   \
	}

static inline void freep(void *p)
{
	free(*(void **)p);
}

static inline void closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/** clew_steal() - hand the pointer over to somebody else: the local no longer owns it. */
#define clew_steal(ptr)                          \
	({                                       \
		__typeof__(ptr) stolen_ = (ptr); \
		(ptr) = NULL;                    \
		stolen_;                         \
	})

#define CLEW_MUST_CHECK	  __attribute__((warn_unused_result))
#define CLEW_PRINTF(f, a) __attribute__((format(printf, f, a)))
