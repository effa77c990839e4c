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
	/** On a bar of each service, and on the neutral one. */
	onServices: string[];
	onOther: string;
	accent: string;
	soft: string;
	font: string;
}

/** Black or white, whichever is read better on a ground ("#rrggbb"). */
export function readableOn(ground: string): string {
	const part = (at: number) => {
		const c = parseInt(ground.slice(at, at + 2), 16) / 255;
		return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
	};
	const light = 0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5);
	return light > 0.179 ? "#0b0d10" : "#ffffff";
}

export function readPaint(): Paint {
	const services = Array.from({ length: 12 }, (_, i) => resolve(`--service-${i}`));
	const other = resolve("--service-other");
	return {
		services,
		other,
		onServices: services.map(readableOn),
		onOther: readableOn(other),
		times: TIMES.map((t) => resolve(t.colour)),
		ink: resolve("--ink"),
		quiet: resolve("--quiet"),
		ground: resolve("--ground"),
		line: resolve("--line"),
		error: resolve("--error"),
		critical: resolve("--critical"),
		accent: resolve("--accent"),
		soft: resolve("--accent-soft"),
		font: `12px ${resolve("--font")}`,
	};
}

export interface Look {
	model: TraceModel;
	rows: Int32Array;
	/** Of each span the row that shows it: its own, or that of the nearest span above it that is shown; -1: none. */
	place: Int32Array;
	colours: Int8Array; // of the model's services, -1: the neutral tone
	from: number; // the visible stretch of time, ns from the trace's start
	to: number;
	first: number; // the first row on the screen, may be between two
	width: number; // px
	selected: number;
	hovered: number;
	found: ReadonlySet<number> | null;
	shut: ReadonlySet<string>;
	paint: Paint;
}

