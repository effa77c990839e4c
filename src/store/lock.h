/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may use a store's directory: two files with open-file-description locks.
 *
 *	writer.lock	exclusive, for a writer's whole life; its text names the writer
 *	readers.lock	shared by those that have the store open read-only; exclusive by the writer
 *
 * A reader looks at writer.lock without taking it. So a writer that starts keeps new readers out at
 * once, waits for those that are there (each ends by itself: clew_lock_writer_waits()), and never
 * mistakes a reader for a second writer. The locks go with the process, however it ends.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct clew_lock {
	int writer_fd, readers_fd;
};

#define CLEW_LOCK_INIT {-1, -1}

/**
 * clew_lock_write() - become the writer. -EBUSY: another is, or readers did not leave within
 * wait_ns; ret_error says which.
 */
int clew_lock_write(int dir_fd, const char *dir, const char *command, uint64_t wait_ns,
		    struct clew_lock *ret, char **ret_error);
/** clew_lock_read() - become a reader; the directory need not be writable. -EBUSY: a writer lives, or is about to. */
int clew_lock_read(int dir_fd, const char *dir, struct clew_lock *ret, char **ret_error);
/** clew_lock_writer_waits() - a reader asks: has a writer come? */
bool clew_lock_writer_waits(const struct clew_lock *l);
void clew_lock_done(struct clew_lock *l);
