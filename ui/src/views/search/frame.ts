// SPDX-License-Identifier: Apache-2.0
// Where the search's plot has its traces: time to the right, durations upwards on a logarithmic axis.
import type { Heat, TraceLine } from "../../base/api";
import type { Range } from "../../base/filter";

export const H = 220;
export const LEFT = 64;
export const FOOT = 20;
const MARGIN = 120; // the histogram at the right, where there is room for it
const MARGIN_FROM = 720;

export interface Frame {
	w: number; // of the points, with their axis
	all: number; // with the histogram
	since: number;
	until: number;
	lo: number; // log10 of ns
	hi: number;
}

/** Of all that fits where that is known, so that it stays as it is when a range is chosen; else of what is listed. */
export function frameOf(rows: readonly TraceLine[], heat: Heat | null, all: number): Frame {
	let since = heat?.since_ns ?? Infinity;
	let until = heat?.until_ns ?? 0;
	let lo = Infinity;
	let hi = 1;
	for (const r of heat?.rows ?? []) {
		// What lasts 0 has no place on the axis; it stands below it.
		if (r.to_ns > 2) lo = Math.min(lo, Math.max(1, r.from_ns));
		hi = Math.max(hi, r.to_ns);
	}
	for (const t of rows) {
		since = Math.min(since, t.start_ns);
		until = Math.max(until, t.start_ns);
		if (t.duration_ns > 0) lo = Math.min(lo, t.duration_ns);
		hi = Math.max(hi, t.duration_ns);
	}
	if (lo > hi) lo = hi;
	if (until - since < 1e6) {
		since -= 5e8;
		until += 5e8;
	}
	const w = all >= MARGIN_FROM ? all - MARGIN : all;
	return { w, all, since, until, lo: Math.log10(lo) - 0.12, hi: Math.log10(hi) + 0.1 };
}

const INSET = 4;
export const xOf = (f: Frame, ns: number) => LEFT + ((ns - f.since) / (f.until - f.since)) * (f.w - LEFT - 12) + INSET;
export const yOf = (f: Frame, ns: number) => (ns <= 0 ? H - FOOT - 1 : (1 - (Math.log10(Math.max(1, ns)) - f.lo) / (f.hi - f.lo)) * (H - FOOT - 8) + INSET);
export const timeAt = (f: Frame, x: number) => f.since + ((x - LEFT - INSET) / (f.w - LEFT - 12)) * (f.until - f.since);
export const durationAt = (f: Frame, y: number) => 10 ** (f.lo + (1 - (y - INSET) / (H - FOOT - 8)) * (f.hi - f.lo));

/** Some traces that began in a step of time and took about as long. */
export interface Cell {
	since: number;
	until: number;
	range: Range;
	count: number;
	errors: number;
}

export function cellsOf(h: Heat): Cell[] {
	const step = (h.until_ns - h.since_ns) / h.columns;
	return h.cells.map(([column, row, count, errors]) => ({
		since: h.since_ns + column * step,
		until: h.since_ns + (column + 1) * step,
		range: h.rows[row] as Range,
		count,
		errors,
	}));
}

/** How many traces took how long, by the rows of the plot. */
export function sums(h: Heat): { from_ns: number; to_ns: number; count: number; errors: number }[] {
	const out = h.rows.map((r) => ({ ...r, count: 0, errors: 0 }));
	for (const [, row, count, errors] of h.cells) {
		const o = out[row];
		if (o) (o.count += count), (o.errors += errors);
	}
	return out;
}

/** How many that fit are in a range of durations: rows count by their middle, for a range need not end where one does. */
export function within(h: Heat, range: Range | null): number {
	if (!range) return h.n;
	const inside = (r: Range) => {
		const middle = Math.sqrt(Math.max(1, r.from_ns) * r.to_ns);
		return middle >= range.from_ns && middle < range.to_ns;
	};
	return sums(h).reduce((n, s) => n + (inside(s) ? s.count : 0), 0);
}
