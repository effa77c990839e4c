/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recordings: what was written is read again, what is cut or wrong is said, and never more than that.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "capture/record_json.h"
#include "capture/recording.h"

static char dir[] = "/tmp/clew-recording-XXXXXX";
static char path[64];

static int make_dir(void **state)
{
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/r.clew", dir);
	return 0;
}

static int remove_dir(void **state)
{
	unlink(path);
	return rmdir(dir);
}

union any {
	struct clew_rec rec;
	struct clew_rec_io io;
	struct clew_rec_conn conn;
	struct clew_rec_handoff handoff;
	struct clew_rec_thread thread;
	struct clew_rec_process process;
	struct clew_rec_event event;
	struct clew_rec_loss loss;
	struct clew_rec_heap heap;
	struct clew_rec_moved moved;
	struct clew_rec_clock clock;
	struct clew_rec_meta meta;
	uint8_t bytes[512];
};

static const char get[] = "GET /a\"\\ HTTP/1.1\r\n\r\n";

/* One valid record of each type, with a tail where there can be one. */
static void make(union any *u, unsigned type)
{
	static const uint8_t tlv[] = {1, 0, 3, 0, 'a', 'b', 'c', 2, 0, 0, 0, 99, 0, 1, 0, 'z'};
	uint64_t counters[2] = {123, 456};
	uint64_t objects[2] = {0x1010 | 700ull << 48, 0x1020 | 740ull << 48};

	memset(u, 0, sizeof(*u));
	switch (type) {
	case CLEW_REC_META:
		u->meta = (struct clew_rec_meta){.hdr.len = sizeof(u->meta) + sizeof(tlv),
						 .abi_version = 1,
						 .hdr_bytes = sizeof(u->meta),
						 .tail_len = sizeof(tlv)};
		memcpy(&u->meta + 1, tlv, sizeof(tlv));
		break;
	case CLEW_REC_CLOCK:
		u->clock = (struct clew_rec_clock){.hdr.len = sizeof(u->clock), .mono_ns = 5};
		break;
	case CLEW_REC_IO:
		u->io = (struct clew_rec_io){.hdr.len = sizeof(u->io) + 16 + 24,
					     .hdr.flags = CLEW_IO_EOF | CLEW_IO_NEWRUN,
					     .conn = 1ull << 60,
					     .bytes = 100,
					     .cap_len = sizeof(get) - 1,
					     .hdr_bytes = sizeof(u->io),
					     .dir = CLEW_DIR_TX,
					     .n_counters = 2};
		memcpy(&u->io + 1, counters, 16);
		memcpy((uint8_t *)(&u->io + 1) + 16, get, sizeof(get) - 1);
		break;
	case CLEW_REC_CONN:
		u->conn = (struct clew_rec_conn){
			.hdr.len = sizeof(u->conn) + 8,
			.hdr_bytes = sizeof(u->conn),
			.event = CLEW_CONN_ACCEPTED,
			.role = CLEW_ROLE_SERVER,
			.family = CLEW_AF_INET,
			.lport = 80,
			.laddr = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1},
			.raddr = {[15] = 1},
			.path_len = 5};
		memcpy(&u->conn + 1, "\0name", 5);
		break;
	case CLEW_REC_HANDOFF:
		u->handoff = (struct clew_rec_handoff){.hdr.len = sizeof(u->handoff),
						       .hdr_bytes = sizeof(u->handoff),
						       .kind = CLEW_HANDOFF_FUTEX};
		break;
	case CLEW_REC_THREAD:
		u->thread = (struct clew_rec_thread){.hdr.len = sizeof(u->thread) + 8,
						     .hdr_bytes = sizeof(u->thread),
						     .event = CLEW_THREAD_EXEC,
						     .tail_len = 6,
						     .comm = "sixteen chars ok"};
		memcpy(&u->thread + 1, "ls\0-l\0", 6);
		break;
	case CLEW_REC_PROCESS:
		u->process = (struct clew_rec_process){.hdr.len = sizeof(u->process) + sizeof(tlv),
						       .hdr_bytes = sizeof(u->process),
						       .tail_len = sizeof(tlv)};
		memcpy(&u->process + 1, tlv, sizeof(tlv));
		break;
	case CLEW_REC_EVENT:
		u->event = (struct clew_rec_event){.hdr.len = sizeof(u->event) + 8,
						   .hdr_bytes = sizeof(u->event),
						   .tail_len = 3};
		memcpy(&u->event + 1, "\xff\x00y", 3);
		break;
	case CLEW_REC_LOSS:
		u->loss = (struct clew_rec_loss){.hdr.len = sizeof(u->loss),
						 .hdr_bytes = sizeof(u->loss),
						 .where = CLEW_LOSS_RING,
						 .what = CLEW_REC_IO,
						 .count = 9};
		break;
	case CLEW_REC_HEAP:
		u->heap = (struct clew_rec_heap){.hdr.len = sizeof(u->heap) + 16,
						 .hdr_bytes = sizeof(u->heap),
						 .collections = 3,
						 .room_start = 0x1000,
						 .n_objects = 2};
		memcpy(&u->heap + 1, objects, sizeof(objects));
		break;
	case CLEW_REC_MOVED:
		u->moved = (struct clew_rec_moved){.hdr.len = sizeof(u->moved) + 16,
						   .hdr_bytes = sizeof(u->moved),
						   .collections = 4,
						   .base = 0x1000,
						   .n_moved = 2};
		memcpy(&u->moved + 1, (const uint32_t[]){1, 2, 3, 0x40000000}, 16);
		break;
	default:
		u->rec.len = 24; /* from a later version */
	}
	u->rec.type = (uint16_t)type;
}

