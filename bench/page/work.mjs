// SPDX-License-Identifier: Apache-2.0
// The browser's tracing (Trace Event Format) of steps that the page marked "step-0", "step-1", ...: the processor time of
// its main thread in each, all of it and by what it did.

const PARTS = {
	script: ["FunctionCall", "EventDispatch", "FireAnimationFrame", "TimerFire", "RunMicrotasks", "EvaluateScript", "MinorGC", "MajorGC"],
	"style and layout": ["UpdateLayoutTree", "Layout"],
	paint: ["PrePaint", "Paint", "Layerize", "Commit", "UpdateLayer"],
};
const partOf = new Map(Object.entries(PARTS).flatMap(([part, names]) => names.map((n) => [n, part])));
const TASKS = new Set(["RunTask", "ThreadControllerImpl::RunTask"]);

/**
 * What the page's main thread did from the navigation until events of all these names had been (the last of each):
 * processor time of all its tasks, and of the longest, ms. A task that the last event is in counts.
 */
export function until(trace, ...names) {
	const events = trace.traceEvents;
	const ends = names.map((name) => events.filter((e) => e.name === name).pop());
	if (ends.includes(undefined)) throw new Error(`the browser traced no ${names[ends.indexOf(undefined)]}`);
	const end = ends.reduce((a, b) => (b.ts > a.ts ? b : a));
	const begin = Math.max(...events.filter((e) => e.name === "navigationStart" && e.pid === end.pid && e.ts < end.ts).map((e) => e.ts));
	const out = { all: 0, longest: 0 };
	let last = 0;
	for (const e of events.filter((e) => TASKS.has(e.name) && e.ph === "X" && e.pid === end.pid && e.tid === end.tid).sort((a, b) => a.ts - b.ts)) {
		if (e.ts < begin || e.ts >= end.ts || e.ts < last) continue;
		last = e.ts + e.dur;
		const ms = (e.tdur ?? e.dur) / 1000;
		out.all += ms;
		out.longest = Math.max(out.longest, ms);
	}
	return out;
}

/** {all: [ms a step], script: [...], ...} */
export function byStep(trace, steps) {
	const events = trace.traceEvents;
	const marks = events.filter((e) => /^step-\d+$/.test(e.name)).sort((a, b) => a.ts - b.ts);
	if (marks.length < steps) throw new Error(`the browser traced ${marks.length} of ${steps} steps`);
	const { pid, tid } = marks[0];
	const begins = marks.map((m) => m.ts);
	const out = { all: new Array(steps).fill(0), ...Object.fromEntries(Object.keys(PARTS).map((p) => [p, new Array(steps).fill(0)])) };
	const stepOf = (ts) => {
		let lo = 0;
		let hi = begins.length;
		while (lo < hi) {
			const mid = (lo + hi) >> 1;
			if (begins[mid] <= ts) lo = mid + 1;
			else hi = mid;
		}
		return lo - 1;
	};
	const mine = events.filter((e) => e.pid === pid && e.tid === tid && e.ph === "X" && e.dur !== undefined).sort((a, b) => a.ts - b.ts || b.dur - a.dur);
	const ends = { task: 0, part: 0 };
	for (const e of mine) {
		// A step goes from its mark to the next: what ends after a mark began before it belongs to the one before.
		const step = stepOf(e.ts + e.dur / 2);
		if (step < 0 || step >= steps) continue;
		const ms = (e.tdur ?? e.dur) / 1000;
		if (TASKS.has(e.name) && e.ts >= ends.task) {
			ends.task = e.ts + e.dur;
			out.all[step] += ms;
		}
		const part = partOf.get(e.name);
		if (part && e.ts >= ends.part) {
			ends.part = e.ts + e.dur;
			out[part][step] += ms;
		}
	}
	return out;
}
