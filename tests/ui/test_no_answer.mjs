// SPDX-License-Identifier: Apache-2.0
// Where there is nothing to show: an empty store, a window without data, a server that went away, or does not let one in.
import { becomes, holds, param, says } from "./page.mjs";

export default async function (s) {
	await s.test("an empty store teaches how to fill it", async (page) => {
		for (const [view, url] of Object.entries({ overview: "/?since=0", search: "/search?since=0", map: "/map?since=0" })) {
			await s.open(page, url, s.empty);
			await says(page.locator("main"), "clew run --server", `the ${view} shows the command`);
		}
		await s.open(page, "/?since=-5m", s.empty);
		await says(page.locator("main"), "No requests in the last 5 minutes", "a window without data says which");
	});

	await s.test("a server that went away is said; what was there stays", async (page) => {
		await s.open(page, "/search?since=-2h&service=web");
		await page.route("**/api/**", (r) => r.abort());
		await page.getByRole("button", { name: "With errors" }).click();
		const alerts = page.getByRole("alert");
		await says(alerts.first(), "does not answer", "in words");
		await s.rest(page);
		await becomes(() => alerts.count(), 1, "once, of however many questions");
		await holds(() => page.locator("tbody tr").count(), "what was there stays");
		await page.unroute("**/api/**");
		await becomes(() => alerts.count(), 0, "that it is back is found without a click");
		await becomes(() => page.locator("tbody tr .figure .quiet", { hasText: /^0$/ }).count(), 0, "and what was asked is asked again: all that are listed failed");
	}, { allow: ["ERR_FAILED"] });

	await s.test("a server that wants its token says how to give it", async (page) => {
		await page.route("**/api/**", (r) => r.fulfill({ status: 401, json: { error: "this server wants its token" } }));
		await s.open(page, "/?since=-2h");
		await says(page.getByRole("alert").first(), "The token is the password", "in words");
	}, { allow: ["401"] });

	await s.test("a server that is busy is asked again when it said", async (page) => {
		let refused = 0;
		await page.route("**/api/clew/v1/overview*", (r) => (refused++ ? r.continue() : r.fulfill({ status: 503, headers: { "Retry-After": "1" }, json: { error: "too many queries run at a time: try again" } })));
		await s.open(page, "/?since=-2h");
		await page.locator("tbody tr").first().waitFor();
		await becomes(() => page.getByRole("alert").count(), 0, "nobody has to hear of it");
		await becomes(() => param(page, "since"), "-2h", "it is the same view");
	}, { allow: ["503"] });
}
