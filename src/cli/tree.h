/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A trace's document (OTLP/JSON) as a tree of spans.
 *
 * Whatever the document says, this is a forest in which each span is once: a parent that is not
 * here makes a root, a ring of parents is opened at its earliest span.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define TREE_NONE UINT32_MAX

struct tree_span {
	/* Borrowed from the document; never NULL, "" for what is absent. */
	const char *id, *parent_id, *service, *name;
	const char *error;	/* error.type, else the status's message */
	const char *incomplete; /* clew.incomplete */
	const char *link_class, *evidence;
	const char *peer; /* server.address */
	uint64_t peer_port;
	uint64_t not_stored; /* clew.trace.not_stored */
	double confidence; /* -1: none */
	const json_t *links;
	uint64_t start_ns, end_ns;
	int kind;	  /* numbers of OTLP */
	int status;	  /* 2: error */
	bool lost_parent; /* it names one that is not here */
	uint64_t group;	  /* equal for spans of one service, name, kind and outcome */
	uint32_t parent, first_child, last_child, next; /* indices; TREE_NONE: none */
	uint32_t n_children;
	uint32_t n_below; /* spans under it, all levels */
};

struct tree {
	json_t *doc;
	const char *trace_id;
	struct tree_span *spans; /* by start, then id */
	uint32_t n;
	uint32_t first_root; /* roots are linked by next */
	uint64_t start_ns, end_ns;
	uint32_t n_services, n_errors, n_orphans, n_incomplete;
	uint64_t not_stored; /* spans that the store could not take */
};

/** tree_read() - 0; -EBADMSG if this is no OTLP/JSON with at least one span; -ENOMEM. */
int tree_read(const char *json, size_t n, struct tree *ret);
void tree_done(struct tree *t);
/** tree_find() - the span of this id, or TREE_NONE. */
uint32_t tree_find(const struct tree *t, const char *id);

static inline bool tree_is_orphan(const struct tree_span *s)
{
	return s->link_class[0] == 'o';
}

static inline bool tree_is_call(const struct tree_span *s)
{
	return s->kind == 3 || s->kind == 4; /* client, producer */
}
