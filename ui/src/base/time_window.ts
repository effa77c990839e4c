// SPDX-License-Identifier: Apache-2.0
// The window of time that all views share: `since` and `until` of the URL, as the API takes them ("-15m", or Unix ns).
import type { Route } from "./route";
import { clock, DAY, HOUR, MINUTE, MS } from "./format";

export interface TimeWindow {
	since: string;
	until: string | null;
}

export const DEFAULT_SINCE = "-1h";

export const CHOICES = [
	{ since: "-5m", name: "last 5 minutes", ns: 5 * MINUTE },
	{ since: "-15m", name: "last 15 minutes", ns: 15 * MINUTE },
	{ since: "-1h", name: "last hour", ns: HOUR },
	{ since: "-6h", name: "last 6 hours", ns: 6 * HOUR },
	{ since: "-24h", name: "last 24 hours", ns: DAY },
	{ since: "-7d", name: "last 7 days", ns: 7 * DAY },
	{ since: "0", name: "everything", ns: 0 },
] as const;

export function timeWindow(r: Route): TimeWindow {
	return { since: r.params.get("since") ?? DEFAULT_SINCE, until: r.params.get("until") };
}

/** For the API: the same, or nothing for "everything". */
export function windowParams(r: Route): { since?: string; until?: string } {
	const w = timeWindow(r);
	return { ...(w.since !== "0" ? { since: w.since } : {}), ...(w.until ? { until: w.until } : {}) };
}

/** "last hour", or "14:02:10 – 14:05:00". */
export function windowName(r: Route): string {
	const w = timeWindow(r);
	const choice = CHOICES.find((c) => c.since === w.since);
	if (choice && !w.until) return choice.name;
	if (w.since.startsWith("-") && !w.until) return `last ${w.since.slice(1)}`;
	const from = w.since.startsWith("-") ? w.since.slice(1) + " ago" : w.since === "0" ? "the beginning" : clock(Number(w.since));
	return `${from} – ${w.until ? clock(Number(w.until)) : "now"}`;
}

/** The window's length, ns; 0: everything. */
export function windowLength(r: Route): number {
	const w = timeWindow(r);
	const choice = CHOICES.find((c) => c.since === w.since);
	if (choice && !w.until) return choice.ns;
	const until = w.until ? Number(w.until) : Date.now() * MS;
	return Math.max(0, until - Number(w.since));
}
