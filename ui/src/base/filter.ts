// SPDX-License-Identifier: Apache-2.0
// The conditions of a search, as the URL and the API have them.
import type { Params, Route } from "./route";
import { windowParams } from "./time_window";

/** Parameters of the URL that are conditions and go to the API as they are. */
export const CONDITIONS = ["service", "name", "min_duration", "max_duration", "error", "root", "kind", "link_class", "incomplete", "pattern", "where"] as const;

export function filterParams(r: Route): Record<string, string | string[]> {
	const out: Record<string, string | string[]> = { ...windowParams(r) };
	for (const c of CONDITIONS) {
		const v = c === "where" ? r.params.getAll(c) : r.params.get(c);
		if (v && v.length) out[c] = v;
	}
	return out;
}

/** How many conditions narrow the search, the window of time not counted. */
export function conditionCount(r: Route): number {
	return CONDITIONS.reduce((n, c) => n + r.params.getAll(c).length, 0);
}

/** All of them off. */
export const NO_CONDITIONS: Params = Object.fromEntries(CONDITIONS.map((c) => [c, null]));

/** A value as a condition takes it: quoted where it must be. */
export function quoted(v: string | number | boolean): string {
	const text = String(v);
	return /^[\w.:/-]+$/.test(text) ? text : `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}
