/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recordings: a buffered writer that leaves whole records behind a failure, and a checking reader.
 *
 * When a write fails (a full disk), what was buffered stays buffered and the record at hand is refused:
 * if there is room later, the file goes on where it stopped, in step.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "capture/recording.h"

#define HEADER_BYTES 512
/* Holds the longest record. */
#define WRITE_BYTES CLEW_RECORD_MAX_BYTES
/* Room for the longest record wherever it begins. */
#define READ_BYTES (2u * CLEW_RECORD_MAX_BYTES)

static const char magic[8] = "CLEWREC\n";
static const char notice[] =
	"This is a recording made by clew. It holds the payload that the traced programs sent and\n"
	"received: URLs, headers and bodies, cookies and passwords included. Treat it as a "
	"secret.\n"
	"Read it with: clew dump FILE, clew replay FILE\n";

struct file_header {
	char magic[8];
	uint32_t version;
	uint32_t header_bytes;
	char text[HEADER_BYTES - 16];
};
_Static_assert(sizeof(struct file_header) == HEADER_BYTES, "recording header");

struct clew_recording_writer {
	int fd;
	size_t n;
	char buf[WRITE_BYTES];
};

struct clew_recording_reader {
	int fd;	       /* -1: memory */
	uint64_t base; /* file offset of buf[0] */
	size_t at, n;  /* in buf */
	size_t last;   /* length of the record that was handed out: consumed by the next call */
	bool eof;
	int failed;	   /* sticky */
	const char *bytes; /* buf, or the caller's */
	char *buf;
};

static int writer_drain(struct clew_recording_writer *w)
{
	size_t done = 0;
	int r = 0;

	while (done < w->n) {
		ssize_t n = write(w->fd, w->buf + done, w->n - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			r = -errno;
			break;
		}
		done += (size_t)n;
	}
	memmove(w->buf, w->buf + done, w->n - done);
	w->n -= done;
	return r;
}

int clew_recording_create(const char *path, struct clew_recording_writer **ret)
{
	_cleanup_(closep) int fd = -1;
	struct clew_recording_writer *w;
	struct file_header h = {.version = CLEW_RECORDING_VERSION, .header_bytes = HEADER_BYTES};
	struct stat st;

	if (!strcmp(path, "-"))
		fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	else
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	/* A file that was there keeps its mode unless told. */
	if (strcmp(path, "-") && (fstat(fd, &st) || (S_ISREG(st.st_mode) && fchmod(fd, 0600))))
		return -errno;
	w = malloc(sizeof(*w));
	if (!w)
		return -ENOMEM;
	memcpy(h.magic, magic, sizeof(magic));
	memset(h.text, '\n', sizeof(h.text));
	memcpy(h.text, notice, sizeof(notice) - 1);
	w->fd = fd;
	fd = -1;
	memcpy(w->buf, &h, sizeof(h));
	w->n = sizeof(h);
	*ret = w;
	return 0;
}

int clew_recording_write(struct clew_recording_writer *w, const struct clew_rec *rec)
{
	int r;

	if (rec->len < sizeof(*rec) || rec->len % 8 || rec->len > CLEW_RECORD_MAX_BYTES)
		return -EINVAL;
	if (w->n + rec->len > sizeof(w->buf)) {
		r = writer_drain(w);
		if (r)
			return r;
	}
	memcpy(w->buf + w->n, rec, rec->len);
	w->n += rec->len;
	return 0;
}

int clew_recording_flush(struct clew_recording_writer *w)
{
	return writer_drain(w);
}

int clew_recording_close(struct clew_recording_writer *w)
{
	int r;

	if (!w)
		return 0;
	r = writer_drain(w);
	if (close(w->fd) && !r && errno != EINTR)
		r = -errno;
	free(w);
	return r;
}

static int reader_new(struct clew_recording_reader **ret, bool own_buffer)
{
	struct clew_recording_reader *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->fd = -1;
	if (own_buffer) {
		r->buf = malloc(READ_BYTES);
		if (!r->buf) {
			free(r);
			return -ENOMEM;
		}
		r->bytes = r->buf;
	}
	*ret = r;
	return 0;
}

