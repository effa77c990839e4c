/* SPDX-License-Identifier: Apache-2.0 */
/* Opening and closing: the directory, the locks, the threads. */
#include "store/store.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "store/damaged.h"
#include "store/rows.h"

/* Readers end within their own limit; a writer that starts stops them sooner. */
#define READERS_WAIT_NS (10ull * 1000 * 1000 * 1000)

static int make_dir(const char *dir, char **ret_error)
{
	_cleanup_(freep) char *path = strdup(dir);

	if (!path)
		return -ENOMEM;
	for (char *p = path + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return set_error(ret_error, -errno, "cannot make %s: %s", path,
					 strerror(errno));
		*p = '/';
	}
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return set_error(ret_error, -errno, "cannot make %s: %s", path, strerror(errno));
	return 0;
}

static int open_dir(struct clew_store *st, const char *dir, char **ret_error)
{
	struct stat sb;
	int r;

	if (!st->opts.read_only) {
		r = make_dir(dir, ret_error);
		if (r < 0)
			return r;
	}
	st->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (st->dir_fd < 0 && errno == ENOENT)
		return set_error(ret_error, -ENOENT,
				 "there is no store in %s: record something first, or name "
				 "another directory with --db",
				 dir);
	if (st->dir_fd < 0)
		return set_error(ret_error, -errno, "cannot open %s: %s", dir, strerror(errno));
	if (st->opts.read_only && faccessat(st->dir_fd, "catalog.duckdb", F_OK, 0) < 0)
		return set_error(ret_error, -ENOENT,
				 "there is no store in %s: record something first, or name "
				 "another directory with --db",
				 dir);
	if (!st->opts.read_only) {
		if (fstat(st->dir_fd, &sb) == 0 && (sb.st_mode & 077) &&
		    fchmod(st->dir_fd, 0700) < 0)
			return set_error(ret_error, -errno, "cannot make %s private (0700): %s",
					 dir, strerror(errno));
		if (mkdirat(st->dir_fd, "tmp", 0700) < 0 && errno != EEXIST)
			return set_error(ret_error, -errno, "cannot make %s/tmp: %s", dir,
					 strerror(errno));
	}
	st->dir = realpath(dir, NULL); /* the engine compares paths */
	return st->dir ? 0 : -errno;
}

static void set_defaults(struct clew_store_opts *o)
{
	o->command = o->command ? o->command : "clew";
	o->flush_ns = o->flush_ns ? o->flush_ns : CLEW_STORE_FLUSH_NS;
	o->batch_spans = o->batch_spans ? o->batch_spans : CLEW_STORE_BATCH_SPANS;
	o->queue_spans = o->queue_spans ? o->queue_spans : CLEW_STORE_QUEUE_SPANS;
	o->max_hours = o->max_hours ? o->max_hours : CLEW_STORE_MAX_HOURS;
	o->queue_bytes = o->queue_bytes ? o->queue_bytes : CLEW_STORE_QUEUE_BYTES;
	o->hot_spans = o->hot_spans ? o->hot_spans : CLEW_STORE_HOT_SPANS;
	if (!o->memory_bytes)
		o->memory_bytes =
			o->read_only ? CLEW_STORE_READER_MEMORY_BYTES : CLEW_STORE_MEMORY_BYTES;
	/* A writer's engine on one thread: two take twice the processor time to sort a run. */
	if (!o->threads)
		o->threads = o->read_only ? 2 : 1;
	o->exact_spans = o->exact_spans ? o->exact_spans : CLEW_STORE_EXACT_SPANS;
	o->filter_bytes = o->filter_bytes ? o->filter_bytes : CLEW_STORE_FILTER_BYTES;
	o->timeout_ns = o->timeout_ns ? o->timeout_ns : CLEW_STORE_TIMEOUT_NS;
}

