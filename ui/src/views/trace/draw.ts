// SPDX-License-Identifier: Apache-2.0
// The bars of the rows that are on the screen, and the small map above them, on canvases. Nothing here keeps state.
import { resolve, TIMES } from "../../base/colour";
import { duration } from "../../base/format";
import { axisStep, type TraceModel } from "./model";

export const ROW = 28;
const BAR_TOP = 7;
const BAR = 14;
const STRIP = 4; // where the time went, at the foot of a bar
const STRIP_FROM = 48; // px of width from which it is told

/** The theme's colours, read once a theme. */
export interface Paint {
	services: string[];
	other: string;
	times: string[];
	ink: string;
	quiet: string;
	ground: string;
	line: string;
	error: string;
	critical: string;
	unexplained: string;
	accent: string;
	soft: string;
	font: string;
}

export function readPaint(): Paint {
	return {
		services: Array.from({ length: 12 }, (_, i) => resolve(`--service-${i}`)),
		other: resolve("--service-other"),
		times: TIMES.map((t) => resolve(t.colour)),
		ink: resolve("--ink"),
		quiet: resolve("--quiet"),
		ground: resolve("--ground"),
		line: resolve("--line"),
		error: resolve("--error"),
		critical: resolve("--critical"),
		unexplained: resolve("--unexplained"),
		accent: resolve("--accent"),
		soft: resolve("--accent-soft"),
		font: `12px ${resolve("--font")}`,
	};
}

export interface Look {
	model: TraceModel;
	rows: Int32Array;
	colours: Int8Array; // of the model's services, -1: the neutral tone
	from: number; // the visible stretch of time, ns from the trace's start
	to: number;
	first: number; // the first row on the screen, may be between two
	selected: number;
	hovered: number;
	found: ReadonlySet<number> | null;
	paint: Paint;
}

/** Sizes a canvas to its place on the screen; returns its context in CSS pixels. */
export function fit(canvas: HTMLCanvasElement, w: number, h: number): CanvasRenderingContext2D | null {
	const scale = devicePixelRatio || 1;
	if (canvas.width !== Math.round(w * scale) || canvas.height !== Math.round(h * scale)) {
		canvas.width = Math.round(w * scale);
		canvas.height = Math.round(h * scale);
	}
	const c = canvas.getContext("2d");
	c?.setTransform(scale, 0, 0, scale, 0, 0);
	return c;
}

function colourOf(l: Look, i: number): string {
	const n = l.colours[l.model.tree.service[i] as number] as number;
	return n < 0 ? l.paint.other : (l.paint.services[n] as string);
}

/** A right edge as of torn paper: the end of this span was not seen. */
function torn(c: CanvasRenderingContext2D, x: number, y: number, h: number, ground: string) {
	c.fillStyle = ground;
	c.beginPath();
	c.moveTo(x + 1, y - 1);
	for (let k = 0; k <= 4; k++) c.lineTo(x - (k % 2 ? 0 : 4), y + (k * h) / 4);
	c.lineTo(x + 1, y + h + 1);
	c.closePath();
	c.fill();
}

function strip(c: CanvasRenderingContext2D, l: Look, i: number, x: number, y: number, w: number) {
	const t = l.model.tree;
	const total = t.duration[i] as number;
	let at = x;
	if (total <= 0 || (t.times.cpu[i] ?? -1) < 0) return;
	for (const [k, { key }] of TIMES.entries()) {
		const part = t.times[key][i] ?? -1;
		if (part <= 0) continue;
		const width = Math.min((part / total) * w, x + w - at);
		c.fillStyle = l.paint.times[k] as string;
		c.fillRect(at, y, width, STRIP);
		at += width;
	}
}

function bar(c: CanvasRenderingContext2D, l: Look, i: number, y: number, w: number) {
	const t = l.model.tree;
	const scale = w / (l.to - l.from);
	const start = t.start[i] as number;
	const length = t.duration[i] as number;
	const left = (start - l.from) * scale;
	const right = (start + length - l.from) * scale;
	const x = Math.max(-4, left);
	const width = Math.max(2, Math.min(w + 4, right) - x);
	const text = duration(length);
	const top = y + BAR_TOP;
	if (right < -2 || left > w + 2) {
		c.fillStyle = l.paint.quiet; // it lies to one side
		c.fillText(right < 0 ? "‹" : "›", right < 0 ? 4 : w - 10, y + ROW / 2);
		return;
	}
	c.fillStyle = colourOf(l, i);
	c.beginPath();
	c.roundRect(x, top, width, BAR, width > 6 ? 3 : 0);
	c.fill();
	if (width >= STRIP_FROM) strip(c, l, i, x, top + BAR - STRIP, width);
	if (l.model.isError(i)) {
		c.fillStyle = l.paint.error;
		c.fillRect(x, top - 3, width, 2);
	}
	if (t.incomplete[i]) torn(c, x + width, top, BAR, l.paint.ground);
	const size = c.measureText(text).width;
	c.fillStyle = l.paint.quiet;
	if (x + width + 8 + size < w) c.fillText(text, x + width + 6, y + ROW / 2);
	else if (x - size - 8 > 0) c.fillText(text, x - size - 6, y + ROW / 2);
}

