// SPDX-License-Identifier: Apache-2.0
// What stays in the address or the browser from view to view: the window of time, the theme; an address of nothing.
import { becomes, param, place, says } from "./page.mjs";

export default async function (s) {
	await s.test("the window of time and the theme", async (page) => {
		const theme = () => page.evaluate(() => document.documentElement.dataset.theme);
		await s.open(page, "/");
		await page.getByRole("button", { name: /^Window of time/ }).click();
		await page.getByRole("menuitemradio", { name: "last 24 hours" }).click();
		await becomes(() => param(page, "since"), "-24h", "in the URL");
		await page.getByRole("link", { name: "Search", exact: true }).click();
		await becomes(async () => [await place(page), await param(page, "since")], ["/search", "-24h"], "goes along");
		await page.getByRole("button", { name: /^Theme/ }).click();
		await page.getByRole("menuitemradio", { name: "dark" }).click();
		await becomes(theme, "dark", "dark");
		await page.reload();
		await page.locator("main").waitFor();
		await becomes(theme, "dark", "is kept");
	});

	await s.test("the window of time as one types it", async (page) => {
		await s.open(page, "/search");
		await page.getByRole("button", { name: /^Window of time/ }).click();
		await page.getByLabel("From").fill("2026-01-02T03:04:05");
		await page.getByLabel("To", { exact: true }).fill("2026-01-02T03:05:01");
		await page.getByRole("button", { name: "Show it" }).click();
		await becomes(async () => [await param(page, "since"), await param(page, "until")], [1767323045, 1767323102].map((sec) => String(sec * 1e9)), "in the URL");
	});

	await s.test("an address that names no view", async (page) => {
		await s.open(page, "/nothing/here");
		await says(page.locator("main"), "names no view", "what is said");
	});
}
