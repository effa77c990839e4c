// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { logScale } from "../src/parts/spark";

describe("the scale of latencies", () => {
	it("ends with the longest", () => expect(logScale([1e6, 2e6], [3e6, 900e6])(900e6)).toBe(1));
	it("leaves what is usual low where one is a hundred times as long", () => expect(logScale([2e6, 2e6], [3e6, 200e6])(2e6)).toBeLessThan(0.2));
	it("does not make much of what is twice as long", () => expect(logScale([2e6, 2e6], [4e6, 4e6])(2e6)).toBeGreaterThan(0.8));
	it("is there where nothing is known", () => expect(logScale([null], [null])(5)).toBeGreaterThanOrEqual(0));
});
