/* SPDX-License-Identifier: Apache-2.0 */
#include "store/lock.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "store/error.h"

#define WRITER_FILE  "writer.lock"
#define READERS_FILE "readers.lock"
#define POLL_NS	     (5 * 1000 * 1000)

static int open_lock(int dir_fd, const char *dir, const char *name, char **ret_error)
{
	int fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return set_error(ret_error, -errno, "cannot open %s/%s: %s", dir, name,
				 strerror(errno));
	return fd;
}

/*
 * A reader's: it writes nothing, so that a directory that cannot be written can be read. -1 where there is no such file
 * and none can be made: then no writer has been there, nor can be.
 */
static int open_to_read(int dir_fd, const char *dir, const char *name, int *ret, char **ret_error)
{
	int fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0 && (errno == EROFS || errno == EACCES || errno == EPERM))
		fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno != ENOENT)
		return set_error(ret_error, -errno, "cannot open %s/%s: %s", dir, name,
				 strerror(errno));
	*ret = fd;
	return 0;
}

static int take(int fd, short type)
{
	struct flock fl = {.l_type = type, .l_whence = SEEK_SET};

	return fcntl(fd, F_OFD_SETLK, &fl) < 0 ? -errno : 0;
}

static bool is_locked(int fd)
{
	struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return fd >= 0 && fcntl(fd, F_OFD_GETLK, &fl) == 0 && fl.l_type != F_UNLCK;
}

/* The writer's own words, on one line. */
static void read_owner(int fd, char *out, size_t size)
{
	ssize_t n = pread(fd, out, size - 1, 0);

	out[n > 0 ? n : 0] = '\0';
	out[strcspn(out, "\n")] = '\0';
	if (!out[0])
		snprintf(out, size, "a process that has not said who it is");
}

static void write_owner(int fd, const char *command)
{
	char text[256], since[32];
	time_t now = time(NULL);
	struct tm tm;
	int n;

	strftime(since, sizeof(since), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
	n = snprintf(text, sizeof(text), "pid %d, %s, since %s\n", (int)getpid(), command, since);
	/* Only a courtesy: without it the error of a second writer says less. */
	if (ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)n, 0) != n)
		(void)!ftruncate(fd, 0);
}

int clew_lock_write(int dir_fd, const char *dir, const char *command, uint64_t wait_ns,
		    struct clew_lock *ret, char **ret_error)
{
	_cleanup_(closep) int writer = -1;
	_cleanup_(closep) int readers = -1;
	char owner[256];
	int r;

	writer = open_lock(dir_fd, dir, WRITER_FILE, ret_error);
	if (writer < 0)
		return writer;
	readers = open_lock(dir_fd, dir, READERS_FILE, ret_error);
	if (readers < 0)
		return readers;
	r = take(writer, F_WRLCK);
	if (r == -EAGAIN || r == -EACCES) {
		read_owner(writer, owner, sizeof(owner));
		return set_error(ret_error, -EBUSY,
				 "%s is being written by %s: stop it, or choose another directory "
				 "with --db",
				 dir, owner);
	}
	if (r < 0)
		return set_error(ret_error, r, "cannot lock %s/" WRITER_FILE ": %s", dir,
				 strerror(-r));
	write_owner(writer, command);
	for (uint64_t waited = 0; (r = take(readers, F_WRLCK)) < 0; waited += POLL_NS) {
		if ((r != -EAGAIN && r != -EACCES) || waited >= wait_ns)
			return set_error(ret_error, -EBUSY,
					 "%s is being read by other commands that do not end: try "
					 "again later",
					 dir);
		nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
	}
	ret->writer_fd = writer;
	ret->readers_fd = readers;
	writer = readers = -1;
	return 0;
}

int clew_lock_read(int dir_fd, const char *dir, struct clew_lock *ret, char **ret_error)
{
	_cleanup_(closep) int writer = -1;
	_cleanup_(closep) int readers = -1;
	char owner[256];
	int r = open_to_read(dir_fd, dir, WRITER_FILE, &writer, ret_error);

	if (r == 0)
		r = open_to_read(dir_fd, dir, READERS_FILE, &readers, ret_error);
	if (r < 0)
		return r;
	if (is_locked(writer) || (readers >= 0 && take(readers, F_RDLCK) < 0)) {
		read_owner(writer, owner, sizeof(owner));
		return set_error(ret_error, -EBUSY, "%s is being written by %s", dir, owner);
	}
	ret->writer_fd = writer;
	ret->readers_fd = readers;
	writer = readers = -1;
	return 0;
}

bool clew_lock_writer_waits(const struct clew_lock *l)
{
	return is_locked(l->writer_fd);
}

void clew_lock_done(struct clew_lock *l)
{
	closep(&l->readers_fd);
	closep(&l->writer_fd);
	l->writer_fd = l->readers_fd = -1;
}
