// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { bytes, count, duration, HOUR, MINUTE, MS, parseDuration, percent, rate, rates, S, timeMarks } from "../src/base/format";

const plain = (s: string) => s.replaceAll("\u2009", " ");

describe("durations", () => {
	it.each([
		[0, "0 ns"],
		[850, "850 ns"],
		[3200, "3.2 µs"],
		[999_400, "999 µs"],
		[999_600, "1 ms"],
		[32_100_000, "32.1 ms"],
		[1.25e9, "1.25 s"],
		[64e9, "1 m 04 s"],
		[7384e9, "2 h 03 m"],
		[273_600e9, "3 d 04 h"],
		[-3.2e6, "−3.2 ms"],
	])("%d ns is %s", (ns, text) => expect(plain(duration(ns))).toBe(text));

	it.each([
		["20ms", 20e6],
		["1.5 s", 1.5e9],
		["250us", 250e3],
		["ten", null],
		["5", null],
	])("%s is read", (text, ns) => expect(parseDuration(text)).toBe(ns));
});

describe("figures", () => {
	it("groups digits", () => expect(plain(count(1234567))).toBe("1 234 567"));
	it("says small rates a minute", () => expect(plain(rate(0.05))).toBe("3 /min"));
	it("says rates", () => expect(plain(rate(1234))).toBe("1 234 /s"));
	it("says rates of one column in one unit", () => {
		expect([0.53, 1.6].map(rates([0.53, 1.6])).map(plain)).toEqual(["0.53 /s", "1.6 /s"]);
		expect([0.05, 0.2].map(rates([0.05, 0.2])).map(plain)).toEqual(["3 /min", "12 /min"]);
	});
	it("never rounds an error to none", () => expect(plain(percent(0.00001))).toBe("< 0.01 %"));
	it("never rounds most to all", () => expect([0.9954, 0.99999, 1].map(percent).map(plain)).toEqual(["99.5 %", "> 99.9 %", "100 %"]));
	it("says shares", () => expect(plain(percent(0.042))).toBe("4.2 %"));
	it("says bytes", () => expect(plain(bytes(1234567))).toBe("1.23 MB"));
});

describe("marks of time", () => {
	const noon = new Date(2026, 2, 4, 12, 0, 0).getTime() * MS;
	const said = (from: number, to: number, most = 6) => timeMarks(from, to, most).map((m) => m.text);
	it("stand at round times", () => expect(said(noon + 7 * S, noon + 5 * MINUTE)).toEqual(["12:01", "12:02", "12:03", "12:04", "12:05"]));
	it("are told apart below a second", () => expect(said(noon, noon + 0.5 * S)).toEqual(["12:00:00.000", "12:00:00.100", "12:00:00.200", "12:00:00.300", "12:00:00.400", "12:00:00.500"]));
	it("name the day where it begins", () => expect(said(noon + 9 * HOUR, noon + 15 * HOUR, 3)).toEqual(["22:00", "03-05 00:00", "02:00"]));
	it("are never more than asked for, but one", () => {
		for (const length of [1e3, 1e7, 3.3e9, 7e11, 9e13, 4e16]) expect(said(noon, noon + length, 5).length).toBeLessThanOrEqual(6);
	});
});
