/* SPDX-License-Identifier: Apache-2.0 */
#include "store/damaged.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/log.h"

#define SUFFIX ".damaged"
/* Names that are tried for one file. */
#define NAMES 100u

static void count_files(struct clew_store *st, uint64_t n)
{
	pthread_mutex_lock(&st->queue_lock);
	st->stats.damaged_files += n;
	pthread_mutex_unlock(&st->queue_lock);
}

/* To "FILE.damaged", or "FILE.2.damaged". */
static int set_aside(struct clew_store *st, const char *file, char *name, size_t size)
{
	int r = -EEXIST;

	for (unsigned int i = 1; r == -EEXIST && i <= NAMES; i++) {
		if (i == 1)
			snprintf(name, size, "%s" SUFFIX, file);
		else
			snprintf(name, size, "%s.%u" SUFFIX, file, i);
		r = renameat2(st->dir_fd, file, st->dir_fd, name, RENAME_NOREPLACE) < 0 ? -errno
											: 0;
	}
	return r;
}

bool damaged_file(struct clew_store *st, const char *file, const char *why)
{
	int line = (int)strcspn(why, "\n"); /* the engine's advice and stacks follow */
	char name[96];
	int r = st->opts.read_only ? -EROFS : set_aside(st, file, name, sizeof(name));

	count_files(st, 1);
	if (r == 0)
		log_warn("%s/%s cannot be used and is now %s, the rest is used without it: to try "
			 "it again, give it its name back while no clew writes there (%.*s)",
			 st->dir, file, name, line, why);
	else
		log_warn("%s/%s cannot be used, the rest is used without it (%.*s)", st->dir, file,
			 line, why);
	return r == 0;
}

int damaged_part(struct clew_store *st, int64_t hour, const char *why, char **ret_error)
{
	char file[64], log[72];
	int64_t *hours;
	struct stat sb;

	part_file(hour, file, sizeof(file));
	if (damaged_file(st, file, why)) {
		/* The engine's log of it belongs to it; the engine would delete it. */
		snprintf(log, sizeof(log), "%s.wal", file);
		if (fstatat(st->dir_fd, log, &sb, AT_SYMLINK_NOFOLLOW) == 0 &&
		    !damaged_file(st, log, "it belongs to that file"))
			return set_error(ret_error, -EIO,
					 "%s/%s belongs to a file that is damaged, and cannot be "
					 "renamed to %s.damaged: do that by hand",
					 st->dir, log, log);
		return 0;
	}
	hours = realloc(st->damaged_hours, (st->n_damaged_hours + 1) * sizeof(*hours));
	if (!hours)
		return -ENOMEM;
	st->damaged_hours = hours;
	hours[st->n_damaged_hours++] = hour;
	return 0;
}

bool damaged_is(const struct clew_store *st, int64_t hour)
{
	for (size_t i = 0; i < st->n_damaged_hours; i++)
		if (st->damaged_hours[i] == hour)
			return true;
	return false;
}

bool damaged_error(int err, const char *text)
{
	/* What is short, or held by somebody else, may be there the next time. */
	static const char *const others[] = {"Could not set lock", "Too many open files",
					     "Cannot allocate memory"};

	if (err == -ENOMEM || err == -ENOSPC || err == -EINTR || err == -EMFILE)
		return false;
	for (size_t i = 0; text && i < sizeof(others) / sizeof(*others); i++)
		if (strstr(text, others[i]))
			return false;
	return true;
}

void damaged_bytes(struct clew_store *st, const char *file, uint64_t bytes, uint64_t places)
{
	/* Of a log that is read again when the engine was opened again it was told. */
	if (st->is_open)
		return;
	pthread_mutex_lock(&st->queue_lock);
	st->stats.damaged_bytes += bytes;
	st->stats.damaged_places += places;
	pthread_mutex_unlock(&st->queue_lock);
	log_warn("%s/%s: %" PRIu64 " bytes in the middle are damaged, in %" PRIu64
		 " %s: the batches there are left out, those before and behind are used",
		 st->dir, file, bytes, places, places == 1 ? "place" : "places");
}

