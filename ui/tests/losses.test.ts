// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { lossesOf } from "../src/parts/losses";

const fine = { shed_spans: 0, shed_traces: 0, dropped_queue: 0, dropped_error: 0, damaged_hours: 0, damaged_files: 0, failing: false, last_error: "" };

it("says nothing where nothing was lost, or nobody writes", () => {
	expect(lossesOf(fine)).toBeNull();
	expect(lossesOf(undefined)).toBeNull();
});

it("says what was left out, and why", () => {
	expect(lossesOf({ ...fine, shed_spans: 1200, shed_traces: 31, dropped_queue: 7 })?.text).toMatch(/could not keep up: 1\u2009200 spans of 31 whole traces and 7 spans/);
	expect(lossesOf({ ...fine, dropped_error: 9 })?.text).toMatch(/^9 spans could not be written/);
});

it("says what is damaged", () => {
	expect(lossesOf({ ...fine, damaged_hours: 1, damaged_files: 2 })?.text).toMatch(/1 hour with blocks that cannot be read and 2 files that cannot be used/);
});

it("is alarmed while the store cannot be written", () => {
	const said = lossesOf({ ...fine, failing: true, last_error: "No space left on device" });
	expect(said).toMatchObject({ bad: true });
	expect(said?.text).toContain("No space left on device");
});