/* Move what is left to the front and read on, until `want` bytes are there or the file ends. */
static int reader_fill(struct clew_recording_reader *r, size_t want)
{
	if (r->n - r->at >= want || r->eof)
		return 0;
	memmove(r->buf, r->buf + r->at, r->n - r->at);
	r->base += r->at;
	r->n -= r->at;
	r->at = 0;
	while (r->n < want) {
		ssize_t n = read(r->fd, r->buf + r->n, READ_BYTES - r->n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n) {
			r->eof = true;
			break;
		}
		r->n += (size_t)n;
	}
	return 0;
}

static int reader_header(struct clew_recording_reader *r)
{
	struct file_header h;
	int err = reader_fill(r, sizeof(h));

	if (err)
		return err;
	if (r->n < sizeof(h) || memcmp(r->bytes, magic, sizeof(magic)))
		return -EBADMSG;
	memcpy(&h, r->bytes, sizeof(h));
	if (h.version > CLEW_RECORDING_VERSION)
		return -EPROTONOSUPPORT;
	if (h.version != CLEW_RECORDING_VERSION || h.header_bytes != HEADER_BYTES)
		return -EBADMSG;
	r->at = sizeof(h);
	return 0;
}

int clew_recording_open(const char *path, struct clew_recording_reader **ret)
{
	_cleanup_(closep) int fd = -1;
	struct clew_recording_reader *r;
	int err;

	if (!strcmp(path, "-"))
		fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	else
		fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = reader_new(&r, true);
	if (err)
		return err;
	r->fd = fd;
	fd = -1;
	err = reader_header(r);
	if (err) {
		clew_recording_free(r);
		return err;
	}
	*ret = r;
	return 0;
}

int clew_recording_open_mem(const void *bytes, size_t n, struct clew_recording_reader **ret)
{
	/* Records are read where they lie, so they must be aligned. */
	bool copy = (uintptr_t)bytes % 8 != 0;
	struct clew_recording_reader *r;
	int err = reader_new(&r, false);

	if (err)
		return err;
	if (copy) {
		r->buf = malloc(n ? n : 1);
		if (!r->buf) {
			clew_recording_free(r);
			return -ENOMEM;
		}
		memcpy(r->buf, bytes, n);
	}
	r->bytes = copy ? r->buf : bytes;
	r->n = n;
	r->eof = true;
	err = reader_header(r);
	if (err) {
		clew_recording_free(r);
		return err;
	}
	*ret = r;
	return 0;
}

int clew_recording_next(struct clew_recording_reader *r, const struct clew_rec **ret)
{
	const struct clew_rec *rec;
	int err;

	if (r->failed)
		return r->failed;
	r->at += r->last;
	r->last = 0;
	err = reader_fill(r, sizeof(*rec));
	if (err)
		return r->failed = err;
	if (r->at == r->n)
		return 0;
	if (r->n - r->at < sizeof(*rec))
		return r->failed = -ENODATA;
	rec = (const struct clew_rec *)(r->bytes + r->at);
	if (rec->len < sizeof(*rec) || rec->len % 8 || rec->len > CLEW_RECORD_MAX_BYTES)
		return r->failed = -EBADMSG;
	err = reader_fill(r, rec->len);
	if (err)
		return r->failed = err;
	rec = (const struct clew_rec *)(r->bytes + r->at);
	if (r->n - r->at < rec->len)
		return r->failed = -ENODATA;
	err = clew_record_check(rec, r->n - r->at);
	if (err)
		return r->failed = err;
	r->last = rec->len;
	*ret = rec;
	return 1;
}

uint64_t clew_recording_offset(const struct clew_recording_reader *r)
{
	return r->base + r->at;
}

void clew_recording_free(struct clew_recording_reader *r)
{
	if (!r)
		return;
	closep(&r->fd);
	free(r->buf);
	free(r);
}
