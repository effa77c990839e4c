/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Generations of hot spans, by partition:
 *
 *	hots[0] ─► sealed when it is full (or its hour is over)      hots[1] ─► filled meanwhile
 *
 * When both are full the writer waits for the sealing: so spans wait in the queue, which has a limit.
 */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/log.h"
#include "store/damaged.h"

/* Of a partition while it is written; more are found after crashes only. */
#define GENERATIONS 2

static uint32_t generation_max(const struct clew_store *st)
{
	/* The last batch may go beyond. */
	return st->opts.hot_spans + st->opts.batch_spans;
}

static void add_generation(struct clew_store *st, struct part *p, struct hot *h)
{
	pthread_mutex_lock(&st->state_lock);
	p->hots[p->n_hots++] = h;
	p->hot_rows += h->n;
	pthread_mutex_unlock(&st->state_lock);
}

/* The generation that takes more spans, or NULL; ret_n: how many there are. One that is being sealed may be gone as soon
 * as the lock is let go. */
static struct hot *takes_more(struct clew_store *st, const struct part *p, uint32_t *ret_n)
{
	struct hot *h;

	pthread_mutex_lock(&st->state_lock);
	h = p->n_hots ? p->hots[p->n_hots - 1] : NULL;
	if (h && (h->frozen || h->n >= st->opts.hot_spans))
		h = NULL;
	*ret_n = p->n_hots;
	pthread_mutex_unlock(&st->state_lock);
	return h;
}

uint32_t hot_left(struct clew_store *st, const struct part *p)
{
	uint32_t n;
	struct hot *h = takes_more(st, p, &n);

	return h ? st->opts.hot_spans - h->n : 0;
}

/* Until there is room for one more generation. */
static int wait_for_room(struct clew_store *st, struct part *p, char **ret_error)
{
	uint32_t n;
	int r = 0;

	(void)seal_wait(st); /* perhaps of another partition */
	while ((void)takes_more(st, p, &n), n >= GENERATIONS) {
		if (!seal_begin(st, p))
			return -EAGAIN;
		r = seal_wait(st);
		if (r < 0)
			return set_error(ret_error, r, "cannot seal spans: %s", strerror(-r));
	}
	return 0;
}

int hot_to_fill(struct clew_store *st, struct part *p, struct hot **ret, char **ret_error)
{
	uint32_t n;
	struct hot *h = takes_more(st, p, &n);
	uint64_t base;
	int r;

	if (h) {
		*ret = h;
		return 0;
	}
	r = n >= GENERATIONS ? wait_for_room(st, p, ret_error) : 0;
	if (r < 0)
		return r;
	h = hot_new(generation_max(st));
	if (!h)
		return -ENOMEM;
	/* Sealing moves rows from one to the other, the sum stays. */
	pthread_mutex_lock(&st->state_lock);
	base = p->rows;
	for (uint32_t i = 0; i < p->n_hots; i++)
		base += p->hots[i]->n;
	pthread_mutex_unlock(&st->state_lock);
	r = hot_log_create(h, st->dir_fd, p->hour, base);
	if (r < 0) {
		hot_unref(h);
		return set_error(ret_error, r, "cannot make a log in %s: %s", st->dir,
				 strerror(-r));
	}
	add_generation(st, p, h);
	*ret = h;
	return 0;
}

size_t hots_newest(struct clew_store *st, struct hot_view **ret)
{
	struct hot_view *v;
	size_t n = 0;

	pthread_mutex_lock(&st->state_lock);
	v = malloc((st->n_parts + 1) * sizeof(*v));
	for (size_t i = 0; v && i < st->n_parts; i++) {
		const struct part *p = st->parts[i];

		if (p->n_hots)
			v[n++] = (struct hot_view){hot_ref(p->hots[p->n_hots - 1]),
						   p->hots[p->n_hots - 1]->n};
	}
	pthread_mutex_unlock(&st->state_lock);
	*ret = v;
	return n;
}

uint64_t hot_bytes(struct clew_store *st, const struct part *p)
{
	uint64_t n = 0;

	pthread_mutex_lock(&st->state_lock);
	for (uint32_t i = 0; i < p->n_hots; i++)
		n += p->hots[i]->bytes;
	pthread_mutex_unlock(&st->state_lock);
	return n;
}

void hot_unlink(struct clew_store *st, const struct part *p)
{
	for (uint32_t i = 0; i < p->n_hots; i++)
		if (p->hots[i]->file[0])
			(void)!unlinkat(st->dir_fd, p->hots[i]->file, 0);
}

/* Under ids_lock. */
static void forget(struct part *p)
{
	id_set_done(&p->last_ids);
	if (p->last_max_ns > p->sealed_max_ns)
		p->sealed_max_ns = p->last_max_ns;
}

void ids_forget(struct clew_store *st, struct part *p)
{
	pthread_mutex_lock(&st->ids_lock);
	forget(p);
	pthread_mutex_unlock(&st->ids_lock);
}

/* One set came: the one of the oldest sealing goes if they are too many. Under ids_lock. */
static void forget_oldest(struct clew_store *st)
{
	struct part *oldest = NULL;
	uint32_t n = 0;

	pthread_mutex_lock(&st->state_lock);
	for (size_t i = 0; i < st->n_parts; i++) {
		struct part *p = st->parts[i];

		if (!p->last_ids.cap)
			continue;
		n++;
		if (!oldest || p->last_seq < oldest->last_seq)
			oldest = p;
	}
	pthread_mutex_unlock(&st->state_lock);
	if (n > KNOWN_RUNS)
		forget(oldest);
}

