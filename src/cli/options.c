/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one table of options: parser, --help, man page, configuration file and environment come from
 * here. Rows stand in the order in which help shows them.
 */
#include "cli/cli.h"

#include "abi/record.h"

#define DB_DEFAULT                                                                 \
	"Without it: /var/lib/clew for root, else clew in the XDG data directory " \
	"(~/.local/share/clew)."

const struct clew_option cli_options[] = {
	/* What to trace. */
	{"pid", 'p', CLEW_OPT_NUMBER, "PID", NULL, CLI_RECORD,
	 "Trace this process and its descendants.", .min = 1, .max = 1u << 22, .repeat = true,
	 .group = "What to trace"},
	{"cgroup", 0, CLEW_OPT_STRING, "PATH", NULL, CLI_RECORD,
	 "Trace the processes of this cgroup and of those below it; absolute, or relative to the "
	 "cgroup v2 mount.",
	 .repeat = true},
	{"exe", 0, CLEW_OPT_STRING, "GLOB", NULL, CLI_RECORD,
	 "Trace processes whose executable matches, running and future ones; a pattern without a "
	 "slash is matched against the file's name.",
	 .repeat = true},
	{"port", 0, CLEW_OPT_NUMBER, "N", NULL, CLI_RECORD,
	 "Trace the processes that listen on this TCP port, now or later.", .min = 1, .max = 65535,
	 .repeat = true},
	{"netns", 0, CLEW_OPT_STRING, "NAME|PATH", NULL, CLI_RECORD,
	 "Trace the processes of this network namespace: a name as of ip-netns, or a path.",
	 .repeat = true},
	{"all", 0, CLEW_OPT_FLAG, NULL, NULL, CLI_RECORD,
	 "Trace the whole host. Nothing less says so: it must be written out."},
	{"user", 0, CLEW_OPT_STRING, "NAME", NULL, CLI_RUN, "Run CMD as this user."},

	/* Where to and how. */
	{"db", 'd', CLEW_OPT_STRING, "DIR", NULL, CLI_QUERY | CLI_SERVER,
	 "The store's directory. " DB_DEFAULT, .env = "CLEW_DB", .config = true, .group = "Store"},
	{"db", 'd', CLEW_OPT_STRING, "DIR", NULL, CLI_SESSION,
	 "The store's directory. \"none\": traces are made and not kept. " DB_DEFAULT,
	 .env = "CLEW_DB", .config = true, .group = "Store and capture"},
	{"raw", 'o', CLEW_OPT_STRING, "FILE", NULL, CLI_CAPTURE,
	 "Write what was captured into a recording, for replay and dump; - is standard output. It "
	 "holds payload: keep it as safe as the traffic."},
	{"capture-only", 0, CLEW_OPT_FLAG, NULL, NULL, CLI_CAPTURE,
	 "With --raw: write the recording and make no traces."},
	{"duration", 0, CLEW_OPT_DURATION, "T", NULL, CLI_CAPTURE,
	 "Stop tracing after this time; the command of run goes on.", .min = 1000000},
	{"payload", 0, CLEW_OPT_SIZE, "BYTES", "4096", CLI_CAPTURE,
	 "How much of the start of each message is captured; 0 for none.", .max = CLEW_MAX_PAYLOAD,
	 .env = "CLEW_PAYLOAD", .config = true},
	{"ring-size", 0, CLEW_OPT_SIZE, "N", "16MiB", CLI_CAPTURE,
	 "Size of the rings between kernel and user space, all processors together; at least two "
	 "chunks of 16 KiB for each processor.",
	 .min = 4096, .max = 1u << 30, .env = "CLEW_RING_SIZE", .config = true},
	{"agent", 0, CLEW_OPT_CHOICE, "RUNTIME", NULL, CLI_CAPTURE,
	 "Put an agent into running processes of this runtime, which tells requests apart where "
	 "nothing else can: orphans for want of a task get their parent; it leaves when the "
	 "tracing ends. node: each HTTP request gets a number that follows timers, promises and "
	 "fetch, and costs about a third more processor time (40 to 200 us with two calls); the "
	 "inspector is opened for a moment (SIGUSR1, port 9229). java: work handed to executors, "
	 "CompletableFutures, virtual threads, java.net.http and Tomcat's pool is followed, some 6 "
	 "us each; a library stays in the JVM, idle.",
	 .choices = "node|java", .repeat = true, .env = "CLEW_AGENT", .config = true},
	{"tasks", 0, CLEW_OPT_CHOICE, "WHAT", "probes", CLI_CAPTURE,
	 "How runtimes' own tasks (goroutines, contexts of asyncio, virtual threads) are told "
	 "apart. none: threads stand for themselves. memory: read at each socket operation, 0.3 to "
	 "0.6 us. probes: and Go's HTTP client, Python's futures and uvloop are followed, 1 to 2 "
	 "us a call.",
	 .choices = "none|memory|probes", .env = "CLEW_TASKS", .config = true},
	{"go-channels", 0, CLEW_OPT_FLAG, NULL, NULL, CLI_CAPTURE,
	 "Follow work that Go programs give to worker goroutines through channels: a probe on each "
	 "element that is sent and on each that is received, about 80 us of CPU a request with "
	 "two calls.",
	 .env = "CLEW_GO_CHANNELS", .config = true},
	{"tokio-wakers", 0, CLEW_OPT_FLAG, NULL, NULL, CLI_CAPTURE,
	 "Follow which tokio task (Rust) wakes which: calls over clients whose connections have "
	 "tasks of their own (hyper, reqwest), and of workers behind a channel, are orphans "
	 "otherwise. A probe on each wake-up, 2 us each, about 5 for a call.",
	 .env = "CLEW_TOKIO_WAKERS", .config = true},
	{"python-copies", 0, CLEW_OPT_FLAG, NULL, NULL, CLI_CAPTURE,
	 "Follow work through asyncio's gather and create_task, whose calls are orphans "
	 "otherwise: a probe on each copy of a context, 2 to 3 us each, 6 to 20 a request.",
	 .env = "CLEW_PYTHON_COPIES", .config = true},
	{"capture-header", 0, CLEW_OPT_STRING, "NAME", NULL, CLI_SESSION,
	 "Keep this HTTP header as a span attribute. Credentials are never kept.", .repeat = true,
	 .env = "CLEW_CAPTURE_HEADER", .config = true},
	{"name", 0, CLEW_OPT_PAIR, "PID|EXE=SERVICE", NULL, CLI_SESSION,
	 "Call the service of this process, or of processes with this executable (a name, a path "
	 "or a glob), SERVICE.",
	 .repeat = true, .env = "CLEW_NAME", .config = true},
	{"without", 0, CLEW_OPT_STRING, "SOURCE,...", NULL, CLI_SESSION,
	 "Do without these sources of evidence, to see what each is worth: task, thread, connect, "
	 "completion, wake, fork, order, heap."},
	{"live", 0, CLEW_OPT_FLAG, NULL, NULL, CLI_SESSION, "Print a line for each finished trace.",
	 .env = "CLEW_LIVE", .config = true},

	/* The export. */
	{"export", 0, CLEW_OPT_STRING, "URL", NULL, CLI_SESSION,
	 "Send the spans to this OTLP receiver too: otlp+http://HOST:4318[/PATH], "
	 "otlp+grpc://HOST:4317, the same with https or grpcs for TLS; or env: where "
	 "OpenTelemetry's variables say (OTEL_EXPORTER_OTLP_ENDPOINT and the like), which are not "
	 "read otherwise.",
	 .env = "CLEW_EXPORT", .config = true, .group = "Export"},
	{"export-header", 0, CLEW_OPT_PAIR, "NAME=VALUE", NULL, CLI_SESSION,
	 "Send this header with each request; NAME=@FILE reads the value from a file, as is right "
	 "for credentials.",
	 .repeat = true, .env = "CLEW_EXPORT_HEADER", .config = true},
	{"export-timeout", 0, CLEW_OPT_DURATION, "T", NULL, CLI_SESSION,
	 "How long one request may take, and at the end all that is left. Default: 10s.",
	 .min = 1000000, .env = "CLEW_EXPORT_TIMEOUT", .config = true},
	{"export-encoding", 0, CLEW_OPT_CHOICE, "ENCODING", NULL, CLI_SESSION,
	 "protobuf, or json for receivers over HTTP that want it. Default: protobuf.",
	 .choices = "protobuf|json", .env = "CLEW_EXPORT_ENCODING", .config = true},
	{"export-no-gzip", 0, CLEW_OPT_FLAG, NULL, NULL, CLI_SESSION, "Do not compress.",
	 .env = "CLEW_EXPORT_NO_GZIP", .config = true},
	{"export-tls-ca", 0, CLEW_OPT_STRING, "FILE", NULL, CLI_SESSION,
	 "Trust these authorities (PEM) for the receiver's certificate, instead of the system's.",
	 .env = "CLEW_EXPORT_TLS_CA", .config = true},
	{"export-tls-cert", 0, CLEW_OPT_STRING, "FILE", NULL, CLI_SESSION,
	 "Our certificate (PEM), for receivers that ask for one.", .env = "CLEW_EXPORT_TLS_CERT",
	 .config = true},
	{"export-tls-key", 0, CLEW_OPT_STRING, "FILE", NULL, CLI_SESSION,
	 "Our certificate's key (PEM).", .env = "CLEW_EXPORT_TLS_KEY", .config = true},

	/* The server. */
	{"server", 0, CLEW_OPT_FLAG, NULL, NULL, CLI_CAPTURE,
	 "Serve the page and the APIs meanwhile, as clew server does.", .env = "CLEW_SERVER",
	 .config = true, .group = "Server"},
	{"listen", 0, CLEW_OPT_STRING, "ADDR", "127.0.0.1", CLI_SERVES,
	 "The IPv4 or IPv6 address to serve on; :: is all. Any but this machine's own needs a "
	 "token.",
	 .env = "CLEW_LISTEN", .config = true},
	{"http-port", 0, CLEW_OPT_NUMBER, "PORT", "16686", CLI_SERVES,
	 "The port of the page and the APIs; 0 takes a free one.", .max = 65535,
	 .env = "CLEW_HTTP_PORT", .config = true},
	{"otlp-grpc-port", 0, CLEW_OPT_NUMBER, "PORT", "4317", CLI_SERVES,
	 "The port of OTLP over gRPC; 0 takes a free one.", .max = 65535,
	 .env = "CLEW_OTLP_GRPC_PORT", .config = true},
	{"otlp-http-port", 0, CLEW_OPT_NUMBER, "PORT", "4318", CLI_SERVES,
	 "The port of OTLP over HTTP (POST /v1/traces); 0 takes a free one.", .max = 65535,
	 .env = "CLEW_OTLP_HTTP_PORT", .config = true},
	{"no-otlp", 0, CLEW_OPT_FLAG, NULL, NULL, CLI_SERVES, "Take no spans from others.",
	 .env = "CLEW_NO_OTLP", .config = true},
	{"token-file", 0, CLEW_OPT_STRING, "FILE", NULL, CLI_SERVES,
	 "A file with the token that clients must send (Authorization: Bearer TOKEN, or as a "
	 "password). Without it: the token in CLEW_TOKEN, if there is one.",
	 .env = "CLEW_TOKEN_FILE", .config = true},
	{"tls-cert", 0, CLEW_OPT_STRING, "FILE", NULL, CLI_SERVES,
	 "Serve TLS with this certificate (PEM; its chain may follow).", .env = "CLEW_TLS_CERT",
	 .config = true},
	{"tls-key", 0, CLEW_OPT_STRING, "FILE", NULL, CLI_SERVES, "The certificate's key (PEM).",
	 .env = "CLEW_TLS_KEY", .config = true},
	{"retention-age", 0, CLEW_OPT_DURATION, "T", NULL, CLI_SERVES,
	 "Drop hours that ended so long ago (at least 1h). Without it the oldest goes when the "
	 "store holds 400.",
	 .min = 3600000000000, .env = "CLEW_RETENTION_AGE", .config = true},
	{"retention-size", 0, CLEW_OPT_SIZE, "BYTES", NULL, CLI_SERVES,
	 "Drop the oldest hours while the store is larger; the newest stays.", .min = 1u << 20,
	 .env = "CLEW_RETENTION_SIZE", .config = true},
	{"ui-dir", 0, CLEW_OPT_STRING, "DIR", NULL, CLI_SERVES,
	 "Serve the page's files from this directory, for its developers. Without it: those built "
	 "in.",
	 .env = "CLEW_UI_DIR", .config = true},

	/* Filters. */
	{"service", 0, CLEW_OPT_STRING, "S", NULL, CLI_FILTER, "Only spans of this service.",
	 .group = "Filters"},
	{"name", 0, CLEW_OPT_STRING, "OP", NULL, CLI_FILTER, "Only spans of this name."},
	{"min-duration", 0, CLEW_OPT_DURATION, "D", NULL, CLI_FILTER,
	 "Only spans that took this long or longer."},
	{"max-duration", 0, CLEW_OPT_DURATION, "D", NULL, CLI_FILTER,
	 "Only spans that took this long or less."},
	{"error", 0, CLEW_OPT_FLAG, NULL, NULL, CLI_FILTER, "Only spans that ended in an error."},
	{"attr", 0, CLEW_OPT_PAIR, "K=V", NULL, CLI_FILTER,
	 "Only spans with this attribute; of the resource counts too. All that are given must "
	 "hold.",
	 .repeat = true},
	{"where", 0, CLEW_OPT_STRING, "COND", NULL, CLI_FILTER,
	 "Only spans of which this holds: key=value, key!=value, <, <=, >, >=, key=~regex, "
	 "key!~regex, key (it is there), !key (it is not). All that are given must hold. !=, =~, "
	 "!~ and !key alone want --since, at most a day ago.",
	 .repeat = true},
	{"any", 0, CLEW_OPT_FLAG, NULL, NULL, CLI_PATTERNS | CLI_HIST | CLI_DIFF,
	 "The filters are about any span of a trace, not about its root."},
	{"pattern", 0, CLEW_OPT_STRING, "ID", NULL, CLI_HIST | CLI_DIFF,
	 "Only traces of this shape; clew patterns lists them."},
	{"spans", 0, CLEW_OPT_FLAG, NULL, NULL, CLI_HIST, "Count spans, not traces."},
	{"from", 0, CLEW_OPT_DURATION, "D", NULL, CLI_DIFF,
	 "What have traces in common that took this long or longer?"},
	{"to", 0, CLEW_OPT_DURATION, "D", NULL, CLI_DIFF, "... and less than this."},
	{"since", 0, CLEW_OPT_TIME, "T", NULL, CLI_FILTER,
	 "Only spans that began then or later: RFC 3339, or an age (5m)."},
	{"until", 0, CLEW_OPT_TIME, "T", NULL, CLI_FILTER,
	 "Only spans that began then or earlier."},
	{"limit", 0, CLEW_OPT_NUMBER, "N", NULL, CLI_LISTS | CLI_PATTERNS,
	 "At most so many; 0 for all. Default: 20 traces, all spans, 50 patterns.",
	 .max = UINT32_MAX},
	{"window", 0, CLEW_OPT_DURATION, "T", "15m", CLI_TOP,
	 "Look at this long (at least 1s), and at the same time before it.", .min = 1000000000},
	{"interval", 0, CLEW_OPT_DURATION, "T", "2s", CLI_TOP,
	 "Look again after this time (at least 100ms).", .min = 100000000},
	{"once", 0, CLEW_OPT_FLAG, NULL, NULL, CLI_TOP, "Print the table once."},
	{"sort", 0, CLEW_OPT_CHOICE, "start|duration", NULL, CLI_LISTS,
	 "Newest first, or longest first. Default: traces newest first, spans oldest first.",
	 .choices = "start|duration"},

	/* What to print. */
	{"last", 0, CLEW_OPT_FLAG, NULL, NULL, CLI_TRACE, "The trace that began last.",
	 .group = "Output"},
	{"why", 0, CLEW_OPT_FLAG, NULL, NULL, CLI_TRACE | CLI_SERVICES,
	 "Of a trace: under each span, what evidence made its link, and how sure it is. Of the "
	 "services: how the calls of each were linked to its requests, and what would settle the "
	 "orphans."},
	{"dot", 0, CLEW_OPT_FLAG, NULL, NULL, CLI_MAP, "Print the map for Graphviz."},
	{"json", 0, CLEW_OPT_FLAG, NULL, NULL, CLI_CHECK | CLI_QUERY,
	 "Print JSON: traces and services as one object a line, a trace as OTLP/JSON, all else as "
	 "one object."},
	{"csv", 0, CLEW_OPT_FLAG, NULL, NULL, CLI_SQL, "Print comma-separated values (RFC 4180)."},

	/* About the program itself. */
	{"quiet", 'q', CLEW_OPT_FLAG, NULL, NULL, CLI_SESSION | CLI_SERVER,
	 "No summary; only errors.", .env = "CLEW_QUIET", .config = true, .group = "General"},
	{"verbose", 'v', CLEW_OPT_FLAG, NULL, NULL, CLI_SESSION, "Say more.", .env = "CLEW_VERBOSE",
	 .config = true},
	{"log-level", 0, CLEW_OPT_CHOICE, "LEVEL", "info", CLI_ALL, "error, warn, info or debug.",
	 .choices = "error|warn|info|debug", .env = "CLEW_LOG_LEVEL", .config = true},
	{"log-format", 0, CLEW_OPT_CHOICE, "FORMAT", "text", CLI_SESSION | CLI_SERVER,
	 "text, or json: one JSON object a line, with time, level and event.",
	 .choices = "text|json", .env = "CLEW_LOG_FORMAT", .config = true},
	{"config", 0, CLEW_OPT_STRING, "FILE", NULL, CLI_ALL,
	 "The configuration file. Without it: /etc/clew/clew.conf for root, else clew/clew.conf in "
	 "the XDG configuration directory (~/.config); it need not be there.",
	 .env = "CLEW_CONFIG"},
	{"help", 'h', CLEW_OPT_FLAG, NULL, NULL, CLI_ALL, "Print this."},
	{"man", 0, CLEW_OPT_FLAG, NULL, NULL, CLI_HELP, "Print the source of the man page."},

	/* Names kept for later work. */
	{"event", .commands = CLI_ALL, .later = true},
	{"sample", .commands = CLI_ALL, .later = true},
	{"port-protocol", .commands = CLI_ALL, .later = true},
	{NULL},
};
