/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process should be called, from its command line and its cgroup. Pure functions over text.
 */
#pragma once

#include <stddef.h>

#include "base/slice.h"

struct clew_command {
	const char *exe;	 /* path of the executable, or NULL */
	const char *const *args; /* its arguments, [0] the program's own name */
	size_t n_args;
	const char *comm;   /* the thread's name, or NULL */
	const char *cgroup; /* path of its cgroup, or NULL */
	const char
		*own_cgroup; /* the tracer's own: a unit that holds both names neither; or NULL */
};

/**
 * clew_service_name() - container or unit name, else jar, script or module, else executable.
 * The slice borrows from the command's strings. Never empty: "unknown_service" if nothing is known.
 */
struct slice clew_service_name(const struct clew_command *c);

/** clew_unit_name() - "nginx" of "/system.slice/nginx.service"; machines and LXC too. Empty: none.
 */
struct slice clew_unit_name(const char *cgroup);

/** clew_program_name() - jar, script, module or application of an interpreter's command. Empty:
 * none. */
struct slice clew_program_name(const struct clew_command *c);
