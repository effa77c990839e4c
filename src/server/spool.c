/* SPDX-License-Identifier: Apache-2.0 */
#include "server/spool.h"

#include <fcntl.h>
#include <stdio.h>

#include "base/cleanup.h"

void spool_init(struct spool *s, int dir_fd)
{
	*s = (struct spool){.dir_fd = dir_fd, .fd = -1};
	clew_buf_init(&s->buf, SPOOL_MEMORY);
}

static int write_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t w = write(fd, p, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return -errno;
		p += w;
		n -= (size_t)w;
	}
	return 0;
}

/* Not every file system has O_TMPFILE. */
static int open_nameless(int dir_fd)
{
	int fd = openat(dir_fd, "tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char name[64];

	if (fd >= 0)
		return fd;
	snprintf(name, sizeof(name), "tmp/answer.%d.%p", (int)getpid(), (void *)&fd);
	fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	(void)!unlinkat(dir_fd, name, 0);
	return fd;
}

int spool_write(void *spool, const char *bytes, size_t n)
{
	struct spool *s = spool;
	int r;

	s->bytes += n;
	if (s->bytes > SPOOL_MAX)
		return -EFBIG;
	if (s->fd < 0) {
		if (s->buf.len + n <= SPOOL_MEMORY)
			return clew_buf_add(&s->buf, bytes, n);
		s->fd = open_nameless(s->dir_fd);
		if (s->fd < 0)
			return s->fd;
		r = write_all(s->fd, s->buf.data, s->buf.len);
		if (r < 0)
			return r;
		clew_buf_clear(&s->buf);
	}
	return write_all(s->fd, bytes, n);
}

void spool_clear(struct spool *s)
{
	closep(&s->fd);
	s->fd = -1;
	s->bytes = 0;
	clew_buf_clear(&s->buf);
}

int spool_take_fd(struct spool *s)
{
	int fd = s->fd;

	(void)lseek(fd, 0, SEEK_SET);
	s->fd = -1;
	return fd;
}

void spool_done(struct spool *s)
{
	closep(&s->fd);
	clew_buf_done(&s->buf);
}
