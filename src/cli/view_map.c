/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The service map: as a tree of calls with their figures, and for Graphviz.
 *
 *	SERVICE                 CALLS  ERRORS      P50      P95      P99
 *	front                   1,200       3    12 ms    40 ms    88 ms
 *	├╴cart                  1,200       ·   3.2 ms   9.0 ms    20 ms
 *	│ └╴redis:6379          2,400       ·   180 us   400 us   1.0 ms
 *	└╴auth                    ...
 *
 * A service that several call is drawn with what it calls once; elsewhere it refers to that place.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "base/units.h"
#include "cli/json_lines.h"
#include "cli/table.h"
#include "cli/view.h"

struct map {
	json_t *doc;
	const json_t *nodes, *edges;
	json_t *drawn; /* services whose calls have been drawn */
	struct table table;
};

static int map_read(const char *json, size_t n, struct map *m)
{
	*m = (struct map){.doc = json_loadb(json, n, JSON_ALLOW_NUL, NULL)};
	m->nodes = json_object_get(m->doc, "nodes");
	m->edges = json_object_get(m->doc, "edges");
	if (json_is_array(m->nodes) && json_is_array(m->edges))
		return 0;
	json_decref(m->doc);
	return -EBADMSG;
}

static bool is_external(const struct map *m, const char *service)
{
	const json_t *node;
	size_t i;

	json_array_foreach(
		m->nodes, i,
		node) if (!strcmp(json_str(node, "service"),
				  service)) return json_is_true(json_object_get(node, "external"));
	return false;
}

static bool has_caller(const struct map *m, const char *service)
{
	const json_t *edge;
	size_t i;

	json_array_foreach(m->edges, i, edge)
	{
		const char *client = json_str(edge, "client");

		if (*client && strcmp(client, service) != 0 &&
		    !strcmp(json_str(edge, "server"), service))
			return true;
	}
	return false;
}

/* "12,345" */
static const char *print_grouped(uint64_t n, char out[CLEW_UNITS_TEXT])
{
	char digits[CLEW_UNITS_TEXT];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, n), at = 0;

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			out[at++] = ',';
		out[at++] = digits[i];
	}
	out[at] = '\0';
	return out;
}

static void add_figures(struct table *t, const json_t *edge)
{
	static const char *const percentiles[] = {"p50_ns", "p95_ns", "p99_ns"};
	const char *none = t->style->utf8 ? "\xc2\xb7" : "-";
	char text[CLEW_UNITS_TEXT];
	uint64_t errors = json_u64(edge, "errors");

	table_cell(t, edge ? print_grouped(json_u64(edge, "calls"), text) : "", OUT_PLAIN);
	if (errors)
		table_cell(t, print_grouped(errors, text), OUT_RED);
	else
		table_cell(t, edge ? none : "", OUT_DIM);
	for (size_t i = 0; i < 3; i++) {
		if (edge)
			table_cell(t, out_duration(t->style, json_u64(edge, percentiles[i]), text),
				   OUT_PLAIN);
		else
			table_cell(t, "", OUT_PLAIN);
	}
}

/* The calls of one service, the most frequent first; the caller frees the list. */
static size_t calls_of(const struct map *m, const char *service, const json_t ***ret)
{
	size_t n = 0, i;
	const json_t **list = calloc(json_array_size(m->edges) + 1, sizeof(*list)), *edge;

	if (list) {
		json_array_foreach(m->edges, i, edge)
		{
			size_t at = n;

			if (strcmp(json_str(edge, "client"), service) != 0)
				continue;
			for (; at && json_u64(list[at - 1], "calls") < json_u64(edge, "calls");
			     at--)
				list[at] = list[at - 1];
			list[at] = edge;
			n++;
		}
	}
	*ret = list;
	return n;
}

/* What stands behind a service's name. */
static const char *remark(const struct map *m, const json_t *edge, const char *service, bool again)
{
	bool utf8 = m->table.style->utf8;

	if (!strcmp(json_str(edge, "client"), service))
		return utf8 ? " \xe2\x86\xba itself" : " (itself)";
	if (again)
		return utf8 ? " \xe2\x86\x91 above" : " (see above)";
	if (is_external(m, service))
		return utf8 ? " \xe2\x97\x8b" : " (not traced)";
	return "";
}

/* One service below its caller, then what it calls. prefix: the tree's lines before it. */
static void draw(struct map *m, const json_t *edge, const char *service, const char *prefix,
		 const char *branch, const char *below)
{
	bool again = json_object_get(m->drawn, service) != NULL;
	bool utf8 = m->table.style->utf8;
	const json_t **calls = NULL;
	struct clew_buf lead, next;
	char label[512];
	size_t n = calls_of(m, service, &calls);

	clew_buf_init(&lead, 0);
	clew_buf_init(&next, 0);
	clew_buf_addf(&lead, "%s%s", prefix, branch);
	clew_buf_addf(&next, "%s%s", prefix, below);
	snprintf(label, sizeof(label), "%s%s", service, remark(m, edge, service, again && n));
	table_cell_lead(&m->table, lead.data ? lead.data : "", label, out_service_color(service));
	add_figures(&m->table, edge);
	json_object_set_new(m->drawn, service, json_true());
	for (size_t i = 0; !again && i < n; i++) {
		bool last = i == n - 1;

		draw(m, calls[i], json_str(calls[i], "server"), next.data ? next.data : "",
		     utf8 ? (last ? "\xe2\x94\x94\xe2\x95\xb4" : "\xe2\x94\x9c\xe2\x95\xb4")
			  : (last ? "`-" : "|-"),
		     last   ? "  "
		     : utf8 ? "\xe2\x94\x82 "
			    : "| ");
	}
	free(calls);
	clew_buf_done(&lead);
	clew_buf_done(&next);
}

