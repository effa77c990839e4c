// SPDX-License-Identifier: Apache-2.0
// The search: conditions, the plot and its brush, what the slow and the failed have in common, files.
import fs from "node:fs";
import { drag, found, section } from "./elements.mjs";
import { becomes, check, equal, fits, holds, param, params, place, says, text, texts } from "./page.mjs";

const rows = (page) => page.locator("tbody tr").count();
const traces = (page) => page.getByRole("table", { name: "Traces", exact: true }).locator("tbody tr").count();
const condition = (page) => page.getByLabel("Condition on an attribute");

export default async function (s) {
	await s.test("search: a condition on any attribute, no service named", async (page) => {
		await s.open(page, "/search?since=-2h");
		await condition(page).fill("cart.items>=8");
		await condition(page).press("Enter");
		await becomes(() => param(page, "where"), "cart.items>=8", "it is in the URL");
		const want = await s.api(`traces?since=-2h&limit=400&paged=1&where=${encodeURIComponent("cart.items>=8")}`);
		const lines = want.filter((x) => x.trace_id);
		check(lines.length > 20 && lines.length < 300, `a part of them: ${lines.length}`);
		await becomes(() => found(page), lines.length, "traces");
		await becomes(() => rows(page), Math.min(100, lines.length), "rows");
		await page.getByRole("button", { name: /^Remove/ }).click();
		await fits(() => found(page), (n) => n > lines.length, "without it there are more");
		await page.goBack();
		await becomes(() => found(page), lines.length, "Back brings it back");
	});

	await s.test("search: service and durations, errors, a page more", async (page) => {
		await s.open(page, "/search?since=-2h&service=web");
		await becomes(() => rows(page), 100, "a page");
		for (let k = 2; k <= 5; k++) {
			await page.getByRole("button", { name: "Show 100 more" }).click();
			await becomes(() => rows(page), k * 100, "pages more"); // the fifth is asked for
		}
		await becomes(() => param(page, "rows"), "500", "how many, in the URL");
		await page.reload();
		await becomes(() => rows(page), 500, "as many after a reload");
		const least = page.getByLabel("At least");
		await least.fill("200ms");
		await least.press("Enter");
		await becomes(() => param(page, "min_duration"), "200000000", "nanoseconds in the URL");
		await page.getByRole("button", { name: "With errors" }).click();
		const want = await s.api("traces?since=-2h&service=web&min_duration=200000000&error=1&limit=400");
		await becomes(() => traces(page), want.length, "slow ones that failed");
	});

	await s.test("search: what the slow ones, and the failed, have that the others have not", async (page) => {
		const slow = section(page, "What the slow have");
		const failed = section(page, "What the failed have");
		await s.open(page, "/search?since=-2h&service=payments&min_duration=100000000");
		await says(slow.locator("tbody"), "shop.region = us-2", "the reason is among them");
		await slow.getByRole("link", { name: "compare both" }).click();
		await page.locator(".compare tbody tr").first().waitFor();
		await says(page.locator(".verdict"), "payments POST /charge", "and whose time it is");
		await page.getByRole("link", { name: "Back to the search" }).click();
		await becomes(() => params(page).then((p) => [p.service, p.min_duration]), ["payments", "100000000"], "Back to the search");
		await s.open(page, "/search?since=-2h&service=web&error=1");
		await says(failed.locator(".how"), "502 on", "how they failed");
		const others = await fits(() => texts(failed.locator("tbody tr")), (all) => all.length > 0, "what else they have");
		check(!others.some((t) => t.includes("status_code")), `not how they failed once more: ${others}`);
	});

	await s.test("search: the plot has all of the window, also what is not listed", async (page) => {
		const heat = await s.api("heat?since=-2h&service=web&any=1");
		check(heat.n > 400, `there are more than are listed: ${heat.n}`);
		await s.open(page, "/search?since=-2h&service=web");
		const all = `Search\n${String(heat.n).replace(/\B(?=(\d{3})+$)/g, " ")} traces`;
		await fits(() => text(page.locator(".top")), (t) => t.startsWith(all), `the head begins with "${all}"`);
		// A drag along the time narrows the time alone.
		await drag(page, page.locator(".scatter"), [0.78, 0.5], [0.83, 0.5]);
		await fits(() => params(page), (p) => p.since && p.until && !p.from_ns, "the time is in the URL, and no range");
		await page.getByRole("button", { name: "Remove the range of time" }).click();
		await becomes(() => param(page, "until"), null, "and can be left");
	});

	await s.test("search: a brush in the plot narrows it", async (page) => {
		await s.open(page, "/search?since=-2h&service=web");
		const before = await fits(() => found(page), (n) => n > 0, "traces");
		await drag(page, page.locator(".scatter"), [0.75, 0.02], [0.84, 0.55]);
		await fits(() => params(page), (p) => p.since && p.until && p.from_ns && p.to_ns, "all four edges are in the URL");
		await fits(() => found(page), (n) => n > 0 && n < before, `fewer than ${before}`);
	});

	await s.test("search: a range by the keyboard, and what differs inside it", async (page) => {
		await s.open(page, "/search?since=-2h&service=payments");
		const all = await fits(() => rows(page), (n) => n > 0, "traces");
		const plot = page.locator(".scatter");
		await plot.focus();
		for (let k = 0; k < 12; k++) await page.keyboard.press("ArrowUp");
		// The URL follows a little later than what is shown: until it does, it has the range of an earlier key.
		const range = await fits(
			async () => ({ ...(await params(page)), shown: await plot.getAttribute("aria-valuenow") }),
			(p) => Number(p.from_ns) > 0 && Number(p.to_ns) > 0 && p.from_ns === p.shown,
			"the range that is shown is in the URL",
		);
		const want = await s.api(`traces?since=-2h&service=payments&limit=400&from_ns=${range.from_ns}&to_ns=${range.to_ns}`);
		check(want.length > 0 && want.length < all, `a part of them: ${want.length} of ${all}`);
		await becomes(() => traces(page), want.length, "traces whose root took so long");
		await page.locator(".difference-table tbody tr").filter({ hasText: "shop.region" }).first().waitFor();
		await page.getByRole("button", { name: "Remove the range" }).click();
		await becomes(() => rows(page), all, "without it all are back");
	});

	await s.test("search: a trace's id, or a traceparent, leads to it", async (page) => {
		const [example] = s.checkout.examples;
		const t = await s.api(`trace/${example}/tree`);
		await s.open(page, "/search?since=-2h");
		await condition(page).fill(`traceparent: 00-${example}-${t.id[2]}-01`);
		await condition(page).press("Enter");
		await page.locator(`#span-${t.id[2]}.is-selected`).waitFor();
		await becomes(() => place(page), `/trace/${example}`, "the address");
	});

	await s.test("search: the spans that fit, as a file", async (page) => {
		await s.open(page, "/search?since=-2h&service=payments&error=1");
		const link = page.getByRole("link", { name: "JSON lines" });
		const [file] = await Promise.all([page.waitForEvent("download"), link.click()]);
		const lines = fs.readFileSync(await file.path(), "utf8").trim().split("\n").map((l) => JSON.parse(l));
		equal(file.suggestedFilename(), "spans.ndjson", "its name");
		check(lines.length && lines.every((x) => x.service === "payments" && x.status === "error"), `failed spans of payments: ${lines.length}`);
	});

	await s.test("search: what cannot be asked is said", async (page) => {
		await s.open(page, "/search?since=-2h&service=web");
		await condition(page).fill("cart.items=~(");
		await condition(page).press("Enter");
		await says(page.getByRole("alert").first(), /.{20}/, "in words");
	}, { allow: ["400"] });
}
