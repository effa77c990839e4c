// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { bytes, count, duration, parseDuration, percent, rate } from "../src/base/format";

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
	it("never rounds an error to none", () => expect(plain(percent(0.00001))).toBe("< 0.01 %"));
	it("says shares", () => expect(plain(percent(0.042))).toBe("4.2 %"));
	it("says bytes", () => expect(plain(bytes(1234567))).toBe("1.23 MB"));
});