void hot_sealed(struct clew_store *st, struct part *p, bool digested)
{
	struct hot *h = p->hots[0];

	pthread_mutex_lock(&st->ids_lock);
	pthread_mutex_lock(&st->state_lock);
	p->n_hots--;
	for (uint32_t i = 0; i < p->n_hots; i++)
		p->hots[i] = p->hots[i + 1];
	p->hot_rows -= h->n;
	p->last_run = p->rows;
	p->rows += h->n;
	p->indexed = p->rows;
	if (digested)
		p->digested = p->rows;
	pthread_mutex_unlock(&st->state_lock);
	forget(p);
	p->last_max_ns = h->max_ns;
	p->last_ids = h->ids;
	p->last_seq = ++st->last_seq;
	h->ids = (struct id_set){0};
	forget_oldest(st);
	pthread_mutex_unlock(&st->ids_lock);
}

/* ---- logs that are there when a store is opened ---- */

struct log_file {
	int64_t hour;
	uint64_t first_row;
	char name[64];
};

static int by_place(const void *a, const void *b)
{
	const struct log_file *x = a, *y = b;

	if (x->hour != y->hour)
		return x->hour < y->hour ? -1 : 1;
	return x->first_row < y->first_row ? -1 : x->first_row > y->first_row;
}

/* Returns how many. */
static ssize_t list_logs(struct clew_store *st, struct log_file **ret)
{
	int fd = openat(st->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct log_file *v = NULL, *more, l;
	struct dirent *e;
	size_t n = 0;

	if (!d) {
		int r = -errno;

		closep(&fd);
		return r;
	}
	while ((e = readdir(d))) {
		if (hot_log_parse(e->d_name, &l.hour, &l.first_row) < 0)
			continue;
		more = realloc(v, (n + 1) * sizeof(*v));
		if (!more) {
			free(v);
			closedir(d);
			return -ENOMEM;
		}
		v = more;
		hot_log_name(l.hour, l.first_row, l.name, sizeof(l.name));
		v[n++] = l;
	}
	closedir(d);
	if (n)
		qsort(v, n, sizeof(*v), by_place);
	*ret = v;
	return (ssize_t)n;
}

static bool has_file(struct clew_store *st, int64_t hour)
{
	char file[64];

	part_file(hour, file, sizeof(file));
	return faccessat(st->dir_fd, file, F_OK, 0) == 0;
}

/* The partition of a log; NULL: it is left out, as its hour is. */
static int part_of(struct clew_store *st, const struct log_file *l, struct part **ret,
		   char **ret_error)
{
	*ret = NULL;
	for (size_t i = 0; i < st->n_parts; i++)
		if (st->parts[i]->hour == l->hour)
			*ret = st->parts[i];
	if (*ret || st->opts.read_only || has_file(st, l->hour))
		return 0;
	return part_get(st, l->hour, ret, ret_error);
}

/* The place that a log's name tells must be where its rows go: someone may have taken the hour's file
 * away. */
static int name_log(struct clew_store *st, struct hot *h, const struct log_file *l, uint64_t row)
{
	char file[64];

	if (l->first_row == row || st->opts.read_only)
		return 0;
	hot_log_name(l->hour, row, file, sizeof(file));
	if (renameat2(st->dir_fd, l->name, st->dir_fd, file, RENAME_NOREPLACE) < 0)
		return -errno;
	snprintf(h->file, sizeof(h->file), "%s", file);
	return 0;
}

static int load_log(struct clew_store *st, const struct log_file *l, char **ret_error)
{
	bool writer = !st->opts.read_only;
	struct hot_damage lost;
	struct part *p;
	struct hot *h;
	int r = part_of(st, l, &p, ret_error);

	if (r < 0 || !p)
		return r;
	if (l->first_row < p->rows) { /* sealed, and not unlinked before a crash */
		if (writer)
			(void)!unlinkat(st->dir_fd, l->name, 0);
		return 0;
	}
	r = hot_log_load(st->dir_fd, l->name, writer, generation_max(st), &h, &lost);
	if (r == -ENOMEM || r == -EMFILE || r == -ENFILE)
		return set_error(ret_error, r, "cannot read %s/%s: %s", st->dir, l->name,
				 strerror(-r));
	if (r < 0) {
		(void)damaged_file(st, l->name,
				   r == -EUCLEAN ? "it is no log of clew" : strerror(-r));
		return 0;
	}
	if (lost.bytes)
		damaged_bytes(st, l->name, lost.bytes, lost.places);
	if (lost.end && writer)
		log_warn("%s/%s: its last %" PRIu64 " bytes are no whole batch (a crash in the "
			 "middle of it, or damage): left out",
			 st->dir, l->name, lost.end);
	if (!h->n && writer) {
		(void)!unlinkat(st->dir_fd, l->name, 0);
		hot_unref(h);
		return 0;
	}
	r = p->n_hots == HOT_GENERATIONS ? -EUCLEAN : name_log(st, h, l, p->rows + p->hot_rows);
	if (r < 0) {
		hot_unref(h);
		return set_error(ret_error, r, "cannot use %s/%s: %s", st->dir, l->name,
				 strerror(-r));
	}
	add_generation(st, p, h);
	return 0;
}

int hots_load(struct clew_store *st, char **ret_error)
{
	_cleanup_(freep) struct log_file *v = NULL;
	ssize_t n = list_logs(st, &v);
	int r = 0;

	if (n < 0)
		return set_error(ret_error, (int)n, "cannot list %s: %s", st->dir,
				 strerror((int)-n));
	for (ssize_t i = 0; r == 0 && i < n; i++)
		r = load_log(st, &v[i], ret_error);
	return r;
}
