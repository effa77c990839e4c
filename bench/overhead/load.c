/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clew-load: an HTTP/1.1 load generator that knows what it sent.
 *
 *	closed loop:	-c connections, each sends its next request when the answer has come (and a
 * random think time has passed): the number of requests in flight is at most -c open loop:	-r
 * requests a second on a fixed schedule, whatever the answers do; latency is counted from the
 **intended* time, so that a stall is not hidden by the requests it held back
 *
 * Each "%t" in the URL becomes a fresh random token (32 hex digits), one a request. --log FILE has
 * a line a request: token, status (0: none), start and end in Unix ns, "done" or "cut". A request is
 * "cut" when the load ended or the connection broke before its whole answer was here; a log is
 * written for each request that was sent, whatever came of it.
 *
 * One thread, epoll. Standard output gets one JSON object.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MAX_CONNS    4096
#define MAX_SAMPLES  (64u << 20) /* latencies kept; beyond it samples_lost counts */
#define MAX_REQUEST  8192
#define MAX_HEAD     16384
#define TOKEN_DIGITS 32
#define NS	     1000000000ull

enum state { CLOSED, IDLE, CONNECTING, SENDING, HEAD, BODY };

/* Where a chunked body is: the size's line, the data with its CRLF, or the trailer's lines. */
enum chunk_state { CH_SIZE, CH_DATA, CH_TRAILER };

struct conn {
	int fd;
	enum state state;
	uint64_t due_ns;     /* intended start, monotonic */
	uint64_t start_ns;   /* Unix */
	uint64_t not_before; /* thinking until then, monotonic */
	char token[TOKEN_DIGITS + 1];
	size_t out_len, out_off, in_len;
	int status;
	bool keep, chunked, to_eof;
	uint64_t body_left;
	enum chunk_state chunk;
	bool chunk_digits, line_empty;
	char out[MAX_REQUEST];
	char in[MAX_HEAD];
};

static struct {
	struct sockaddr_storage addr;
	socklen_t addr_len;
	char host[256];
	char path[4096];
	char headers[2048];
	const char *method;
	unsigned int n_conns;
	uint64_t n_requests, duration_ns, think_ns;
	double rate;
	bool close_each;
	FILE *log;
} opt = {.method = "GET", .n_conns = 32};

static struct {
	uint64_t sent, done, ok, cut, broken, samples_lost, in_flight_sum;
	uint64_t by_class[6]; /* status / 100 */
	unsigned int in_flight;
	uint64_t *lat;
	size_t n_lat, cap_lat;
} st;

static struct conn *conns;
static int ep;
static uint64_t rng[2];
static volatile sig_atomic_t stop;
static uint64_t begin_ns, next_due_ns;

static uint64_t now(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * NS + (uint64_t)t.tv_nsec;
}

/* xorshift128+: tokens must be fresh, not secret; seeded from the system. */
static uint64_t rand64(void)
{
	uint64_t a = rng[0], b = rng[1];

	rng[0] = b;
	a ^= a << 23;
	rng[1] = a ^ b ^ (a >> 17) ^ (b >> 26);
	return rng[1] + b;
}

static void new_token(char *out)
{
	snprintf(out, TOKEN_DIGITS + 1, "%016llx%016llx", (unsigned long long)rand64(),
		 (unsigned long long)rand64());
}

static void die(const char *what, const char *arg)
{
	fprintf(stderr, "clew-load: %s: %s\n", what, arg);
	exit(2);
}

/* ---- one request's end ---- */

static void add_sample(uint64_t ns)
{
	if (st.n_lat == st.cap_lat) {
		size_t cap = st.cap_lat ? st.cap_lat * 2 : 65536;
		uint64_t *p = cap <= MAX_SAMPLES ? realloc(st.lat, cap * sizeof(*p)) : NULL;

		if (!p) {
			st.samples_lost++;
			return;
		}
		st.lat = p;
		st.cap_lat = cap;
	}
	st.lat[st.n_lat++] = ns;
}

static void log_request(const struct conn *c, bool done)
{
	if (opt.log)
		fprintf(opt.log, "%s\t%d\t%llu\t%llu\t%s\n", c->token, c->status,
			(unsigned long long)c->start_ns, (unsigned long long)now(CLOCK_REALTIME),
			done ? "done" : "cut");
}

static void close_conn(struct conn *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->state = CLOSED;
}

static bool busy(const struct conn *c)
{
	return c->state >= CONNECTING;
}

