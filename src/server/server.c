/* SPDX-License-Identifier: Apache-2.0 */
/* Starting, opening ports and stopping. */
#include "server/server.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "server/grpc.h"
#include "server/internal.h"
#include "server/watch.h"

#define TLS_FILE_MAX   (1u << 20)
#define SERVER_POLL_NS (2 * 1000 * 1000)

int server_fail(char **ret_error, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (ret_error && !*ret_error && vasprintf(ret_error, fmt, ap) < 0)
		*ret_error = NULL;
	va_end(ap);
	return err;
}

int clew_server_start(struct clew_store *st, struct clew_server **ret, char **ret_error)
{
	struct clew_server *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->st = st;
	r = conns_init(s);
	if (r == 0)
		r = listen_unix(s, ret_error);
	if (r >= 0) {
		int fd = r;

		r = http_serve(s, LISTEN_UNIX, fd, false);
		if (r < 0) {
			close(fd);
			server_fail(ret_error, r, "cannot serve %s/" CLEW_SERVER_SOCKET,
				    clew_store_dir(st));
		}
	}
	if (r < 0) {
		clew_server_stop(s);
		return r;
	}
	*ret = s;
	return 0;
}

/* ---- TCP ---- */

static int read_pem(const char *option, const char *path, char **ret, char **ret_error)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_(freep) char *text = malloc(TLS_FILE_MAX + 1);
	ssize_t n = fd < 0 || !text ? -1 : read(fd, text, TLS_FILE_MAX);

	if (n < 0)
		return server_fail(ret_error, -errno, "--%s %s: %s", option, path, strerror(errno));
	text[n] = '\0';
	if (!strstr(text, "-----BEGIN "))
		return server_fail(ret_error, -EINVAL, "--%s %s: not a PEM file", option, path);
	*ret = clew_steal(text);
	return 0;
}

static int read_secrets(struct clew_server *s, const struct clew_server_opts *o, char **ret_error)
{
	int r = 0;

	if (o->token)
		s->token = strdup(o->token);
	else if (o->token_file)
		r = auth_token_read(o->token_file, &s->token, ret_error);
	if (r < 0)
		return r;
	if (s->token && strlen(s->token) < CLEW_SERVER_MIN_TOKEN)
		return server_fail(ret_error, -EINVAL,
				   "the token is shorter than %u characters: make one with openssl "
				   "rand -hex 32",
				   CLEW_SERVER_MIN_TOKEN);
	if (!o->tls_cert != !o->tls_key)
		return server_fail(ret_error, -EINVAL, "--tls-cert and --tls-key go together");
	if (o->tls_cert)
		r = read_pem("tls-cert", o->tls_cert, &s->cert, ret_error);
	if (r == 0 && o->tls_key)
		r = read_pem("tls-key", o->tls_key, &s->key, ret_error);
	return r;
}

static int check_address(struct clew_server *s, const char *address, char **ret_error)
{
	int loopback = listen_loopback(address);

	if (loopback < 0)
		return server_fail(ret_error, -EINVAL, "--listen %s: not an IPv4 or IPv6 address",
				   address);
	if (!loopback && !s->token)
		return server_fail(
			ret_error, -EINVAL,
			"--listen %s lets other machines in: that needs a token, from "
			"--token-file FILE or in CLEW_TOKEN (openssl rand -hex 32 makes one)",
			address);
	if (strchr(address, ':') ? asprintf(&s->host, "[%s]", address) < 0
				 : !(s->host = strdup(address)))
		return -ENOMEM;
	return 0;
}

static int serve_tcp(struct clew_server *s, enum listener_kind kind, uint16_t port,
		     const char *option, const char *address, char **ret_error)
{
	struct listener *l = &s->listeners[kind];
	int fd, r = listen_tcp(s, address, port, option, &fd, &l->port, ret_error);

	if (r < 0)
		return r;
	r = http_serve(s, kind, fd, s->cert != NULL);
	if (r < 0) {
		close(fd);
		server_fail(ret_error, r,
			    s->cert ? "cannot serve port %u: the certificate and the key are not "
				      "ones, or do not go together"
				    : "cannot serve port %u",
			    l->port);
	}
	return r;
}

