/* SPDX-License-Identifier: Apache-2.0 */
#include "server/client.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include <curl/curl.h>
#include <jansson.h>

#include "base/log.h"
#include "server/server.h"

/* A writer takes the lock before it has opened the store and listens: wait this long for its
 * socket. */
#define PATIENCE_NS (15ull * 1000 * 1000 * 1000)
#define POLL_NS	    (20ull * 1000 * 1000)
/* A query has its own limit; this is for a writer that hangs. */
#define TRANSFER_S 600l

struct transfer {
	CURL *curl;
	clew_write_fn write;
	void *user;
	int write_error;
	bool wrote;
	struct clew_buf error; /* the body of an answer that is not 200 */
};

static int CLEW_PRINTF(3, 4) fail(char **ret_error, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (ret_error && !*ret_error && vasprintf(ret_error, fmt, ap) < 0)
		*ret_error = NULL;
	va_end(ap);
	return err;
}

static size_t on_bytes(char *bytes, size_t size, size_t n, void *user)
{
	struct transfer *t = user;
	long status = 0;

	n *= size;
	curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status != 200)
		return clew_buf_add(&t->error, bytes, n) < 0 ? 0 : n;
	t->wrote = true;
	t->write_error = t->write(t->user, bytes, n);
	return t->write_error < 0 ? 0 : n;
}

/* Said here, as the answer itself does not. */
static size_t on_header(char *line, size_t size, size_t n, void *user)
{
	struct slice text = slice_of(line, n * size), name = SLICE(CLEW_LEFT_OUT_HEADER ":");

	(void)user;
	while (text.n && (text.p[text.n - 1] == '\n' || text.p[text.n - 1] == '\r'))
		text.n--;
	if (text.n > name.n && slice_ieq(slice_of(text.p, name.n), name))
		log_warn("what is sealed in these hours is left out, as it cannot be read:%.*s",
			 (int)(text.n - name.n), text.p + name.n);
	return n * size;
}

static int status_error(long status)
{
	switch (status) {
	case 400:
		return -EINVAL;
	case 404:
		return -ENOENT;
	case 405:
		return -EOPNOTSUPP;
	case 413:
		return -EFBIG;
	case 503:
		return -ETIMEDOUT;
	default:
		return -EIO;
	}
}

static int answer_error(struct transfer *t, long status, char **ret_error)
{
	json_t *o = json_loadb(t->error.data ? t->error.data : "", t->error.len, 0, NULL);
	const char *text = json_string_value(json_object_get(o, "error"));
	int r = fail(ret_error, status_error(status), "%s", text ? text : "the writer failed");

	json_decref(o);
	return r;
}

static int perform(struct transfer *t, const char *socket_path, const char *method,
		   const char *target, struct slice body, char **ret_error)
{
	_cleanup_(freep) char *url = NULL;
	char why[CURL_ERROR_SIZE] = "";
	long status = 0;
	CURLcode code;

	if (asprintf(&url, "http://clew%s", target) < 0) {
		url = NULL;
		return -ENOMEM;
	}
	curl_easy_setopt(t->curl, CURLOPT_UNIX_SOCKET_PATH, socket_path);
	curl_easy_setopt(t->curl, CURLOPT_URL, url);
	curl_easy_setopt(t->curl, CURLOPT_PROXY, "");
	curl_easy_setopt(t->curl, CURLOPT_NOSIGNAL, 1l);
	curl_easy_setopt(t->curl, CURLOPT_TIMEOUT, TRANSFER_S);
	curl_easy_setopt(t->curl, CURLOPT_ERRORBUFFER, why);
	curl_easy_setopt(t->curl, CURLOPT_WRITEFUNCTION, on_bytes);
	curl_easy_setopt(t->curl, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(t->curl, CURLOPT_HEADERFUNCTION, on_header);
	if (!strcmp(method, "POST")) {
		curl_easy_setopt(t->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n);
		curl_easy_setopt(t->curl, CURLOPT_POSTFIELDS, body.p ? body.p : "");
	}
	code = curl_easy_perform(t->curl);
	curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
	if (t->write_error < 0)
		return t->write_error;
	if (code == CURLE_COULDNT_CONNECT)
		return -ECONNREFUSED;
	if (code != CURLE_OK && !t->wrote && !status)
		return -ECONNRESET; /* it ended under our hands: ask again */
	if (code != CURLE_OK)
		return fail(ret_error, -EIO, "the writer's answer broke off: %s",
			    why[0] ? why : curl_easy_strerror(code));
	return status == 200 ? 0 : answer_error(t, status, ret_error);
}

/* -ECONNREFUSED or -ECONNRESET: nobody answers there (any more). */
static int ask_socket(const char *dir, const char *method, const char *target, struct slice body,
		      clew_write_fn write, void *user, char **ret_error)
{
	struct transfer t = {.write = write, .user = user};
	_cleanup_(closep) int dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char path[64];
	int r;

	if (dir_fd < 0 || faccessat(dir_fd, CLEW_SERVER_SOCKET, F_OK, 0) < 0)
		return -ECONNREFUSED;
	t.curl = curl_easy_init();
	if (!t.curl)
		return -ENOMEM;
	snprintf(path, sizeof(path), "/proc/self/fd/%d/" CLEW_SERVER_SOCKET, dir_fd);
	r = perform(&t, path, method, target, body, ret_error);
	curl_easy_cleanup(t.curl);
	clew_buf_done(&t.error);
	return r;
}

struct noticing {
	clew_write_fn write;
	void *user;
	bool wrote;
};

static int notice(void *user, const char *bytes, size_t n)
{
	struct noticing *w = user;

	w->wrote = true;
	return w->write(w->user, bytes, n);
}

/* -EBUSY: a writer lives. -EAGAIN: one came, and nothing was written yet. */
static int ask_here(const char *dir, const char *method, const char *target, struct slice body,
		    clew_write_fn write, void *user, char **ret_error)
{
	_cleanup_(clew_store_closep) struct clew_store *st = NULL;
	struct clew_store_opts opts = {.read_only = true};
	struct noticing w = {write, user, false};
	int r = clew_store_open(dir, &opts, &st, ret_error);

	if (r < 0)
		return r;
	do {
		free(clew_steal(*ret_error));
		r = clew_query_run(st, slice_str(method), slice_str(target), body, notice, &w,
				   ret_error);
	} while (r == -ERESTART && !w.wrote);
	if (r == -ERESTART) {
		free(clew_steal(*ret_error));
		return fail(
			ret_error, -EIO,
			"a part of the store was found to be damaged when some of the answer was "
			"given: ask again while 'clew server' runs there, or for less");
	}
	return r == -EAGAIN && w.wrote ? -EIO : r;
}

int clew_client_ask(const char *dir, const char *method, const char *target, struct slice body,
		    clew_write_fn write, void *user, char **ret_error)
{
	char *error = NULL;
	int r = -EBUSY;

	for (uint64_t waited = 0; waited < PATIENCE_NS; waited += POLL_NS) {
		free(error);
		error = NULL;
		r = ask_socket(dir, method, target, body, write, user, &error);
		if (r != -ECONNREFUSED && r != -ECONNRESET)
			break;
		r = ask_here(dir, method, target, body, write, user, &error);
		if (r != -EBUSY && r != -EAGAIN)
			break;
		nanosleep(&(struct timespec){.tv_nsec = (long)POLL_NS}, NULL);
	}
	if (r == -EBUSY && error) {
		fail(ret_error, r, "%s, which does not answer on its socket: try again", error);
		free(error);
	} else if (ret_error && !*ret_error) {
		*ret_error = error;
	} else {
		free(error);
	}
	return r;
}
