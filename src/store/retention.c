/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hours that are dropped whole, by age and by size.
 *
 *	parts ─► leaving ─► detached, its files unlinked
 *
 * A partition that leaves is out of st->parts at once, so that no query that begins from then on sees
 * it; it is detached when the last query that began before has ended. What was dropped is counted
 * (stats: retention_*) and said. Writer's thread, but for clew_store_set_retention().
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "base/log.h"
#include "base/units.h"
#include "store/internal.h"

#define LOOK_NS (10ull * 1000 * 1000 * 1000)
/* A query that is in the way for longer than its own time limit is stopped. */
#define PATIENCE_NS   (60ull * 1000 * 1000 * 1000)
#define KEEP_CLOCK_NS (600ull * 1000 * 1000 * 1000)

void clew_store_set_retention(struct clew_store *st, const struct clew_store_retention *r)
{
	pthread_mutex_lock(&st->queue_lock);
	st->retention = *r;
	pthread_mutex_unlock(&st->queue_lock);
}

static uint64_t file_bytes(struct clew_store *st, const char *name)
{
	struct stat sb;

	return fstatat(st->dir_fd, name, &sb, AT_SYMLINK_NOFOLLOW) == 0 ? (uint64_t)sb.st_size : 0;
}

/* With its logs. */
static uint64_t part_bytes(struct clew_store *st, const struct part *p)
{
	char name[64], log[72];

	part_file(p->hour, name, sizeof(name));
	snprintf(log, sizeof(log), "%s.wal", name);
	return file_bytes(st, name) + file_bytes(st, log) + hot_bytes(st, p);
}

static void unlink_part(struct clew_store *st, const struct part *p)
{
	char name[64], log[72];

	part_file(p->hour, name, sizeof(name));
	snprintf(log, sizeof(log), "%s.wal", name);
	(void)!unlinkat(st->dir_fd, name, 0);
	(void)!unlinkat(st->dir_fd, log, 0);
	hot_unlink(st, p);
}

/* ---- leaving ---- */

static void leave(struct clew_store *st, size_t at, const char *why)
{
	struct part *p = st->parts[at];
	uint64_t bytes = part_bytes(st, p), spans = p->rows + p->hot_rows;
	char size[CLEW_UNITS_TEXT], hour[CLEW_UNITS_TEXT];

	ids_forget(st, p);
	pthread_mutex_lock(&st->state_lock);
	memmove(&st->parts[at], &st->parts[at + 1], (st->n_parts - at - 1) * sizeof(*st->parts));
	st->n_parts--;
	p->left_seq = st->query_seq;
	p->used_ns = clew_mono_ns();
	p->next_leaving = st->leaving;
	st->leaving = p;
	pthread_mutex_unlock(&st->state_lock);
	pthread_mutex_lock(&st->queue_lock);
	st->stats.retention_partitions++;
	st->stats.retention_spans += spans;
	st->stats.retention_bytes += bytes;
	pthread_mutex_unlock(&st->queue_lock);
	clew_format_time((uint64_t)p->hour * (uint64_t)HOUR_NS, hour);
	clew_log_event("retention", "dropped the hour from %.16sZ: %" PRIu64 " spans, %s; %s", hour,
		       spans, clew_format_size(bytes, size), why);
}

/* A query that began before it left still runs. Stops it when it takes too long. */
static bool in_use(struct clew_store *st, const struct part *p)
{
	uint64_t waited = clew_mono_ns() - p->used_ns;
	bool used = false;

	pthread_mutex_lock(&st->state_lock);
	for (struct query *q = st->queries; q; q = q->next)
		used = used || q->seq <= p->left_seq;
	pthread_mutex_unlock(&st->state_lock);
	if (used && waited > PATIENCE_NS)
		queries_interrupt(st, -EAGAIN);
	return used;
}

/* Those that nobody reads any more. */
static void drop_leaving(struct clew_store *st)
{
	struct part **at = &st->leaving;

	/* First the names: whatever happens then, the hours do not come back. */
	for (struct part *p = st->leaving; p; p = p->next_leaving)
		if (!in_use(st, p))
			unlink_part(st, p);
	while (*at) {
		struct part *p = *at;
		_cleanup_(freep) char *error = NULL;

		if (in_use(st, p)) {
			at = &p->next_leaving;
			continue;
		}
		unlink_part(st, p);
		if (duck_execf(st->conn, &error, "DETACH %s;", p->name) < 0)
			log_warn("%s: cannot detach a dropped hour, its space comes back when clew "
				 "ends: %s",
				 st->dir, error ? error : "?");
		*at = p->next_leaving;
		part_free(st, p);
	}
}

void leaving_free(struct clew_store *st)
{
	struct part *next;

	for (struct part *p = st->leaving; p; p = next) {
		next = p->next_leaving;
		/* Nobody reads while the engine closes. */
		unlink_part(st, p);
		part_free(st, p);
	}
	st->leaving = NULL;
}

/* ---- what is to leave ---- */

