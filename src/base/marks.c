/* SPDX-License-Identifier: Apache-2.0 */
#include "base/marks.h"

#include <stdio.h>
#include <string.h>

struct word {
	uint32_t bit;
	const char *name;
};

/* What speaks for a link. */
static const struct word evidence_for[] = {
	{CLEW_EV_TASK, "task"},
	{CLEW_EV_HANDED, "handed"},
	{CLEW_EV_HEAP, "heap"},
	{CLEW_EV_THREAD, "thread"},
	{CLEW_EV_EXCLUSIVE, "exclusive"},
	{CLEW_EV_CONNECT, "connect"},
	{CLEW_EV_COMPLETION, "completion"},
	{CLEW_EV_CHAIN, "chain"},
	{CLEW_EV_WAKE, "wake"},
	{CLEW_EV_FORK, "fork"},
	{CLEW_EV_ORDER, "order"},
	{CLEW_EV_MODEL, "model"},
	{CLEW_EV_HEADER, "header"},
	{CLEW_EV_WIRE, "wire"},
	{0, NULL},
};

/* What speaks against it. */
static const struct word evidence_against[] = {
	{CLEW_EV_CONFLICT, "conflict"},
	{CLEW_EV_UNCONFIRMED, "unconfirmed"},
	{CLEW_EV_NONE_OPEN, "none open"},
	{0, NULL},
};

static const struct word incompletes[] = {
	{CLEW_INC_LOSS, "loss"},
	{CLEW_INC_NO_RESPONSE, "no response"},
	{CLEW_INC_CUT, "cut"},
	{CLEW_INC_JOINED, "joined"},
	{CLEW_INC_UNSYNCED, "unsynced"},
	{CLEW_INC_NO_HEAD, "no head"},
	{CLEW_INC_END_GUESSED, "end guessed"},
	{CLEW_INC_LIMIT, "limit"},
	{0, NULL},
};

/* Append the words of the bits that are set; what does not fit is left out whole. */
static void add_words(const struct word *w, uint32_t bits, const char *lead, char *out, size_t size)
{
	const char *sep = lead;

	for (; w->name; w++) {
		size_t at = strlen(out);

		if (!(bits & w->bit) || at + strlen(sep) + strlen(w->name) + 1 > size)
			continue;
		snprintf(out + at, size - at, "%s%s", sep, w->name);
		sep = ", ";
	}
}

const char *clew_evidence_words(uint32_t evidence, char *out, size_t size)
{
	if (!size)
		return "";
	out[0] = '\0';
	add_words(evidence_for, evidence, "", out, size);
	add_words(evidence_against, evidence, out[0] ? "; against: " : "against: ", out, size);
	return out;
}

const char *clew_incomplete_words(uint32_t incomplete, char *out, size_t size)
{
	if (!size)
		return "";
	out[0] = '\0';
	add_words(incompletes, incomplete, "", out, size);
	return out;
}

const char *clew_link_class_name(uint8_t link_class)
{
	static const char *const names[] = {"root", "certain", "probable", "orphan"};

	return link_class <= CLEW_LINK_ORPHAN ? names[link_class] : "unknown";
}