static size_t write_all(unsigned rounds)
{
	struct clew_recording_writer *w;
	size_t n = 512;
	union any u;

	assert_int_equal(clew_recording_create(path, &w), 0);
	for (unsigned i = 0; i < rounds; i++) {
		for (unsigned type = 1; type <= 11; type++) {
			make(&u, type);
			assert_int_equal(clew_recording_write(w, &u.rec), 0);
			n += u.rec.len;
		}
	}
	assert_int_equal(clew_recording_close(w), 0);
	return n;
}

static void test_round_trip(void **state)
{
	struct clew_recording_reader *r;
	const struct clew_rec *rec;
	struct stat st;
	size_t n;
	union any u;

	umask(0);
	close(open(path, O_CREAT | O_WRONLY, 0644));
	n = write_all(3000); /* some buffers' worth */
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, n);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(clew_recording_open(path, &r), 0);
	for (unsigned i = 0; i < 3000; i++) {
		for (unsigned type = 1; type <= 11; type++) {
			make(&u, type);
			assert_int_equal(clew_recording_next(r, &rec), 1);
			assert_int_equal(rec->len, u.rec.len);
			assert_memory_equal(rec, &u, rec->len);
		}
	}
	assert_int_equal(clew_recording_next(r, &rec), 0);
	assert_int_equal(clew_recording_next(r, &rec), 0);
	assert_int_equal(clew_recording_offset(r), n);
	clew_recording_free(r);
}

static uint8_t *slurp(size_t *ret_n)
{
	size_t n = write_all(1);
	uint8_t *p = malloc(n);
	int fd = open(path, O_RDONLY);

	assert_non_null(p);
	assert_int_equal(read(fd, p, n), n);
	close(fd);
	*ret_n = n;
	return p;
}

static void test_cut(void **state)
{
	size_t n, ends = 512;
	_cleanup_(freep) uint8_t *all = slurp(&n);

	for (size_t cut = 0; cut <= n; cut++) {
		_cleanup_(freep) uint8_t *p = malloc(cut ? cut : 1);
		struct clew_recording_reader *r;
		const struct clew_rec *rec;
		union any u;
		int got;

		memcpy(p, all, cut);
		got = clew_recording_open_mem(p, cut, &r);
		assert_int_equal(got, cut < 512 ? -EBADMSG : 0);
		if (got)
			continue;
		ends = 512;
		for (unsigned type = 1; type <= 11; type++) {
			make(&u, type);
			got = clew_recording_next(r, &rec);
			if (ends + u.rec.len <= cut)
				assert_int_equal(got, 1);
			else
				assert_int_equal(got, ends == cut ? 0 : -ENODATA);
			if (got != 1)
				break;
			ends += u.rec.len;
		}
		/* Said at the record that is cut, and again when asked again. */
		assert_int_equal(clew_recording_offset(r), got == 1 ? ends - u.rec.len : ends);
		if (got < 0)
			assert_int_equal(clew_recording_next(r, &rec), got);
		clew_recording_free(r);
	}
}

