/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz the recording reader and what reads its records: the JSON of `clew dump`, and the stream layer.
 *
 * Input: a recording; or, when it does not begin with the magic, only its records.
 */
#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "capture/record_json.h"
#include "capture/recording.h"
#include "fuzz.h"
#include "stream/stream.h"

static unsigned begun, ended;

static void on_begin(void *u, struct clew_exchange *x)
{
	begun++;
}

static void on_end(void *u, struct clew_exchange *x)
{
	ended++;
	clew_exchange_free(x);
}

static void check_json(const struct clew_rec *rec, struct clew_buf *b)
{
	json_error_t err;
	json_t *j;

	clew_buf_clear(b);
	FUZZ_CHECK(!clew_record_json(rec, b));
	j = json_loadb(b->data, b->len, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &err);
	if (!j)
		fprintf(stderr, "%s\n%s\n", err.text, b->data);
	FUZZ_CHECK(j && json_is_object(j));
	FUZZ_CHECK(!memchr(b->data, '\n', b->len));
	json_decref(j);
}

static void read_all(struct clew_recording_reader *r, size_t size)
{
	static const struct clew_stream_ops ops = {.begin = on_begin, .end = on_end};
	static const struct clew_stream_opts opts = {.max_conns = 8, .max_open_exchanges = 4};
	struct clew_stream *s;
	const struct clew_rec *rec;
	uint64_t at = clew_recording_offset(r), next;
	struct clew_buf b;
	int got;

	begun = ended = 0;
	clew_buf_init(&b, 0);
	FUZZ_CHECK(!clew_stream_new(&ops, NULL, &opts, &s));
	while ((got = clew_recording_next(r, &rec)) == 1) {
		FUZZ_CHECK(rec->len >= 8 && rec->len % 8 == 0 && (uintptr_t)rec % 8 == 0);
		FUZZ_CHECK(!clew_record_check(rec, rec->len));
		FUZZ_CHECK(clew_record_check(rec, rec->len - 1) == -EBADMSG);
		next = clew_recording_offset(r);
		FUZZ_CHECK(next >= at && next + rec->len <= size);
		at = next + rec->len;
		check_json(rec, &b);
		FUZZ_CHECK(!clew_stream_feed(s, rec));
	}
	FUZZ_CHECK(got == 0 || got == -EBADMSG || got == -ENODATA);
	FUZZ_CHECK(got ? clew_recording_offset(r) == at : at == size);
	FUZZ_CHECK(clew_recording_next(r, &rec) == got);
	clew_stream_free(s);
	FUZZ_CHECK(begun == ended);
	clew_buf_done(&b);
}

/* The records of @r, written again and read from a file: the same, byte for byte. */
static void round_trip(struct clew_recording_reader *r)
{
	static int fd = -1;
	struct clew_recording_writer *w;
	struct clew_recording_reader *again;
	const struct clew_rec *a, *b;
	struct clew_buf all;
	char path[64];
	size_t at = 0;

	if (fd < 0)
		fd = memfd_create("recording", MFD_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	FUZZ_CHECK(fd >= 0 && !clew_recording_create(path, &w));
	clew_buf_init(&all, 0);
	while (clew_recording_next(r, &a) == 1) {
		FUZZ_CHECK(!clew_recording_write(w, a));
		FUZZ_CHECK(!clew_buf_add(&all, a, a->len));
		if (a->len & 8)
			FUZZ_CHECK(!clew_recording_flush(w));
	}
	FUZZ_CHECK(!clew_recording_close(w));
	FUZZ_CHECK(!clew_recording_open(path, &again));
	for (; clew_recording_next(again, &b) == 1; at += b->len)
		FUZZ_CHECK(at + b->len <= all.len && !memcmp(all.data + at, b, b->len));
	FUZZ_CHECK(at == all.len && clew_recording_offset(again) == 512 + at);
	clew_recording_free(again);
	clew_buf_done(&all);
}

/* The same bytes as a file: the same answers as from memory. */
static void from_file(const uint8_t *bytes, size_t n, int want_open)
{
	static int fd = -1;
	struct clew_recording_reader *f, *m;
	const struct clew_rec *a, *b;
	char path[64];
	int got;

	if (fd < 0)
		fd = memfd_create("input", MFD_CLOEXEC);
	FUZZ_CHECK(fd >= 0 && !ftruncate(fd, 0));
	FUZZ_CHECK(pwrite(fd, bytes, n, 0) == (ssize_t)n);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	FUZZ_CHECK(clew_recording_open(path, &f) == want_open);
	if (want_open)
		return;
	FUZZ_CHECK(!clew_recording_open_mem(bytes, n, &m));
	do {
		got = clew_recording_next(m, &a);
		FUZZ_CHECK(clew_recording_next(f, &b) == got);
		FUZZ_CHECK(got != 1 || (a->len == b->len && !memcmp(a, b, a->len)));
		FUZZ_CHECK(clew_recording_offset(m) == clew_recording_offset(f));
	} while (got == 1);
	clew_recording_free(f);
	clew_recording_free(m);
	FUZZ_CHECK(!clew_recording_open_mem(bytes, n, &m));
	round_trip(m);
	clew_recording_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct clew_recording_reader *r;
	uint8_t *file;
	int err;

	if (size > 65536)
		return 0;
	if (size >= 8 && !memcmp(data, "CLEWREC\n", 8)) {
		file = malloc(size);
		FUZZ_CHECK(file);
		memcpy(file, data, size);
	} else {
		static const uint32_t head[2] = {CLEW_RECORDING_VERSION, 512};

		file = calloc(1, 512 + size);
		FUZZ_CHECK(file);
		memcpy(file, "CLEWREC\n", 8);
		memcpy(file + 8, head, 8);
		if (size)
			memcpy(file + 512, data, size);
		size += 512;
	}
	err = clew_recording_open_mem(file, size, &r);
	FUZZ_CHECK(!err || err == -EBADMSG || err == -EPROTONOSUPPORT);
	if (!err) {
		read_all(r, size);
		clew_recording_free(r);
	}
	/* Files are slow: one input in eight. */
	if (size % 8 == 0 && size / 8 % 8 == 1)
		from_file(file, size, err);
	free(file);
	return 0;
}
