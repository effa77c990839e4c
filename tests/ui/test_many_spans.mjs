// SPDX-License-Identifier: Apache-2.0
// A trace of 100,000 spans: of it the page has what is on the screen, and the server what was not asked for.
import { row, section, selected, selectedFailed } from "./elements.mjs";
import { becomes, fits, says } from "./page.mjs";

export default async function (s) {
	await s.test("100,000 spans: only what is on the screen exists", async (page) => {
		await s.openTrace(page, `/trace/${s.big}`);
		await says(page.locator(".trace-facts"), "100 000 spans", "how many there are");
		const scroll = page.locator(".scroll");
		const first = await row(page, 0).getAttribute("id");
		for (const at of [0.3, 0.9, 0]) {
			await scroll.evaluate((e, at) => (e.scrollTop = at * (e.scrollHeight - e.clientHeight)), at);
			await becomes(async () => (await row(page, 0).getAttribute("id")) === first, at === 0, `the rows at ${at} are shown`);
			await fits(() => page.locator(".span-row").count(), (n) => n < 60, "and no others");
		}
	});

	await s.test("100,000 spans: what was not sent is fetched on demand", async (page) => {
		await s.openTrace(page, `/trace/${s.big}`);
		const leaf = page.locator(".span-row").filter({ hasText: "+9" }).first();
		const id = await leaf.getAttribute("id");
		await leaf.locator(".below").click();
		await page.waitForFunction((id) => !document.getElementById(id)?.querySelector(".below"), id);
		const level = Number(await page.locator(`#${id}`).getAttribute("aria-level"));
		await becomes(() => page.locator(`#${id} + .span-row`).getAttribute("aria-level"), String(level + 1), "what is below it follows it");
		await page.keyboard.press("e");
		await selectedFailed(page).waitFor(); // failed spans are among those that are sent
		await page.keyboard.press("Escape");
		await page.keyboard.press("f");
		await page.keyboard.type("group 39");
		await page.keyboard.press("Escape");
		await page.keyboard.press("n");
		await selected(page).filter({ hasText: "group 39" }).waitFor();
	});

	await s.test("100,000 spans: the service and its patterns", async (page) => {
		await s.open(page, "/service/importer?since=-2h");
		await section(page, "Patterns").locator("tbody a").first().click();
		await page.locator(".graph-row").nth(1).waitFor();
		await page.locator(".histogram .bar").first().waitFor(); // durations
	});
}
