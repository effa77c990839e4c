// SPDX-License-Identifier: Apache-2.0
// Step 1, the overview, and the map: services and calls, as the API tells them.
import { becomes, check, equal, fits, holds, params, place, says, texts } from "./page.mjs";

const failing = (x) => x.errors / Math.max(1, x.requests);
const isWorse = (x) => x.deviation >= 1 && (x.p95_ns > x.before.p95_ns || failing(x) > failing(x.before) || x.tail);

export default async function (s) {
	await s.test("overview: each service, its figures, those that deviate first", async (page) => {
		await s.open(page, `/?${s.lately}`);
		const want = await s.api(`overview?${s.lately}&buckets=60`);
		const worse = want.services.filter(isWorse);
		check(worse.length, "something got worse");
		const rest = want.services.filter((x) => !worse.includes(x)).sort((a, b) => b.deviation - a.deviation || failing(b) - failing(a));
		await becomes(() => texts(page.locator("tbody tr td:first-child")), [...worse, ...rest].map((x) => x.service), "services");
		const orders = want.services.find((x) => x.service === "orders");
		const share = failing(orders) * 100;
		const cells = page.locator("tbody tr").filter({ has: page.getByRole("link", { name: "orders", exact: true }) }).locator("td");
		await fits(() => texts(cells), (all) => all.some((c) => c.endsWith("%") && Math.abs(parseFloat(c) - share) < 0.6), `errors of orders are ${share}`);
		await holds(() => page.locator(".map .node").count(), "the map is there");
	});

	await s.test("overview: a few that hang are seen, and lead to their traces", async (page) => {
		const tail = { over_ns: 9e8, requests: 4, before: 0 };
		let worse = 0;
		await page.route("**/api/clew/v1/overview*", async (r) => {
			const answer = await r.fetch();
			const body = await answer.json();
			worse = body.services.filter((x) => x.service === "ledger" || isWorse(x)).length;
			await r.fulfill({ response: answer, json: { ...body, services: body.services.map((x) => (x.service === "ledger" ? { ...x, requests: 1000, max_ns: 1.2e9, deviation: 1, tail } : x)) } });
		});
		await s.open(page, `/?${s.lately}`);
		const row = page.locator("tbody tr").filter({ has: page.getByRole("link", { name: "ledger", exact: true }) });
		await says(row, "1.2 s", "how long the slowest took");
		await says(page.locator(".top"), `${worse} worse than before`, "it counts as worse");
		await s.rest(page);
		equal(await s.axe(page), [], "axe finds");
		await row.getByRole("link", { name: "0.4 % over 900 ms" }).click();
		await becomes(() => params(page).then((p) => [p.service, p.min_duration]), ["ledger", "900000000"], "the search for them");
	});

	await s.test("overview: the table does not wait for the map", async (page) => {
		let answer = () => {};
		const held = new Promise((done) => (answer = done));
		await page.route("**/api/clew/v1/map*", (r) => held.then(() => r.continue()));
		await page.goto(`${s.base}/?${s.lately}`, { waitUntil: "domcontentloaded" });
		await page.locator("tbody tr").first().waitFor();
		equal(await page.locator(".map .node").count(), 0, "services on the map that is not answered");
		answer();
		await holds(() => page.locator(".map .node").count(), "the map is there");
	});

	await s.test("overview: hours that cannot be read are told above what is shown", async (page) => {
		let damaged = true;
		await page.route("**/api/clew/v1/overview*", async (r) => {
			const answer = await r.fetch();
			await r.fulfill({ response: answer, headers: { ...answer.headers(), ...(damaged ? { "Clew-Left-Out": "2026-01-02T04Z 2026-01-02T05Z" } : {}) } });
		});
		await s.open(page, `/?${s.lately}`);
		const note = page.getByRole("alert").filter({ hasText: "is damaged" });
		await says(note, "the hours from 2026-01-02 04:00 UTC, 2026-01-02 05:00 UTC", "which");
		await page.locator("tbody tr").first().waitFor();
		await s.rest(page);
		equal(await s.axe(page), [], "axe finds");
		damaged = false;
		await page.locator("header").getByRole("link", { name: "Map" }).click();
		await page.locator(".map .node").first().waitFor();
		await becomes(() => note.count(), 0, "another view whose answers lack nothing says nothing");
	});

	await s.test("overview: what the store did not take is said", async (page) => {
		const told = { shed_spans: 4200, shed_traces: 310, dropped_queue: 0, dropped_error: 0, failing: false, last_error: "" };
		await page.route("**/api/clew/v1/status", async (r) => {
			const answer = await r.fetch();
			const body = await answer.json();
			await r.fulfill({ response: answer, json: { ...body, writer: { ...body.writer, ...told } } });
		});
		await s.open(page, "/?since=-2h");
		const note = page.getByRole("status").filter({ hasText: "could not keep up" });
		await says(note, "4 200 spans of 310 whole traces", "what was left out");
		await s.rest(page);
		equal(await s.axe(page), [], "axe finds");
	});

	await s.test("map: nodes, calls, a click leads to the service", async (page) => {
		await s.open(page, "/map?since=-2h");
		const want = await s.api("map?since=-2h");
		await becomes(() => page.locator(".map .node").count(), want.nodes.length, "services");
		await becomes(() => page.locator("tbody tr").count(), want.edges.length, "calls");
		await page.locator(".map .node a").filter({ hasText: "payments" }).click();
		await becomes(() => place(page), "/service/payments", "the address");
	});
}
