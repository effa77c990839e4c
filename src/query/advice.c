/* SPDX-License-Identifier: Apache-2.0 */
#include "query/advice.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

/* A member of {"lost":12,...}; 0 if it is not there. */
static uint64_t count_of(struct slice json, const char *key)
{
	json_t *o = json_loadb(json.n ? json.p : "{}", json.n ? json.n : 2, 0, NULL);
	json_int_t n = json_integer_value(json_object_get(o, key));

	json_decref(o);
	return n > 0 ? (uint64_t)n : 0;
}

static bool has(struct slice text, const char *word)
{
	return text.n && memmem(text.p, text.n, word, strlen(word));
}

/* A flag that was given, and not to be turned off: "python-copies=yes". */
static bool is_on(struct slice options, const char *flag)
{
	const char *at = options.n ? memmem(options.p, options.n, flag, strlen(flag)) : NULL;
	struct slice value;

	if (!at)
		return false;
	at += strlen(flag);
	value = slice_of(at, (size_t)(options.p + options.n - at));
	return !slice_starts(value, SLICE("=no")) && !slice_starts(value, SLICE("=off")) &&
	       !slice_starts(value, SLICE("=false")) && !slice_starts(value, SLICE("=0"));
}

static uint64_t links_of(const struct clew_service_model *m)
{
	return m->certain + m->probable + m->orphans;
}

/* "Node: no task visible; --agent node would settle up to 43 % of its links" */
static void say(const struct clew_service_model *m, struct advice *a, uint64_t orphans,
		const char *option, const char *lead)
{
	double share = (double)orphans / (double)links_of(m);

	a->option = option;
	a->up_to = share;
	snprintf(a->text, sizeof(a->text), "%s; %s would settle up to %.*f %% of its links", lead,
		 option, share < 0.1 ? 1 : 0, 100 * share);
}

/* By the runtime: true if there is something to say. */
static bool by_runtime(const struct clew_service_model *m, struct advice *a, uint64_t orphans)
{
	bool threads = slice_eq(m->task, SLICE("thread"));

	if (slice_eq(m->runtime, SLICE("nodejs")) && threads && !has(m->options, "agent=node"))
		say(m, a, orphans, "--agent node", "Node: no task visible");
	else if (slice_eq(m->runtime, SLICE("hotspot")) && !has(m->task, "work") &&
		 !has(m->options, "agent=java"))
		say(m, a, orphans, "--agent java",
		    "Java: work handed to executors and futures is not seen");
	else if (slice_eq(m->runtime, SLICE("cpython")) && slice_eq(m->task, SLICE("context")) &&
		 !is_on(m->options, "python-copies"))
		say(m, a, orphans, "--python-copies",
		    "Python: work handed on by gather or create_task is not seen");
	else if (slice_eq(m->runtime, SLICE("go")) && slice_eq(m->task, SLICE("goroutine")) &&
		 !is_on(m->options, "go-channels"))
		say(m, a, orphans, "--go-channels",
		    "Go: work given to other goroutines through channels is not seen");
	else if (slice_eq(m->runtime, SLICE("tokio")) && slice_eq(m->task, SLICE("task")) &&
		 !is_on(m->options, "tokio-wakers"))
		say(m, a, orphans, "--tokio-wakers",
		    "Rust: work handed to other tokio tasks, as clients' connections have, is not "
		    "seen");
	else
		return false;
	return true;
}

/* An agent was asked for and is not there: saying so again would not help, the reason would. */
static bool agent_missing(const struct clew_service_model *m)
{
	return (slice_eq(m->runtime, SLICE("nodejs")) && slice_eq(m->task, SLICE("thread")) &&
		has(m->options, "agent=node")) ||
	       (slice_eq(m->runtime, SLICE("hotspot")) && !has(m->task, "work") &&
		has(m->options, "agent=java"));
}

static const char *main_reason(const struct clew_service_model *m)
{
	static const struct {
		const char *key, *words;
	} reasons[] = {
		{"unconfirmed", "too few of its answers bear out what is guessed"},
		{"unnamed", "who called had read none of the open requests"},
		{"conflict", "several requests fit"},
		{"shared", "several requests' messages are in one exchange"},
		{"lost", "records were lost"},
	};
	uint64_t most = 0;
	const char *words = "what was seen does not tell";

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		uint64_t n = count_of(m->orphaned, reasons[i].key);

		if (n > most) {
			most = n;
			words = reasons[i].words;
		}
	}
	return words;
}

void advice_make(const struct clew_service_model *m, struct advice *ret)
{
	uint64_t lost = count_of(m->orphaned, "lost");

	*ret = (struct advice){0};
	if (!links_of(m))
		snprintf(ret->text, sizeof(ret->text), "It made no calls for requests");
	else if (!m->orphans)
		snprintf(ret->text, sizeof(ret->text), "Nothing is missing: no call is an orphan");
	else if (lost * 2 >= m->orphans) {
		say(m, ret, lost, "a larger --ring-size", "Records of it were lost");
		ret->option = "--ring-size";
	} else if (has(m->options, "tasks=none"))
		say(m, ret, m->orphans - lost, "--tasks probes", "Runtimes' tasks were not read");
	else if (agent_missing(m))
		snprintf(ret->text, sizeof(ret->text),
			 "--agent was given and is not in this process: the recording's warning "
			 "says why");
	else if (!by_runtime(m, ret, m->orphans - lost))
		snprintf(ret->text, sizeof(ret->text),
			 "Nothing that clew can see from outside would settle its orphans: %s",
			 main_reason(m));
}
