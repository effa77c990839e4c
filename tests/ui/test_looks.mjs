// SPDX-License-Identifier: Apache-2.0
// Every view, light and dark, wide and narrow: a screenshot, what axe finds, that nothing jumps, whatever is answered
// first. And the script's size; what takes time is measured by bench/page.
import path from "node:path";
import { gzipSync } from "node:zlib";
import { check, equal, NARROW, WIDE } from "./page.mjs";

const SIZES = Object.entries({ wide: WIDE, narrow: NARROW });
const MOST = 0.02; // of layout shift: a word that moves by a line

/** How much of what was drawn moved without being asked to (the browser's layout shift). */
async function jumps(page) {
	const shift = await page.evaluate(() => window.shift);
	check(shift < MOST, `nothing jumps: layout shift ${shift.toFixed(3)}, ${await page.evaluate(() => window.shifted.join("; "))}`);
}

/** Opens a view once for each question that it asks, and answers that one when all others are answered and drawn. */
async function eachAnsweredLast(s, page, url, base) {
	const asked = new Set();
	let last = null;
	let answer = () => {};
	await page.route("**/api/**", async (r) => {
		asked.add(r.request().url());
		if (r.request().url() === last) await new Promise((done) => (answer = done));
		await r.continue();
	});
	await s.open(page, url, base);
	for (last of [...asked]) {
		await page.goto("about:blank");
		await page.goto(base + url, { waitUntil: "domcontentloaded" });
		await page.locator("main").waitFor();
		await s.rest(page, (r) => r.url() === last);
		answer();
		await s.rest(page);
		await jumps(page).catch((e) => {
			throw new Error(`${e.message}, where ${last.slice(base.length)} is answered last`);
		});
	}
}

export default async function (s) {
	const [example, other] = s.checkout.examples;
	const span = (await s.api(`trace/${example}/tree`)).id[4];
	const views = {
		overview: `/?${s.lately}`,
		service: "/service/web?since=-2h",
		pattern: `/service/web/pattern/${s.checkout.id}?since=-2h&from_ns=200000000&to_ns=900000000`,
		search: "/search?since=-2h",
		trace: `/trace/${example}`,
		span: `/trace/${example}?span=${span}&why=1`,
		big: `/trace/${s.big}`,
		odd: `/trace/${s.odd}?span=${(await s.api(`trace/${s.odd}/tree`)).id[2]}`,
		map: "/map?since=-2h",
		compare: `/compare?a=${example}&b=${other}`,
	};

	for (const [name, url] of Object.entries(views))
		for (const theme of ["light", "dark"])
			for (const [width, size] of SIZES)
				await s.test(
					`looks: ${name}, ${theme}, ${width}`,
					async (page) => {
						await s.open(page, url);
						await page.screenshot({ path: path.join(s.out, `${name}-${width}-${theme}.png`) });
						equal(await s.axe(page), [], "axe finds");
						const beyond = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
						check(beyond <= 0, `nothing sticks out at the right: ${beyond} px`);
						await jumps(page);
					},
					{ size, theme },
				);

	// Those that ask several things; and of a store with few services and patterns, beside whose table the map has room.
	const asking = [
		["a service of few patterns", "/service/orders?since=-2h", s.base],
		["a pattern", `/service/web/pattern/${s.checkout.id}?since=-2h`, s.base],
		["the failed", "/search?since=-2h&service=web&error=1", s.base],
		["an overview", `/?${s.lately}`, s.base],
		["an overview of few services", "/?since=0", s.traced],
		["a traced service", "/service/orders?since=0", s.traced],
	];
	for (const [what, url, base] of asking)
		for (const [width, size] of base ? SIZES : [])
			await s.test(`nothing jumps, whatever is answered last: ${what}, ${width}`, (page) => eachAnsweredLast(s, page, url, base), { size });

	await s.test("the script is small", async (page) => {
		await s.open(page, "/?since=-2h");
		const scripts = await page.evaluate(() => performance.getEntriesByType("resource").map((e) => e.name).filter((n) => n.endsWith(".js")));
		check(scripts.length, "there is one");
		let bytes = 0;
		for (const url of scripts) bytes += gzipSync(Buffer.from(await (await fetch(url)).arrayBuffer()), { level: 9 }).length;
		check(bytes < 120000, `script: ${bytes} bytes compressed`);
	});
}
