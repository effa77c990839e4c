/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/query.h"

#include <ctype.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

#include "cli/json_lines.h"
#include "cli/out.h"
#include "server/client.h"

/* The longest answer that a command holds in memory. */
#define ANSWER_MAX_BYTES ((size_t)4 << 30)

void query_init(struct clew_buf *target, const char *path)
{
	clew_buf_init(target, 1 << 20);
	clew_buf_adds(target, path);
}

void query_escape(struct clew_buf *b, const char *s)
{
	/* RFC 3986, section 2.3: what needs no escape anywhere. */
	for (; *s; s++) {
		if (isalnum((unsigned char)*s) || strchr("-._~", *s))
			clew_buf_addc(b, *s);
		else
			clew_buf_addf(b, "%%%02X", (unsigned char)*s);
	}
}

void query_param(struct clew_buf *target, const char *name, const char *value)
{
	clew_buf_addf(target, "%c%s=", memchr(target->data, '?', target->len) ? '&' : '?', name);
	query_escape(target, value);
}

static void add_text(struct clew_buf *target, const struct cli *cli, const char *option)
{
	const char *value = clew_options_str(&cli->options, option);

	if (value)
		query_param(target, option, value);
}

static void add_number(struct clew_buf *target, const struct cli *cli, const char *option,
		       const char *name)
{
	char text[24];

	if (!clew_options_given(&cli->options, option))
		return;
	snprintf(text, sizeof(text), "%" PRIu64, clew_options_u64(&cli->options, option));
	query_param(target, name, text);
}

void query_filters(struct clew_buf *target, const struct cli *cli)
{
	char *const *attr = clew_options_list(&cli->options, "attr", NULL);

	add_text(target, cli, "service");
	add_text(target, cli, "name");
	add_number(target, cli, "min-duration", "min_duration");
	add_number(target, cli, "max-duration", "max_duration");
	if (clew_options_flag(&cli->options, "error"))
		query_param(target, "error", "1");
	for (; attr && *attr; attr++)
		query_param(target, "attr", *attr);
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
			  "record`, or "
			  "name another with --db",
			  db);
	else
		log_error("%s: %s; name a store that you may read with --db", db, strerror(errno));
	return CLI_FAILURE;
}

/* {"error":"what is wrong"} */
static void report(const struct clew_buf *b, int status)
{
	json_t *o = b->len ? json_loadb(b->data, b->len, 0, NULL) : NULL;
	const char *text = json_str(o, "error");

	if (*text)
		log_error("%s", text);
	else
		log_error("the store answered with status %d; clew traces --log-level debug may "
			  "say more",
			  status);
	json_decref(o);
}

int query_ask(const struct cli *cli, const struct clew_buf *target, const char *body,
	      struct clew_buf *b)
{
	const char *db = cli_db(cli);
	_cleanup_(freep) char *error = NULL;
	int r = check_store(cli, db), status;

	/* Standard output's reader may go away: out_raw() sees it. */
	signal(SIGPIPE, SIG_IGN);
	if (r)
		return r;
	if (target->err) {
		log_error("the filters are too long; give fewer or shorter ones");
		return CLI_USAGE;
	}
	clew_buf_init(b, ANSWER_MAX_BYTES);
	status = clew_client_ask(db, target->data, body, b, &error);
	if (status < 0) {
		if (error)
			log_error("%s", error);
		else
			log_error("%s: %s", db, strerror(-status));
		return CLI_FAILURE;
	}
	if (status != 200) {
		report(b, status);
		/* 400: what was asked is wrong, e.g. a beginning of an id that two traces share. */
		return CLI_FAILURE;
	}
	return 0;
}

int query_view(int view_result, struct clew_buf *text)
{
	int r;

	if (view_result == -EBADMSG) {
		log_error("the store's answer cannot be read: the writer is of another version of "
			  "clew; "
			  "use the same version for both");
		return CLI_FAILURE;
	}
	r = out_write(text);
	clew_buf_done(text);
	return r;
}