static bool too_old(uint64_t max_age_ns, uint64_t now, const struct part *p)
{
	uint64_t end = (uint64_t)(p->hour + 1) * (uint64_t)HOUR_NS;

	return p->hour >= 0 && now > max_age_ns && end <= now - max_age_ns;
}

/* What an earlier run believed; where none has, what the newest hour says that is not ahead of the clock. */
static void clock_load(struct clew_store *st, uint64_t now)
{
	int64_t believed = 0, waited = 0;

	(void)duck_int(st->conn,
		       "SELECT try_cast(value AS BIGINT) FROM c.meta WHERE key = 'clock_ns'", 0,
		       &believed, NULL);
	(void)duck_int(st->conn,
		       "SELECT try_cast(value AS BIGINT) FROM c.meta WHERE key = 'clock_waited_ns'",
		       0, &waited, NULL);
	for (size_t i = st->n_parts; !believed && i > 0; i--) {
		int64_t end = (st->parts[i - 1]->hour + 1) * HOUR_NS;

		if (end - HOUR_NS <= (int64_t)now)
			believed = end;
	}
	st->clock = (struct retention_clock){.believed_ns = believed > 0 ? (uint64_t)believed : now,
					     .waited_ns = waited > 0 ? (uint64_t)waited : 0};
}

/* For the next run. What is not written costs a day's wait at most. */
static void clock_keep(struct clew_store *st)
{
	uint64_t now = clew_mono_ns();

	if (st->clock_kept_ns && now - st->clock_kept_ns < KEEP_CLOCK_NS)
		return;
	st->clock_kept_ns = now;
	if (duck_execf(st->conn, NULL,
		       "BEGIN TRANSACTION; DELETE FROM c.meta WHERE key LIKE 'clock%%';"
		       "INSERT INTO c.meta VALUES ('clock_ns', '%" PRIu64
		       "'), ('clock_waited_ns', '%" PRIu64 "'); COMMIT;",
		       st->clock.believed_ns, st->clock.waited_ns) < 0)
		(void)duck_exec(st->conn, "ROLLBACK;", NULL);
}

/* The time to go by. */
static uint64_t clock_now(struct clew_store *st)
{
	uint64_t wall = clew_now_ns(), now;
	bool waits, waited;

	if (!st->clock.believed_ns)
		clock_load(st, wall);
	now = retention_now(&st->clock, wall, clew_clock_ns(CLOCK_BOOTTIME), &waits);
	pthread_mutex_lock(&st->queue_lock);
	waited = st->stats.retention_waits;
	st->stats.retention_waits = waits;
	pthread_mutex_unlock(&st->queue_lock);
	if (waits && !waited)
		log_warn("%s: the clock has gone ahead by %" PRIu64
			 " hours: if it stays there, --retention-age goes by it in a day",
			 st->dir, (wall - now) / (uint64_t)HOUR_NS);
	clock_keep(st);
	return now;
}

static void drop_by_age(struct clew_store *st, uint64_t max_age_ns)
{
	uint64_t now = clock_now(st);

	for (size_t i = 0; i < st->n_parts;)
		if (too_old(max_age_ns, now, st->parts[i]))
			leave(st, i, "older than --retention-age");
		else
			i++;
}

static void drop_by_size(struct clew_store *st, uint64_t max_bytes)
{
	uint64_t bytes = file_bytes(st, "catalog.duckdb");

	for (size_t i = 0; i < st->n_parts; i++)
		bytes += part_bytes(st, st->parts[i]);
	while (bytes > max_bytes && st->n_parts > 1) {
		bytes -= part_bytes(st, st->parts[0]);
		leave(st, 0, "the store was larger than --retention-size");
	}
	if (bytes > max_bytes && !st->size_said) {
		st->size_said = true;
		log_warn("%s: the newest hour alone is larger than --retention-size; it stays",
			 st->dir);
	}
}

void retention_look(struct clew_store *st)
{
	struct clew_store_retention r;
	uint64_t now = clew_mono_ns();

	if (seal_busy(st)) /* of one that is not to leave now */
		return;
	if (st->leaving)
		drop_leaving(st);
	if (now - st->retention_ns < LOOK_NS)
		return;
	st->retention_ns = now;
	pthread_mutex_lock(&st->queue_lock);
	r = st->retention;
	pthread_mutex_unlock(&st->queue_lock);
	if (r.max_age_ns)
		drop_by_age(st, r.max_age_ns);
	if (r.max_bytes)
		drop_by_size(st, r.max_bytes);
	if (st->leaving)
		drop_leaving(st);
}

bool retention_make_room(struct clew_store *st, int64_t hour)
{
	bool enabled;

	pthread_mutex_lock(&st->queue_lock);
	enabled = st->retention.rolling;
	pthread_mutex_unlock(&st->queue_lock);
	if (!enabled || !st->n_parts || st->parts[0]->hour >= hour)
		return false;
	(void)seal_wait(st);
	leave(st, 0, "there were as many hours as a store has");
	drop_leaving(st);
	return true;
}
