/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of a traced process, named as it names them. Whoever is in its container may put links there: /proc/PID/root
 * with a path behind it would follow one to the root of ours. Here links lead as they do for the process itself.
 */
#pragma once

#include <fcntl.h>
#include <stdint.h>

/** inside_open() - a file below root, "/proc/PID/root" say. Returns a descriptor; -errno. */
int inside_open(const char *root, const char *path, int flags);
/** inside_dir() - a directory there. Returns a descriptor (O_PATH); -errno. */
int inside_dir(const char *root, const char *path);
/** inside_create() - a file to write that was not there before, nor a link of that name. Returns a descriptor; -errno. */
int inside_create(int dir, const char *name, mode_t mode);
/** inside_connect() - to the Unix stream socket in dir. Returns a descriptor; -ENOTSOCK: it is something else; -errno. */
int inside_connect(int dir, const char *name);
