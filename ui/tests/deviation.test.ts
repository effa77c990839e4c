// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { atLeast, changes, type Counts, isClearlyWorse } from "../src/base/deviation";

const of = (requests: number, errors: number, p95_ms: number) => ({ requests, errors, p95_ns: p95_ms * 1e6 });
const said = (now: Counts, before: Counts) => changes(now, before).map((c) => c.text.replaceAll("\u2009", " "));

describe("what changed", () => {
	it("is said with both figures", () => expect(said(of(100, 9, 318), of(100, 3, 17.4))).toEqual(["errors 3 % → 9 %", "p95 17.4 ms → 318 ms"]));
	it("is said of what got better, too", () => expect(said(of(100, 0, 10), of(100, 4, 30))).toEqual(["errors 4 % → 0", "p95 30 ms → 10 ms"]));
	it("is said of the few that take far longer, too", () => expect(said({ ...of(1000, 0, 10), tail: { over_ns: 9e8, requests: 4, before: 0 } }, of(1000, 0, 10))).toEqual(["0.4 % over 900 ms"]));
	it("is nothing where nothing changed", () => expect(said(of(100, 1, 10), of(90, 1, 11))).toEqual([]));
	it("is new where nothing was before", () => expect(said(of(5, 1, 10), of(0, 0, 0))).toEqual(["new"]));
	it("is nothing where nothing is", () => expect(said(of(0, 0, 0), of(0, 0, 0))).toEqual([]));
	it("tells which way it went", () => expect(changes(of(100, 9, 3), of(100, 3, 17)).map((c) => c.worse)).toEqual([true, false]));
});

describe("clearly worse", () => {
	it("is what is far slower", () => expect(isClearlyWorse(of(100, 0, 300), of(100, 0, 20))).toBe(true));
	it("is what fails beyond chance", () => expect(isClearlyWorse(of(1000, 90, 20), of(1000, 30, 20))).toBe(true));
	it("is not what chance explains", () => expect(isClearlyWorse(of(20, 2, 20), of(20, 1, 20))).toBe(false));
	it("is not the 95th percentile of a few", () => expect(isClearlyWorse(of(10, 0, 300), of(10, 0, 20))).toBe(false));
	it("is not what is new", () => expect(isClearlyWorse(of(100, 50, 300), of(0, 0, 0))).toBe(false));
});

it("holds few requests for little evidence that something fails", () => {
	const share = (errors: number, requests: number) => atLeast({ errors, requests });
	expect(share(0, 10)).toBe(0);
	expect(share(1, 1)).toBeLessThan(share(80, 200));
	expect(share(5, 10)).toBeLessThan(share(500, 1000));
	expect(share(500, 1000)).toBeCloseTo(0.469, 3);
});
