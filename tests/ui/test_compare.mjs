// SPDX-License-Identifier: Apache-2.0
// Two traces, or two sets of traces, side by side.
import { becomes, fits, params, param, says } from "./page.mjs";

const paths = (page) => page.locator(".compare tbody tr");

export default async function (s) {
	const [example] = s.checkout.examples;

	await s.test("compare: two traces, chosen in the search", async (page) => {
		await s.open(page, "/search?since=-2h&service=web&name=POST+%2Fcheckout");
		const listed = page.locator("tbody tr");
		await listed.nth(0).hover();
		await listed.nth(0).getByRole("button", { name: "compare" }).click();
		await listed.nth(1).getByRole("link", { name: "compare with it" }).click();
		await paths(page).first().waitFor();
		const { a, b } = await fits(() => params(page), (p) => p.a && p.b, "both are in the URL");
		const want = await s.api(`compare?a=${a}&b=${b}`);
		await becomes(() => paths(page).count(), want.rows.length, "paths");
		await page.getByRole("button", { name: "Swap" }).click();
		await becomes(async () => [await param(page, "a"), await param(page, "b")], [b, a], "swapped");
	});

	await s.test("compare: with one chosen, others like it are offered", async (page) => {
		await s.openTrace(page, `/trace/${example}`);
		await page.getByRole("link", { name: "Compare", exact: true }).last().click();
		await page.getByRole("button", { name: /a usual one/ }).click();
		await paths(page).first().waitFor();
		await becomes(() => param(page, "b"), example, "it is held against the other");
	});

	await s.test("compare: what a range holds against the rest", async (page) => {
		await s.open(page, `/service/web/pattern/${s.checkout.id}?since=-2h&from_ns=200000000&to_ns=900000000`);
		await page.getByRole("link", { name: "compare both, span by span" }).click();
		await paths(page).first().waitFor();
		await says(page.locator(".compare thead"), /outside.*inside/s, "its columns");
		await says(paths(page).filter({ hasText: "payments POST /charge" }).first(), "+", "payments take longer");
	});
}
