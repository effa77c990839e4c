// SPDX-License-Identifier: Apache-2.0
// Steps 2 to 4: a service, its patterns, one of them as a graph and a histogram.
import { section } from "./elements.mjs";
import { becomes, equal, holds, param, says, texts } from "./page.mjs";

export default async function (s) {
	await s.test("service: the pattern that got worse stands on top", async (page) => {
		await s.open(page, `/service/web?${s.lately}`);
		await says(section(page, "Patterns").locator("tbody tr").first(), /POST \/checkout.*p95/s, "it says what changed");
	});

	await s.test("service: patterns, operations, neighbours", async (page) => {
		await s.open(page, "/service/orders?since=-2h");
		const p = await s.api("patterns?service=orders&any=1&limit=50&since=-2h");
		const o = await s.api("operations?service=orders&since=-2h");
		const tables = page.locator("table");
		await becomes(() => tables.nth(0).locator("tbody tr").count(), p.patterns.length, "patterns");
		await becomes(() => tables.nth(1).locator("tbody tr").count(), o.operations.length, "operations");
		await becomes(() => texts(tables.nth(0).locator("tbody tr td:nth-child(5)")), p.patterns.map((x) => String(x.count)), "traces of each");
		await says(page.locator(".two"), "payments", "it calls payments");
		await tables.nth(1).getByRole("button", { name: "p95" }).click();
		await becomes(() => param(page, "operations"), "-p95", "the order is in the URL");
	});

	await s.test("service: its colour is kept", async (page) => {
		const colour = (e) => getComputedStyle(e).backgroundColor;
		await s.open(page, "/?since=-2h");
		const orders = await page.locator("tbody .service").filter({ hasText: "orders" }).locator("i").evaluate(colour);
		await page.waitForFunction(() => localStorage.getItem("clew.colours"));
		await s.open(page, "/service/orders?since=-2h"); // loaded anew
		equal(await page.locator(".service i").first().evaluate(colour), orders, "its colour");
	});

	await s.test("pattern: the graph, its counts, examples", async (page) => {
		await s.open(page, `/service/web/pattern/${s.checkout.id}?since=-2h`);
		const g = await s.api(`patterns/${s.checkout.id}?service=web&any=1&since=-2h`);
		await becomes(() => page.locator(".graph-row:not(.head)").count(), g.nodes.length, "kinds of span");
		await becomes(() => texts(page.locator(".graph-row:not(.head) b")), g.nodes.map((n) => n.service), "services");
		await page.locator(".histogram").focus();
		await page.keyboard.press("ArrowLeft");
		await page.keyboard.press("ArrowLeft");
		await holds(async () => Number(await param(page, "from_ns")) > 0, "the range can be chosen by keys");
		await page.getByRole("button", { name: "show all" }).click();
		await becomes(() => param(page, "from_ns"), null, "and be left");
	});
}
