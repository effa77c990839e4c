// SPDX-License-Identifier: Apache-2.0
// The search's plot on its canvas: cells where there are more traces than are listed, else a point a trace.
import type { Heat, TraceLine } from "../../base/api";
import { resolve } from "../../base/colour";
import type { Range } from "../../base/filter";
import { duration, logMarks, timeMarks } from "../../base/format";
import { fit } from "../trace/draw";
import { type Cell, cellsOf, FOOT, type Frame, H, LEFT, sums, xOf, yOf } from "./frame";

/** px between cells; between narrow ones there is no room. */
const hair = (size: number) => (size > 4 ? 0.5 : 0);

function drawAxes(c: CanvasRenderingContext2D, f: Frame) {
	const quiet = resolve("--quiet");
	for (const ns of logMarks(f.lo, f.hi)) {
		const y = Math.round(yOf(f, ns));
		c.fillStyle = resolve("--line");
		c.fillRect(LEFT, y, f.w - LEFT, 1);
		c.fillStyle = quiet;
		c.textAlign = "right";
		c.fillText(duration(ns), LEFT - 8, y);
	}
	c.textAlign = "left";
	for (const m of timeMarks(f.since, f.until, Math.max(2, Math.floor((f.w - LEFT) / (f.w < 500 ? 75 : 100))))) {
		const x = xOf(f, m.ns);
		if (x + c.measureText(m.text).width <= f.w) c.fillText(m.text, x, H - FOOT / 2 + 2);
	}
}

/** How all that fit are distributed, along the axis of durations; the failed ones red. */
function drawMargin(c: CanvasRenderingContext2D, f: Frame, h: Heat, faint: (r: Range) => number) {
	const left = f.w + 16;
	const room = f.all - left;
	const buckets = sums(h);
	const most = Math.max(1, ...buckets.map((b) => b.count));
	for (const b of buckets) {
		const top = yOf(f, Math.max(1, b.to_ns));
		const bottom = yOf(f, Math.max(1, b.from_ns));
		if (bottom < 0 || top > H - FOOT) continue;
		const width = Math.max(2, Math.sqrt(b.count / most) * room);
		const bad = b.errors ? Math.max(2, Math.sqrt(b.errors / most) * room) : 0;
		c.globalAlpha = 0.45 * faint(b);
		c.fillStyle = resolve("--accent");
		c.fillRect(left, top, width, Math.max(1, bottom - top - 1));
		c.globalAlpha = faint(b);
		c.fillStyle = resolve("--error");
		c.fillRect(left, top, bad, Math.max(1, bottom - top - 1));
	}
	c.globalAlpha = 1;
	c.fillStyle = resolve("--quiet");
	c.fillText("how many", left, H - FOOT / 2 + 2);
}

function diamond(c: CanvasRenderingContext2D, x: number, y: number, r: number) {
	c.beginPath();
	c.moveTo(x, y - r);
	c.lineTo(x + r, y);
	c.lineTo(x, y + r);
	c.lineTo(x - r, y);
	c.fill();
}

/** The place of a cell; what took no time at all stands on the axis. */
export function boxOf(f: Frame, cell: Cell): { x: number; y: number; w: number; h: number } {
	const x = xOf(f, cell.since);
	const y = yOf(f, cell.range.to_ns > 2 ? cell.range.to_ns : 0);
	const bottom = cell.range.to_ns > 2 ? yOf(f, Math.max(1, cell.range.from_ns)) : y + 4;
	return { x, y, w: xOf(f, cell.until) - x, h: bottom - y };
}

function drawCells(c: CanvasRenderingContext2D, f: Frame, cells: readonly Cell[], faint: (r: Range) => number) {
	const most = Math.max(1, ...cells.map((x) => x.count));
	c.fillStyle = resolve("--accent");
	for (const cell of cells) {
		const b = boxOf(f, cell);
		c.globalAlpha = (0.14 + 0.72 * Math.sqrt(cell.count / most)) * faint(cell.range);
		c.fillRect(b.x, b.y, Math.max(1, b.w - hair(b.w)), Math.max(1, b.h - hair(b.h)));
	}
	c.fillStyle = resolve("--error");
	for (const cell of cells) {
		if (!cell.errors) continue;
		const b = boxOf(f, cell);
		c.globalAlpha = faint(cell.range);
		diamond(c, b.x + b.w / 2, b.y + b.h / 2, 3 + 2.5 * Math.sqrt(cell.errors / cell.count));
	}
}

function drawPoints(c: CanvasRenderingContext2D, f: Frame, rows: readonly TraceLine[]) {
	c.fillStyle = resolve("--accent");
	c.globalAlpha = rows.length > 200 ? 0.5 : 0.75;
	for (const t of rows) {
		if (t.errors) continue;
		c.beginPath();
		c.arc(xOf(f, t.start_ns), yOf(f, t.duration_ns), t.duration_ns > 0 ? 3 : 2, 0, 7);
		c.fill();
	}
	c.fillStyle = resolve("--error");
	c.globalAlpha = 0.9;
	for (const t of rows) if (t.errors) diamond(c, xOf(f, t.start_ns), yOf(f, t.duration_ns), 5);
	c.globalAlpha = 1;
}

/** The edges of the chosen range of durations. */
function drawRange(c: CanvasRenderingContext2D, f: Frame, range: Range) {
	c.fillStyle = resolve("--accent");
	for (const ns of [range.from_ns, range.to_ns]) {
		const y = yOf(f, Math.max(1, ns));
		if (y >= 0 && y <= H - FOOT) c.fillRect(LEFT, Math.round(y), f.w - LEFT, 1);
	}
}

const FAINT = 0.28;

/** rows: what is listed; points: whether each of them is drawn as one; cells: of what is not. */
export function drawPlot(canvas: HTMLCanvasElement, f: Frame, rows: readonly TraceLine[], heat: Heat | null, points: boolean, range: Range | null) {
	const c = fit(canvas, f.all, H);
	if (!c) return;
	const outside = (r: Range) => range !== null && (r.to_ns <= range.from_ns || r.from_ns >= range.to_ns);
	const faint = (r: Range) => (outside(r) ? FAINT : 1);
	c.clearRect(0, 0, f.all, H);
	c.font = `12px ${resolve("--font")}`;
	c.textBaseline = "middle";
	drawAxes(c, f);
	if (heat && f.all > f.w) drawMargin(c, f, heat, faint);
	c.save();
	c.beginPath();
	c.rect(LEFT, 0, f.w - LEFT, H - FOOT + 4);
	c.clip();
	if (heat) drawCells(c, f, cellsOf(heat).filter((x) => !points || outside(x.range)), faint);
	c.globalAlpha = 1;
	if (points) drawPoints(c, f, rows);
	c.restore();
	if (range) drawRange(c, f, range);
}
