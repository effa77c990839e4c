/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/agent/inspector.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <curl/curl.h>
#include <libwebsockets.h>

#include "base/buf.h"

#define MESSAGE_MAX \
	(4u << 20) /* of one message in either direction; longer ones end the connection */
#define PATH_MAX_LEN 256
#define MS_NS	     1000000ull

enum phase { CONNECTING, OPEN, FAILED, CLOSED };

struct inspector {
	struct lws_context *context;
	struct lws *wsi;
	lws_sorted_usec_list_t alarm; /* wakes the loop at the deadline */
	enum phase phase;
	bool late;	     /* the alarm has gone off */
	struct clew_buf out; /* LWS_PRE bytes, then what is to be sent; empty: nothing */
	struct clew_buf in;  /* the message that arrives */
	json_int_t next_id;
	json_t *answer; /* to next_id; NULL: not here yet */
};

/* An answer, an event, or something that is of no interest. */
static void take_message(struct inspector *i)
{
	json_t *m = json_loadb((const char *)i->in.data, i->in.len, 0, NULL);

	clew_buf_clear(&i->in);
	if (m && !i->answer && json_integer_value(json_object_get(m, "id")) == i->next_id)
		i->answer = json_incref(m);
	json_decref(m);
}

static int receive(struct inspector *i, const void *bytes, size_t n)
{
	if (clew_buf_add(&i->in, bytes, n) < 0)
		return -1;
	if (!lws_remaining_packet_payload(i->wsi) && lws_is_final_fragment(i->wsi))
		take_message(i);
	return 0;
}

static int send_out(struct inspector *i)
{
	size_t n = i->out.len - LWS_PRE;

	if (i->out.len <= LWS_PRE)
		return 0;
	if (lws_write(i->wsi, (unsigned char *)i->out.data + LWS_PRE, n, LWS_WRITE_TEXT) < (int)n)
		return -1;
	clew_buf_clear(&i->out);
	return 0;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *unused, void *in,
		    size_t len)
{
	struct inspector *i = lws_context_user(lws_get_context(wsi));

	switch (reason) {
	case LWS_CALLBACK_CLIENT_ESTABLISHED:
		i->phase = OPEN;
		return 0;
	case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
		i->phase = FAILED;
		i->wsi = NULL;
		return 0;
	case LWS_CALLBACK_CLIENT_CLOSED:
		i->phase = CLOSED;
		i->wsi = NULL;
		return 0;
	case LWS_CALLBACK_CLIENT_RECEIVE:
		return receive(i, in, len);
	case LWS_CALLBACK_CLIENT_WRITEABLE:
		return send_out(i);
	default:
		return 0;
	}
}

static const struct lws_protocols protocols[] = {
	{.name = "inspector", .callback = on_event, .rx_buffer_size = 65536},
	{0},
};

static void on_alarm(lws_sorted_usec_list_t *alarm)
{
	struct inspector *i = lws_container_of(alarm, struct inspector, alarm);

	i->late = true;
	/* Who is told of it goes on to wait for what comes next, up to 30 s. */
	lws_cancel_service(i->context);
}

static void set_alarm(struct inspector *i, uint64_t timeout_ns)
{
	i->late = false;
	lws_sul_schedule(i->context, 0, &i->alarm, on_alarm, (lws_usec_t)(timeout_ns / 1000));
}

/* The library ignores SIGPIPE for the whole program: that is not its to decide. */
static struct lws_context *make_context(struct inspector *i)
{
	struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN,
		.protocols = protocols,
		.fd_limit_per_thread = 16,
		.gid = (gid_t)-1,
		.uid = (uid_t)-1,
		.user = i,
	};
	struct lws_context *context;
	struct sigaction old;

	lws_set_log_level(0, NULL);
	sigaction(SIGPIPE, NULL, &old);
	context = lws_create_context(&info);
	sigaction(SIGPIPE, &old, NULL);
	return context;
}

static size_t on_list(char *bytes, size_t size, size_t n, void *user)
{
	return clew_buf_add(user, bytes, size * n) < 0 ? 0 : size * n;
}

/* The address of the first target: "ws://127.0.0.1:9229/UUID". */
static int parse_list(const struct clew_buf *body, char *ret_path)
{
	json_t *list = json_loadb((const char *)body->data, body->len, 0, NULL);
	const char *url =
		json_string_value(json_object_get(json_array_get(list, 0), "webSocketDebuggerUrl"));
	const char *path = url ? strstr(url, "://") : NULL;
	int err = -EPROTO;

	path = path ? strchr(path + 3, '/') : NULL;
	if (path && strlen(path) < PATH_MAX_LEN) {
		strcpy(ret_path, path);
		err = 0;
	}
	json_decref(list);
	return err;
}

