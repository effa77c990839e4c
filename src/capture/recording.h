/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A recording: the record stream in a file.
 *
 *	"CLEWREC\n"  8 bytes of magic
 *	u32           version of this container, 1
 *	u32           bytes of this header, 512: records begin there
 *	text          a notice for people who open the file, padded with newlines to 512
 *	records       as abi/record.h has them, each 8-aligned
 *
 * A tail that ends inside a record is tolerated and said: that is how a killed writer leaves it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "abi/record.h"

#define CLEW_RECORDING_VERSION 1
/* The longest record that a reader accepts. */
#define CLEW_RECORD_MAX_BYTES (1u << 20)

struct clew_recording_writer;
struct clew_recording_reader;

/** clew_recording_create() - a new file, mode 0600; "-" is standard output. 0 or -errno. */
int clew_recording_create(const char *path, struct clew_recording_writer **ret);
/** clew_recording_write() - append one record (buffered). 0 or -errno, e.g. -ENOSPC. */
int clew_recording_write(struct clew_recording_writer *w, const struct clew_rec *rec);
/** clew_recording_flush() - hand what is buffered to the kernel. */
int clew_recording_flush(struct clew_recording_writer *w);
/** clew_recording_close() - flush and free. 0 or -errno of the flush. Takes NULL. */
int clew_recording_close(struct clew_recording_writer *w);

/**
 * clew_recording_open() - read a recording; "-" is standard input.
 * 0; -errno of the file; -EBADMSG if it is not a recording; -EPROTONOSUPPORT if it is newer.
 */
int clew_recording_open(const char *path, struct clew_recording_reader **ret);
/** clew_recording_open_mem() - the same over borrowed bytes (tests, fuzzing). */
int clew_recording_open_mem(const void *bytes, size_t n, struct clew_recording_reader **ret);
/**
 * clew_recording_next() - the next record, checked: its length, its fixed part and its tail agree for
 * every known type. Valid until the next call. 1: a record; 0: the end; -EBADMSG: malformed, at
 * clew_recording_offset(); -ENODATA: the file ends inside a record.
 */
int clew_recording_next(struct clew_recording_reader *r, const struct clew_rec **ret);
uint64_t clew_recording_offset(const struct clew_recording_reader *r);
void clew_recording_free(struct clew_recording_reader *r);

/** clew_record_check() - the check that the reader makes: 0, or -EBADMSG. */
int clew_record_check(const struct clew_rec *rec, size_t available);
