// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import type { Heat } from "../src/base/api";
import { cellsOf, durationAt, frameOf, sums, timeAt, within, xOf, yOf } from "../src/views/search/frame";

const heat: Heat = {
	since_ns: 1000e9,
	until_ns: 1100e9,
	columns: 10,
	n: 12,
	errors: 2,
	rows: [
		{ from_ns: 1e6, to_ns: 1.26e6 },
		{ from_ns: 100e6, to_ns: 126e6 },
	],
	cells: [
		[0, 0, 7, 0],
		[9, 0, 2, 1],
		[9, 1, 3, 1],
	],
};

describe("the plot's frame", () => {
	const f = frameOf([], heat, 1000);
	it("is the whole window", () => expect([f.since, f.until]).toEqual([1000e9, 1100e9]));
	it("leads back to times and durations", () => {
		expect(timeAt(f, xOf(f, 1042e9))).toBeCloseTo(1042e9, -3);
		expect(durationAt(f, yOf(f, 5e6))).toBeCloseTo(5e6, 0);
	});
	it("has longer ones higher", () => expect(yOf(f, 100e6)).toBeLessThan(yOf(f, 1e6)));
});

describe("cells", () => {
	it("know their time", () => expect(cellsOf(heat)[1]).toEqual({ since: 1090e9, until: 1100e9, range: heat.rows[0], count: 2, errors: 1 }));
	it("add up by duration", () => expect(sums(heat).map((s) => [s.count, s.errors])).toEqual([[9, 1], [3, 1]]));
	it("are counted within a range", () => {
		expect(within(heat, null)).toBe(12);
		expect(within(heat, { from_ns: 50e6, to_ns: 500e6 })).toBe(3);
	});
});
