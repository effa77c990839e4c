// SPDX-License-Identifier: Apache-2.0
// What only clew itself tells: where a span's time went, how sure its parent is, who else it could be.
import { selected } from "./elements.mjs";
import { becomes, check, equal, holds, says } from "./page.mjs";

/** Of the slowest traces of nginx the first in which a thread ran whose span has a certain parent, and that span. */
async function slowest(s) {
	for (const line of await s.api("traces?service=nginx&sort=duration&limit=100", s.traced)) {
		const t = await s.api(`trace/${line.trace_id}/tree`, s.traced);
		const at = t.times.cpu.findIndex((ns, i) => ns > 0 && t.class[i] === 1);
		if (at >= 0) return [t, at];
	}
	throw new Error("no slow trace of nginx has a span with a certain parent whose thread ran");
}

/** A big order's review, in which PostgreSQL sleeps for 250 ms; undefined: too few orders in so short a time, or no processor was free for it. */
async function review(s) {
	const known = (x) => x.attributes["clew.time.cpu_ns"] + x.attributes["clew.time.runq_ns"];
	const slow = await s.api("spans?service=postgres&kind=server&min_duration=250000000&since=0", s.traced);
	return slow.find((x) => known(x) < x.duration_ns / 4);
}

export default async function (s) {
	if (s.traced) {
		await s.test("traced: where the time went, and why", async (page) => {
			const [t, at] = await slowest(s);
			await s.openTrace(page, `/trace/${t.trace_id}?since=0&span=${t.id[at]}&why=1`, s.traced);
			await page.locator(".breakdown i").first().waitFor(); // the breakdown is drawn
			await says(page.locator(".panel"), "running", "with its figures");
			await says(page.locator(".why"), "Certain", "the link is certain");
			await holds(() => page.locator(".why .reasons li").count(), "with what says so");
			await page.locator(".parent-link").click();
			await becomes(() => selected(page).getAttribute("id"), `span-${t.id[t.parent[at]]}`, "its parent is a click away");
		});

		await s.test("traced: what was slept, and what else its service did", async (page) => {
			const span = await review(s);
			if (!span) return;
			const t = await s.api(`trace/${span.trace_id}/tree`, s.traced);
			const slept = t.critical.filter(([i, , , whose]) => i < 0 && t.id[whose] === span.span_id).reduce((n, [, from, to]) => n + to - from, 0);
			check(slept > span.duration_ns / 2, `the critical path has that ${span.span_id} of ${span.trace_id} slept: ${slept} of ${span.duration_ns}`);
			await s.openTrace(page, `/trace/${span.trace_id}?since=0&span=${span.span_id}`, s.traced);
			await says(page.locator(".legend"), "asleep", "what was slept is named");
			await says(page.locator(".breakdown + table"), "asleep", "the span says so");
			await says(page.locator(".meanwhile"), "Meanwhile in postgres", "and what else its service did");
		});
	}

	await s.test("an orphan and its candidates", async (page) => {
		const [o] = await s.api("spans?link_class=orphan", s.orphan);
		equal(o.links.length, 2, "candidates that the store has");
		await s.openTrace(page, `/trace/${o.trace_id}?since=0`, s.orphan);
		await page.locator(`#span-${o.span_id} .joint`).click();
		const candidates = page.locator(".candidates li");
		await becomes(() => candidates.count(), o.links.length, "candidates");
		await says(page.locator(".why"), "Not known", "how sure it is");
		await says(candidates.first(), /began .* the call, answered .* the call/, "when the candidate was open");
		await page.locator(".candidates a").first().click();
		await becomes(async () => (await selected(page).count()) && (await selected(page).getAttribute("id")), `span-${o.links[0].span_id}`, "a click leads to the candidate");
	});
}
