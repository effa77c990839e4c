/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/query.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

#include "cli/out.h"
#include "server/client.h"

/* The longest answer that a command holds in memory. */
#define ANSWER_MAX_BYTES ((size_t)4 << 30)
/* What goes out unread is written in pieces of this size. */
#define COPY_PIECE_BYTES (64u << 10)

void query_init(struct clew_buf *target, const char *path)
{
	clew_buf_init(target, 1 << 20);
	clew_buf_addf(target, CLEW_API_PREFIX "%s", path);
}

static void add_text(struct clew_buf *target, const struct cli *cli, const char *option)
{
	const char *value = clew_options_str(&cli->options, option);

	if (value)
		clew_query_param(target, option, slice_str(value));
}

static void add_number(struct clew_buf *target, const struct cli *cli, const char *option,
		       const char *name)
{
	char text[24];

	if (!clew_options_given(&cli->options, option))
		return;
	snprintf(text, sizeof(text), "%" PRIu64, clew_options_u64(&cli->options, option));
	clew_query_param(target, name, slice_str(text));
}

void query_filters(struct clew_buf *target, const struct cli *cli)
{
	char *const *attr = clew_options_list(&cli->options, "attr", NULL);
	char *const *where = clew_options_list(&cli->options, "where", NULL);

	add_text(target, cli, "service");
	add_text(target, cli, "name");
	add_number(target, cli, "min-duration", "min_duration");
	add_number(target, cli, "max-duration", "max_duration");
	if (clew_options_flag(&cli->options, "error"))
		clew_query_param(target, "error", SLICE("1"));
	for (; attr && *attr; attr++)
		clew_query_param(target, "attr", slice_str(*attr));
	for (; where && *where; where++)
		clew_query_param(target, "where", slice_str(*where));
	if (clew_options_flag(&cli->options, "any"))
		clew_query_param(target, "any", SLICE("1"));
	if (clew_options_flag(&cli->options, "spans"))
		clew_query_param(target, "spans", SLICE("1"));
	add_text(target, cli, "pattern");
	add_number(target, cli, "from", "from_ns");
	add_number(target, cli, "to", "to_ns");
	add_number(target, cli, "since", "since");
	add_number(target, cli, "until", "until");
	add_number(target, cli, "limit", "limit");
	add_text(target, cli, "sort");
}

/* Is there a store at all? A path that is not there says how to make one. */
static int check_store(const struct cli *cli, const char *db)
{
	struct stat st;

	if (!db)
		return cli_usage(cli, "--db none keeps nothing that could be asked; name a store's "
				      "directory");
	if (!stat(db, &st)) {
		if (S_ISDIR(st.st_mode))
			return 0;
		log_error("%s: not a directory; name a store's directory with --db", db);
		return CLI_FAILURE;
	}
	if (errno == ENOENT)
		log_error("%s: there is no store; make one with `clew run -- CMD` or `clew "
			  "record`, or name another with --db",
			  db);
	else
		log_error("%s: %s; name a store that you may read with --db", db, strerror(errno));
	return CLI_FAILURE;
}

/* An error may quote what was seen on a wire ("could not convert '...'"). */
static void make_safe(char *text)
{
	for (char *c = text; *c; c++)
		if (((unsigned char)*c < 0x20 && *c != '\n') || *c == 0x7f)
			*c = '?';
}

/* Ask; what the writer of the answer returns to end it is left to the caller. */
static int ask(const struct cli *cli, const struct clew_buf *target, const char *body,
	       clew_write_fn fn, void *user, int *ret_result)
{
	const char *db = cli_db(cli);
	_cleanup_(freep) char *error = NULL;
	int r = check_store(cli, db);

	if (r)
		return r;
	if (target->err) {
		log_error("the filters are too long; give fewer or shorter ones");
		return CLI_USAGE;
	}
	/* Standard output's reader may go away: out_raw() sees it. */
	signal(SIGPIPE, SIG_IGN);
	*ret_result = clew_client_ask(db, body ? "POST" : "GET", target->data, slice_str(body), fn,
				      user, &error);
	if (*ret_result < 0 && *ret_result != -ECANCELED && error) {
		make_safe(error);
		log_error("%s", error);
		return CLI_FAILURE;
	}
	return 0;
}

static int keep(void *user, const char *bytes, size_t n)
{
	return clew_buf_add(user, bytes, n);
}

int query_ask(const struct cli *cli, const struct clew_buf *target, const char *body,
	      struct clew_buf *b)
{
	int result = 0, r;

	clew_buf_init(b, ANSWER_MAX_BYTES);
	r = ask(cli, target, body, keep, b, &result);
	if (r || !result)
		return r;
	if (b->err)
		log_error("the answer does not fit into memory; ask for less with filters or "
			  "--limit");
	else
		log_error("%s: %s", cli_db(cli), strerror(-result));
	return CLI_FAILURE;
}

/* Standard output as the taker of an answer. */
struct copy {
	struct clew_buf b;
	int status;
	bool closed;
	char last;
};

static int flush_copy(struct copy *c)
{
	bool closed = false;

	c->status = out_raw(c->b.data, c->b.len, &closed);
	c->closed |= closed;
	clew_buf_clear(&c->b);
	return c->status || c->closed ? -ECANCELED : 0;
}

static int copy_out(void *user, const char *bytes, size_t n)
{
	struct copy *c = user;
	int r = clew_buf_add(&c->b, bytes, n);

	if (n)
		c->last = bytes[n - 1];
	if (!r && c->b.len >= COPY_PIECE_BYTES)
		r = flush_copy(c);
	return r;
}

int query_copy(const struct cli *cli, const struct clew_buf *target)
{
	struct copy c = {0};
	int result = 0, r;

	clew_buf_init(&c.b, 0);
	r = ask(cli, target, NULL, copy_out, &c, &result);
	if (!r && !c.status && !c.closed && result < 0) {
		log_error("%s: %s", cli_db(cli), strerror(-result));
		r = CLI_FAILURE;
	}
	if (c.last && c.last != '\n')
		clew_buf_addc(&c.b, '\n');
	if (!c.status && !c.closed)
		flush_copy(&c);
	clew_buf_done(&c.b);
	return r ? r : c.status;
}

int query_view(int view_result, struct clew_buf *text)
{
	int r;

	if (view_result == -EBADMSG) {
		log_error("the store's answer cannot be read: the writer is of another version of "
			  "clew; use the same version for both");
		return CLI_FAILURE;
	}
	r = out_write(text);
	clew_buf_done(text);
	return r;
}