static void test_unaligned_memory(void **state)
{
	size_t n;
	_cleanup_(freep) uint8_t *all = slurp(&n);
	_cleanup_(freep) uint8_t *p = malloc(n + 1);
	struct clew_recording_reader *r;
	const struct clew_rec *rec;

	memcpy(p + 1, all, n);
	assert_int_equal(clew_recording_open_mem(p + 1, n, &r), 0);
	for (unsigned type = 1; type <= 11; type++) {
		assert_int_equal(clew_recording_next(r, &rec), 1);
		assert_int_equal((uintptr_t)rec % 8, 0);
	}
	clew_recording_free(r);
}

static void test_not_a_recording(void **state)
{
	struct clew_recording_reader *r;
	size_t n;
	_cleanup_(freep) uint8_t *p = slurp(&n);

	assert_int_equal(clew_recording_open("/nonexistent/file", &r), -ENOENT);
	p[8] = 2;
	assert_int_equal(clew_recording_open_mem(p, n, &r), -EPROTONOSUPPORT);
	p[8] = 0;
	assert_int_equal(clew_recording_open_mem(p, n, &r), -EBADMSG);
	p[8] = 1;
	p[12] = 8;
	assert_int_equal(clew_recording_open_mem(p, n, &r), -EBADMSG);
	p[12] = 0;
	p[0] = 'X';
	assert_int_equal(clew_recording_open_mem(p, n, &r), -EBADMSG);
	assert_int_equal(clew_recording_open_mem(NULL, 0, &r), -EBADMSG);
}

/* Every length that a record tells, made wrong. */
static void test_check(void **state)
{
	union any u;

	for (unsigned type = 1; type <= 11; type++) {
		make(&u, type);
		assert_int_equal(clew_record_check(&u.rec, u.rec.len), 0);
		assert_int_equal(clew_record_check(&u.rec, u.rec.len - 8), -EBADMSG);
		assert_int_equal(clew_record_check(&u.rec, 4), -EBADMSG);
		u.rec.len += 4;
		assert_int_equal(clew_record_check(&u.rec, sizeof(u)), -EBADMSG);
		u.rec.len = 0;
		assert_int_equal(clew_record_check(&u.rec, sizeof(u)), -EBADMSG);
		u.rec.len = CLEW_RECORD_MAX_BYTES + 8;
		assert_int_equal(clew_record_check(&u.rec, SIZE_MAX), -EBADMSG);
		if (type == 11)
			continue;
		make(&u, type);
		u.rec.len = 8;
		assert_int_equal(clew_record_check(&u.rec, sizeof(u)), -EBADMSG);
	}
#define WRONG(type, field, value)                                                 \
	do {                                                                      \
		make(&u, type);                                                   \
		u.field = (value);                                                \
		assert_int_equal(clew_record_check(&u.rec, sizeof(u)), -EBADMSG); \
	} while (0)
	WRONG(CLEW_REC_META, meta.hdr_bytes, 24);
	WRONG(CLEW_REC_META, meta.tail_len, 15);
	WRONG(CLEW_REC_META, meta.tail_len, UINT32_MAX);
	WRONG(CLEW_REC_META, bytes[34], 4);
	WRONG(CLEW_REC_IO, io.hdr_bytes, 72);
	WRONG(CLEW_REC_IO, io.hdr_bytes, 84);
	WRONG(CLEW_REC_IO, io.hdr_bytes, 65528);
	WRONG(CLEW_REC_IO, io.n_counters, 3);
	WRONG(CLEW_REC_IO, io.cap_len, 25);
	WRONG(CLEW_REC_IO, io.cap_len, UINT32_MAX);
	WRONG(CLEW_REC_IO, io.bytes, 2);
	WRONG(CLEW_REC_IO, io.dir, 2);
	WRONG(CLEW_REC_CONN, conn.path_len, 9);
	WRONG(CLEW_REC_CONN, conn.hdr_bytes, 128);
	WRONG(CLEW_REC_HANDOFF, handoff.hdr_bytes, 80);
	WRONG(CLEW_REC_THREAD, thread.tail_len, 9);
	WRONG(CLEW_REC_PROCESS, process.tail_len, 17);
	WRONG(CLEW_REC_EVENT, event.tail_len, 9);
	WRONG(CLEW_REC_LOSS, loss.hdr_bytes, 40);
	WRONG(CLEW_REC_HEAP, heap.n_objects, 3);
	WRONG(CLEW_REC_HEAP, heap.hdr_bytes, 64);
	WRONG(CLEW_REC_MOVED, moved.n_moved, 3);
	WRONG(CLEW_REC_MOVED, moved.n_moved, UINT32_MAX);
	/* A longer fixed part is of a later version, and fine. */
	make(&u, CLEW_REC_LOSS);
	u.loss.hdr_bytes = 56;
	u.rec.len = 56;
	assert_int_equal(clew_record_check(&u.rec, sizeof(u)), 0);
}