/* Entry points first, then who works by itself, then rings that nobody outside calls. */
static void draw_all(struct map *m)
{
	const json_t *node, **entries;
	size_t n = calls_of(m, "", &entries), i;

	for (i = 0; i < n; i++)
		draw(m, entries[i], json_str(entries[i], "server"), "", "", "");
	free(entries);
	for (int pass = 0; pass < 2; pass++) {
		json_array_foreach(m->nodes, i, node)
		{
			const char *service = json_str(node, "service");

			if (!json_object_get(m->drawn, service) &&
			    (pass || !has_caller(m, service)))
				draw(m, NULL, service, "", "", "");
		}
	}
}

int view_map(const char *json, size_t n, const struct out_style *st, struct clew_buf *b)
{
	struct map m;
	const json_t *node;
	bool external = false;
	size_t i;
	int r = map_read(json, n, &m);

	if (r < 0)
		return r;
	m.drawn = json_object();
	out_service_colors_begin();
	table_init(&m.table, st);
	table_column(&m.table, "SERVICE", TABLE_LEFT, 20);
	table_column(&m.table, "CALLS", TABLE_RIGHT, 0);
	table_column(&m.table, "ERRORS", TABLE_RIGHT, 0);
	table_column(&m.table, "P50", TABLE_RIGHT, 0);
	table_column(&m.table, "P95", TABLE_RIGHT, 0);
	table_column(&m.table, "P99", TABLE_RIGHT, 0);
	draw_all(&m);
	r = json_array_size(m.nodes) ? table_print(&m.table, b)
				     : clew_buf_adds(b, "the store holds no spans yet\n");
	json_array_foreach(m.nodes, i, node) external |=
		json_is_true(json_object_get(node, "external"));
	if (external && st->utf8) {
		out_color(b, st, OUT_DIM);
		clew_buf_adds(b, "\n\xe2\x97\x8b not traced: seen from its callers only\n");
		out_color(b, st, OUT_PLAIN);
	}
	table_done(&m.table);
	json_decref(m.drawn);
	json_decref(m.doc);
	return r ? r : b->err;
}

/* A quoted string of the DOT language: quotes and backslashes escaped, nothing that is no text. */
static void add_dot(struct clew_buf *b, const char *s)
{
	clew_buf_addc(b, '"');
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			clew_buf_addc(b, '\\');
		clew_buf_addc(b, (unsigned char)*s < 0x20 || *s == 0x7f ? '?' : *s);
	}
	clew_buf_addc(b, '"');
}

static void add_dot_edge(struct clew_buf *b, const json_t *edge)
{
	const char *client = json_str(edge, "client");
	uint64_t errors = json_u64(edge, "errors");
	char p50[CLEW_UNITS_TEXT], p95[CLEW_UNITS_TEXT];

	clew_buf_adds(b, "  ");
	add_dot(b, *client ? client : "clients");
	clew_buf_adds(b, " -> ");
	add_dot(b, json_str(edge, "server"));
	clew_buf_addf(b, " [label=\"%" PRIu64 " calls", json_u64(edge, "calls"));
	if (errors)
		clew_buf_addf(b, "\\n%" PRIu64 " errors", errors);
	clew_buf_addf(b, "\\np50 %s, p95 %s\"%s];\n",
		      clew_format_duration(json_u64(edge, "p50_ns"), p50),
		      clew_format_duration(json_u64(edge, "p95_ns"), p95),
		      errors ? ", color=\"#c0392b\", fontcolor=\"#c0392b\"" : "");
}

int view_map_dot(const char *json, size_t n, struct clew_buf *b)
{
	struct map m;
	const json_t *node, *edge;
	bool entry = false;
	size_t i;
	int r = map_read(json, n, &m);

	if (r < 0)
		return r;
	clew_buf_adds(b, "digraph clew {\n  rankdir=LR;\n"
			 "  graph [fontname=\"sans-serif\", nodesep=0.4, ranksep=1.0];\n"
			 "  node [shape=box, style=\"rounded,filled\", fillcolor=\"#eef3f8\", "
			 "color=\"#5b7a99\", fontname=\"sans-serif\", margin=\"0.2,0.1\"];\n"
			 "  edge [fontname=\"sans-serif\", fontsize=10, color=\"#5b7a99\"];\n");
	json_array_foreach(m.edges, i, edge) entry |= !*json_str(edge, "client");
	if (entry)
		clew_buf_adds(b, "  \"clients\" [shape=plaintext, style=\"\"];\n");
	json_array_foreach(m.nodes, i, node)
	{
		clew_buf_adds(b, "  ");
		add_dot(b, json_str(node, "service"));
		clew_buf_adds(b, json_is_true(json_object_get(node, "external"))
					 ? " [style=\"rounded,dashed\"];\n"
					 : ";\n");
	}
	json_array_foreach(m.edges, i, edge) add_dot_edge(b, edge);
	clew_buf_adds(b, "}\n");
	json_decref(m.doc);
	return b->err;
}