/* ---- blocks ---- */

/* "... does not match stored checksum S in block at location L": is this what stands there? */
static bool has_block(const struct clew_store *st, int64_t hour, uint64_t stored, uint64_t location)
{
	_cleanup_(closep) int fd = -1;
	uint64_t there;
	char file[64];

	part_file(hour, file, sizeof(file));
	fd = openat(st->dir_fd, file, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && pread(fd, &there, sizeof(there), (off_t)location) == sizeof(there) &&
	       there == stored;
}

bool damaged_block(const struct clew_store *st, int64_t hour, const char *text)
{
	const char *sum = text ? strstr(text, "does not match stored checksum ") : NULL;
	uint64_t stored, location;
	char file[64];

	if (sum)
		return sscanf(sum,
			      "does not match stored checksum %" SCNu64
			      " in block at location %" SCNu64,
			      &stored, &location) == 2 &&
		       has_block(st, hour, stored, location);
	part_file(hour, file, sizeof(file));
	return text && strstr(text, "Could not read from file") && strstr(text, file);
}

/* Of the queries of this thread, since it was asked last. */
static _Thread_local struct {
	int64_t hours[CLEW_STORE_LEFT_OUT];
	size_t n;
} left_out;

static void remember(int64_t hour)
{
	for (size_t i = 0; i < left_out.n; i++)
		if (left_out.hours[i] == hour)
			return;
	if (left_out.n < CLEW_STORE_LEFT_OUT)
		left_out.hours[left_out.n++] = hour;
}

size_t clew_store_left_out(int64_t ret_hours[CLEW_STORE_LEFT_OUT])
{
	size_t n = left_out.n;

	memcpy(ret_hours, left_out.hours, n * sizeof(*ret_hours));
	left_out.n = 0;
	return n;
}

void damaged_note(struct clew_store *st, struct part *p, const char *why)
{
	char file[64];
	bool first;

	pthread_mutex_lock(&st->state_lock);
	first = !p->has_damage;
	p->has_damage = true;
	pthread_mutex_unlock(&st->state_lock);
	pthread_mutex_lock(&st->queue_lock);
	st->stats.left_out++;
	pthread_mutex_unlock(&st->queue_lock);
	remember(p->hour);
	if (!first)
		return;
	part_file(p->hour, file, sizeof(file));
	log_warn("%s/%s: a block cannot be read: queries that need it are answered without what "
		 "is sealed in that hour (%.*s)",
		 st->dir, file, (int)strcspn(why, "\n"), why);
}

bool damaged_unwritable(struct clew_store *st, struct part *p, const char *text)
{
	if (!damaged_block(st, p->hour, text))
		return false;
	pthread_mutex_lock(&st->state_lock);
	p->unwritable = true;
	pthread_mutex_unlock(&st->state_lock);
	return true;
}

static bool ends(const char *s, const char *end)
{
	return slice_ends(slice_str(s), slice_str(end));
}

/* Without its file the engine's log says nothing; the engine would delete it with the hour's next file. */
static void look_for_orphan(struct clew_store *st, const char *name)
{
	char file[256];

	if (strncmp(name, "spans-", 6) != 0 || !ends(name, ".duckdb.wal"))
		return;
	snprintf(file, sizeof(file), "%.*s", (int)(strlen(name) - 4), name);
	if (faccessat(st->dir_fd, file, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
		(void)damaged_file(st, name, "its spans-*.duckdb is not there");
}

int damaged_look(struct clew_store *st, char **ret_error)
{
	int fd = openat(st->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;
	uint64_t n = 0;

	if (!d) {
		int r = -errno;

		closep(&fd);
		return set_error(ret_error, r, "cannot list %s: %s", st->dir, strerror(-r));
	}
	while ((e = readdir(d)))
		n += ends(e->d_name, SUFFIX);
	count_files(st, n);
	rewinddir(d);
	while (!st->opts.read_only && (e = readdir(d)))
		look_for_orphan(st, e->d_name);
	closedir(d);
	return 0;
}