/** Lines of the axis behind the rows. */
function grid(c: CanvasRenderingContext2D, l: Look, w: number, h: number) {
	const step = axisStep(l.to - l.from, w / 120);
	c.fillStyle = l.paint.line;
	for (let at = Math.ceil(l.from / step) * step; at <= l.to; at += step)
		c.fillRect(Math.round(((at - l.from) / (l.to - l.from)) * w), 0, 1, h);
}

/** The critical path: a thin line through the bars; time on it that no span explains is shaded. */
function criticalPath(c: CanvasRenderingContext2D, l: Look, rowOf: Map<number, number>, w: number, h: number) {
	const scale = w / (l.to - l.from);
	let before: { x: number; y: number } | null = null;
	c.strokeStyle = l.paint.critical;
	c.lineWidth = 1.5;
	for (const [i, from, to] of l.model.tree.critical) {
		const x1 = (from - l.from) * scale;
		const x2 = (to - l.from) * scale;
		if (i < 0) {
			c.fillStyle = l.paint.unexplained;
			c.fillRect(x1, 0, Math.max(1, x2 - x1), h);
			continue;
		}
		let shown = i;
		while (shown >= 0 && !rowOf.has(shown)) shown = l.model.parent(shown);
		const row = rowOf.get(shown);
		if (row === undefined) {
			before = null;
			continue;
		}
		const y = (row - l.first) * ROW + BAR_TOP + BAR / 2;
		c.beginPath();
		if (before && Math.abs(before.x - x1) < 2) {
			c.moveTo(before.x, before.y);
			c.lineTo(x1, y);
		} else c.moveTo(x1, y);
		c.lineTo(Math.max(x1 + 1, x2), y);
		c.stroke();
		before = { x: x2, y };
	}
}

/** All that is on the screen. rowOf: the rows near the screen by span, for the critical path. */
export function drawBars(canvas: HTMLCanvasElement, l: Look, w: number, h: number, showCritical: boolean) {
	const c = fit(canvas, w, h);
	if (!c) return;
	c.clearRect(0, 0, w, h);
	c.font = l.paint.font;
	c.textBaseline = "middle";
	grid(c, l, w, h);
	const from = Math.max(0, Math.floor(l.first));
	const to = Math.min(l.rows.length, Math.ceil(l.first + h / ROW) + 1);
	const near = new Map<number, number>();
	for (let k = from; k < to; k++) {
		const i = l.rows[k] as number;
		const y = (k - l.first) * ROW;
		near.set(i, k);
		if (i === l.selected || i === l.hovered || l.found?.has(i)) {
			c.fillStyle = i === l.selected ? l.paint.soft : l.paint.line;
			c.globalAlpha = i === l.selected ? 1 : 0.5;
			c.fillRect(0, y, w, ROW);
			c.globalAlpha = 1;
		}
		bar(c, l, i, y, w);
	}
	if (showCritical) criticalPath(c, l, near, w, h);
}

export function drawAxis(canvas: HTMLCanvasElement, l: Look, w: number, h: number) {
	const c = fit(canvas, w, h);
	if (!c) return;
	const step = axisStep(l.to - l.from, w / 120);
	c.clearRect(0, 0, w, h);
	c.font = l.paint.font;
	c.textBaseline = "middle";
	for (let at = Math.ceil(l.from / step) * step; at <= l.to; at += step) {
		const x = ((at - l.from) / (l.to - l.from)) * w;
		c.fillStyle = l.paint.line;
		c.fillRect(Math.round(x), h - 6, 1, 6);
		c.fillStyle = l.paint.quiet;
		const text = at === 0 ? "0" : duration(at).replace(/\.0(?=\D)/, "");
		if (x + 4 + c.measureText(text).width < w) c.fillText(text, x + 4, h / 2);
	}
}

/** The whole trace, each span a line; long traces are thinned by what is drawn there already. */
export function drawMap(canvas: HTMLCanvasElement, l: Look, w: number, h: number) {
	const c = fit(canvas, w, h);
	const t = l.model.tree;
	if (!c) return;
	c.clearRect(0, 0, w, h);
	const scale = w / Math.max(1, t.duration_ns);
	const height = Math.max(1, Math.min(4, (h - 4) / Math.max(1, l.model.n)));
	let lastY = -1;
	let covered = 0;
	for (let i = 0; i < l.model.n; i++) {
		const y = Math.floor(2 + (i / Math.max(1, l.model.n)) * (h - 4));
		const x = (t.start[i] as number) * scale;
		const width = Math.max(1, (t.duration[i] as number) * scale);
		if (y !== lastY) {
			lastY = y;
			covered = -1;
		}
		if (x + width <= covered && height <= 1) continue;
		covered = Math.max(covered, x + width);
		c.fillStyle = l.model.isError(i) ? l.paint.error : colourOf(l, i);
		c.fillRect(x, y, width, Math.max(1, height - (height > 2 ? 1 : 0)));
	}
	c.fillStyle = l.paint.ground;
	c.globalAlpha = 0.65;
	c.fillRect(0, 0, l.from * scale, h);
	c.fillRect(l.to * scale, 0, w - l.to * scale, h);
	c.globalAlpha = 1;
	c.fillStyle = l.paint.accent;
	if (l.from > 0 || l.to < t.duration_ns) {
		c.fillRect(l.from * scale - 1, 0, 2, h);
		c.fillRect(l.to * scale - 1, 0, 2, h);
	}
}
