// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { leftOutText } from "../src/parts/left_out";

it("names the hours that answers lack", () => {
	expect(leftOutText([])).toBe("");
	expect(leftOutText(["2026-01-02T04Z"])).toContain("lacks the hour from 2026-01-02 04:00 UTC.");
	const five = ["00", "01", "02", "03", "04"].map((h) => `2026-01-02T${h}Z`);
	expect(leftOutText(five)).toContain("hours from 2026-01-02 00:00 UTC, 2026-01-02 01:00 UTC, 2026-01-02 02:00 UTC and 2 more");
});
