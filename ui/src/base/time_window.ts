// SPDX-License-Identifier: Apache-2.0
// The window of time that all views share: `since` and `until` of the URL, as the API takes them ("-15m", or Unix ns).
import type { Route } from "./route";
import { clock, DAY, HOUR, MINUTE, MS, S } from "./format";

export interface TimeWindow {
	since: string;
	until: string | null;
}

export const DEFAULT_SINCE = "-1h";

export const CHOICES = [
	{ since: "-5m", name: "last 5 minutes" },
	{ since: "-15m", name: "last 15 minutes" },
	{ since: "-1h", name: "last hour" },
	{ since: "-6h", name: "last 6 hours" },
	{ since: "-24h", name: "last 24 hours" },
	{ since: "-7d", name: "last 7 days" },
	{ since: "0", name: "everything" },
] as const;

export function timeWindow(r: Route): TimeWindow {
	return { since: r.params.get("since") ?? DEFAULT_SINCE, until: r.params.get("until") };
}

/** For the API: the same, or nothing for "everything". */
export function windowParams(r: Route): { since?: string; until?: string } {
	const w = timeWindow(r);
	return { ...(w.since !== "0" ? { since: w.since } : {}), ...(w.until ? { until: w.until } : {}) };
}

/** "-12h": "12 hours". */
function said(text: string): string {
	const m = /^-(\d+)([smhd])$/.exec(text);
	const unit = { s: "second", m: "minute", h: "hour", d: "day" }[m?.[2] as "s" | "m" | "h" | "d"];
	return m && unit ? `${m[1]} ${unit}${m[1] === "1" ? "" : "s"}` : text.slice(1);
}

/** "last hour", "all that is stored", or "14:02:10 – 14:05:00". */
export function windowName(r: Route): string {
	const w = timeWindow(r);
	if (w.since === "0" && !w.until) return "all that is stored";
	const choice = CHOICES.find((c) => c.since === w.since);
	if (choice && !w.until) return choice.name;
	if (w.since.startsWith("-") && !w.until) return `last ${said(w.since)}`;
	const say = (t: string) => (t.startsWith("-") ? `${said(t)} ago` : t === "0" ? "the beginning" : clock(Number(t)));
	return `${say(w.since)} – ${w.until ? say(w.until) : "now"}`;
}

/** "in the last hour", "between 14:02:10 and 14:05:00": behind a negation. */
export function inWindow(r: Route): string {
	const name = windowName(r);
	const [from, to] = name.split(" – ");
	return to ? `between ${from} and ${to}` : name.startsWith("last") ? `in the ${name}` : `in ${name}`;
}

/** The window of the same length before: for the API, and how it is called; null: nothing was before. */
export function windowBefore(r: Route): { params: { since: string; until: string }; name: string } | null {
	const w = timeWindow(r);
	if (w.since === "0") return null;
	const m = /^-(\d+)([smhd])$/.exec(w.since);
	if (m && !w.until) return { params: { since: `-${2 * Number(m[1])}${m[2]}`, until: w.since }, name: `the ${said(w.since).replace(/^1 /, "")} before` };
	const { since, until } = edges(r);
	return { params: { since: String(Math.max(0, 2 * since - until)), until: String(since) }, name: "the time before" };
}

/** An age as the API takes it ("-15m"), in ns; null: it is none. */
function age(text: string): number | null {
	const m = /^-(\d+)([smhd])$/.exec(text);
	return m ? Number(m[1]) * { s: S, m: MINUTE, h: HOUR, d: DAY }[m[2] as "s" | "m" | "h" | "d"] : null;
}

/** Both ends in Unix ns, as they are now; of "everything" the last hour. */
export function edges(r: Route, now = Date.now() * MS): { since: number; until: number } {
	const w = timeWindow(r);
	const end = (text: string) => {
		const ns = age(text);
		return ns === null ? Number(text) : now - ns;
	};
	return { since: w.since === "0" ? now - HOUR : end(w.since), until: w.until ? end(w.until) : now };
}
