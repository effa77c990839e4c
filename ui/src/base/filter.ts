// SPDX-License-Identifier: Apache-2.0
// The conditions of a search, as the URL and the API have them.
import type { Params, Route } from "./route";
import { windowParams } from "./time_window";

/** Parameters of the URL that are conditions and go to the API as they are. */
export const CONDITIONS = ["service", "name", "min_duration", "max_duration", "error", "root", "kind", "link_class", "incomplete", "pattern", "where"] as const;

export function filterParams(r: Route): Record<string, string | string[]> {
	const out: Record<string, string | string[]> = { ...windowParams(r) };
	for (const c of CONDITIONS) {
		const v = r.params.getAll(c);
		if (v.length) out[c] = v;
	}
	return out;
}

/** How long the trace took, as a brush chose it: from from_ns to less than to_ns. */
export interface Range {
	from_ns: number;
	to_ns: number;
}

export function rangeOf(r: Route): Range | null {
	const from = r.params.get("from_ns");
	const to = r.params.get("to_ns");
	return from !== null && to !== null ? { from_ns: Number(from), to_ns: Number(to) } : null;
}

export const NO_RANGE: Params = { from_ns: null, to_ns: null };

/** Which of the traces that fit are held against the others: those of a brushed range, else the failed or the slow ones. */
export interface Sides {
	/** For `differences` and `compare`. */
	params: Record<string, string | string[] | number | boolean>;
	/** "inside": how the chosen ones are called, and the others. */
	names: [inside: string, outside: string];
}

export function sidesOf(r: Route): Sides | null {
	const range = rangeOf(r);
	const { error, min_duration, ...rest } = filterParams(r);
	if (range) return { params: { ...filterParams(r), any: true, ...range }, names: ["inside", "outside"] };
	if (!error && !min_duration) return null;
	return {
		params: { ...rest, any: true, ...(error ? { failed: true } : {}), ...(min_duration ? { at_least_ns: Number(min_duration) } : {}) },
		names: [error ? "failed" : "slow", "others"],
	};
}

/** How many conditions narrow the search, the window of time not counted. */
export function conditionCount(r: Route): number {
	return CONDITIONS.reduce((n, c) => n + r.params.getAll(c).length, rangeOf(r) ? 1 : 0);
}

/** All of them off. */
export const NO_CONDITIONS: Params = { ...Object.fromEntries(CONDITIONS.map((c) => [c, null])), ...NO_RANGE };

/** A value as a condition takes it: quoted where it must be. */
export function quoted(v: string | number | boolean): string {
	const text = String(v);
	return /^[\w.:/-]+$/.test(text) ? text : `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}
