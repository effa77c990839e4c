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
// ms; far more than a slow machine needs that has other work, too.
const SLOW = 120000; // no test waits longer for one thing
const LIMIT = 600000; // and none lasts longer

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

// The page draws when it can, and its address follows when it can: what was pressed is to be seen a moment later. So
// whatever is read of the page is read again and again until it is so; each of these tells at the end what it saw.

/** What was read, once it fits; else: says what it saw that does not. */
export async function until(read, fits, otherwise) {
	for (const end = Date.now() + SLOW; ; ) {
		const is = await read();
		if (await fits(is)) return is;
		if (Date.now() > end) throw new Error(otherwise(JSON.stringify(is)));
		await new Promise((done) => setTimeout(done, 20));
	}
}

/** Is it what it should be? */
export function becomes(read, should, what) {
	const want = JSON.stringify(should);
	return until(read, (is) => JSON.stringify(is) === want, (is) => `${what}: is ${is}, should be ${want}`);
}

/** Does that which was read fit? The last of it is returned. */
export const fits = (read, test, what) => until(read, test, (is) => `${what}: it is ${is}`);

/** Something that must be true. */
export const holds = (read, what) => fits(read, Boolean, what);

/** A text of the page that has a part, or fits an expression. */
export const says = (locator, part, what) => fits(() => text(locator), (t) => (part instanceof RegExp ? part.test(t) : t.includes(part)), what);

export class Suite {
	constructor(facts, only = "") {
		Object.assign(this, facts); // base, otlp, out, ...
		this.only = only;
		this.passed = 0;
		this.failures = [];
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
		console.log(`${this.passed} passed, ${this.failures.length} failed`);
	}

	/** An answer of the API. A server that has too much to do says so: it is asked again, as the page does. */
	async api(call, base = this.base) {
		for (const end = Date.now() + SLOW; ; await new Promise((done) => setTimeout(done, 1000))) {
			const r = await fetch(`${base}/api/clew/v1/${call}`);
			const text = await r.text();
			if (r.status === 503 && Date.now() < end) continue;
			check(r.ok, `${call}: ${r.status} ${text.slice(0, 200)}`);
			return (r.headers.get("content-type") ?? "").includes("ndjson") ? text.split("\n").filter(Boolean).map((l) => JSON.parse(l)) : JSON.parse(text);
		}
	}

	/** One test on one page. allow: complaints that it wants (a part of their text). */
	async test(name, run, { size = WIDE, theme = "light", allow = [] } = {}) {
		if (!name.includes(this.only)) return;
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
			// What moved without being asked to, and how much that was.
			window.shift = 0;
			window.shifted = [];
			const place = (r) => `${Math.round(r.x)},${Math.round(r.y)}`;
			new PerformanceObserver((list) => {
				for (const e of list.getEntries()) {
					if (e.hadRecentInput) continue;
					window.shift += e.value;
					for (const s of e.sources) window.shifted.push(`${s.node?.className || s.node?.nodeName} from ${place(s.previousRect)} to ${place(s.currentRect)}`);
				}
			}).observe({ type: "layout-shift", buffered: true });
		});
		try {
			const timer = setTimeout(() => context.close(), LIMIT); // what it waits for fails then
			await run(page).finally(() => clearTimeout(timer));
			for (const v of await page.evaluate(() => window.violations ?? [])) complain(`policy: ${v}`);
			if (complaints.length) throw new Error(complaints.join("; "));
			this.passed++;
			console.log(`ok   ${name}`);
		} catch (e) {
			const line = `FAIL ${name}: ${e.message.split("\n").slice(0, 6).join(" | ")}`;
			this.failures.push(line);
			console.log(line);
			const shot = path.join(this.out, `failed-${name.replace(/\W+/g, "-")}.png`);
			const seen = await page.screenshot({ path: shot }).then(() => shot, (e) => `none: ${e.message.split("\n")[0]}`);
			console.log(`     at ${page.url()}; screenshot: ${seen}`);
			for (const c of complaints) console.log(`     ${c}`);
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

	/** Until nothing is asked any more (but what is held back), and what was answered is drawn. */
	async rest(page, held = () => false) {
		const frames = () => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
		const end = Date.now() + SLOW;
		const waits = () => [...page.pending].filter((r) => !held(r)).map((r) => r.url());
		for (let quiet = 0; quiet < 3; ) {
			await frames();
			quiet = waits().length ? 0 : quiet + 1;
			if (Date.now() > end) throw new Error(`waited in vain for ${waits()}`);
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