static int serve_grpc(struct clew_server *s, uint16_t port, const char *address, char **ret_error)
{
	int fd, r = listen_tcp(s, address, port, "otlp-grpc-port", &fd, &s->grpc_port, ret_error);

	return r < 0 ? r : grpc_start(s, fd, &s->grpc, ret_error);
}

int clew_server_listen(struct clew_server *s, const struct clew_server_opts *o, char **ret_error)
{
	const char *address = o->listen ? o->listen : "127.0.0.1";
	int r = read_secrets(s, o, ret_error);

	if (r == 0)
		r = check_address(s, address, ret_error);
	if (r == 0)
		r = page_open(s, o->ui_dir, ret_error);
	if (r == 0) {
		s->opts.retention = o->retention;
		clew_store_set_retention(s->st, &o->retention);
		r = watch_start(s);
	}
	if (r == 0)
		r = serve_tcp(s, LISTEN_HTTP, o->http_port, "http-port", address, ret_error);
	if (r == 0 && o->otlp)
		r = serve_tcp(s, LISTEN_OTLP, o->otlp_http_port, "otlp-http-port", address,
			      ret_error);
	if (r == 0 && o->otlp)
		r = serve_grpc(s, o->otlp_grpc_port, address, ret_error);
	if (r == 0)
		r = ports_write(s, ret_error);
	return r;
}

void clew_server_on_received(struct clew_server *s, clew_server_received_fn fn, void *user)
{
	s->received_fn = fn;
	s->received_user = user;
}

/* Until none is left, at most so long. */
static void wait_for_none(const _Atomic uint32_t *n, uint64_t at_most_ns)
{
	uint64_t begin = clew_mono_ns();

	while (atomic_load(n) && clew_mono_ns() - begin < at_most_ns)
		nanosleep(&(struct timespec){.tv_nsec = SERVER_POLL_NS}, NULL);
}

void clew_server_end_intake(struct clew_server *s)
{
	atomic_store(&s->intake_ended, true);
	wait_for_none(&s->submissions, SERVER_DRAIN_NS);
}

void clew_server_ports(const struct clew_server *s, struct clew_server_ports *ret)
{
	*ret = (struct clew_server_ports){
		.host = s->host ? s->host : "",
		.tls = s->cert != NULL,
		.http = s->listeners[LISTEN_HTTP].port,
		.otlp_grpc = s->grpc_port,
		.otlp_http = s->listeners[LISTEN_OTLP].port,
	};
}

/* ---- the end ---- */

/* No new connections; those requests that run are waited for. */
static void drain(struct clew_server *s)
{
	for (int i = 0; i < LISTEN_KINDS; i++) {
		MHD_socket fd = s->listeners[i].daemon ? MHD_quiesce_daemon(s->listeners[i].daemon)
						       : MHD_INVALID_SOCKET;

		if (fd != MHD_INVALID_SOCKET)
			close(fd);
	}
	wait_for_none(&s->active, SERVER_DRAIN_NS);
}

void clew_server_stop(struct clew_server *s)
{
	if (!s)
		return;
	atomic_store(&s->stopping, true);
	/* First, so that no command finds a socket that will not answer. */
	if (s->bound)
		(void)!unlinkat(clew_store_fd(s->st), CLEW_SERVER_SOCKET, 0);
	ports_remove(s);
	tail_stop(s->tail);
	grpc_stop(s->grpc);
	drain(s);
	for (int i = 0; i < LISTEN_KINDS; i++)
		if (s->listeners[i].daemon)
			MHD_stop_daemon(s->listeners[i].daemon);
	/* The store's writer settles each at its next attempt to write. */
	wait_for_none(&s->submissions, UINT64_MAX);
	watch_stop(s);
	conns_done(s);
	page_close(s);
	free(s->host);
	if (s->key)
		explicit_bzero(s->key, strlen(s->key));
	if (s->token)
		explicit_bzero(s->token, strlen(s->token));
	free(s->token);
	free(s->cert);
	free(s->key);
	free(s);
}