static void think(struct conn *c)
{
	double u;

	if (!opt.think_ns)
		return;
	u = (double)(rand64() >> 11) / (double)(1ull << 53);
	/* uniform on 0 to twice the mean: bounded, so that a run ends */
	c->not_before = now(CLOCK_MONOTONIC) + (uint64_t)(u * 2.0 * (double)opt.think_ns);
}

static void request_done(struct conn *c)
{
	add_sample(now(CLOCK_MONOTONIC) - c->due_ns);
	st.done++;
	st.in_flight--;
	if (c->status >= 100 && c->status < 600)
		st.by_class[c->status / 100]++;
	if (c->status >= 200 && c->status < 400)
		st.ok++;
	log_request(c, true);
	think(c);
	c->state = IDLE;
	if (!c->keep || opt.close_each)
		close_conn(c);
}

static void request_failed(struct conn *c)
{
	if (busy(c)) {
		st.broken++;
		st.in_flight--;
		log_request(c, false);
		think(c);
	}
	close_conn(c);
}

/* ---- answers ---- */

static const char *find_header(const char *head, const char *name)
{
	size_t n = strlen(name);
	const char *p = head;

	while ((p = strstr(p, "\r\n"))) {
		p += 2;
		if (!strncasecmp(p, name, n) && p[n] == ':') {
			p += n + 1;
			while (*p == ' ')
				p++;
			return p;
		}
	}
	return NULL;
}

/* Reads the head that ends at @len (NUL-terminated there); false when it is no HTTP. */
static bool read_head(struct conn *c)
{
	const char *h = c->in, *v;
	int minor;

	if (sscanf(h, "HTTP/1.%d %d", &minor, &c->status) != 2)
		return false;
	c->keep = minor == 1;
	v = find_header(h, "connection");
	if (v && !strncasecmp(v, "close", 5))
		c->keep = false;
	else if (v && !strncasecmp(v, "keep-alive", 10))
		c->keep = true;
	c->chunked = false;
	c->to_eof = false;
	c->body_left = 0;
	if (c->status == 204 || c->status == 304 || !strcmp(opt.method, "HEAD"))
		return true;
	v = find_header(h, "transfer-encoding");
	if (v && !strncasecmp(v, "chunked", 7)) {
		c->chunked = true;
		c->chunk = CH_SIZE;
		c->chunk_digits = false;
		return true;
	}
	v = find_header(h, "content-length");
	if (v)
		c->body_left = strtoull(v, NULL, 10);
	else
		c->to_eof = true;
	return true;
}

/* Feeds body bytes; true when the body is whole. Broken chunks end it too: status stays what it
 * was. */
static bool read_chunks(struct conn *c, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char b = p[i];

		switch (c->chunk) {
		case CH_SIZE:
			if (b == '\n') {
				c->chunk = c->body_left ? CH_DATA : CH_TRAILER;
				c->body_left += 2; /* the data's CRLF */
				c->line_empty = true;
				c->chunk_digits = false;
			} else if (!c->chunk_digits && strchr("0123456789abcdefABCDEF", b)) {
				c->body_left = c->body_left * 16 +
					       (uint64_t)(b <= '9' ? b - '0' : (b | 32) - 'a' + 10);
			} else {
				c->chunk_digits = true; /* an extension, or CR */
			}
			break;
		case CH_DATA:
			if (--c->body_left == 0)
				c->chunk = CH_SIZE;
			break;
		case CH_TRAILER:
			if (b == '\n' && c->line_empty)
				return true;
			c->line_empty = b == '\n' || (b == '\r' && c->line_empty);
			break;
		}
	}
	return false;
}

static bool read_body(struct conn *c, const char *p, size_t n)
{
	if (c->chunked)
		return read_chunks(c, p, n);
	if (c->to_eof)
		return false;
	c->body_left -= n < c->body_left ? n : c->body_left;
	return c->body_left == 0;
}

static void on_head(struct conn *c)
{
	char *end = strstr(c->in, "\r\n\r\n");
	size_t head;

	if (!end) {
		if (c->in_len == sizeof(c->in) - 1)
			request_failed(c);
		return;
	}
	head = (size_t)(end - c->in) + 4;
	if (!read_head(c)) {
		request_failed(c);
		return;
	}
	if (c->status / 100 == 1) {
		memmove(c->in, c->in + head, c->in_len - head + 1);
		c->in_len -= head;
		on_head(c);
		return;
	}
	c->state = BODY;
	if (!c->chunked && !c->to_eof && !c->body_left)
		request_done(c);
	else if (read_body(c, c->in + head, c->in_len - head))
		request_done(c);
}

