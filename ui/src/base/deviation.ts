// SPDX-License-Identifier: Apache-2.0
// What got worse, or better, against the time before, in words.
import { count, duration, percent } from "./format";

export interface Counts {
	requests: number;
	errors: number;
	p95_ns: number;
	/** The few that took far longer than was usual. */
	tail?: { over_ns: number; requests: number; before: number };
}

export const share = (c: { errors: number; requests: number }) => (c.requests ? c.errors / c.requests : 0);

/** The share that fails, at the least, by what was seen (Wilson): one failure of one request says little. */
export function atLeast(c: { errors: number; requests: number }): number {
	if (!c.errors) return 0;
	const n = c.requests;
	const z = 1.96;
	const p = c.errors / n;
	return (p + (z * z) / (2 * n) - z * Math.sqrt((p * (1 - p) + (z * z) / (4 * n)) / n)) / (1 + (z * z) / n);
}

export interface Change {
	what: "new" | "errors" | "slower" | "faster" | "fewer errors" | "tail";
	text: string;
	/** More exactly, where one points. */
	title: string;
	worse: boolean;
}

/** "errors 0.1 % → 4 %", "p95 17 ms → 318 ms"; nothing where little changed. */
export function changes(now: Counts, before: Counts): Change[] {
	if (!before.requests) return now.requests ? [{ what: "new", text: "new", title: "There were no requests before", worse: false }] : [];
	const out: Change[] = [];
	const [is, was] = [share(now), share(before)];
	const errors = { text: `errors ${percent(was)} → ${percent(is)}`, title: `${before.errors} of ${before.requests} requests failed before, ${now.errors} of ${now.requests} now` };
	if (is > was * 1.5 + 0.001) out.push({ ...errors, what: "errors", worse: true });
	else if (was > is * 1.5 + 0.001) out.push({ ...errors, what: "fewer errors", worse: false });
	const times = before.p95_ns && now.p95_ns ? now.p95_ns / before.p95_ns : 1;
	const text = `p95 ${duration(before.p95_ns)} → ${duration(now.p95_ns)}`;
	const factor = (x: number) => (x < 10 ? x.toFixed(1) : x.toFixed(0)).replace(/\.0$/, "");
	if (times > 1.25) out.push({ what: "slower", text, title: `${factor(times)} times as long`, worse: true });
	else if (times < 0.8) out.push({ what: "faster", text, title: `${factor(1 / times)} times faster`, worse: false });
	if (now.tail) {
		const { over_ns, requests, before: then } = now.tail;
		const text = `${percent(requests / now.requests)} over ${duration(over_ns)}`;
		const title = `${count(requests)} of ${count(now.requests)} requests took ${duration(over_ns)} or more, ${then ? count(then) : "none"} before; too few for p95 to tell`;
		out.push({ what: "tail", text, title, worse: true });
	}
	return out;
}

/** Could chance alone have made as many more fail? Two standard errors of the difference. */
function moreFail(now: Counts, before: Counts): boolean {
	const all = (now.errors + before.errors) / (now.requests + before.requests);
	const spread = Math.sqrt(all * (1 - all) * (1 / now.requests + 1 / before.requests));
	return share(now) - share(before) > 2 * spread + 1e-9;
}

export const ENOUGH = 40; // requests: of fewer a 95th percentile is two of them

/** Is it worse, and not by chance? For what comes without the server's own judgement (`deviation` of a service). */
export function isClearlyWorse(now: Counts, before: Counts): boolean {
	if (!before.requests || !now.requests) return false;
	return moreFail(now, before) || (now.requests >= ENOUGH && before.requests >= ENOUGH && now.p95_ns > 1.5 * before.p95_ns);
}
