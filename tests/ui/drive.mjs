// SPDX-License-Identifier: Apache-2.0
// node drive.mjs FACTS.json: drives every view of the page as people do, and holds what it shows against the API.
import { randomBytes } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { becomes, check, equal, holds, NARROW, param, params, place, Suite, text, texts, WIDE } from "./page.mjs";

const facts = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const only = process.argv[3];
const s = new Suite(facts);
const api = (call) => s.api(call);
const test = (name, run, options) => (!only || name.includes(only) ? s.test(name, run, options) : undefined);

/** A drag over an element, by shares of its width and height. */
async function drag(page, locator, [x1, y1], [x2, y2]) {
	const b = await locator.boundingBox();
	const at = (x, y) => [b.x + x * b.width, b.y + y * b.height];
	await page.mouse.move(...at(x1, y1));
	await page.mouse.down();
	await page.mouse.move(...at((x1 + x2) / 2, (y1 + y2) / 2), { steps: 4 });
	await page.mouse.move(...at(x2, y2), { steps: 4 });
	await page.mouse.up();
}

const row = (page, n) => page.locator(".span-row").nth(n);
const section = (page, title) => page.locator("section").filter({ has: page.getByRole("heading", { name: title }) });
const selected = (page) => page.locator(".span-row.is-selected");
const failed = (page) => page.locator(".span-row.is-selected .error");

await s.begin();
const patterns = (await api("patterns?service=web&any=1&since=-2h")).patterns;
const checkout = patterns.find((p) => p.name === "POST /checkout");
const example = checkout.examples[0];

// ---- the flow ----

