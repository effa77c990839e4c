// SPDX-License-Identifier: Apache-2.0
// A small frame for the page's tests: a real Chromium, a fresh page a test. What the browser complains about on the way
// (errors on the console, a policy that was violated, an answer of 400 and more) fails the test that it happened in,
// unless the test said before that it wants it.
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";

const ui = fileURLToPath(new URL("../../ui", import.meta.url));
const require = createRequire(path.join(ui, "package.json"));
const { chromium } = require("playwright-core");
const axeSource = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const SLOW = 30000; // ms: no test waits longer for one thing

export const WIDE = { width: 1280, height: 800 };
export const NARROW = { width: 390, height: 844 };

export function equal(is, should, what) {
	const a = JSON.stringify(is);
	const b = JSON.stringify(should);
	if (a !== b) throw new Error(`${what}: is ${a}, should be ${b}`);
}

export function check(holds, what) {
	if (!holds) throw new Error(what);
}

/** Reads again and again until it is what it should be: the page draws when it can, not when a key was pressed. */
export async function becomes(read, should, what) {
	const want = JSON.stringify(should);
	for (const end = Date.now() + SLOW; ; ) {
		const is = JSON.stringify(await read());
		if (is === want) return;
		if (Date.now() > end) throw new Error(`${what}: is ${is}, should be ${want}`);
		await new Promise((done) => setTimeout(done, 20));
	}
}

/** The same for something that must be true. */
export const holds = (read, what) => becomes(async () => Boolean(await read()), true, what);

export class Suite {
	constructor(facts) {
		Object.assign(this, facts); // base, otlp, out, ...
		this.passed = 0;
		this.failed = 0;
		fs.mkdirSync(this.out, { recursive: true });
	}

	async begin() {
		this.browser = await chromium.launch({
			executablePath: CHROMIUM,
			args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
		});
	}

	async end() {
		await this.browser.close();
		console.log(`${this.passed} passed, ${this.failed} failed`);
	}

	api(call, base = this.base) {
		return fetch(`${base}/api/clew/v1/${call}`).then(async (r) => {
			const text = await r.text();
			check(r.ok, `${call}: ${r.status} ${text.slice(0, 200)}`);
			return (r.headers.get("content-type") ?? "").includes("ndjson") ? text.split("\n").filter(Boolean).map((l) => JSON.parse(l)) : JSON.parse(text);
		});
	}

	/** One test on one page. allow: complaints that it wants (a part of their text). */
	async test(name, run, { size = WIDE, theme = "light", allow = [] } = {}) {
		const context = await this.browser.newContext({ viewport: size, colorScheme: theme, locale: "en-GB", timezoneId: "UTC" });
		const page = await context.newPage();
		const complaints = [];
		const complain = (text) => allow.some((a) => text.includes(a)) || complaints.push(text);
		page.setDefaultTimeout(SLOW);
		// Questions to the API that have no answer yet; the tail never has one.
		page.pending = new Set();
		page.on("request", (r) => /\/api\/(?!clew\/v1\/tail)/.test(r.url()) && page.pending.add(r));
		for (const end of ["requestfinished", "requestfailed"]) page.on(end, (r) => page.pending.delete(r));
		page.on("console", (m) => m.type() === "error" && complain(`console: ${m.text()}`));
		page.on("pageerror", (e) => complain(`error: ${e.message}`));
		page.on("response", (r) => r.status() >= 400 && complain(`${r.status()} ${r.url()}`));
		await context.addInitScript(() => {
			window.violations = [];
			addEventListener("securitypolicyviolation", (e) => window.violations.push(`${e.violatedDirective} ${e.blockedURI}`));
			window.shift = 0;
			new PerformanceObserver((list) => {
				for (const e of list.getEntries()) if (!e.hadRecentInput) window.shift += e.value;
			}).observe({ type: "layout-shift", buffered: true });
		});
		try {
			await run(page);
			for (const v of await page.evaluate(() => window.violations ?? [])) complain(`policy: ${v}`);
			if (complaints.length) throw new Error(complaints.join("; "));
			this.passed++;
			console.log(`ok   ${name}`);
		} catch (e) {
			this.failed++;
			console.log(`FAIL ${name}: ${e.message.split("\n").slice(0, 6).join(" | ")}`);
			for (const c of complaints) console.log(`     ${c}`);
			await page.screenshot({ path: path.join(this.out, `failed-${name.replace(/\W+/g, "-")}.png`) }).catch(() => {});
		}
		await context.close();
	}

	/** Opens a view and waits until it has asked for all that it wants. The header alone is index.html's, not yet ours. */
	async open(page, url, base = this.base) {
		await page.goto(base + url, { waitUntil: "domcontentloaded" });
		await page.locator("main").waitFor();
		await this.rest(page);
	}

	/** Opens a trace and waits until its spans are drawn. */
	async openTrace(page, url, base = this.base) {
		await this.open(page, url, base);
		await page.locator(".span-row").first().waitFor();
	}

	/** Until nothing is asked any more, and what was answered is drawn. */
	async rest(page) {
		const frames = () => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
		const end = Date.now() + SLOW;
		for (let quiet = 0; quiet < 3; ) {
			await frames();
			quiet = page.pending.size ? 0 : quiet + 1;
			if (Date.now() > end) throw new Error(`waited in vain for ${[...page.pending].map((r) => r.url())}`);
		}
	}

	/** What axe finds, as text. */
	async axe(page) {
		await page.evaluate(axeSource);
		const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
		return found.violations.map((v) => `${v.id} (${v.nodes.length}): ${v.nodes[0].target.join(" ")}`);
	}
}

/** What the page's own address is now (page.url() hears of it later). */
export const params = async (page) => Object.fromEntries(await page.evaluate(() => [...new URLSearchParams(location.search)]));
export const param = async (page, name) => (await params(page))[name] ?? null;
export const place = (page) => page.evaluate(() => decodeURIComponent(location.pathname));
export const text = async (locator) => (await locator.innerText()).replaceAll("\u2009", " ").trim();
export const texts = async (locator) => (await locator.allInnerTexts()).map((t) => t.replaceAll("\u2009", " ").trim());