static int find_path(const char *address, uint16_t port, uint64_t timeout_ns, char *ret_path)
{
	CURL *curl = curl_easy_init();
	struct clew_buf body;
	char url[128];
	long status = 0;
	CURLcode code;
	int err = -EPROTO;

	if (!curl)
		return -ENOMEM;
	clew_buf_init(&body, 1 << 20);
	snprintf(url, sizeof(url),
		 strchr(address, ':') ? "http://[%s]:%u/json/list" : "http://%s:%u/json/list",
		 address, port);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1l);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)(timeout_ns / MS_NS));
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_list);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
	code = curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_cleanup(curl);
	if (code == CURLE_OPERATION_TIMEDOUT)
		err = -ETIMEDOUT;
	else if (code == CURLE_COULDNT_CONNECT)
		err = -ECONNREFUSED;
	else if (code == CURLE_OK && status == 200)
		err = parse_list(&body, ret_path);
	clew_buf_done(&body);
	return err;
}

int inspector_open(const char *address, uint16_t port, uint64_t timeout_ns, struct inspector **ret)
{
	_cleanup_(inspector_closep) struct inspector *i = NULL;
	struct lws_client_connect_info info = {0};
	char path[PATH_MAX_LEN];
	int err = find_path(address, port, timeout_ns, path);

	if (err)
		return err;
	i = calloc(1, sizeof(*i));
	if (!i)
		return -ENOMEM;
	clew_buf_init(&i->in, MESSAGE_MAX);
	clew_buf_init(&i->out, MESSAGE_MAX);
	i->context = make_context(i);
	if (!i->context)
		return -ENOMEM;
	info.context = i->context;
	info.address = address;
	info.host = address;
	info.port = port;
	info.path = path;
	info.ietf_version_or_minus_one = -1;
	info.protocol = NULL;
	info.local_protocol_name = protocols[0].name;
	info.pwsi = &i->wsi;
	set_alarm(i, timeout_ns);
	if (!lws_client_connect_via_info(&info))
		return -ECONNREFUSED;
	while (i->phase == CONNECTING && !i->late)
		if (lws_service(i->context, 0) < 0)
			return -EPROTO;
	if (i->phase != OPEN)
		return i->late ? -ETIMEDOUT : -ECONNREFUSED;
	*ret = clew_steal(i);
	return 0;
}

void inspector_close(struct inspector *i)
{
	if (!i)
		return;
	if (i->context) {
		lws_sul_cancel(&i->alarm);
		lws_context_destroy(i->context);
	}
	json_decref(i->answer);
	clew_buf_done(&i->in);
	clew_buf_done(&i->out);
	free(i);
}

static int queue_eval(struct inspector *i, const char *expression)
{
	static const char room[LWS_PRE];
	json_t *m = json_pack("{s:I, s:s, s:{s:s, s:b, s:b, s:b}}", "id", ++i->next_id, "method",
			      "Runtime.evaluate", "params", "expression", expression,
			      "includeCommandLineAPI", 1, "returnByValue", 1, "silent", 1);
	char *text = m ? json_dumps(m, JSON_COMPACT) : NULL;
	int err = text ? 0 : -ENOMEM;

	json_decref(m);
	if (!err) {
		clew_buf_clear(&i->out);
		clew_buf_add(&i->out, room, sizeof(room));
		clew_buf_adds(&i->out, text);
		err = i->out.err == -ENOMEM ? -ENOMEM : i->out.err ? -E2BIG : 0;
	}
	free(text);
	return err;
}

static int take_answer(struct inspector *i, json_t **ret_value)
{
	json_t *result = json_object_get(i->answer, "result");
	json_t *thrown = json_object_get(result, "exceptionDetails");
	json_t *value = json_object_get(json_object_get(result, "result"), "value");
	int err = 0;

	if (!result || thrown) {
		value = json_object_get(json_object_get(thrown, "exception"), "description");
		err = -EPROTO;
	}
	*ret_value = json_incref(value);
	json_decref(i->answer);
	i->answer = NULL;
	return err;
}

int inspector_eval(struct inspector *i, const char *expression, uint64_t timeout_ns,
		   json_t **ret_value)
{
	int err = i->phase == OPEN ? queue_eval(i, expression) : -EPIPE;

	if (err)
		return err;
	set_alarm(i, timeout_ns);
	lws_callback_on_writable(i->wsi);
	while (!i->answer && i->phase == OPEN && !i->late)
		if (lws_service(i->context, 0) < 0)
			return -EPIPE;
	if (i->answer)
		return take_answer(i, ret_value);
	return i->late ? -ETIMEDOUT : -EPIPE;
}
