/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is a record what it says it is? After this check its fixed part and its tail can be read without
 * another look at lengths; values (flags, enums, ids) may still be anything.
 */
#include <errno.h>
#include <string.h>

#include "capture/recording.h"

/* {u16 tag, u16 len, bytes}, unpadded, exactly n bytes. */
static bool tlvs_fit(const uint8_t *p, size_t n)
{
	while (n) {
		uint16_t len;

		if (n < 4)
			return false;
		memcpy(&len, p + 2, sizeof(len));
		if (len > n - 4)
			return false;
		p += 4 + len;
		n -= 4 + (size_t)len;
	}
	return true;
}

/* A fixed part of at least `known` bytes, then a tail, inside the record. */
static bool parts_fit(const struct clew_rec *rec, size_t hdr_bytes, size_t known, uint64_t tail)
{
	return hdr_bytes >= known && hdr_bytes % 8 == 0 && hdr_bytes + tail <= rec->len;
}

static bool tail_fits(const struct clew_rec *rec, size_t hdr_bytes, size_t known, uint32_t tail_len,
		      bool tlv)
{
	return parts_fit(rec, hdr_bytes, known, tail_len) &&
	       (!tlv || tlvs_fit((const uint8_t *)rec + hdr_bytes, tail_len));
}

static bool io_fits(const struct clew_rec_io *r)
{
	return parts_fit(&r->hdr, r->hdr_bytes, sizeof(*r),
			 r->n_counters * sizeof(uint64_t) + (uint64_t)r->cap_len) &&
	       r->cap_len <= r->bytes && r->dir <= CLEW_DIR_TX;
}

static size_t known_bytes(uint16_t type)
{
	switch (type) {
	case CLEW_REC_META:
		return sizeof(struct clew_rec_meta);
	case CLEW_REC_CLOCK:
		return sizeof(struct clew_rec_clock);
	case CLEW_REC_IO:
		return sizeof(struct clew_rec_io);
	case CLEW_REC_CONN:
		return sizeof(struct clew_rec_conn);
	case CLEW_REC_HANDOFF:
		return sizeof(struct clew_rec_handoff);
	case CLEW_REC_THREAD:
		return sizeof(struct clew_rec_thread);
	case CLEW_REC_PROCESS:
		return sizeof(struct clew_rec_process);
	case CLEW_REC_EVENT:
		return sizeof(struct clew_rec_event);
	case CLEW_REC_LOSS:
		return sizeof(struct clew_rec_loss);
	case CLEW_REC_HEAP:
		return sizeof(struct clew_rec_heap);
	case CLEW_REC_MOVED:
		return sizeof(struct clew_rec_moved);
	default:
		return sizeof(struct clew_rec);
	}
}

static bool fits(const struct clew_rec *rec)
{
	const void *p = rec;

	switch (rec->type) {
	case CLEW_REC_META: {
		const struct clew_rec_meta *r = p;
		return tail_fits(rec, r->hdr_bytes, sizeof(*r), r->tail_len, true);
	}
	case CLEW_REC_IO:
		return io_fits(p);
	case CLEW_REC_CONN: {
		const struct clew_rec_conn *r = p;
		return tail_fits(rec, r->hdr_bytes, sizeof(*r), r->path_len, false);
	}
	case CLEW_REC_HANDOFF: {
		const struct clew_rec_handoff *r = p;
		return parts_fit(rec, r->hdr_bytes, sizeof(*r), 0);
	}
	case CLEW_REC_THREAD: {
		const struct clew_rec_thread *r = p;
		return tail_fits(rec, r->hdr_bytes, sizeof(*r), r->tail_len, false);
	}
	case CLEW_REC_PROCESS: {
		const struct clew_rec_process *r = p;
		return tail_fits(rec, r->hdr_bytes, sizeof(*r), r->tail_len, true);
	}
	case CLEW_REC_EVENT: {
		const struct clew_rec_event *r = p;
		return tail_fits(rec, r->hdr_bytes, sizeof(*r), r->tail_len, false);
	}
	case CLEW_REC_HEAP: {
		const struct clew_rec_heap *r = p;
		return parts_fit(rec, r->hdr_bytes, sizeof(*r), r->n_objects * sizeof(uint64_t));
	}
	case CLEW_REC_MOVED: {
		const struct clew_rec_moved *r = p;
		return parts_fit(rec, r->hdr_bytes, sizeof(*r),
				 r->n_moved * 2ull * sizeof(uint32_t));
	}
	case CLEW_REC_LOSS: {
		const struct clew_rec_loss *r = p;
		return parts_fit(rec, r->hdr_bytes, sizeof(*r), 0);
	}
	default:
		return true;
	}
}

int clew_record_check(const struct clew_rec *rec, size_t available)
{
	if (available < sizeof(*rec) || rec->len < sizeof(*rec) || rec->len % 8 ||
	    rec->len > available || rec->len > CLEW_RECORD_MAX_BYTES)
		return -EBADMSG;
	if (rec->len < known_bytes(rec->type) || !fits(rec))
		return -EBADMSG;
	return 0;
}