await test("from the overview to why, by clicks alone", async (page) => {
	await s.open(page, "/?since=-2h");
	await page.getByRole("link", { name: "web", exact: true }).first().click();
	await section(page, "Patterns").getByRole("link", { name: "POST /checkout", exact: true }).first().click();
	await page.locator(".histogram").waitFor();
	await s.rest(page);
	await drag(page, page.locator(".histogram"), [0.7, 0.5], [0.99, 0.5]);
	await page.getByText("What differs inside the range").waitFor();
	await s.rest(page); // each step of the drag asked again
	const first = await text(page.locator(".difference-table tbody tr").first());
	check(first.includes("shop.region = us-2"), `the reason stands first: ${first}`);
	await page.locator(".examples a").first().click();
	await page.locator(".span-row").first().waitFor();
	check((await place(page)).startsWith("/trace/"), "an example leads to its trace");
	await row(page, 4).click();
	await page.getByRole("button", { name: "Why this parent?" }).click();
	await holds(async () => (await param(page, "why")) === "1" && (await param(page, "span")), "the question is in the URL");
	await holds(async () => (await text(page.locator(".why"))).length > 30, "it is answered in words");
	for (const [name, fits] of Object.entries({ pattern: /^\/service\/web\/pattern\//, service: /^\/service\/web$/, overview: /^\/$/ })) {
		for (let k = 0; k < 12 && !fits.test(await place(page)); k++) await page.goBack();
		check(fits.test(await place(page)), `Back comes to the ${name}: ${await place(page)}`);
	}
});

// ---- what is shown is what the API says ----

await test("overview: each service, its figures, those that deviate first", async (page) => {
	await s.open(page, "/?since=-10m");
	const want = await api("overview?since=-10m&buckets=60");
	const worse = want.services.filter((x) => x.deviation >= 1 && (x.p95_ns > x.before.p95_ns || x.errors / x.requests > x.before.errors / Math.max(1, x.before.requests)));
	check(worse.length, "something got worse");
	equal(await texts(page.locator("tbody tr td:first-child")), [...worse, ...want.services.filter((x) => !worse.includes(x))].map((x) => x.service), "services");
	const cells = await texts(page.locator("tbody tr").filter({ has: page.getByRole("link", { name: "orders", exact: true }) }).locator("td"));
	const orders = want.services.find((x) => x.service === "orders");
	const share = (orders.errors / orders.requests) * 100;
	check(cells.some((c) => c.endsWith("%") && Math.abs(parseFloat(c) - share) < 0.6), `errors of orders are ${share}: ${cells}`);
	check(await page.locator(".map .node").count(), "the map is there");
});

await test("service: patterns, operations, neighbours", async (page) => {
	await s.open(page, "/service/orders?since=-2h");
	const p = await api("patterns?service=orders&any=1&limit=50&since=-2h");
	const o = await api("operations?service=orders&since=-2h");
	const tables = page.locator("table");
	equal(await tables.nth(0).locator("tbody tr").count(), p.patterns.length, "patterns");
	equal(await tables.nth(1).locator("tbody tr").count(), o.operations.length, "operations");
	equal(await texts(tables.nth(0).locator("tbody tr td:nth-child(4)")), p.patterns.map((x) => String(x.count)), "traces of each");
	check((await text(page.locator(".two"))).includes("payments"), "it calls payments");
	await tables.nth(1).getByRole("button", { name: "p95" }).click();
	await becomes(() => param(page, "operations"), "-p95", "the order is in the URL");
});

await test("pattern: the graph, its counts, examples", async (page) => {
	await s.open(page, `/service/web/pattern/${checkout.id}?since=-2h`);
	const g = await api(`patterns/${checkout.id}?service=web&any=1&since=-2h`);
	equal(await page.locator(".graph-row:not(.head)").count(), g.nodes.length, "kinds of span");
	const names = await texts(page.locator(".graph-row:not(.head) b"));
	equal(names, g.nodes.map((n) => n.service), "services");
	await page.locator(".histogram").focus();
	await page.keyboard.press("ArrowLeft");
	await page.keyboard.press("ArrowLeft");
	await holds(async () => Number(await param(page, "from_ns")) > 0, "the range can be chosen by keys");
	await page.getByRole("button", { name: "show all" }).click();
	await becomes(() => param(page, "from_ns"), null, "and be left");
});

await test("trace: rows, bars, the panel's fields", async (page) => {
	const t = await api(`trace/${example}/tree`);
	await s.openTrace(page, `/trace/${example}?span=${t.id[3]}`);
	const shown = await page.locator(".span-row").count();
	check(shown === t.id.length || shown > 12, `rows: ${shown} of ${t.id.length}`);
	equal(await texts(page.locator(".span-row b")), t.service.map((i) => t.services[i]).slice(0, shown), "services");
	const span = await api(`trace/${example}/span/${t.id[3]}`);
	await page.locator(".panel .attributes").first().waitFor();
	const panel = await text(page.locator(".panel"));
	for (const [k, v] of Object.entries(span.attributes)) check(panel.includes(k) && panel.includes(String(v)), `${k} = ${v} is in the panel`);
	check(panel.includes(span.name), "its name");
	await page.getByRole("button", { name: "Raw JSON" }).click();
	equal(JSON.parse(await page.locator(".panel pre").innerText()).span_id, t.id[3], "raw JSON");
	const bars = await page.locator(".bars canvas").evaluate((c) => {
		const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
		let inked = 0;
		for (let k = 3; k < d.length; k += 4) inked += d[k] > 0;
		return inked;
	});
	check(bars > 2000, `bars are drawn: ${bars} pixels`);
});

await test("trace: an attribute leads to a search for it", async (page) => {
	const t = await api(`trace/${example}/tree`);
	await s.openTrace(page, `/trace/${example}?span=${t.id[0]}`);
	await page.locator(".panel .attributes").getByRole("link", { name: /^(eu|us)-[12]$/ }).click();
	await page.getByRole("heading", { name: "Search" }).waitFor();
	check((await param(page, "where")).startsWith("shop.region="), await param(page, "where"));
	await page.locator("tbody tr").first().waitFor(); // it finds
});

// ---- search ----

await test("search: a condition on any attribute, no service named", async (page) => {
	await s.open(page, "/search?since=-2h");
	const field = page.getByLabel("Condition on an attribute");
	await field.fill("cart.items>=8");
	await field.press("Enter");
	await becomes(() => param(page, "where"), "cart.items>=8", "it is in the URL");
	const want = await api(`traces?since=-2h&limit=400&paged=1&where=${encodeURIComponent("cart.items>=8")}`);
	const lines = want.filter((x) => x.trace_id);
	await becomes(() => page.locator("tbody tr").count(), lines.length, "traces");
	check(lines.length > 20 && lines.length < 300, `a part of them: ${lines.length}`);
	await page.getByRole("button", { name: /^Remove/ }).click();
	await holds(async () => (await page.locator("tbody tr").count()) > lines.length, "without it there are more");
	await page.goBack();
	await becomes(() => page.locator("tbody tr").count(), lines.length, "Back brings it back");
});

await test("search: service and durations, errors, a page more", async (page) => {
	await s.open(page, "/search?since=-2h&service=web");
	await becomes(() => page.locator("tbody tr").count(), 400, "a page");
	await page.getByRole("button", { name: "Show 400 more" }).click();
	await page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 800);
	const least = page.getByLabel("At least");
	await least.fill("200ms");
	await least.press("Enter");
	await becomes(() => param(page, "min_duration"), "200000000", "nanoseconds in the URL");
	await page.getByRole("button", { name: "With errors" }).click();
	const want = await api("traces?since=-2h&service=web&min_duration=200000000&error=1&limit=400");
	await becomes(() => page.locator("tbody tr").count(), want.length, "slow ones that failed");
});

await test("search: a brush in the plot narrows it", async (page) => {
	await s.open(page, "/search?since=-2h&service=web");
	const before = await page.locator("tbody tr").count();
	await drag(page, page.locator(".scatter"), [0.3, 0.02], [0.6, 0.55]);
	await holds(async () => ((p) => p.since && p.until && p.from_ns && p.to_ns)(await params(page)), "all four edges are in the URL");
	await holds(async () => ((n) => n > 0 && n < before)(await page.locator("tbody tr").count()), `fewer than ${before}`);
});

await test("search: a range by the keyboard, and what differs inside it", async (page) => {
	await s.open(page, "/search?since=-2h&service=payments");
	const all = await page.locator("tbody tr").count();
	await page.locator(".scatter").focus();
	for (let k = 0; k < 12; k++) await page.keyboard.press("ArrowUp");
	await holds(async () => Number(await param(page, "from_ns")) > 0 && Number(await param(page, "to_ns")) > 0, "the range is in the URL");
	const { from_ns, to_ns } = await params(page);
	const want = await api(`traces?since=-2h&service=payments&limit=400&from_ns=${from_ns}&to_ns=${to_ns}`);
	check(want.length > 0 && want.length < all, `a part of them: ${want.length} of ${all}`);
	await becomes(() => page.locator("table").last().locator("tbody tr").count(), want.length, "traces whose root took so long");
	await page.locator(".difference-table tbody tr").filter({ hasText: "shop.region" }).first().waitFor();
	await page.getByRole("button", { name: "Remove the range" }).click();
	await becomes(() => page.locator("tbody tr").count(), all, "without it all are back");
});

await test("search: a trace's id, or a traceparent, leads to it", async (page) => {
	const t = await api(`trace/${example}/tree`);
	await s.open(page, "/search?since=-2h");
	const field = page.getByLabel("Condition on an attribute");
	await field.fill(`traceparent: 00-${example}-${t.id[2]}-01`);
	await field.press("Enter");
	await page.locator(`#span-${t.id[2]}.is-selected`).waitFor();
	equal(await place(page), `/trace/${example}`, "the address");
});

await test("search: the spans that fit, as a file", async (page) => {
	await s.open(page, "/search?since=-2h&service=payments&error=1");
	const link = page.getByRole("link", { name: "JSON lines" });
	const [file] = await Promise.all([page.waitForEvent("download"), link.click()]);
	const lines = fs.readFileSync(await file.path(), "utf8").trim().split("\n").map((l) => JSON.parse(l));
	equal(file.suggestedFilename(), "spans.ndjson", "its name");
	check(lines.length && lines.every((x) => x.service === "payments" && x.status === "error"), `failed spans of payments: ${lines.length}`);
});

await test("search: what cannot be asked is said, and what was there stays", async (page) => {
	await s.open(page, "/search?since=-2h&service=web");
	const field = page.getByLabel("Condition on an attribute");
	await field.fill("cart.items=~(");
	await field.press("Enter");
	await page.getByRole("alert").first().waitFor();
	check((await text(page.getByRole("alert").first())).length > 20, "in words");
}, { allow: ["400"] });

// ---- compare, map ----

await test("compare: two traces, chosen in the search", async (page) => {
	await s.open(page, "/search?since=-2h&service=web&name=POST+%2Fcheckout");
	await page.locator("tbody tr").nth(0).hover();
	await page.locator("tbody tr").nth(0).getByRole("button", { name: "compare" }).click();
	await page.locator("tbody tr").nth(1).getByRole("link", { name: "compare with it" }).click();
	await page.locator(".compare tbody tr").first().waitFor();
	const { a, b } = await params(page);
	const want = await api(`compare?a=${a}&b=${b}`);
	equal(await page.locator(".compare tbody tr").count(), want.rows.length, "paths");
	await page.getByRole("button", { name: "Swap" }).click();
	await becomes(async () => [await param(page, "a"), await param(page, "b")], [b, a], "swapped");
});

await test("compare: what a range holds against the rest", async (page) => {
	await s.open(page, `/service/web/pattern/${checkout.id}?since=-2h&from_ns=200000000&to_ns=900000000`);
	await page.getByRole("link", { name: "compare both, span by span" }).click();
	await page.locator(".compare tbody tr").first().waitFor();
	const head = await text(page.locator(".compare thead"));
	check(head.includes("outside") && head.includes("inside"), head);
	const most = await page.locator(".compare tbody tr").filter({ hasText: "payments POST /charge" }).first().innerText();
	check(most.includes("+"), `payments take longer: ${most}`);
});

await test("map: nodes, calls, a click leads to the service", async (page) => {
	await s.open(page, "/map?since=-2h");
	const want = await api("map?since=-2h");
	equal(await page.locator(".map .node").count(), want.nodes.length, "services");
	equal(await page.locator("tbody tr").count(), want.edges.length, "calls");
	await page.locator(".map .node a").filter({ hasText: "payments" }).click();
	await becomes(() => place(page), "/service/payments", "the address");
});

// ---- keys ----

await test("keys of the trace", async (page) => {
	const t = await api(`trace/${example}/tree`);
	await s.openTrace(page, `/trace/${example}`);
	const press = (k) => page.keyboard.press(k);
	const now = async () => ((await selected(page).count()) ? (await selected(page).getAttribute("id")).slice(5) : null);
	await press("j");
	await press("j");
	await becomes(now, t.id[1], "j goes down");
	await press("k");
	await becomes(now, t.id[0], "k goes up");
	await press("h");
	await becomes(() => page.locator(".span-row").count(), 1, "h folds");
	await becomes(() => param(page, "shut"), t.id[0], "what is folded is in the URL");
	await press("l");
	await becomes(() => page.locator(".span-row").count(), t.id.length, "l opens");
	await press("w");
	await holds(() => param(page, "from"), "w zooms in");
	const zoomed = await param(page, "from");
	await press("d");
	await holds(async () => (await param(page, "from")) !== zoomed, "d moves on");
	await press("a");
	await press("s");
	await press("0");
	await becomes(() => param(page, "from"), null, "0: the whole trace");
	await press("c");
	await becomes(() => param(page, "critical"), "1", "c: the critical path only");
	await press("c");
	await press("f");
	await page.keyboard.type("ledger");
	await page.locator(".span-row.is-found").first().waitFor();
	await press("Escape");
	await press("n");
	await selected(page).filter({ hasText: "ledger" }).waitFor(); // n goes to what was found
	await press("p");
	await becomes(() => param(page, "why"), "1", "p: why this parent");
	await press("?");
	await page.getByRole("dialog").filter({ hasText: "zoom in" }).waitFor(); // ? lists the keys
	await press("Escape");
	await page.getByRole("dialog").waitFor({ state: "detached" });
	await press("Escape");
	await selected(page).waitFor({ state: "detached" }); // Escape leaves the span
	await press("/");
	await becomes(() => place(page), "/search", "/ searches");
});

await test("trace: whose time it was, and where a failure began", async (page) => {
	const [bad] = await api("traces?since=-2h&service=web&error=1&limit=1");
	const t = await api(`trace/${bad.trace_id}/tree`);
	await s.openTrace(page, `/trace/${bad.trace_id}`);
	const first = page.locator(".legend li").first();
	check((await text(first)).includes("failed first"), "the failure");
	await first.getByRole("button").click();
	const at = t.id.indexOf((await selected(page).getAttribute("id")).slice(5));
	equal([t.status[at], t.parent.some((p, i) => p === at && t.status[i] === 2)], [2, false], "a failed span below which none failed");
	await page.getByRole("button", { name: /errors$/ }).click();
	await becomes(() => page.locator(".span-row.is-found").count(), t.totals.errors, "the failed spans are found");
	const path = t.critical.filter((c) => c[0] >= 0).reduce((ns, [i, from, to]) => ns.set(i, (ns.get(i) ?? 0) + to - from), new Map());
	const [most] = [...path].sort((a, b) => b[1] - a[1]);
	await page.locator(".legend li").nth(1).getByRole("button").click();
	await becomes(() => selected(page).getAttribute("id"), `span-${t.id[most[0]]}`, "the one whose own time is most of the critical path");
});

await test("keys: the next error", async (page) => {
	const bad = await api("traces?since=-2h&service=web&error=1&limit=1");
	await s.openTrace(page, `/trace/${bad[0].trace_id}`);
	await page.keyboard.press("e");
	await failed(page).waitFor(); // e selects a failed span
});

await test("keys: many at once are all heeded", async (page) => {
	const t = await api(`trace/${example}/tree`);
	await s.openTrace(page, `/trace/${example}`);
	// As a key that is held down on a slow machine: no frame is drawn in between.
	await page.evaluate(async () => {
		for (const key of ["j", "j", "j", "j", "k"]) {
			dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
			await new Promise((done) => {
				const c = new MessageChannel();
				c.port1.onmessage = done;
				c.port2.postMessage(0);
			});
		}
	});
	await becomes(() => selected(page).getAttribute("id"), `span-${t.id[2]}`, "four down, one up");
});

await test("everything can be reached by Tab, and the focus is seen", async (page) => {
	await s.open(page, "/?since=-2h");
	const reached = [];
	for (let k = 0; k < 24; k++) {
		await page.keyboard.press("Tab");
		reached.push(
			await page.evaluate(() => {
				const e = document.activeElement;
				const o = getComputedStyle(e);
				const box = e.querySelector?.(".box");
				const seen = o.outlineStyle !== "none" || (box && getComputedStyle(box).strokeWidth === "2px");
				return `${e.innerText || e.getAttribute("aria-label") || e.textContent}${seen ? "" : " UNSEEN"}`.replaceAll("\u2009", " ");
			}),
		);
	}
	const all = reached.join("|");
	for (const want of ["Overview", "Search", "Map", "Compare", "Live", "web", "p95"]) check(all.includes(want), `${want} is among ${all}`);
	check(!all.includes("UNSEEN"), `the focus is seen everywhere: ${all}`);
});

// ---- states ----

await test("a trace's state comes back from its URL", async (page) => {
	const t = await api(`trace/${example}/tree`);
	const from = Math.round(t.duration_ns * 0.1);
	const to = Math.round(t.duration_ns * 0.6);
	await s.openTrace(page, `/trace/${example}?span=${t.id[2]}&from=${from}&to=${to}&find=ledger&critical=1&why=1`);
	equal(await selected(page).getAttribute("id"), `span-${t.id[2]}`, "the span");
	check((await text(page.locator(".axis span"))).includes("of"), "the stretch of time");
	check((await page.locator(".span-row").count()) <= t.id.length, "the critical path");
	equal(await page.getByLabel("Find in the trace").inputValue(), "ledger", "what was looked for");
	equal(await page.getByRole("button", { name: "Why this parent?" }).getAttribute("aria-expanded"), "true", "the question");
});

await test("the window of time and the theme", async (page) => {
	await s.open(page, "/");
	await page.getByRole("button", { name: /^Window of time/ }).click();
	await page.getByRole("menuitemradio", { name: "last 24 hours" }).click();
	await becomes(() => param(page, "since"), "-24h", "in the URL");
	await page.getByRole("link", { name: "Search", exact: true }).click();
	await becomes(async () => [await place(page), await param(page, "since")], ["/search", "-24h"], "goes along");
	await page.getByRole("button", { name: /^Theme/ }).click();
	await page.getByRole("menuitemradio", { name: "dark" }).click();
	await becomes(() => page.evaluate(() => document.documentElement.dataset.theme), "dark", "dark");
	await page.reload();
	await page.locator("main").waitFor();
	equal(await page.evaluate(() => document.documentElement.dataset.theme), "dark", "is kept");
});

await test("the window of time as one types it", async (page) => {
	await s.open(page, "/search");
	await page.getByRole("button", { name: /^Window of time/ }).click();
	await page.getByLabel("From").fill("2026-01-02T03:04:05");
	await page.getByLabel("To", { exact: true }).fill("2026-01-02T03:05:01");
	await page.getByRole("button", { name: "Show it" }).click();
	await becomes(async () => [await param(page, "since"), await param(page, "until")], [1767323045, 1767323102].map((sec) => String(sec * 1e9)), "in the URL");
});

await test("a trace that is not there", async (page) => {
	await s.open(page, "/trace/00000000000000000000000000000001");
	check((await text(page.locator("main"))).includes("no such trace"), "is said");
}, { allow: ["404"] });

await test("an address that names no view", async (page) => {
	await s.open(page, "/nothing/here");
	check((await text(page.locator("main"))).includes("names no view"), "is said");
});

await test("an empty store teaches how to fill it", async (page) => {
	await s.open(page, "/?since=0", s.empty);
	check((await text(page.locator("main"))).includes("clew run --server"), "the overview shows the command");
	await s.open(page, "/search?since=0", s.empty);
	check((await text(page.locator("main"))).includes("clew run --server"), "the search, too");
	await s.open(page, "/map?since=0", s.empty);
	check((await text(page.locator("main"))).includes("clew run --server"), "the map, too");
	await s.open(page, "/?since=-5m", s.empty);
	check((await text(page.locator("main"))).includes("No requests in the last 5 minutes"), "a window without data says which");
});

await test("a server that went away is said; what was there stays", async (page) => {
	await s.open(page, "/search?since=-2h&service=web");
	await page.route("**/api/**", (r) => r.abort());
	await page.getByRole("button", { name: "With errors" }).click();
	await page.getByRole("alert").first().waitFor();
	check((await text(page.getByRole("alert").first())).includes("does not answer"), "in words");
	await page.unroute("**/api/**");
	await page.getByRole("alert").getByRole("button", { name: "Try again" }).first().click();
	await page.waitForFunction(() => !document.querySelector("[role=alert]"));
	await page.locator("tbody tr").first().waitFor(); // and it comes back
}, { allow: ["ERR_FAILED"] });

// ---- live ----

const hex = (n) => randomBytes(n).toString("hex");

async function send(name) {
	const start = BigInt(Date.now()) * 1000000n;
	const traceId = hex(16);
	const spans = [{ traceId, spanId: hex(8), name, kind: 2, startTimeUnixNano: String(start), endTimeUnixNano: String(start + 5000000n) }];
	const body = { resourceSpans: [{ resource: { attributes: [{ key: "service.name", value: { stringValue: "live" } }] }, scopeSpans: [{ spans }] }] };
	const r = await fetch(`${s.otlp}/v1/traces`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
	check(r.ok, `sent: ${r.status}`);
	return traceId;
}

await test("live: what comes in is shown without being asked for", async (page) => {
	const asked = [];
	page.on("request", (r) => asked.push(new URL(r.url()).pathname));
	const following = page.waitForResponse((a) => a.url().includes("/tail"));
	await s.open(page, "/search?since=-5m&service=live&live=1");
	await following; // from now on nothing is missed
	const before = asked.filter((p) => p.endsWith("/traces")).length;
	const id = await send("GET /now");
	await page.locator(`a[href*="${id}"]`).first().waitFor();
	check(asked.some((p) => p.endsWith("/tail")), "by the server's tail");
	equal(asked.filter((p) => p.endsWith("/traces")).length, before, "the list was not asked for again");
	await page.keyboard.press("Escape");
	await page.getByRole("button", { name: "Live" }).click();
	await becomes(() => param(page, "live"), null, "it can be switched off");
});

await test("live: conditions that a tail cannot have are asked again and again", async (page) => {
	await s.open(page, `/search?since=-5m&live=1&where=${encodeURIComponent("service.name=~^live$")}`);
	const id = await send("GET /again");
	await page.locator(`a[href*="${id}"]`).first().waitFor();
}, { allow: ["400"] });

// ---- a trace of very many spans ----

await test("100,000 spans: only what is on the screen exists", async (page) => {
	await s.openTrace(page, `/trace/${s.big}`);
	check((await text(page.locator(".trace-facts"))).includes("100 000 spans"), "it says how many there are");
	const scroll = page.locator(".scroll");
	const first = await row(page, 0).getAttribute("id");
	for (const at of [0.3, 0.9, 0]) {
		await scroll.evaluate((e, at) => (e.scrollTop = at * (e.scrollHeight - e.clientHeight)), at);
		await becomes(async () => (await row(page, 0).getAttribute("id")) === first, at === 0, `the rows at ${at} are shown`);
		check((await page.locator(".span-row").count()) < 60, "and no others");
	}
});

await test("100,000 spans: what was not sent is fetched on demand", async (page) => {
	await s.openTrace(page, `/trace/${s.big}`);
	const leaf = page.locator(".span-row").filter({ hasText: "+9" }).first();
	const id = await leaf.getAttribute("id");
	await leaf.locator(".below").click();
	await page.waitForFunction((id) => !document.getElementById(id)?.querySelector(".below"), id);
	const next = page.locator(`#${id} + .span-row`);
	equal(await next.getAttribute("aria-level"), String(Number(await page.locator(`#${id}`).getAttribute("aria-level")) + 1), "what is below it follows it");
	await page.keyboard.press("e");
	await failed(page).waitFor(); // failed spans are among those that are sent
	await page.keyboard.press("Escape");
	await page.keyboard.press("f");
	await page.keyboard.type("group 39");
	await page.keyboard.press("Escape");
	await page.keyboard.press("n");
	await selected(page).filter({ hasText: "group 39" }).waitFor();
});

await test("100,000 spans: the service and its patterns", async (page) => {
	await s.open(page, "/service/importer?since=-2h");
	await section(page, "Patterns").locator("tbody a").first().click();
	await page.locator(".graph-row").nth(1).waitFor();
	await page.locator(".histogram .bar").first().waitFor(); // durations
});

// ---- what was traced by clew itself ----

if (s.traced) {
	await test("traced: where the time went, and why", async (page) => {
		const [line] = await s.api("traces?service=nginx&sort=duration&limit=1", s.traced);
		const t = await s.api(`trace/${line.trace_id}/tree`, s.traced);
		const at = t.times.cpu.findIndex((ns, i) => ns > 0 && t.class[i] === 1);
		await s.openTrace(page, `/trace/${line.trace_id}?since=0&span=${t.id[at]}&why=1`, s.traced);
		await page.locator(".breakdown i").first().waitFor(); // the breakdown is drawn
		await page.locator(".why").waitFor();
		check((await text(page.locator(".panel"))).includes("running"), "with its figures");
		check((await text(page.locator(".why"))).includes("certain"), "the link is certain");
		const gap = t.critical.reduce((n, [i, from, to]) => n + (i < 0 ? to - from : 0), 0);
		if (gap > 0.002 * t.duration_ns) check((await text(page.locator(".legend"))).includes("unexplained"), "unexplained time is named");
	});
	await test("traced: an orphan and its candidates", async (page) => {
		const orphans = (await s.api("spans?link_class=orphan&limit=200", s.traced)).filter((x) => x.links.length);
		check(orphans.length, "the capture has an orphan with candidates");
		const o = orphans[0];
		await s.openTrace(page, `/trace/${o.trace_id}?since=0`, s.traced);
		await page.locator(`#span-${o.span_id} .joint`).click();
		await page.locator(".candidates li").first().waitFor();
		equal(await page.locator(".candidates li").count(), o.links.length, "candidates");
		check((await text(page.locator(".why"))).includes("not known"), "it says so");
		await page.locator(".candidates a").first().click();
		await becomes(async () => (await selected(page).count()) && (await selected(page).getAttribute("id")), `span-${o.links[0].span_id}`, "a click leads to the candidate");
	});
}

// ---- every view, light and dark, wide and narrow ----

const views = {
	overview: "/?since=-10m",
	service: "/service/web?since=-2h",
	pattern: `/service/web/pattern/${checkout.id}?since=-2h&from_ns=200000000&to_ns=900000000`,
	search: "/search?since=-2h",
	trace: `/trace/${example}`,
	span: `/trace/${example}?span=${(await api(`trace/${example}/tree`)).id[4]}&why=1`,
	big: `/trace/${s.big}`,
	map: "/map?since=-2h",
	compare: `/compare?a=${example}&b=${checkout.examples[1]}`,
};

for (const [name, url] of Object.entries(views))
	for (const theme of ["light", "dark"])
		for (const [width, size] of Object.entries({ wide: WIDE, narrow: NARROW }))
			await test(
				`looks: ${name}, ${theme}, ${width}`,
				async (page) => {
					await s.open(page, url);
					await page.screenshot({ path: path.join(s.out, `${name}-${width}-${theme}.png`) });
					equal(await s.axe(page), [], "axe finds");
					const beyond = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
					check(beyond <= 0, `nothing sticks out at the right: ${beyond} px`);
					const shift = await page.evaluate(() => window.shift);
					check(shift < 0.02, `nothing jumps: layout shift ${shift.toFixed(3)}`);
				},
				{ size, theme },
			);

// ---- size; what takes time is measured by bench/page ----

await test("the script is small", async (page) => {
	await s.open(page, "/?since=-2h");
	const scripts = await page.evaluate(() => performance.getEntriesByType("resource").map((e) => e.name).filter((n) => n.endsWith(".js")));
	check(scripts.length, "there is one");
	let bytes = 0;
	for (const url of scripts) bytes += gzipSync(Buffer.from(await (await fetch(url)).arrayBuffer()), { level: 9 }).length;
	check(bytes < 120000, `script: ${bytes} bytes compressed`);
});

await s.end();
process.exit(s.failed ? 1 : 0);