static int init_memory(struct clew_store *st)
{
	int r = 0;

	st->dir_fd = -1;
	st->lock = (struct clew_lock)CLEW_LOCK_INIT;
	pthread_rwlock_init(&st->gate, NULL);
	pthread_mutex_init(&st->state_lock, NULL);
	pthread_mutex_init(&st->queue_lock, NULL);
	pthread_mutex_init(&st->publish_lock, NULL);
	pthread_mutex_init(&st->ids_lock, NULL);
	pthread_mutex_init(&st->stored_lock, NULL);
	pthread_mutex_init(&st->filter_lock, NULL);
	pthread_mutex_init(&st->names_lock, NULL);
	pthread_cond_init(&st->watch_cond, NULL);
	rows_init(&st->rows);
	st->resources = calloc(DICT_MAX, sizeof(*st->resources));
	if (!st->resources)
		return -ENOMEM;
	for (int i = 0; r == 0 && i < N_DICTS; i++)
		r = dict_init(&st->dicts[i]);
	return r == 0 ? dict_init(&st->resource_ids) : r;
}

int clew_store_open(const char *dir, const struct clew_store_opts *opts, struct clew_store **ret,
		    char **ret_error)
{
	struct clew_store *st = calloc(1, sizeof(*st));
	int r;

	if (!st)
		return -ENOMEM;
	if (opts)
		st->opts = *opts;
	set_defaults(&st->opts);
	r = init_memory(st);
	if (r == 0)
		r = open_dir(st, dir, ret_error);
	if (r == 0)
		r = st->opts.read_only ? clew_lock_read(st->dir_fd, dir, &st->lock, ret_error)
				       : clew_lock_write(st->dir_fd, dir, st->opts.command,
							 READERS_WAIT_NS, &st->lock, ret_error);
	if (r == 0)
		r = damaged_look(st, ret_error);
	if (r == 0)
		r = engine_open(st, ret_error);
	if (r == 0)
		r = names_load(st, ret_error);
	if (r == 0)
		r = aliases_load(st, ret_error);
	if (r == 0)
		r = shed_notes_load(st, ret_error);
	if (r == 0)
		r = old_take_over(st, ret_error);
	if (r == 0)
		r = watchdog_start(st);
	if (r == 0 && !st->opts.read_only)
		r = writer_start(st, ret_error);
	if (r < 0) {
		set_error(ret_error, r, "cannot open the store in %s: %s", dir, strerror(-r));
		clew_store_close(st);
		return r;
	}
	st->is_open = true;
	*ret = st;
	return 0;
}

void clew_store_close(struct clew_store *st)
{
	if (!st)
		return;
	writer_stop(st);
	watchdog_stop(st);
	engine_close(st);
	names_free(st);
	shed_notes_done(&st->notes);
	free(st->damaged_hours);
	free(st->aliases.rows);
	free(st->aliases.slots);
	free(st->aliases.heads);
	free(st->aliases.next);
	free(st->amend.v);
	free(st->amend.aliases);
	clew_lock_done(&st->lock);
	closep(&st->dir_fd);
	pthread_mutex_destroy(&st->queue_lock);
	pthread_mutex_destroy(&st->publish_lock);
	pthread_mutex_destroy(&st->ids_lock);
	pthread_mutex_destroy(&st->stored_lock);
	pthread_mutex_destroy(&st->filter_lock);
	pthread_mutex_destroy(&st->names_lock);
	pthread_cond_destroy(&st->watch_cond);
	rows_done(&st->rows);
	pthread_mutex_destroy(&st->state_lock);
	pthread_rwlock_destroy(&st->gate);
	free(st->dir);
	free(st);
}

void clew_store_stats(struct clew_store *st, struct clew_store_stats *ret)
{
	pthread_mutex_lock(&st->queue_lock);
	*ret = st->stats;
	ret->queued = st->queue_n;
	ret->unwritten = st->queued_seq - st->done_seq;
	ret->kept = shed_kept(&st->shed);
	pthread_mutex_unlock(&st->queue_lock);
	pthread_mutex_lock(&st->state_lock);
	for (size_t i = 0; i < st->n_parts; i++)
		ret->damaged_hours += st->parts[i]->has_damage;
	pthread_mutex_unlock(&st->state_lock);
}

const char *clew_store_dir(const struct clew_store *st)
{
	return st->dir;
}

int clew_store_fd(const struct clew_store *st)
{
	return st->dir_fd;
}
