/* SPDX-License-Identifier: Apache-2.0 */
/* clew-load's command line. */
#include "load.h"

#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

struct load_opts opt = {.method = "GET", .n_conns = 32};

void die(const char *what, const char *arg)
{
	fprintf(stderr, "clew-load: %s: %s\n", what, arg);
	exit(2);
}

static const char usage[] =
	"usage: clew-load [-c CONNS] [-n REQUESTS] [-d SECONDS] [-r RATE] [--think-ms MEAN] "
	"[--close]\n"
	"                 [-X METHOD] [-H 'Name: value']... [-l LOGFILE] [-u SOCKET] "
	"http://HOST:PORT/PATH\n"
	"  %t in the path becomes a fresh token of 32 hex digits; -r makes the loop open;\n"
	"  [::1] is an address too; -u connects to a Unix socket instead.\n";

static void parse_url(const char *url, const char *unix_path)
{
	struct addrinfo hint = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST}, *ai;
	char node[256], port[16] = "80";
	const char *p = url, *slash;
	size_t n;

	if (!strncmp(p, "http://", 7))
		p += 7;
	slash = strchr(p, '/');
	n = slash ? (size_t)(slash - p) : strlen(p);
	if (!n || n >= sizeof(node))
		die("not an http://HOST:PORT/PATH", url);
	snprintf(opt.host, sizeof(opt.host), "%.*s", (int)n, p);
	snprintf(opt.path, sizeof(opt.path), "%s", slash ? slash : "/");
	if (unix_path) {
		struct sockaddr_un *un = (void *)&opt.addr;

		un->sun_family = AF_UNIX;
		snprintf(un->sun_path, sizeof(un->sun_path), "%s", unix_path);
		opt.addr_len = sizeof(*un);
		return;
	}
	if (opt.host[0] == '[') {
		if (sscanf(opt.host, "[%255[^]]]:%15s", node, port) < 1)
			die("not an address", opt.host);
	} else if (sscanf(opt.host, "%255[^:]:%15s", node, port) < 1) {
		die("not an address", opt.host);
	}
	if (!strcmp(node, "localhost"))
		snprintf(node, sizeof(node), "127.0.0.1");
	if (getaddrinfo(node, port, &hint, &ai))
		die("not a numeric address (only loopback or your own networks are meant)", node);
	memcpy(&opt.addr, ai->ai_addr, ai->ai_addrlen);
	opt.addr_len = ai->ai_addrlen;
	freeaddrinfo(ai);
}

static void add_header(const char *h)
{
	size_t n = strlen(opt.headers);

	if (n + strlen(h) + 3 > sizeof(opt.headers))
		die("too many headers; at most 2 KiB", h);
	snprintf(opt.headers + n, sizeof(opt.headers) - n, "%s\r\n", h);
}

void parse_options(int argc, char **argv)
{
	static const struct option longs[] = {{"think-ms", 1, NULL, 'T'},
					      {"close", 0, NULL, 'C'},
					      {"log", 1, NULL, 'l'},
					      {"help", 0, NULL, 'h'},
					      {0}};
	const char *unix_path = NULL;
	int o;

	while ((o = getopt_long(argc, argv, "c:n:d:r:X:H:l:u:h", longs, NULL)) >= 0) {
		switch (o) {
		case 'c':
			opt.n_conns = (unsigned int)atoi(optarg);
			break;
		case 'n':
			opt.n_requests = strtoull(optarg, NULL, 10);
			break;
		case 'd':
			opt.duration_ns = (uint64_t)(atof(optarg) * (double)NS);
			break;
		case 'r':
			opt.rate = atof(optarg);
			break;
		case 'T':
			opt.think_ns = (uint64_t)(atof(optarg) * 1e6);
			break;
		case 'C':
			opt.close_each = true;
			break;
		case 'X':
			opt.method = optarg;
			break;
		case 'H':
			add_header(optarg);
			break;
		case 'u':
			unix_path = optarg;
			break;
		case 'l':
			opt.log = fopen(optarg, "we");
			if (!opt.log)
				die(optarg, strerror(errno));
			break;
		default:
			fputs(usage, o == 'h' ? stdout : stderr);
			exit(o == 'h' ? 0 : 2);
		}
	}
	if (optind + 1 != argc || opt.n_conns < 1 || opt.n_conns > MAX_CONNS ||
	    (!opt.n_requests && !opt.duration_ns)) {
		fputs(usage, stderr);
		exit(2);
	}
	parse_url(argv[optind], unix_path);
}
