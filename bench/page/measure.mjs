// SPDX-License-Identifier: Apache-2.0
// node measure.mjs FACTS.json: see run.py.
import fs from "node:fs";
import { Suite, WIDE } from "../../tests/ui/page.mjs";
import { byStep, until } from "./work.mjs";

const facts = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const s = new Suite(facts);
const n = facts.repeats;
const wanted = (part) => !facts.only || facts.only === part;

const at = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
function line(what, values, ask = "") {
	const v = values.slice().sort((a, b) => a - b);
	const figure = (x) => x.toFixed(1).padStart(8);
	console.log(`${what.padEnd(58)}${figure(at(v, 0.5))}${figure(at(v, 0.95))}${figure(v[v.length - 1])}   ${String(v.length).padStart(4)}  ${ask}`);
}
const head = (what) => console.log(`\n${what.padEnd(58)}     p50     p95     max      n`);

const CATEGORIES = ["devtools.timeline", "disabled-by-default-devtools.timeline", "blink.user_timing", "loading", "toplevel"];

const context = () => s.browser.newContext({ viewport: WIDE, colorScheme: "light", locale: "en-GB", timezoneId: "UTC" });

await s.begin();
const patterns = (await s.api("patterns?service=web&any=1&since=-2h")).patterns;
const checkout = patterns.find((p) => p.name === "POST /checkout");

// ---- first paint, first answer ----

const views = {
	overview: ["/?since=-2h", "tbody tr"],
	service: ["/service/web?since=-2h", "tbody tr"],
	pattern: [`/service/web/pattern/${checkout.id}?since=-2h`, ".graph-row:not(.head)"],
	search: ["/search?since=-2h", "tbody tr"],
	map: ["/map?since=-2h", ".map .node"],
	trace: [`/trace/${checkout.examples[0]}`, ".span-row"],
};

/** Goes there; when the browser painted first, had run the script, and had drawn what the view is for. */
async function load(page, [url, what]) {
	await page.goto(s.base + url, { waitUntil: "commit" });
	await page.locator(what).first().waitFor();
	return page.evaluate(async (what) => {
		while (!performance.getEntriesByName("first-contentful-paint").length) await new Promise((done) => setTimeout(done, 5));
		const [nav] = performance.getEntriesByType("navigation");
		const script = performance.getEntriesByType("resource").find((e) => e.name.endsWith(".js"));
		return {
			html: nav.responseEnd,
			script: script.responseEnd,
			paint: performance.getEntriesByName("first-contentful-paint")[0].startTime,
			answer: window.seen?.[what],
			bytes: performance.getEntriesByType("resource").map((e) => [e.name, e.encodedBodySize]),
		};
	}, what);
}

/** Notes when each of the views' marks is there for the first time, in the frame that draws it. */
function watch(marks) {
	window.seen = {};
	const look = () => {
		for (const m of marks)
			if (!(m in window.seen) && document.querySelector(m)) {
				window.seen[m] = NaN;
				requestAnimationFrame(() => (window.seen[m] = performance.now()));
			}
	};
	new MutationObserver(look).observe(document, { childList: true, subtree: true });
}

if (wanted("paint")) {
	head("ms from the address to");
	for (const cache of ["empty", "warm"])
		for (const [name, view] of Object.entries(views)) {
			const runs = [];
			const kept = cache === "warm" ? await context() : null;
			for (let k = 0; k < n + 1; k++) {
				const c = kept ?? (await context());
				const page = await c.newPage();
				await page.addInitScript(watch, Object.values(views).map((v) => v[1]));
				const r = await load(page, view);
				if (k) runs.push(r); // the first warms what is not ours
				await page.close();
				if (!kept) await c.close();
			}
			await kept?.close();
			line(`${name}, ${cache} cache: first paint`, runs.map((r) => r.paint), "ask: 100");
			line(`${name}, ${cache} cache: what it is for is drawn`, runs.map((r) => r.answer));
			if (name === "overview") {
				line("  of it: index.html is there", runs.map((r) => r.html));
				line("  of it: the script is there", runs.map((r) => r.script));
			}
			if (name === "service" && cache === "empty") for (const [file, bytes] of runs[0].bytes) if (/\.(js|css)$/.test(file)) console.log(`${`  ${file.split("/").pop()}`.padEnd(58)}${(bytes / 1000).toFixed(1).padStart(8)} kB sent`);
		}
}

