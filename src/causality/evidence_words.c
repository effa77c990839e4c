/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words for evidence, as they stand in clew.link.evidence and in `clew trace --why`.
 */
#include <stdio.h>

#include "base/slice.h"
#include "causality/causality.h"

#define AGAINST 0xffff0000u

static const struct {
	uint32_t bit;
	const char *word;
} words[] = {
	{CLEW_EV_THREAD, "thread"},
	{CLEW_EV_EXCLUSIVE, "exclusive"},
	{CLEW_EV_CONNECT, "connect"},
	{CLEW_EV_COMPLETION, "completion"},
	{CLEW_EV_CHAIN, "chain"},
	{CLEW_EV_TASK, "task"},
	{CLEW_EV_WAKE, "wake"},
	{CLEW_EV_FORK, "fork"},
	{CLEW_EV_ORDER, "order"},
	{CLEW_EV_MODEL, "model"},
	{CLEW_EV_HEADER, "header"},
	{CLEW_EV_WIRE, "wire"},
	{CLEW_EV_CONFLICT, "conflict"},
	{CLEW_EV_UNCONFIRMED, "unconfirmed"},
	{CLEW_EV_NONE_OPEN, "no request open"},
};

static size_t add(char *out, size_t size, size_t at, const char *before, const char *word)
{
	int n;

	if (at + 1 >= size)
		return at;
	n = snprintf(out + at, size - at, "%s%s", before, word);
	if (n < 0)
		return at;
	return (size_t)n < size - at ? at + (size_t)n : size - 1;
}

const char *clew_evidence_words(uint32_t evidence, char *out, size_t size)
{
	size_t at = 0;
	bool against = false;

	if (!size)
		return out;
	out[0] = 0;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		const char *before = at ? ", " : "";

		if (!(evidence & words[i].bit))
			continue;
		if ((words[i].bit & AGAINST) && !against) {
			before = at ? "; against: " : "against: ";
			against = true;
		}
		at = add(out, size, at, before, words[i].word);
	}
	return out;
}