/** A place on the canvas that leads somewhere: to a candidate of an orphan. */
export interface Hit {
	x: number;
	y: number;
	w: number;
	h: number;
	row: number; // of the orphan
	trace: string;
	span: string;
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

function colourOf(l: Pick<Look, "model" | "colours" | "paint">, i: number): string {
	const n = l.colours[l.model.tree.service[i] as number] as number;
	return n < 0 ? l.paint.other : (l.paint.services[n] as string);
}

function inkOn(l: Look, i: number): string {
	const n = l.colours[l.model.tree.service[i] as number] as number;
	return n < 0 ? l.paint.onOther : (l.paint.onServices[n] as string);
}

/** Below the bar of a shut span, what is folded into it, each span a mark; of very many some are left out. */
function below(c: CanvasRenderingContext2D, l: Look, i: number, y: number, w: number) {
	const t = l.model.tree;
	const end = l.model.end[i] as number;
	const scale = w / (l.to - l.from);
	const step = Math.max(1, Math.ceil((end - i - 1) / 1500));
	for (let k = i + 1; k < end; k += step) {
		const x = ((t.start[k] as number) - l.from) * scale;
		const width = Math.max(1, (t.duration[k] as number) * scale);
		if (x + width < 0 || x > w) continue;
		c.fillStyle = l.model.isError(k) ? l.paint.error : colourOf(l, k);
		c.fillRect(x, y, width, 2);
	}
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

/** Words on a bar, drawn last, over the line of the critical path. */
interface Words {
	text: string;
	x: number;
	y: number;
	w: number;
	span: number;
}

function bar(c: CanvasRenderingContext2D, l: Look, i: number, y: number, w: number, late: Words[]) {
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
	if (l.shut.has(t.id[i] as string)) below(c, l, i, top + BAR + 2, w);
	gaps(c, l, i, top, scale);
	if (t.incomplete[i]) torn(c, x + width, top, BAR, l.paint.ground);
	const size = c.measureText(text).width;
	if (x + width + 8 + size < w) {
		c.fillStyle = l.paint.quiet;
		c.fillText(text, x + width + 6, y + ROW / 2);
	} else if (x - size - 8 > 0) {
		c.fillStyle = l.paint.quiet;
		c.fillText(text, x - size - 6, y + ROW / 2);
	} else {
		late.push({ text, x: Math.min(w, x + width) - size - 10, y, w: size, span: i });
	}
}

function onBars(c: CanvasRenderingContext2D, l: Look, late: Words[]) {
	for (const t of late) {
		c.fillStyle = colourOf(l, t.span);
		c.fillRect(t.x - 4, t.y + BAR_TOP, t.w + 8, BAR);
		c.fillStyle = inkOn(l, t.span);
		c.fillText(t.text, t.x, t.y + ROW / 2);
	}
}

/** Time on the critical path in which its thread slept, hatched on the bar of the span whose own time it is. */
function gaps(c: CanvasRenderingContext2D, l: Look, i: number, top: number, scale: number) {
	for (const [from, to] of l.model.gaps.get(i) ?? []) {
		const x1 = Math.max(-8, (from - l.from) * scale);
		const x2 = Math.min(l.width + 8, (to - l.from) * scale);
		if (x2 - x1 < 1) continue;
		c.save();
		c.beginPath();
		c.rect(x1, top, x2 - x1, BAR);
		c.clip();
		c.fillStyle = l.paint.ground;
		c.globalAlpha = 0.62;
		c.fillRect(x1, top, x2 - x1, BAR);
		c.globalAlpha = 1;
		c.strokeStyle = colourOf(l, i);
		c.lineWidth = 1.5;
		c.beginPath();
		// The stripes hang on time, not on the screen: they do not swim while one pans.
		const first = Math.floor(x1 / 7) * 7 - BAR;
		for (let x = first; x < x2; x += 7) {
			c.moveTo(x, top + BAR);
			c.lineTo(x + BAR, top);
		}
		c.stroke();
		c.restore();
	}
}

/** Lines of the axis behind the rows. */
function grid(c: CanvasRenderingContext2D, l: Look, w: number, h: number) {
	const step = axisStep(l.to - l.from, Math.max(2.5, w / 120));
	c.fillStyle = l.paint.line;
	for (let at = Math.ceil(l.from / step) * step; at <= l.to; at += step)
		c.fillRect(Math.round(((at - l.from) / (l.to - l.from)) * w), 0, 1, h);
}

const STUB = 12; // px: where the path goes on beyond the screen
const APART = 5; // px: lines from row to row that are nearer than this are one

/** The critical path: a thin line through the bars, left out where a thread slept. */
function criticalPath(c: CanvasRenderingContext2D, l: Look, w: number, h: number) {
	const scale = w / (l.to - l.from);
	const yOf = (row: number) => (row - l.first) * ROW + BAR_TOP + BAR / 2;
	const seen = (y: number) => y > -ROW && y < h + ROW;
	let before: { x: number; y: number } | null = null;
	let lastX = -Infinity; // of a line from row to row
	// From row to row fainter: it must not cross out the words that it passes.
	const across = new Path2D();
	c.strokeStyle = l.paint.critical;
	c.lineWidth = 1.25;
	c.beginPath();
	for (const piece of l.model.critical_path) {
		const x1 = (piece.from - l.from) * scale;
		const x2 = (piece.to - l.from) * scale;
		const row = l.place[piece.row] ?? -1;
		if (row < 0) {
			before = null;
			continue;
		}
		const y = yOf(row);
		const from: { x: number; y: number } | null = before && Math.abs(before.x - x1) < 2 ? before : null;
		before = { x: x2, y };
		if (x2 < -2 || x1 > w + 2) continue;
		if (from && from.y !== y && (seen(from.y) || seen(y)) && x1 - lastX >= APART) {
			// Both ends on the screen: a line. One of them: a stub in its direction.
			const top = seen(from.y) ? from.y : y + Math.sign(from.y - y) * STUB;
			const bottom = seen(y) ? y : from.y + Math.sign(y - from.y) * STUB;
			across.moveTo(x1, top);
			across.lineTo(x1, bottom);
			lastX = x1;
		}
		if (!seen(y) || piece.gap) continue;
		c.moveTo(x1, y);
		c.lineTo(Math.max(x1 + 1, x2), y);
	}
	c.stroke();
	c.globalAlpha = 0.45;
	c.lineWidth = 1;
	c.stroke(across);
	c.globalAlpha = 1;
}

/**
 * From each orphan, dotted, to the spans that may be its parent: to their bars where they are in this trace, else to
 * words beside its own bar. Where a click leads is added to hits.
 */
function candidates(c: CanvasRenderingContext2D, l: Look, w: number, h: number, hits: Hit[]) {
	const scale = w / (l.to - l.from);
	c.strokeStyle = l.paint.quiet;
	c.lineWidth = 1.5;
	for (const [i, list] of l.model.candidates) {
		const row = l.place[i] ?? -1;
		if (row < 0 || l.rows[row] !== i) continue;
		const y = (row - l.first) * ROW + ROW / 2;
		const x = ((l.model.tree.start[i] as number) - l.from) * scale;
		const elsewhere = list.filter((k) => k.row < 0);
		for (const k of list) {
			const their = k.row < 0 ? -1 : (l.place[k.row] ?? -1);
			if (their < 0) continue;
			const y2 = (their - l.first) * ROW + ROW / 2;
			if (Math.max(y, y2) < 0 || Math.min(y, y2) > h || x < 0 || x > w) continue;
			c.globalAlpha = 0.35 + 0.65 * k.confidence;
			c.setLineDash([1.5, 3]);
			c.beginPath();
			c.moveTo(x, y);
			c.lineTo(x, y2);
			c.stroke();
			c.setLineDash([]);
			c.beginPath();
			c.arc(x, y2, 4, 0, 7);
			c.fillStyle = l.paint.ground;
			c.fill();
			c.stroke();
			hits.push({ x: x - 8, y: y2 - 8, w: 16, h: 16, row: i, trace: k.trace, span: k.span });
			c.globalAlpha = 1;
		}
		if (!elsewhere.length || y < -ROW || y > h + ROW) continue;
		const text = elsewhere.length === 1 ? "may belong to another trace" : `may belong to one of ${elsewhere.length} others`;
		const right = ((l.model.tree.start[i] as number) + (l.model.tree.duration[i] as number) - l.from) * scale;
		const size = c.measureText(text).width;
		let at = right + 84 + size < w ? right + 84 : x - size - 84 > 0 ? x - size - 84 : -1;
		c.fillStyle = l.paint.quiet;
		if (at < 0) {
			// No room beside its bar: on it, as far as the screen shows it, clear of its duration at the right end.
			at = Math.max(0, x) + 12;
			if (Math.min(w, right) - at < size + 90) continue;
			c.fillStyle = colourOf(l, i);
			c.fillRect(at - 4, y - BAR / 2, size + 8, BAR);
			c.fillStyle = inkOn(l, i);
		}
		c.fillText(text, at, y);
		c.setLineDash([1.5, 3]);
		c.beginPath();
		c.moveTo(at, y + 8.5);
		c.lineTo(at + size, y + 8.5);
		c.stroke();
		c.setLineDash([]);
		hits.push({ x: at, y: y - 10, w: size, h: 20, row: i, trace: "", span: "" });
	}
}

/** All that is on the screen. Returns where a click leads to a candidate. */
export function drawBars(canvas: HTMLCanvasElement, l: Look, w: number, h: number): Hit[] {
	const c = fit(canvas, w, h);
	const hits: Hit[] = [];
	const late: Words[] = [];
	if (!c) return hits;
	c.clearRect(0, 0, w, h);
	c.font = l.paint.font;
	c.textBaseline = "middle";
	grid(c, l, w, h);
	const from = Math.max(0, Math.floor(l.first));
	const to = Math.min(l.rows.length, Math.ceil(l.first + h / ROW) + 1);
	for (let k = from; k < to; k++) {
		const i = l.rows[k] as number;
		const y = (k - l.first) * ROW;
		if (i === l.selected || i === l.hovered || l.found?.has(i)) {
			c.fillStyle = i === l.selected ? l.paint.soft : l.paint.line;
			c.globalAlpha = i === l.selected ? 1 : 0.5;
			c.fillRect(0, y, w, ROW);
			c.globalAlpha = 1;
		}
		bar(c, l, i, y, w, late);
	}
	criticalPath(c, l, w, h);
	onBars(c, l, late);
	candidates(c, l, w, h, hits);
	return hits;
}

export function drawAxis(canvas: HTMLCanvasElement, l: Look, w: number, h: number) {
	const c = fit(canvas, w, h);
	if (!c) return;
	const step = axisStep(l.to - l.from, Math.max(2.5, w / 120));
	c.clearRect(0, 0, w, h);
	c.font = l.paint.font;
	c.textBaseline = "middle";
	for (let at = Math.ceil(l.from / step) * step; at <= l.to; at += step) {
		const x = ((at - l.from) / (l.to - l.from)) * w;
		c.fillStyle = l.paint.line;
		c.fillRect(Math.round(x), h - 6, 1, 6);
		c.fillStyle = l.paint.quiet;
		const text = at === 0 ? "0" : duration(at);
		if (x + 4 + c.measureText(text).width < w) c.fillText(text, x + 4, h / 2);
	}
}

const PATH = 5; // px: the critical path at the foot of the small map

/** The whole trace, each span a line; long traces are thinned by what is drawn there already. */
export function drawMap(canvas: HTMLCanvasElement, l: Pick<Look, "model" | "colours" | "paint">, w: number, all: number) {
	const c = fit(canvas, w, all);
	const t = l.model.tree;
	if (!c) return;
	const h = all - PATH - 2;
	c.clearRect(0, 0, w, all);
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
	// Whose time it was, from the begin to the end; where it slept, nothing.
	for (const p of l.model.critical_path) {
		if (p.gap) continue;
		c.fillStyle = colourOf(l, p.row);
		c.fillRect(p.from * scale, all - PATH, Math.max(0.5, (p.to - p.from) * scale), PATH);
	}
}
