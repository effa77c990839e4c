/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/session_opts.h"

#include <stdio.h>

/* What a recording's meta record says of the options: those that were given, and payload and ring.
 */
static const char *const meta_names[] = {
	"pid",	 "cgroup",	"exe",		"port",		  "netns", "all",
	"user",	 "payload",	"ring-size",	"capture-header", "name",  "agent",
	"tasks", "go-channels", "tokio-wakers", "python-copies"};
#define N_META (sizeof(meta_names) / sizeof(meta_names[0]))

static int read_numbers(struct session_opts *s, const struct clew_options *o)
{
	struct clew_target_opts *t = &s->session.capture.targets;
	const uint64_t *pids = clew_options_u64s(o, "pid", &t->n_pids);
	const uint64_t *ports = clew_options_u64s(o, "port", &t->n_ports);

	s->pids = calloc(t->n_pids + 1, sizeof(*s->pids));
	s->ports = calloc(t->n_ports + 1, sizeof(*s->ports));
	if (!s->pids || !s->ports)
		return -ENOMEM;
	for (size_t i = 0; i < t->n_pids; i++)
		s->pids[i] = (uint32_t)pids[i];
	for (size_t i = 0; i < t->n_ports; i++)
		s->ports[i] = (uint16_t)ports[i];
	t->pids = s->pids;
	t->ports = s->ports;
	return 0;
}

static uint32_t read_agents(const struct clew_options *o)
{
	char *const *names = clew_options_list(o, "agent", NULL);
	uint32_t agents = 0;

	for (; names && *names; names++)
		agents |= !strcmp(*names, "node") ? CLEW_AGENT_NODE : CLEW_AGENT_JAVA;
	return agents;
}

static int make_meta(struct session_opts *s, const struct clew_options *o)
{
	size_t total = 0, k = 0;

	for (size_t i = 0; i < N_META; i++) {
		size_t n;

		clew_options_list(o, meta_names[i], &n);
		total += n;
	}
	s->meta = calloc(total + 1, sizeof(*s->meta));
	if (!s->meta)
		return -ENOMEM;
	for (size_t i = 0; i < N_META; i++) {
		size_t n;
		char *const *texts = clew_options_list(o, meta_names[i], &n);

		for (size_t j = 0; j < n; j++) {
			if (asprintf(&s->meta[k], "%s=%s", meta_names[i], texts[j]) < 0) {
				s->meta[k] = NULL;
				return -ENOMEM;
			}
			k++;
		}
	}
	s->session.capture.meta_options = s->meta;
	return 0;
}

/* "task,wake": sources of evidence to do without. */
static int read_without(const struct clew_options *o, uint32_t *ret)
{
	static const char *const names[] = {"task", "thread", "connect", "completion",
					    "wake", "fork",   "order",	 "heap"};
	const char *at = clew_options_str(o, "without");
	uint32_t bits = 0;

	while (at && *at) {
		size_t len = strcspn(at, ","), i = 0;

		while (i < sizeof(names) / sizeof(names[0]) &&
		       (strlen(names[i]) != len || strncmp(names[i], at, len) != 0))
			i++;
		if (i == sizeof(names) / sizeof(names[0]))
			return -EINVAL;
		bits |= 1u << i; /* the order of enum clew_source */
		at += len + (at[len] == ',');
	}
	*ret = bits;
	return 0;
}

static int check(const struct cli *cli, const struct clew_session_opts *s)
{
	const struct clew_target_opts *t = &s->capture.targets;
	bool targets = t->n_pids || t->cgroups || t->exes || t->n_ports || t->netns;

	if (cli->command->bit == CLI_RECORD && !targets && !t->all)
		return cli_usage(cli,
				 "no target; name one with --pid, --cgroup, --exe, --port or "
				 "--netns (several add up), or write --all for the whole host");
	if (t->all && targets)
		return cli_usage(cli, "--all is the whole host; leave it or the other targets out");
	if (s->capture_only && !s->raw)
		return cli_usage(cli, "--capture-only needs a recording to write; add --raw FILE");
	if (s->capture_only && s->live)
		return cli_usage(cli, "--capture-only makes no traces; leave out --live");
	if (s->live && s->raw && !strcmp(s->raw, "-"))
		return cli_usage(cli, "--live and --raw - both write to standard output; write the "
				      "recording to a file");
	if (s->capture.runtime.off && s->capture.runtime.agents)
		return cli_usage(cli,
				 "--agent names tasks and --tasks none reads none; leave one out");
	if ((s->capture.runtime.off || s->capture.runtime.no_probes) &&
	    s->capture.runtime.python_copies)
		return cli_usage(
			cli, "--python-copies is a probe; write --tasks probes, or leave it out");
	if ((s->capture.runtime.off || s->capture.runtime.no_probes) &&
	    s->capture.runtime.tokio_wakers)
		return cli_usage(
			cli, "--tokio-wakers is a probe; write --tasks probes, or leave it out");
	return 0;
}

