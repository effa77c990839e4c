/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz the reader of the store's log of the newest spans: whatever stands in the file, its rows are whole, it is the same
 * when it is read again, and what is appended behind a damage is read.
 *
 * Input: one byte (bit 0: sums of frames are made right, so that the rows behind them are looked at), then the file.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/id.h"
#include "fuzz.h"
#include "store/hot.h"

#define FILE_NAME "log"
/* As in hot_log.c. */
#define ROWS	0x74686c63u
#define CHANGES 0x61686c63u

static int dir = -1;
static char dir_path[] = "/tmp/clew-fuzz-log-XXXXXX";

static void remove_dir(void)
{
	unlinkat(dir, FILE_NAME, 0);
	rmdir(dir_path);
}

static void make_dir(void)
{
	FUZZ_CHECK(mkdtemp(dir_path));
	dir = open(dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	FUZZ_CHECK(dir >= 0 && !atexit(remove_dir));
}

struct frame {
	uint32_t magic, rows;
	uint64_t bytes, sum;
};

/* A frame's magic wherever one could stand makes it one. */
static void mend_sums(uint8_t *p, size_t n)
{
	struct frame f;

	for (size_t at = 16; at + sizeof(f) <= n; at += 8) {
		memcpy(&f, p + at, sizeof(f));
		if ((f.magic != ROWS && f.magic != CHANGES) || f.bytes > n - at - sizeof(f))
			continue;
		f.sum = clew_hash64(p + at + sizeof(f), f.bytes,
				    at ^ (uint64_t)f.rows << 32 ^ f.magic);
		memcpy(p + at, &f, sizeof(f));
	}
}

static void read_bytes(const char *p, uint64_t n, uint64_t *sum)
{
	*sum += clew_hash64(p, n, *sum);
}

/* All that a row points to, so that the sanitizer sees it. */
static void read_row(const struct hot_row *r, uint64_t *sum)
{
	const struct hot_more *m = hot_more(r);
	const char *text = hot_values(r);

	for (uint32_t i = 0; i < r->n_attrs; text += hot_attrs(r)[i++].len)
		read_bytes(text, hot_attrs(r)[i].len, sum);
	FUZZ_CHECK(text <= (const char *)r + r->bytes);
	for (int i = 0; i < 7; i++)
		*sum += (uint64_t)hot_time(r, i);
	if (!m)
		return;
	text = hot_texts(r, m);
	read_bytes(text, m->status_len, sum);
	read_bytes(text + m->status_len, m->state_len, sum);
	text += m->status_len + m->state_len;
	for (uint32_t i = 0; i < r->n_links; text += hot_links(m)[i++].attrs_len)
		read_bytes(text, hot_links(m)[i].attrs_len, sum);
	for (uint32_t i = 0; i < r->n_events; i++) {
		const struct hot_event *e = &hot_events(r, m)[i];

		read_bytes(text, (uint64_t)e->name_len + e->attrs_len, sum);
		text += (uint64_t)e->name_len + e->attrs_len;
	}
	FUZZ_CHECK(text <= (const char *)r + r->bytes);
}

static uint64_t read_rows(const struct hot *h)
{
	uint64_t sum = h->n;

	FUZZ_CHECK(h->n <= h->cap);
	for (uint32_t i = 0; i < h->n; i++) {
		read_bytes((const char *)h->rows[i], h->rows[i]->bytes, &sum);
		read_row(h->rows[i], &sum);
	}
	return sum;
}

static void change_rows(const struct hot *h)
{
	int64_t times[7] = {-1, 0, 1, 1ll << 40, 5, 6, 7};
	struct clew_buf b = {0};
	uint64_t sum = 0;

	for (uint32_t i = 0; i < h->n; i++) {
		clew_buf_clear(&b);
		if (hot_changed_row(&b, h->rows[i], h->rows[i], times) == 0)
			read_row((const struct hot_row *)b.data, &sum);
	}
	clew_buf_done(&b);
}

static int load(bool writer, struct hot **ret)
{
	struct hot_damage lost;
	int r = hot_log_load(dir, FILE_NAME, writer, 64, ret, &lost);

	FUZZ_CHECK(r == 0 || r == -EUCLEAN || r == -ENOMEM);
	return r;
}

/* A row more, behind what was read; then it is there. */
static void append(struct hot *h)
{
	struct hot_row row = {.bytes = sizeof(row), .span_id = 42, .trace_id = {1, 1}};
	uint32_t n = h->n, cap = h->cap;
	struct clew_buf b = {0};
	struct hot *again;

	if (hot_frame_begin(&b) || clew_buf_add(&b, &row, sizeof(row))) {
		FUZZ_CHECK(no_memory_failed);
	} else if (hot_append(h, &b, 1) == 0) {
		h->n++;
		if (load(false, &again) == 0) {
			FUZZ_CHECK(again->n == n + 1 || n + 1 > again->cap);
			hot_unref(again);
		} else {
			FUZZ_CHECK(no_memory_failed);
		}
	} else {
		FUZZ_CHECK(n == cap || no_memory_failed);
	}
	clew_buf_done(&b);
}

static void put_file(const uint8_t *p, size_t n)
{
	int fd = openat(dir, FILE_NAME, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	FUZZ_CHECK(fd >= 0 && write(fd, p, n) == (ssize_t)n);
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hot *reader, *writer;
	uint64_t sum;
	uint8_t *copy;

	if (size < 1 || size > 65536)
		return 0;
	if (dir < 0)
		make_dir();
	copy = malloc(size);
	FUZZ_CHECK(copy || no_memory_failed);
	if (!copy)
		return 0;
	memcpy(copy, data + 1, size - 1);
	if (data[0] & 1)
		mend_sums(copy, size - 1);
	put_file(copy, size - 1);
	free(copy);
	if (load(false, &reader))
		return 0;
	sum = read_rows(reader);
	change_rows(reader);
	FUZZ_CHECK(!hot_sort(reader) || no_memory_failed);
	hot_unref(reader);
	if (load(true, &writer))
		return 0;
	FUZZ_CHECK(read_rows(writer) == sum);
	append(writer);
	hot_unref(writer);
	return 0;
}
