/* SPDX-License-Identifier: Apache-2.0 */
/* The log of the newest spans: written by frames, read when a store is opened. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/id.h"
#include "store/hot.h"

#define ROWS_MAGIC    0x74686c63u /* "clht" */
#define CHANGES_MAGIC 0x61686c63u /* "clha" */
/* A frame holds no more than a batch does; what says more is no frame. */
#define FRAME_MAX (1ull << 30)
/* Frames begin at multiples of it. */
#define FRAME_ALIGN 8

static const char head[16] = "clewhot1";

struct frame {
	uint32_t magic, rows;
	uint64_t bytes, sum;
};
_Static_assert(sizeof(struct frame) == HOT_FRAME_HEAD, "the format of the log");

static uint64_t sum_of(const struct frame *f, const char *rows, uint64_t at)
{
	return clew_hash64(rows, f->bytes, at ^ (uint64_t)f->rows << 32 ^ f->magic);
}

void hot_log_name(int64_t hour, uint64_t first_row, char *out, size_t size)
{
	time_t t = (time_t)(hour * 3600);
	char text[32];
	struct tm tm;

	strftime(text, sizeof(text), "%Y%m%dT%H", gmtime_r(&t, &tm));
	snprintf(out, size, "spans-%s-%" PRIu64 ".log", text, first_row);
}

int hot_log_parse(const char *file, int64_t *ret_hour, uint64_t *ret_first_row)
{
	struct tm tm = {0};
	const char *at;
	char *end;
	uint64_t row;

	if (strncmp(file, "spans-", 6))
		return -EINVAL;
	at = strptime(file + 6, "%Y%m%dT%H", &tm);
	if (!at || at[0] != '-' || at[1] < '0' || at[1] > '9')
		return -EINVAL;
	errno = 0;
	row = strtoull(at + 1, &end, 10);
	if (errno || strcmp(end, ".log"))
		return -EINVAL;
	*ret_hour = (int64_t)timegm(&tm) / 3600;
	*ret_first_row = row;
	return 0;
}

static int write_at(int fd, const char *p, size_t n, uint64_t at)
{
	while (n) {
		ssize_t w = pwrite(fd, p, n, (off_t)at);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return w < 0 ? -errno : -EIO;
		p += w;
		n -= (size_t)w;
		at += (uint64_t)w;
	}
	return 0;
}

