// SPDX-License-Identifier: Apache-2.0
// The services' colours: apart from one another and from the red of errors for every kind of eye, in both themes.
// Colour blindness by Machado, Oliveira, Fernandes 2009 (severity 1); distances in OKLab, 100 is black to white.
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";

const css = readFileSync(new URL("../src/style/theme.css", import.meta.url), "utf8");
const sections = { light: css.slice(css.indexOf(":root {"), css.indexOf(':root[data-theme="dark"]')), dark: css.slice(css.indexOf(':root[data-theme="dark"]')) };

const LEAST = 7.5;

type Colour = [number, number, number];

const EYES: Record<string, number[][]> = {
	common: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
	protan: [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
	deutan: [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
	tritan: [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
};

function linear(hex: string): Colour {
	const part = (at: number) => {
		const c = parseInt(hex.slice(at, at + 2), 16) / 255;
		return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
	};
	return [part(1), part(3), part(5)];
}

const seen = (c: Colour, eye: number[][]) => eye.map((row) => Math.min(1, Math.max(0, row.reduce((n, k, i) => n + k * (c[i] as number), 0)))) as Colour;

function oklab([r, g, b]: Colour): Colour {
	const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
	const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
	const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
	return [0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s, 1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s, 0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s];
}

const apart = (a: Colour, b: Colour) => 100 * Math.hypot(...oklab(a).map((v, i) => v - (oklab(b)[i] as number)));
const luminance = (c: Colour) => 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2];
const contrast = (a: Colour, b: Colour) => (Math.max(luminance(a), luminance(b)) + 0.05) / (Math.min(luminance(a), luminance(b)) + 0.05);

for (const [theme, text] of Object.entries(sections)) {
	const value = (name: string) => linear((new RegExp(`--${name}: (#[0-9a-f]{6})`).exec(text) as RegExpExecArray)[1] as string);
	const services = Array.from({ length: 12 }, (_, i) => value(`service-${i}`));
	it.each(Object.entries(EYES))(`are apart, ${theme}, %s eyes`, (_, eye) => {
		for (const [i, a] of services.entries())
			for (const [j, b] of services.slice(0, i).entries()) expect(apart(seen(a, eye), seen(b, eye)), `services ${j} and ${i}`).toBeGreaterThan(LEAST);
	});
	const times = ["cpu", "runq", "futex", "disk", "net", "sleep", "other", "callee"].map((k) => value(`time-${k}`));
	it.each(Object.entries(EYES))(`where time went: are apart, ${theme}, %s eyes`, (_, eye) => {
		for (const [i, a] of times.entries())
			for (const [j, b] of times.slice(0, i).entries()) expect.soft(apart(seen(a, eye), seen(b, eye)), `times ${j} and ${i}`).toBeGreaterThan(LEAST);
	});
	it(`are not taken for an error, ${theme}`, () => {
		for (const [i, c] of services.entries()) expect(apart(c, value("error")), `service ${i}`).toBeGreaterThan(10);
	});
	it(`are seen on their ground, ${theme}`, () => {
		for (const [i, c] of services.entries()) expect(contrast(c, value("ground")), `service ${i}`).toBeGreaterThanOrEqual(2.4);
	});
}
