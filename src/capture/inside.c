/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/inside.h"

#include <errno.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"

#define OPEN_TRIES 32

int inside_open(const char *root, const char *path, int flags)
{
	struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC),
			       .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	_cleanup_(closep) int top = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd;

	if (top < 0)
		return -errno;
	/* A rename anywhere while it goes up makes the kernel give up (openat2(2)). */
	for (int i = 0; i < OPEN_TRIES; i++) {
		fd = (int)syscall(SYS_openat2, top, path, &how, sizeof(how));
		if (fd >= 0 || errno != EAGAIN)
			break;
	}
	return fd < 0 ? -errno : fd;
}

int inside_dir(const char *root, const char *path)
{
	return inside_open(root, path, O_PATH | O_DIRECTORY);
}

int inside_create(int dir, const char *name, mode_t mode)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);

	return fd < 0 ? -errno : fd;
}

int inside_connect(int dir, const char *name)
{
	_cleanup_(closep) int file = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_(closep) int fd = -1;
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	struct stat st;
	int ret;

	if (file < 0 || fstat(file, &st))
		return -errno;
	if (!S_ISSOCK(st.st_mode))
		return -ENOTSOCK;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* That very file, whatever has its name by now. */
	snprintf(at.sun_path, sizeof(at.sun_path), "/proc/self/fd/%d", file);
	if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)))
		return -errno;
	ret = fd;
	fd = -1;
	return ret;
}
