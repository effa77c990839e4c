// SPDX-License-Identifier: Apache-2.0
// What the keyboard does: keys of the trace and of lists, many of them at once, Tab and the focus.
import { selected, selectedFailed } from "./elements.mjs";
import { becomes, check, fits, holds, param, place } from "./page.mjs";

const rows = (page) => page.locator(".span-row").count();

export default async function (s) {
	const [example] = s.checkout.examples;

	await s.test("keys of the trace", async (page) => {
		const t = await s.api(`trace/${example}/tree`);
		await s.openTrace(page, `/trace/${example}`);
		const press = (k) => page.keyboard.press(k);
		const now = async () => ((await selected(page).count()) ? (await selected(page).getAttribute("id")).slice(5) : null);
		await press("j");
		await press("j");
		await becomes(now, t.id[1], "j goes down");
		await press("k");
		await becomes(now, t.id[0], "k goes up");
		await press("h");
		await becomes(() => rows(page), 1, "h folds");
		await becomes(() => param(page, "shut"), t.id[0], "what is folded is in the URL");
		await press("l");
		await becomes(() => rows(page), t.id.length, "l opens");
		await press("w");
		const zoomed = await holds(() => param(page, "from"), "w zooms in");
		await press("d");
		await fits(() => param(page, "from"), (from) => from !== zoomed, "d moves on");
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

	await s.test("keys: the next error", async (page) => {
		const [bad] = await s.api("traces?since=-2h&service=web&error=1&limit=1");
		await s.openTrace(page, `/trace/${bad.trace_id}`);
		await page.keyboard.press("e");
		await selectedFailed(page).waitFor(); // e selects a failed span
	});

	await s.test("keys: many at once are all heeded", async (page) => {
		const t = await s.api(`trace/${example}/tree`);
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

	await s.test("keys: one that is held down for long is heeded to the end, and the URL follows", async (page) => {
		await s.openTrace(page, `/trace/${s.big}`);
		const t = await s.api(`trace/${s.big}/tree`);
		const times = 400; // a browser drops changes of its history beyond 200 in ten seconds
		await page.evaluate(async (times) => {
			for (let k = 0; k < times; k++) {
				dispatchEvent(new KeyboardEvent("keydown", { key: "j", bubbles: true }));
				await new Promise((done) => requestAnimationFrame(done));
			}
		}, times);
		await becomes(() => selected(page).getAttribute("id"), `span-${t.id[times - 1]}`, "the last one is selected");
		await becomes(() => param(page, "span"), t.id[times - 1], "in the URL");
		await becomes(() => page.locator(".panel h2").innerText(), t.names[t.name[times - 1]], "in the panel");
	});

	await s.test("keys of lists, and rows that lead where their link leads", async (page) => {
		await s.open(page, "/search?since=-2h&service=web");
		await page.keyboard.press("Escape"); // leaves the field
		const focused = () => page.evaluate(() => [...document.querySelectorAll("tbody tr")].findIndex((r) => r.contains(document.activeElement)));
		const atTrace = (what) => fits(() => place(page), (p) => p.startsWith("/trace/"), what);
		await page.keyboard.press("j");
		await page.keyboard.press("j");
		await becomes(focused, 1, "j goes down");
		await page.keyboard.press("k");
		await becomes(focused, 0, "k goes up");
		await page.keyboard.press("Enter");
		await atTrace("Enter opens it");
		await page.goBack();
		await page.locator("tbody tr").first().locator("td").nth(4).click(); // its duration: no link
		await atTrace("a click on the row, too");
	});

	await s.test("everything can be reached by Tab, and the focus is seen", async (page) => {
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
}