static void test_full_disk(void **state)
{
	struct clew_recording_writer *w;
	union any u;
	int r = 0;

	assert_int_equal(clew_recording_create("/dev/full", &w), 0);
	make(&u, CLEW_REC_CLOCK);
	for (unsigned i = 0; !r && i < 1000000; i++)
		r = clew_recording_write(w, &u.rec);
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(clew_recording_flush(w), -ENOSPC);
	assert_int_equal(clew_recording_close(w), -ENOSPC);
	assert_int_equal(clew_recording_create("/nonexistent/x", &w), -ENOENT);
	assert_int_equal(clew_recording_close(NULL), 0);
}

static void test_json(void **state)
{
	struct clew_buf b;
	union any u;

	clew_buf_init(&b, 0);
	make(&u, CLEW_REC_IO);
	assert_int_equal(clew_record_json(&u.rec, &b), 0);
	assert_string_equal(
		b.data,
		"{\"type\":\"io\",\"len\":120,\"flags\":[\"eof\",\"newrun\"],\"dir\":\"tx\","
		"\"begin_ns\":0,\"end_ns\":0,\"conn\":1152921504606846976,\"offset\":0,"
		"\"bytes\":100,\"cap_len\":21,\"tgid\":0,\"tid\":0,\"proc_start_ns\":0,"
		"\"task\":0,\"lost_conn\":0,\"lost_thread\":0,"
		"\"counters\":{\"cpu_ns\":123,\"runq_ns\":456},"
		"\"payload\":\"GET /a\\\"\\\\ HTTP/1.1\\r\\n\\r\\n\"}");
	clew_buf_clear(&b);
	make(&u, CLEW_REC_EVENT);
	assert_int_equal(clew_record_json(&u.rec, &b), 0);
	assert_non_null(
		strstr(b.data, "\"fields\":\"\\u00ff\\u0000y\",\"fields_base64\":\"/wB5\""));
	clew_buf_clear(&b);
	make(&u, CLEW_REC_CONN);
	assert_int_equal(clew_record_json(&u.rec, &b), 0);
	assert_non_null(strstr(b.data, "\"event\":\"accepted\""));
	assert_non_null(strstr(b.data, "\"laddr\":\"127.0.0.1\",\"lport\":80,\"raddr\":\"::1\""));
	assert_non_null(strstr(b.data, "\"path\":\"\\u0000name\""));
	clew_buf_clear(&b);
	make(&u, CLEW_REC_META);
	assert_int_equal(clew_record_json(&u.rec, &b), 0);
	assert_non_null(
		strstr(b.data, "\"strings\":[{\"exe\":\"abc\"},{\"arg\":\"\"},{\"99\":\"z\"}]"));
	clew_buf_clear(&b);
	make(&u, CLEW_REC_THREAD);
	assert_int_equal(clew_record_json(&u.rec, &b), 0);
	assert_non_null(
		strstr(b.data, "\"comm\":\"sixteen chars ok\",\"args\":\"ls\\u0000-l\\u0000\"}"));
	clew_buf_clear(&b);
	make(&u, CLEW_REC_HEAP);
	assert_int_equal(clew_record_json(&u.rec, &b), 0);
	assert_non_null(strstr(b.data, "\"collections\":3,\"room_start\":4096,"));
	assert_non_null(strstr(b.data, "\"objects\":[[700,4112],[740,4128]]"));
	clew_buf_clear(&b);
	make(&u, CLEW_REC_MOVED);
	assert_int_equal(clew_record_json(&u.rec, &b), 0);
	assert_non_null(
		strstr(b.data, "\"collections\":4,\"moved\":[[4104,4112],[4120,8589938688]]"));
	clew_buf_clear(&b);
	make(&u, 99);
	assert_int_equal(clew_record_json(&u.rec, &b), 0);
	assert_string_equal(b.data, "{\"type\":99,\"len\":24,\"flags\":0}");
	clew_buf_done(&b);
	/* No room is said, not cut silently. */
	clew_buf_init(&b, 40);
	make(&u, CLEW_REC_IO);
	assert_int_equal(clew_record_json(&u.rec, &b), -EFBIG);
	clew_buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_unaligned_memory),
		cmocka_unit_test(test_not_a_recording),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_json),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
