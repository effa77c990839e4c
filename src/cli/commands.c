/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one table of commands: dispatch, help and the man page come from here.
 */
#include "cli/cli.h"

const struct cli_command cli_commands[] = {
	{"check", CLI_CHECK, "[--json]", "say what this kernel allows",
	 "Probes this kernel feature by feature and says what is lost without each. Exits with 0 "
	 "when tracing works here, else with 1.",
	 NULL, cli_check},
	{"run", CLI_RUN, "[options] [--] CMD [ARG...]", "start a command and trace it",
	 "Starts CMD as the target and traces it and all its descendants from their first "
	 "instruction, "
	 "until the last of them has ended.\n\n"
	 "Exits with CMD's own status; 125 when clew itself failed, 126 when CMD cannot be "
	 "executed, 127 when it is not found, and 128 plus the signal's number when a signal "
	 "killed it.",
	 "clew run -- python3 app.py\ntrace a program from its first instruction\n"
	 "clew run --live -d /tmp/shop -- ./start-everything.sh\nprint each trace as it ends, keep "
	 "them in "
	 "a store of their own\n",
	 cli_run, 1, SIZE_MAX, .stop_early = true},
	{"record", CLI_RECORD, "TARGET... [options]", "trace what already runs",
	 "Traces running processes, and their descendants, until it is interrupted. Targets add "
	 "up; the whole host is traced only when --all says so. Nothing outside the targets is "
	 "read.",
	 "clew record --port 8080\ntrace what listens on port 8080\n"
	 "clew record --exe nginx --exe 'gunicorn*' --duration 30s\ntrace by executable for half a "
	 "minute\n",
	 cli_record},
	{"replay", CLI_REPLAY, "FILE [options]", "make traces from a recording",
	 "Runs the same pipeline over a recording that --raw wrote, on the recording's own time: "
	 "the same recording gives the same traces each time.",
	 "clew replay shop.clew -d /tmp/shop\nread a recording into a store of its own\n",
	 cli_replay, 1, 1},
	{"dump", CLI_DUMP, "FILE", "print a recording as JSON lines",
	 "Prints each record of a recording, field for field, one JSON object a line. - is "
	 "standard input.",
	 NULL, cli_dump, 1, 1},
	{"traces", CLI_TRACES, "[filters] [--json]", "list traces",
	 "Lists the traces that hold a span for which all the filters are true, the newest first.",
	 "clew traces --error --since 10m\nwhat failed in the last ten minutes\n"
	 "clew traces --sort duration --limit 5\nthe five slowest\n"
	 "clew traces --attr http.response.status_code=503\nby any attribute\n",
	 cli_traces},
	{"spans", CLI_SPANS, "[filters]", "print spans as JSON lines",
	 "Prints the spans for which all the filters are true, one flat JSON object a line.",
	 "clew spans --service cart --min-duration 250ms | jq .name\nfor use with other tools\n",
	 cli_spans},
	{"trace", CLI_TRACE, "ID|--last [--json] [--why]", "draw one trace",
	 "Draws the trace as a waterfall: the tree of its spans on the left, their time on one "
	 "axis on the right. The unique beginning of an id is enough.",
	 "clew trace --last --why\nthe newest trace, and how each of its links is known\n"
	 "clew trace 4bf92f35\nby the beginning of its id\n",
	 cli_trace, 0, 1},
	{"services", CLI_SERVICES, "[--json] [--why]", "list services",
	 "Lists the services that were seen, with their requests, errors and latencies. With "
	 "--why: how each is thought to work, how many of its checkpoints agree (before any link "
	 "was made of it), what came of its calls, and what would settle those without a parent; "
	 "of the last recording that saw it.",
	 "clew services --why\nhow sure the links of each service are, and what would make them "
	 "surer\n",
	 cli_services},
	{"map", CLI_MAP, "[--dot|--json]", "draw who calls whom",
	 "Draws the services and the calls between them, with their number, errors and latencies.",
	 "clew map --dot | dot -Tsvg > map.svg\na picture\n", cli_map},
	{"patterns", CLI_PATTERNS, "[filters] [--json]", "list traces by their shape",
	 "Groups traces by what they do: which service calls which, in any order and however "
	 "often. The patterns that took most time together come first. The filters are about the "
	 "traces' roots, or with --any about any of their spans.",
	 "clew patterns --since 1h\nwhat the last hour was spent on\n"
	 "clew patterns --service cart --any --error\nwhat goes through cart and fails\n",
	 cli_patterns},
	{"hist", CLI_HIST, "[filters] [--json]", "draw how long traces took",
	 "Draws a histogram of how long traces took, on a logarithmic scale, with an example of "
	 "each bar.",
	 "clew hist --service front --name 'GET /'\nof one operation\n"
	 "clew hist --spans --service cart --where 'http.response.status_code>=500'\nof spans that "
	 "failed\n",
	 cli_hist},
	{"diff", CLI_DIFF, "A B | --from D [--to D] [filters] [--json]",
	 "compare two traces, or the slow ones with the rest",
	 "Two traces, by the beginnings of their ids: laid over each other, what one has that the "
	 "other lacks, and where one is slower.\n\n"
	 "With --from: what the traces in this range of durations have in common that the others "
	 "have not: attributes, hosts, services, operations, and which parts took longer. Only "
	 "what chance does not explain is listed, the most telling first.",
	 "clew diff 4bf92f35 a0c81e77\ntwo traces\n"
	 "clew diff --service front --from 500ms\nwhat is different about the slow ones?\n",
	 cli_diff, 0, 2},
	{"top", CLI_TOP, "[--once] [--json]", "watch the services",
	 "Shows rate, errors and latencies of every service, beside the time before, and does it "
	 "again every other second. The service that deviates most from before comes first.",
	 "clew top --window 5m\nthe last five minutes\n"
	 "clew top --once --json | jq '.services[0]'\nfor scripts\n",
	 cli_top},
	{"server", CLI_SERVER, "[options]", "serve the page and the APIs",
	 "Owns the store and serves it over HTTP: the page at /, the APIs, health and metrics, "
	 "until "
	 "SIGTERM or Ctrl-C. run and record do the same beside their work with --server.\n\n"
	 "Only this machine is let in, unless --listen says otherwise; that needs a token.",
	 "clew server\nthe page is at http://127.0.0.1:16686/\n"
	 "clew server -d /tmp/shop --http-port 0\nanother store, on a free port\n"
	 "clew server --listen :: --token-file /etc/clew/token --tls-cert c.pem --tls-key k.pem\n"
	 "for other machines\n",
	 cli_server},
	{"sql", CLI_SQL, "QUERY [--json|--csv]", "ask the store in SQL",
	 "Runs one read-only statement on the store: DuckDB's SQL over the tables spans, traces "
	 "and services. docs/store.md describes them; SHOW TABLES and DESCRIBE work, too.",
	 "clew sql 'SELECT service, count(*) FROM spans GROUP BY ALL'\nspans by service\n"
	 "clew sql 'DESCRIBE spans'\nits columns\n",
	 cli_sql, 1, 1},
	{"version", CLI_VERSION, "", "print the version", "Prints the version of clew.", NULL,
	 cli_version},
	{"help", CLI_HELP, "[COMMAND|config]", "explain a command",
	 "Explains a command, or with config the configuration file and the environment.", NULL,
	 cli_help, 0, 1},
	{.name = "pcap", .later = true},
	{NULL},
};

const struct cli_command *cli_find_command(const char *name)
{
	for (const struct cli_command *c = cli_commands; c->name; c++)
		if (!strcmp(c->name, name))
			return c;
	return NULL;
}