int hot_log_create(struct hot *h, int dir_fd, int64_t hour, uint64_t first_row)
{
	int r, fd;

	hot_log_name(hour, first_row, h->file, sizeof(h->file));
	fd = openat(dir_fd, h->file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = write_at(fd, head, sizeof(head), 0);
	/* The name must be there after a crash of the machine as well. */
	if (r == 0 && (fdatasync(fd) < 0 || fsync(dir_fd) < 0))
		r = -errno;
	if (r < 0) {
		close(fd);
		unlinkat(dir_fd, h->file, 0);
		return r;
	}
	h->fd = fd;
	h->bytes = sizeof(head);
	return 0;
}

int hot_frame_begin(struct clew_buf *frame)
{
	clew_buf_clear(frame);
	return clew_buf_room(frame, HOT_FRAME_HEAD) ? 0 : frame->err;
}

int hot_log_write(struct hot *h, struct clew_buf *frame, uint32_t rows, bool changes)
{
	struct frame f = {changes ? CHANGES_MAGIC : ROWS_MAGIC, rows, frame->len - HOT_FRAME_HEAD,
			  0};
	int r;

	if (h->fd < 0)
		return -EBADF;
	f.sum = sum_of(&f, frame->data + HOT_FRAME_HEAD, h->bytes);
	memcpy(frame->data, &f, sizeof(f));
	r = write_at(h->fd, frame->data, frame->len, h->bytes);
	if (r == 0 && fdatasync(h->fd) < 0)
		r = -errno;
	if (r < 0)
		hot_log_cut(h, h->bytes);
	else
		h->bytes += frame->len;
	return r;
}

void hot_log_cut(struct hot *h, uint64_t bytes)
{
	h->bytes = bytes;
	/* What stays behind when this fails is overwritten, or no frame of its place. */
	(void)!ftruncate(h->fd, (off_t)bytes);
}

/* ---- reading ---- */

/* Does the row lie within n bytes, and its tail within the row? */
static bool row_fits(const struct hot_row *r, uint64_t n)
{
	const struct hot_more *m;
	uint64_t end;

	if (n < sizeof(*r) || r->bytes > n || r->bytes % 8)
		return false;
	end = sizeof(*r) + (uint64_t)r->n_attrs * sizeof(struct hot_text);
	if (r->bytes < end)
		return false;
	for (uint32_t i = 0; i < r->n_attrs; i++)
		end += hot_attrs(r)[i].len;
	if (!(r->flags & HOT_MORE))
		return end <= r->bytes && !r->n_links && !r->n_events;
	if (r->more_at % 8 || r->more_at < end ||
	    (uint64_t)r->more_at + sizeof(*m) + r->n_links * sizeof(struct hot_link) +
			    r->n_events * sizeof(struct hot_event) >
		    r->bytes)
		return false;
	m = hot_more(r);
	end = (uint64_t)(hot_texts(r, m) - (const char *)r) + m->status_len + m->state_len;
	for (uint32_t i = 0; i < r->n_links; i++)
		end += hot_links(m)[i].attrs_len;
	for (uint32_t i = 0; i < r->n_events; i++)
		end += (uint64_t)hot_events(r, m)[i].name_len + hot_events(r, m)[i].attrs_len;
	return end <= r->bytes;
}

/* The rows of a frame are whole, and number those that are there, or were before some were lost. */
static bool rows_fit(const struct hot *h, const struct frame *f, const char *rows, bool lost)
{
	uint64_t skip = f->magic == CHANGES_MAGIC ? sizeof(uint64_t) : 0, done = 0;

	for (uint64_t i = 0; i < f->rows; i++) {
		const struct hot_row *r = (const struct hot_row *)(rows + done + skip);

		if (f->bytes - done < skip || !row_fits(r, f->bytes - done - skip) ||
		    (skip && *(const uint64_t *)(rows + done) >= h->n && !lost))
			return false;
		done += skip + r->bytes;
	}
	return f->rows <= h->cap - (skip ? 0 : h->n);
}

/*
 * The row whose place another takes. Where batches before it were lost its number is less than it was: it is the span
 * that tells. False: it was lost.
 */
static bool find_row(const struct hot *h, uint64_t number, const struct hot_row *r, bool lost,
		     uint64_t *ret)
{
	uint64_t i = number < h->n ? number : (uint64_t)h->n - 1;

	*ret = number;
	if (!lost)
		return true;
	for (; h->n && i < h->n; i--)
		if (h->rows[i]->span_id == r->span_id && h->rows[i]->start_ns == r->start_ns) {
			*ret = i;
			return true;
		}
	return false;
}

/* The frame at a place of the log becomes h's: its bytes with the head, or 0 if there is no whole one. lost: some were
 * before it. */
static uint64_t take_frame(struct hot *h, const char *bytes, uint64_t n, uint64_t at, bool lost)
{
	const char *rows = bytes + at + HOT_FRAME_HEAD;
	struct frame f;

	if (n - at < sizeof(f))
		return 0;
	memcpy(&f, bytes + at, sizeof(f));
	if ((f.magic != ROWS_MAGIC && f.magic != CHANGES_MAGIC) || f.bytes > FRAME_MAX ||
	    f.bytes % 8 || f.bytes > n - at - sizeof(f) || sum_of(&f, rows, at) != f.sum ||
	    !rows_fit(h, &f, rows, lost))
		return 0;
	for (uint32_t i = 0; i < f.rows; i++) {
		const struct hot_row *r;
		uint64_t number;

		if (f.magic == CHANGES_MAGIC) {
			r = (const struct hot_row *)(rows + sizeof(uint64_t));
			if (find_row(h, *(const uint64_t *)rows, r, lost, &number))
				hot_replace_row(h, number, r);
			rows += sizeof(uint64_t);
		} else {
			r = (const struct hot_row *)rows;
			hot_add_row(h, h->n++, r);
		}
		rows += r->bytes;
	}
	return sizeof(f) + f.bytes;
}

/* How many rows may there be in so many bytes? */
static uint32_t room_for(uint64_t bytes, uint32_t max)
{
	uint64_t n = bytes / sizeof(struct hot_row) + 1;

	return n > max ? (uint32_t)(n < UINT32_MAX ? n : UINT32_MAX - 1) : max;
}

static int read_all(int fd, char *p, uint64_t n)
{
	for (uint64_t at = 0; at < n;) {
		ssize_t got = pread(fd, p + at, n - at, (off_t)at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : -EIO;
		at += (uint64_t)got;
	}
	return 0;
}

/* What is no frame is passed over up to the next one: a frame tells its place, so that no other bytes pass for one. */
static void take_frames(struct hot *h, const char *bytes, uint64_t size, struct hot_damage *lost)
{
	uint64_t at = sizeof(head), n;

	if (memcmp(bytes, head, sizeof(head)) != 0)
		at = 0;
	for (h->bytes = at; at < size; at += n) {
		n = take_frame(h, bytes, size, at, lost->places || at > h->bytes);
		if (!n) {
			n = FRAME_ALIGN;
			continue;
		}
		if (at > h->bytes) {
			lost->bytes += at - h->bytes;
			lost->places++;
		}
		h->bytes = at + n;
	}
}

/* The whole file in one block; its frames' rows. */
static int load(struct hot *h, int fd, uint64_t size, struct hot_damage *lost)
{
	struct hot_block *b = calloc(1, sizeof(*b));
	int r;

	if (!b)
		return -ENOMEM;
	b->next = h->blocks;
	h->blocks = b;
	b->bytes = malloc(size);
	if (!b->bytes)
		return -ENOMEM;
	r = read_all(fd, b->bytes, size);
	if (r < 0)
		return r;
	take_frames(h, b->bytes, size, lost);
	return h->bytes ? 0 : -EUCLEAN;
}

int hot_log_load(int dir_fd, const char *file, bool writer, uint32_t max, struct hot **ret,
		 struct hot_damage *ret_lost)
{
	struct hot_damage lost = {0};
	_cleanup_(closep) int fd =
		openat(dir_fd, file, (writer ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW);
	struct stat sb;
	struct hot *h;
	int r;

	if (fd < 0 || fstat(fd, &sb) < 0)
		return -errno;
	/* Created, and not begun before a crash: empty. */
	h = hot_new(room_for((uint64_t)sb.st_size, max));
	if (!h)
		return -ENOMEM;
	snprintf(h->file, sizeof(h->file), "%s", file);
	r = (uint64_t)sb.st_size < sizeof(head) ? 0 : load(h, fd, (uint64_t)sb.st_size, &lost);
	if (r == 0 && writer && !h->bytes) {
		r = write_at(fd, head, sizeof(head), 0);
		h->bytes = sizeof(head);
	}
	if (r == 0 && writer && (uint64_t)sb.st_size > h->bytes &&
	    ftruncate(fd, (off_t)h->bytes) < 0)
		r = -errno;
	if (r == 0 && writer)
		r = hot_read_ids(h);
	if (r < 0) {
		hot_unref(h);
		return r;
	}
	lost.end = (uint64_t)sb.st_size > h->bytes ? (uint64_t)sb.st_size - h->bytes : 0;
	*ret_lost = lost;
	if (writer) {
		h->fd = fd;
		fd = -1;
	}
	*ret = h;
	return 0;
}
