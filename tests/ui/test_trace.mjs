// SPDX-License-Identifier: Apache-2.0
// Step 5: one trace, the span that is selected, whose time it was. Traces of very many spans: test_many_spans.mjs.
import { selected } from "./elements.mjs";
import { becomes, equal, fits, param, says, texts } from "./page.mjs";

/** How many pixels of a canvas are drawn on. */
function inked(canvas) {
	const d = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
	let n = 0;
	for (let k = 3; k < d.length; k += 4) n += d[k] > 0;
	return n;
}

/** Of the operation that has most of a trace's critical path, the span that has most of that. */
function longest(t) {
	const own = new Map();
	const all = new Map();
	const operation = (i) => `${t.service[i]} ${t.name[i]} ${t.kind[i]}`;
	for (const [i, from, to] of t.critical.filter((c) => c[0] >= 0)) {
		own.set(i, (own.get(i) ?? 0) + to - from);
		all.set(operation(i), (all.get(operation(i)) ?? 0) + to - from);
	}
	return [...own].sort((a, b) => all.get(operation(b[0])) - all.get(operation(a[0])) || b[1] - a[1])[0][0];
}

export default async function (s) {
	const example = s.checkout.examples[0];

	await s.test("trace: rows, bars, the panel's fields", async (page) => {
		const t = await s.api(`trace/${example}/tree`);
		await s.openTrace(page, `/trace/${example}?span=${t.id[3]}`);
		const shown = await fits(() => page.locator(".span-row").count(), (n) => n === t.id.length || n > 12, `rows of ${t.id.length}`);
		await becomes(() => texts(page.locator(".span-row b")), t.service.map((i) => t.services[i]).slice(0, shown), "services");
		const span = await s.api(`trace/${example}/span/${t.id[3]}`);
		await page.locator(".panel .attributes").first().waitFor();
		const panel = page.locator(".panel");
		for (const [k, v] of Object.entries(span.attributes))
			for (const part of [k, String(v)]) await says(panel, part, `${k} = ${v} is in the panel`);
		await says(panel, span.name, "its name");
		await page.getByRole("button", { name: "Raw JSON" }).click();
		equal(JSON.parse(await page.locator(".panel pre").innerText()).span_id, t.id[3], "raw JSON");
		await fits(() => page.locator(".bars canvas").evaluate(inked), (n) => n > 2000, "pixels of bars");
	});

	await s.test("trace: an attribute leads to a search for it", async (page) => {
		const t = await s.api(`trace/${example}/tree`);
		await s.openTrace(page, `/trace/${example}?span=${t.id[0]}`);
		await page.locator(".panel .attributes").getByRole("link", { name: /^(eu|us)-[12]$/ }).click();
		await page.getByRole("heading", { name: "Search" }).waitFor();
		await fits(() => param(page, "where"), (w) => w?.startsWith("shop.region="), "what is searched for");
		await page.locator("tbody tr").first().waitFor(); // it finds
	});

	await s.test("trace: whose time it was, and where a failure began", async (page) => {
		const [bad] = await s.api("traces?since=-2h&service=web&error=1&limit=1");
		const t = await s.api(`trace/${bad.trace_id}/tree`);
		await s.openTrace(page, `/trace/${bad.trace_id}`);
		const first = page.locator(".failed-first");
		await says(first, "failed first", "the failure");
		await first.click();
		const at = t.id.indexOf((await selected(page).getAttribute("id")).slice(5));
		equal([t.status[at], t.parent.some((p, i) => p === at && t.status[i] === 2)], [2, false], "a failed span below which none failed");
		await page.getByRole("button", { name: /errors$/ }).click();
		await becomes(() => page.locator(".span-row.is-found").count(), t.totals.errors, "the failed spans are found");
		await page.locator(".legend li").first().getByRole("button").click();
		await becomes(() => selected(page).getAttribute("id"), `span-${t.id[longest(t)]}`, "the one whose own time is most of the critical path");
	});

	await s.test("trace: its state comes back from its URL", async (page) => {
		const t = await s.api(`trace/${example}/tree`);
		const from = Math.round(t.duration_ns * 0.1);
		const to = Math.round(t.duration_ns * 0.6);
		await s.openTrace(page, `/trace/${example}?span=${t.id[2]}&from=${from}&to=${to}&find=ledger&critical=1&why=1`);
		await becomes(() => selected(page).getAttribute("id"), `span-${t.id[2]}`, "the span");
		await says(page.locator(".axis span"), "of", "the stretch of time");
		const critical = new Set(t.critical.map(([i, , , whose]) => (i >= 0 ? i : whose)));
		await becomes(() => page.locator(".span-row").count(), critical.size, "the critical path");
		await becomes(() => page.getByLabel("Find in the trace").inputValue(), "ledger", "what was looked for");
		await becomes(() => page.getByRole("button", { name: "Why this parent?" }).getAttribute("aria-expanded"), "true", "the question");
		await page.getByText("Told by its sender (shop).").waitFor(); // who tells of it
	});

	await s.test("trace: a host whose clock is off", async (page) => {
		const t = await s.api(`trace/${s.odd}/tree`);
		equal(t.duration_ns, 400e6, "it makes the trace no longer");
		await s.openTrace(page, `/trace/${s.odd}?span=${t.id[2]}`);
		await says(page.locator(".trace-facts"), "400 ms", "how long it took");
		await says(page.locator(".panel"), /3\.02 s earlier: clocks differ/, "that its clock is 3 s behind");
	});

	await s.test("trace: one that is not there", async (page) => {
		await s.open(page, "/trace/00000000000000000000000000000001");
		await says(page.locator("main"), "no such trace", "what is said");
	}, { allow: ["404"] });
}