static void on_readable(struct conn *c)
{
	static char scrap[65536];
	ssize_t n;

	if (c->state == HEAD)
		n = read(c->fd, c->in + c->in_len, sizeof(c->in) - 1 - c->in_len);
	else
		n = read(c->fd, scrap, sizeof(scrap));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		if (c->state == BODY && c->to_eof && n == 0) {
			c->keep = false;
			request_done(c);
		} else {
			request_failed(c);
		}
		return;
	}
	if (c->state == HEAD) {
		c->in_len += (size_t)n;
		c->in[c->in_len] = 0;
		on_head(c);
	} else if (c->state == BODY) {
		if (read_body(c, scrap, (size_t)n))
			request_done(c);
	} else {
		request_failed(c); /* an idle connection that talks is of no use */
	}
}

/* ---- requests ---- */

static void watch(struct conn *c, uint32_t events, int op)
{
	struct epoll_event ev = {.events = events, .data.u32 = (uint32_t)(c - conns)};

	if (epoll_ctl(ep, op, c->fd, &ev) < 0)
		die("epoll_ctl", strerror(errno));
}

static void send_more(struct conn *c)
{
	while (c->out_off < c->out_len) {
		ssize_t n = send(c->fd, c->out + c->out_off, c->out_len - c->out_off, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			watch(c, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
			return;
		}
		if (n < 0) {
			request_failed(c);
			return;
		}
		c->out_off += (size_t)n;
	}
	c->state = HEAD;
}

static bool open_conn(struct conn *c)
{
	int one = 1, r;

	c->fd = socket(opt.addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		die("socket", strerror(errno));
	if (opt.addr.ss_family != AF_UNIX)
		setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	r = connect(c->fd, (struct sockaddr *)&opt.addr, opt.addr_len);
	if (r < 0 && errno != EINPROGRESS) {
		c->state = CONNECTING;
		request_failed(c);
		return false;
	}
	c->state = r < 0 ? CONNECTING : SENDING;
	watch(c, r < 0 ? EPOLLIN | EPOLLOUT : EPOLLIN, EPOLL_CTL_ADD);
	return true;
}

static void write_request(struct conn *c)
{
	char path[sizeof(opt.path) + 512];
	size_t n = 0;
	int len;

	for (const char *p = opt.path; *p && n < sizeof(path) - TOKEN_DIGITS - 1; p++) {
		if (p[0] == '%' && p[1] == 't') {
			memcpy(path + n, c->token, TOKEN_DIGITS);
			n += TOKEN_DIGITS;
			p++;
		} else {
			path[n++] = *p;
		}
	}
	path[n] = 0;
	len = snprintf(c->out, sizeof(c->out), "%s %s HTTP/1.1\r\nHost: %s\r\n%s%s\r\n", opt.method,
		       path, opt.host, opt.headers, opt.close_each ? "Connection: close\r\n" : "");
	if (len < 0 || (size_t)len >= sizeof(c->out))
		die("the request is too long", opt.path);
	c->out_len = (size_t)len;
	c->out_off = 0;
}

static void start_request(struct conn *c, uint64_t due_ns)
{
	c->due_ns = due_ns;
	c->start_ns = now(CLOCK_REALTIME);
	c->status = 0;
	c->in_len = 0;
	new_token(c->token);
	write_request(c);
	st.sent++;
	st.in_flight++;
	st.in_flight_sum += st.in_flight;
	if (c->state == CLOSED) {
		if (!open_conn(c) || c->state == CONNECTING)
			return;
	} else {
		c->state = SENDING;
	}
	send_more(c);
}

static void on_event(struct conn *c, uint32_t events)
{
	int err = 0;
	socklen_t len = sizeof(err);

	if (c->state == CONNECTING) {
		if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0 || err) {
			request_failed(c);
			return;
		}
		if (events & EPOLLOUT) {
			watch(c, EPOLLIN, EPOLL_CTL_MOD);
			c->state = SENDING;
			send_more(c);
		}
		return;
	}
	if (c->state == SENDING && (events & EPOLLOUT)) {
		watch(c, EPOLLIN, EPOLL_CTL_MOD);
		send_more(c);
		return;
	}
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		on_readable(c);
}

/* ---- the schedule ---- */

static bool may_issue(uint64_t t)
{
	if (stop || (opt.n_requests && st.sent >= opt.n_requests))
		return false;
	return !opt.duration_ns || t < begin_ns + opt.duration_ns;
}

/* Starts what is due; returns when the next start is due (0: nothing but events can bring one). */
static uint64_t issue(uint64_t t)
{
	uint64_t wake = 0, step = opt.rate > 0 ? (uint64_t)((double)NS / opt.rate) : 0;

	for (unsigned int i = 0; i < opt.n_conns && may_issue(t); i++) {
		struct conn *c = &conns[i];

		if (busy(c))
			continue;
		if (step) {
			if (next_due_ns > t)
				return next_due_ns;
			start_request(c, next_due_ns);
			next_due_ns += step;
			continue;
		}
		if (c->not_before > t) {
			wake = !wake || c->not_before < wake ? c->not_before : wake;
			continue;
		}
		start_request(c, t);
		if (!busy(c)) /* refused at once: do not spin */
			c->not_before = t + NS / 100;
	}
	return wake;
}

static void loop(void)
{
	const uint64_t grace = 10 * NS;
	uint64_t end_ns = 0;

	begin_ns = next_due_ns = now(CLOCK_MONOTONIC);
	for (;;) {
		struct epoll_event ev[256];
		uint64_t t = now(CLOCK_MONOTONIC), wake = issue(t);
		uint64_t wait = NS / 20;
		struct timespec ts;
		int n;

		if (!may_issue(t)) {
			end_ns = end_ns ? end_ns : t;
			if (!st.in_flight || t > end_ns + grace)
				break;
		} else if (wake) {
			wait = wake > t ? wake - t : 0;
			wait = wait < NS / 20 ? wait : NS / 20;
		}
		ts.tv_sec = 0;
		ts.tv_nsec = (long)wait;
		n = epoll_pwait2(ep, ev, 256, &ts, NULL);
		for (int i = 0; i < n; i++)
			on_event(&conns[ev[i].data.u32], ev[i].events);
	}
	for (unsigned int i = 0; i < opt.n_conns; i++) {
		if (busy(&conns[i])) {
			st.cut++;
			log_request(&conns[i], false);
		}
		close_conn(&conns[i]);
	}
}

/* ---- results ---- */

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static double percentile_us(double p)
{
	size_t i;

	if (!st.n_lat)
		return 0;
	i = (size_t)(p * (double)(st.n_lat - 1));
	return (double)st.lat[i] / 1000.0;
}

static void report(double seconds)
{
	qsort(st.lat, st.n_lat, sizeof(*st.lat), by_value);
	printf("{\"sent\":%llu,\"done\":%llu,\"ok\":%llu,\"cut\":%llu,\"broken\":%llu,",
	       (unsigned long long)st.sent, (unsigned long long)st.done, (unsigned long long)st.ok,
	       (unsigned long long)st.cut, (unsigned long long)st.broken);
	printf("\"status_2xx\":%llu,\"status_3xx\":%llu,\"status_4xx\":%llu,\"status_5xx\":%llu,",
	       (unsigned long long)st.by_class[2], (unsigned long long)st.by_class[3],
	       (unsigned long long)st.by_class[4], (unsigned long long)st.by_class[5]);
	printf("\"seconds\":%.6f,\"rps\":%.1f,\"in_flight_mean\":%.2f,\"samples_lost\":%llu,",
	       seconds, seconds > 0 ? (double)st.done / seconds : 0,
	       st.sent ? (double)st.in_flight_sum / (double)st.sent : 0,
	       (unsigned long long)st.samples_lost);
	printf("\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f}"
	       "\n",
	       percentile_us(0.50), percentile_us(0.90), percentile_us(0.99), percentile_us(0.999),
	       percentile_us(1.0));
}

/* ---- options ---- */

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

static void parse_options(int argc, char **argv)
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

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

int main(int argc, char **argv)
{
	uint64_t t;

	parse_options(argc, argv);
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	prctl(PR_SET_TIMERSLACK, 1);
	if (getrandom(rng, sizeof(rng), 0) != sizeof(rng))
		die("getrandom", strerror(errno));
	ep = epoll_create1(EPOLL_CLOEXEC);
	conns = calloc(opt.n_conns, sizeof(*conns));
	if (ep < 0 || !conns)
		die("cannot start", strerror(errno));
	for (unsigned int i = 0; i < opt.n_conns; i++)
		conns[i].fd = -1;
	t = now(CLOCK_MONOTONIC);
	loop();
	report((double)(now(CLOCK_MONOTONIC) - t) / 1e9);
	if (opt.log && fclose(opt.log))
		die("log", strerror(errno));
	free(conns);
	free(st.lat);
	return 0;
}
