// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { filled } from "../src/parts/histogram";

const b = (from_ns: number, to_ns: number, count = 1) => ({ from_ns, to_ns, count, errors: 0, examples: [] });

it("puts the empty buckets back", () => {
	const out = filled([b(10, 20), b(80, 160)]);
	expect(out.map((x) => [x.from_ns, x.to_ns, x.count])).toEqual([
		[10, 20, 1],
		[20, 40, 0],
		[40, 80, 0],
		[80, 160, 1],
	]);
});

it("leaves neighbours as they are, rounded or not", () => {
	expect(filled([b(100, 126), b(127, 159), b(159, 200)]).length).toBe(3);
});