/* Options of the server, given without one. */
static int check_server(const struct cli *cli)
{
	static const char *const names[] = {"listen",	      "http-port",  "otlp-http-port",
					    "otlp-grpc-port", "no-otlp",    "retention-age",
					    "retention-size", "token-file", "tls-cert",
					    "tls-key",	      "ui-dir"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (clew_options_source(&cli->options, names[i]) == CLEW_OPT_CMDLINE)
			return cli_usage(cli, "--%s says how to serve; add --server", names[i]);
	return 0;
}

static int read_server(struct session_opts *s, const struct cli *cli)
{
	const struct clew_options *o = &cli->options;
	const char *token = getenv("CLEW_TOKEN");

	s->session.serve_only = cli->command->bit == CLI_SERVER;
	if (!(cli->command->bit & CLI_SERVES))
		return 0;
	if (!s->session.serve_only && !clew_options_flag(o, "server"))
		return check_server(cli);
	s->server = (struct clew_server_opts){
		.listen = clew_options_str(o, "listen"),
		.http_port = (uint16_t)clew_options_u64(o, "http-port"),
		.otlp = !clew_options_flag(o, "no-otlp"),
		.otlp_grpc_port = (uint16_t)clew_options_u64(o, "otlp-grpc-port"),
		.otlp_http_port = (uint16_t)clew_options_u64(o, "otlp-http-port"),
		.retention = {.max_age_ns = clew_options_u64(o, "retention-age"),
			      .max_bytes = clew_options_u64(o, "retention-size"),
			      .rolling = true},
		.token_file = clew_options_str(o, "token-file"),
		.tls_cert = clew_options_str(o, "tls-cert"),
		.tls_key = clew_options_str(o, "tls-key"),
		.ui_dir = clew_options_str(o, "ui-dir"),
	};
	if (!s->server.token_file && token && *token)
		s->server.token = token;
	s->session.server = &s->server;
	if (!s->session.db)
		return cli_usage(cli, "--db none keeps nothing that could be served; name a store "
				      "with -d DIR");
	if (s->session.capture_only)
		return cli_usage(cli,
				 "--capture-only makes nothing that could be served; leave out "
				 "--server");
	return 0;
}

/* Options of the export, given without one. */
static int check_export(const struct cli *cli)
{
	static const char *const names[] = {"export-header",  "export-timeout", "export-encoding",
					    "export-no-gzip", "export-tls-ca",	"export-tls-cert",
					    "export-tls-key"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (clew_options_source(&cli->options, names[i]) == CLEW_OPT_CMDLINE)
			return cli_usage(cli, "--%s says how to export; add --export URL",
					 names[i]);
	return 0;
}

static int read_export(struct session_opts *s, const struct cli *cli)
{
	const struct clew_options *o = &cli->options;
	const char *encoding;

	if (!(cli->command->bit & CLI_SESSION))
		return 0;
	if (!clew_options_str(o, "export"))
		return check_export(cli);
	encoding = clew_options_str(o, "export-encoding");
	s->export = (struct clew_export_opts){
		.url = clew_options_str(o, "export"),
		.headers = clew_options_list(o, "export-header", NULL),
		.timeout_ns = clew_options_u64(o, "export-timeout"),
		.json = encoding && !strcmp(encoding, "json"),
		.no_gzip = clew_options_flag(o, "export-no-gzip"),
		.tls_ca = clew_options_str(o, "export-tls-ca"),
		.tls_cert = clew_options_str(o, "export-tls-cert"),
		.tls_key = clew_options_str(o, "export-tls-key"),
		.user_agent = "clew/" CLEW_VERSION,
	};
	s->session.export = &s->export;
	if (s->session.capture_only)
		return cli_usage(cli,
				 "--capture-only makes nothing that could be exported; leave out "
				 "--export");
	return 0;
}

int session_opts_init(struct session_opts *s, const struct cli *cli)
{
	const struct clew_options *o = &cli->options;
	struct clew_capture_opts *c = &s->session.capture;
	int r;

	*s = (struct session_opts){0};
	if (read_numbers(s, o) < 0 || make_meta(s, o) < 0) {
		log_error("out of memory");
		return CLI_FAILURE;
	}
	c->targets.cgroups = clew_options_list(o, "cgroup", NULL);
	c->targets.exes = clew_options_list(o, "exe", NULL);
	c->targets.netns = clew_options_list(o, "netns", NULL);
	c->targets.all = clew_options_flag(o, "all");
	c->payload_bytes = (uint32_t)clew_options_u64(o, "payload");
	c->ring_bytes = clew_options_u64(o, "ring-size");
	c->runtime.agents = read_agents(o);
	c->runtime.off = !strcmp(clew_options_str(o, "tasks"), "none");
	c->runtime.no_probes = strcmp(clew_options_str(o, "tasks"), "probes") != 0;
	c->runtime.go_channels = clew_options_flag(o, "go-channels");
	c->runtime.tokio_wakers = clew_options_flag(o, "tokio-wakers");
	c->runtime.python_copies = clew_options_flag(o, "python-copies");
	s->session.user = clew_options_str(o, "user");
	s->session.db = cli_db(cli);
	s->session.raw = clew_options_str(o, "raw");
	s->session.capture_only = clew_options_flag(o, "capture-only");
	s->session.live = clew_options_flag(o, "live");
	s->session.quiet = clew_options_flag(o, "quiet");
	s->session.verbose = clew_options_flag(o, "verbose");
	s->session.duration_ns = clew_options_u64(o, "duration");
	if (read_without(o, &s->session.without) < 0)
		return cli_usage(cli, "--without takes task, thread, connect, completion, wake, "
				      "fork, order, several with commas between");
	s->session.name_rules = clew_options_list(o, "name", NULL);
	s->session.capture_headers = clew_options_list(o, "capture-header", NULL);
	if (!strcmp(clew_options_str(o, "log-format"), "json"))
		clew_log_set_json(true);
	r = check(cli, &s->session);
	if (!r)
		r = read_export(s, cli);
	return r ? r : read_server(s, cli);
}

void session_opts_done(struct session_opts *s)
{
	free(s->pids);
	free(s->ports);
	for (char **m = s->meta; m && *m; m++)
		free(*m);
	free(s->meta);
}
