// SPDX-License-Identifier: Apache-2.0
// From "something is slow" to "why", by clicks alone.
import { drag, row, section } from "./elements.mjs";
import { fits, holds, param, place, says } from "./page.mjs";

export default async function (s) {
	await s.test("from the overview to why, by clicks alone", async (page) => {
		await s.open(page, "/?since=-2h");
		await page.getByRole("link", { name: "web", exact: true }).first().click();
		await section(page, "Patterns").getByRole("link", { name: "POST /checkout", exact: true }).first().click();
		await page.locator(".histogram").waitFor();
		await s.rest(page);
		await drag(page, page.locator(".histogram"), [0.7, 0.5], [0.99, 0.5]);
		await page.getByText("What differs inside the range").waitFor();
		await s.rest(page); // each step of the drag asked again
		await says(page.locator(".difference-table tbody tr").first(), "shop.region = us-2", "the reason stands first");
		await page.locator(".examples a").first().click();
		await page.locator(".span-row").first().waitFor();
		await fits(() => place(page), (p) => p.startsWith("/trace/"), "an example leads to its trace");
		await row(page, 4).click();
		await page.getByRole("button", { name: "Why this parent?" }).click();
		await holds(async () => (await param(page, "why")) === "1" && (await param(page, "span")), "the question is in the URL");
		await says(page.locator(".why"), /.{30}/s, "it is answered in words");
		for (const [name, is] of Object.entries({ pattern: /^\/service\/web\/pattern\//, service: /^\/service\/web$/, overview: /^\/$/ })) {
			for (let k = 0; k < 12 && !is.test(await place(page)); k++) await page.goBack();
			await fits(() => place(page), (p) => is.test(p), `Back comes to the ${name}`);
		}
	});

	await s.test("overview to the reason in one click", async (page) => {
		await s.open(page, "/?since=-16m");
		await says(page.locator("thead").first(), "Against the 16 minutes before", "it says against what");
		await s.open(page, `/?${s.lately}`);
		await page.locator("tbody tr").filter({ has: page.getByRole("link", { name: "payments", exact: true }) }).getByRole("link", { name: /^p95/ }).click();
		await says(page.locator(".difference-table tbody"), "shop.region = us-2", "the reason");
	});
}