/** Processor time does not depend on what else runs: the browser's tracing of some loads. */
async function work(c, url, what) {
	const page = await c.newPage();
	await page.goto("about:blank");
	await s.browser.startTracing(page, { categories: CATEGORIES });
	await load(page, [url, what]);
	await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.mark("drawn"))))));
	const trace = JSON.parse((await s.browser.stopTracing()).toString());
	await page.close();
	return { paint: until(trace, "firstContentfulPaint"), drawn: until(trace, "firstContentfulPaint", "drawn") };
}

if (wanted("work")) {
	head("processor time of the main thread, ms");
	const c = await context();
	const loads = { ...views, "a trace of very many spans": [`/trace/${s.big}`, ".span-row"] };
	for (const [name, [url, what]] of Object.entries(loads)) {
		const runs = [];
		for (let k = 0; k < Math.max(3, Math.round(n / 3)) + 1; k++) {
			const r = await work(c, url, what);
			if (k) runs.push(r);
		}
		if (name === "overview") line(`${name}: until the first paint`, runs.map((r) => r.paint.all));
		line(`${name}: until what it is for is drawn`, runs.map((r) => r.drawn.all));
		line("  the longest task of it", runs.map((r) => r.drawn.longest));
	}
	await c.close();
}

// ---- a trace of very many spans ----

const c = await context();
const page = await c.newPage();

async function toBig() {
	await page.goto(`${s.base}/search?since=-2h&service=batch`);
	await page.locator(`a[href*="${s.big}"]`).first().waitFor();
	return page.evaluate(async (id) => {
		const begin = performance.now();
		document.querySelector(`a[href*="${id}"]`).click();
		for (;;) {
			await new Promise((done) => requestAnimationFrame(done));
			const bars = document.querySelector(".bars canvas");
			if (document.querySelector(".span-row") && bars && bars.width > 0) break;
			if (performance.now() - begin > 20000) throw new Error("no drawing");
		}
		await new Promise((done) => requestAnimationFrame(done));
		return performance.now() - begin;
	}, s.big);
}

if (wanted("trace")) {
	head(`${facts.spans} spans, ms`);
	const times = [];
	for (let k = 0; k < n + 1; k++) {
		const t = await toBig();
		if (k) times.push(t);
	}
	line("from the click to the drawing", times, "ask: 500");
}

// ---- frames ----

const STEPS = 120;
const DOING = ["scroll", "zoom", "select the next"];

const frames = (what) =>
	page.evaluate(
		async ([what, steps]) => {
			const key = (key) => dispatchEvent(new KeyboardEvent("keydown", { key }));
			const list = document.querySelector(".scroll");
			const run = {
				scroll: (k) => (list.scrollTop = (k * 90) % (list.scrollHeight - 800)),
				zoom: (k) => key(k % 20 < 10 ? "w" : "s"),
				"select the next": (k) => key(k % 40 < 20 ? "j" : "k"),
			}[what];
			const next = () => new Promise((done) => requestAnimationFrame(done));
			const took = [];
			let last = await next();
			for (let k = 0; k < steps; k++) {
				performance.mark(`step-${k}`);
				run(k);
				const now = await next();
				took.push(now - last);
				last = now;
			}
			performance.mark(`step-${steps}`);
			return took;
		},
		[what, STEPS],
	);

if (wanted("frames")) {
	for (const what of DOING) {
		await toBig();
		await frames(what); // once for the compiler
		head(`${facts.spans} spans, ms a frame while one does: ${what}`);
		line("from frame to frame (60 Hz: 16.7)", await frames(what));
		await s.browser.startTracing(page, { categories: CATEGORIES });
		await frames(what);
		const work = byStep(JSON.parse((await s.browser.stopTracing()).toString()), STEPS);
		for (const [part, values] of Object.entries(work)) line(part === "all" ? "the main thread's work" : `  of it: ${part}`, values, part === "all" ? "ask: p95 16" : "");
	}
}

await s.browser.close();
