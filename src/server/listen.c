/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets, and the file that says where they are. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/json.h"
#include "server/internal.h"

#define BACKLOG 256

/*
 * The directory's path may be longer than a socket's address takes (108 bytes); /proc's name of its
 * descriptor is short.
 */
static void socket_address(int dir_fd, struct sockaddr_un *sa)
{
	*sa = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(sa->sun_path, sizeof(sa->sun_path), "/proc/self/fd/%d/" CLEW_SERVER_SOCKET,
		 dir_fd);
}

static int unix_fail(char **ret_error, const char *what, const char *dir)
{
	return server_fail(ret_error, -errno, "cannot %s %s/" CLEW_SERVER_SOCKET ": %s", what, dir,
			   strerror(errno));
}

int listen_unix(struct clew_server *s, char **ret_error)
{
	int dir_fd = clew_store_fd(s->st);
	const char *dir = clew_store_dir(s->st);
	struct sockaddr_un sa;
	_cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int got;

	socket_address(dir_fd, &sa);
	if (fd < 0)
		return unix_fail(ret_error, "make", dir);
	if (unlinkat(dir_fd, CLEW_SERVER_SOCKET, 0) < 0 && errno != ENOENT)
		return unix_fail(ret_error, "replace", dir);
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return unix_fail(ret_error, "bind", dir);
	s->bound = true;
	if (fchmodat(dir_fd, CLEW_SERVER_SOCKET, 0600, 0) < 0)
		return unix_fail(ret_error, "protect", dir);
	if (listen(fd, 64) < 0)
		return unix_fail(ret_error, "listen on", dir);
	got = fd;
	fd = -1;
	return got;
}

/* ---- TCP ---- */

static int resolve(const char *address, uint16_t port, struct sockaddr_storage *ret)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC,
				 .ai_socktype = SOCK_STREAM,
				 .ai_flags = AI_NUMERICHOST | AI_PASSIVE | AI_NUMERICSERV};
	struct addrinfo *found;
	char service[8];

	if (!strcmp(address, "localhost"))
		address = "127.0.0.1";
	snprintf(service, sizeof(service), "%u", port);
	if (getaddrinfo(address, service, &hints, &found))
		return -EINVAL;
	*ret = (struct sockaddr_storage){0};
	memcpy(ret, found->ai_addr, found->ai_addrlen);
	freeaddrinfo(found);
	return 0;
}

int listen_loopback(const char *address)
{
	struct sockaddr_storage sa;
	const struct sockaddr_in *v4 = (struct sockaddr_in *)&sa;
	const struct in6_addr *v6 = &((struct sockaddr_in6 *)&sa)->sin6_addr;
	int r = resolve(address, 0, &sa);

	if (r < 0)
		return r;
	if (sa.ss_family == AF_INET)
		return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
	return IN6_IS_ADDR_LOOPBACK(v6) || (IN6_IS_ADDR_V4MAPPED(v6) && v6->s6_addr[12] == 127);
}

static int tcp_fail(char **ret_error, const char *address, uint16_t port, const char *option)
{
	if (errno == EADDRINUSE)
		return server_fail(ret_error, -EADDRINUSE,
				   "port %u on %s is taken by another program; choose another with "
				   "--%s (0 takes a free one)",
				   port, address, option);
	if (errno == EADDRNOTAVAIL)
		return server_fail(ret_error, -EADDRNOTAVAIL,
				   "--listen %s: this machine has no such address", address);
	return server_fail(ret_error, -errno, "cannot listen on %s port %u: %s", address, port,
			   strerror(errno));
}

int listen_tcp(struct clew_server *s, const char *address, uint16_t port, const char *option,
	       int *ret_fd, uint16_t *ret_port, char **ret_error)
{
	struct sockaddr_storage sa;
	socklen_t n = sizeof(sa);
	_cleanup_(closep) int fd = -1;

	if (resolve(address, port, &sa) < 0)
		return server_fail(ret_error, -EINVAL, "--listen %s: not an IPv4 or IPv6 address",
				   address);
	fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return tcp_fail(ret_error, address, port, option);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	if (sa.ss_family == AF_INET6) /* "::" is all addresses, of IPv4 too */
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){0}, sizeof(int));
	if (bind(fd, (struct sockaddr *)&sa,
		 sa.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
					  : sizeof(struct sockaddr_in)) < 0 ||
	    listen(fd, BACKLOG) < 0 || getsockname(fd, (struct sockaddr *)&sa, &n) < 0)
		return tcp_fail(ret_error, address, port, option);
	*ret_port = ntohs(sa.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&sa)->sin6_port
						   : ((struct sockaddr_in *)&sa)->sin_port);
	*ret_fd = fd;
	fd = -1;
	return 0;
}

/* ---- ports.json ---- */

static int write_file(int dir_fd, const char *name, struct slice text)
{
	_cleanup_(closep) int fd = -1;

	(void)!unlinkat(dir_fd, name, 0);
	fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	return write(fd, text.p, text.n) == (ssize_t)text.n ? 0 : -EIO;
}

/* Written under another name first: who reads it finds all of it or none. */
int ports_write(struct clew_server *s, char **ret_error)
{
	int dir_fd = clew_store_fd(s->st), r;
	struct clew_server_ports p;
	struct clew_buf b = {0};

	clew_server_ports(s, &p);
	clew_buf_addf(&b, "{\"pid\":%d,\"host\":", (int)getpid());
	clew_json_str(&b, slice_str(p.host));
	clew_buf_addf(&b, ",\"tls\":%s,\"http\":%u", p.tls ? "true" : "false", p.http);
	if (p.otlp_http)
		clew_buf_addf(&b, ",\"otlp_http\":%u", p.otlp_http);
	if (p.otlp_grpc)
		clew_buf_addf(&b, ",\"otlp_grpc\":%u", p.otlp_grpc);
	clew_buf_adds(&b, "}\n");
	r = b.err;
	if (r == 0)
		r = write_file(dir_fd, CLEW_SERVER_PORTS ".new", clew_buf_slice(&b));
	if (r == 0 && renameat(dir_fd, CLEW_SERVER_PORTS ".new", dir_fd, CLEW_SERVER_PORTS) < 0)
		r = -errno;
	clew_buf_done(&b);
	s->ports_written = r == 0;
	return r == 0 ? 0
		      : server_fail(ret_error, r, "cannot write %s/" CLEW_SERVER_PORTS ": %s",
				    clew_store_dir(s->st), strerror(-r));
}

void ports_remove(struct clew_server *s)
{
	if (s->ports_written)
		(void)!unlinkat(clew_store_fd(s->st), CLEW_SERVER_PORTS, 0);
}
