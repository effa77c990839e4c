// SPDX-License-Identifier: Apache-2.0
// Time by duration, a point a trace; errors are red diamonds. Drag narrows the search to what is inside.
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import type { HistogramAnswer, TraceLine } from "../../base/api";
import { resolve } from "../../base/colour";
import { absolute, duration, logMarks, mark, timeMarks } from "../../base/format";
import { rangeOf } from "../../base/filter";
import { go, link, patch, useRoute } from "../../base/route";
import { onTheme } from "../../base/theme";
import { fit } from "../trace/draw";

const H = 200;
const LEFT = 64;
const FOOT = 20;
const KEY_STEP = 10 ** 0.1; // what an arrow moves an edge by: a bucket of the histogram
const MARGIN = 120; // the histogram at the right, where there is room for it
const MARGIN_FROM = 720;

interface Frame {
	w: number; // of the points, with their axis
	all: number; // with the histogram
	since: number;
	until: number;
	lo: number;
	hi: number;
}

function frameOf(rows: TraceLine[], all: number): Frame {
	let since = Infinity;
	let until = 0;
	let lo = Infinity;
	let hi = 1;
	for (const t of rows) {
		since = Math.min(since, t.start_ns);
		until = Math.max(until, t.start_ns);
		// A trace whose end was not seen has no duration; it stands below the axis and does not stretch it.
		if (t.duration_ns > 0) lo = Math.min(lo, t.duration_ns);
		hi = Math.max(hi, t.duration_ns);
	}
	if (lo > hi) lo = hi;
	if (until - since < 1e6) {
		since -= 5e8;
		until += 5e8;
	}
	const w = all >= MARGIN_FROM ? all - MARGIN : all;
	return { w, all, since, until, lo: Math.log10(lo) - 0.12, hi: Math.log10(hi) + 0.1 };
}

const xOf = (f: Frame, ns: number) => LEFT + ((ns - f.since) / (f.until - f.since)) * (f.w - LEFT - 12) + 4;
const yOf = (f: Frame, ns: number) => (ns <= 0 ? H - FOOT - 1 : (1 - (Math.log10(Math.max(1, ns)) - f.lo) / (f.hi - f.lo)) * (H - FOOT - 8) + 4);
const timeAt = (f: Frame, x: number) => f.since + ((x - LEFT - 4) / (f.w - LEFT - 12)) * (f.until - f.since);
const durationAt = (f: Frame, y: number) => 10 ** (f.lo + (1 - (y - 4) / (H - FOOT - 8)) * (f.hi - f.lo));

/** How all that fit are distributed, along the axis of durations; the failed ones red. */
function drawMargin(c: CanvasRenderingContext2D, f: Frame, h: HistogramAnswer) {
	const left = f.w + 16;
	const room = f.all - left;
	const most = Math.max(1, ...h.buckets.map((b) => b.count));
	for (const b of h.buckets) {
		if (!b.count) continue;
		const top = yOf(f, Math.max(1, b.to_ns));
		const bottom = yOf(f, Math.max(1, b.from_ns));
		if (bottom < 0 || top > H - FOOT) continue;
		const width = Math.max(2, Math.sqrt(b.count / most) * room);
		const bad = b.errors ? Math.max(2, Math.sqrt(b.errors / most) * room) : 0;
		c.globalAlpha = 0.45;
		c.fillStyle = resolve("--accent");
		c.fillRect(left, top, width, Math.max(1, bottom - top - 1));
		c.globalAlpha = 1;
		c.fillStyle = resolve("--error");
		c.fillRect(left, top, bad, Math.max(1, bottom - top - 1));
	}
}

function draw(canvas: HTMLCanvasElement, f: Frame, rows: TraceLine[], histogram: HistogramAnswer | null) {
	const c = fit(canvas, f.all, H);
	if (!c) return;
	c.clearRect(0, 0, f.all, H);
	c.font = `12px ${resolve("--font")}`;
	c.textBaseline = "middle";
	const quiet = resolve("--quiet");
	const line = resolve("--line");
	for (const ns of logMarks(f.lo, f.hi)) {
		const y = Math.round(yOf(f, ns));
		c.fillStyle = line;
		c.fillRect(LEFT, y, f.w - LEFT, 1);
		c.fillStyle = quiet;
		c.textAlign = "right";
		c.fillText(mark(ns), LEFT - 8, y);
	}
	c.textAlign = "left";
	c.fillStyle = quiet;
	for (const m of timeMarks(f.since, f.until, Math.max(2, Math.floor((f.w - LEFT) / 100)))) {
		const x = xOf(f, m.ns);
		if (x + c.measureText(m.text).width <= f.w) c.fillText(m.text, x, H - FOOT / 2 + 2);
	}
	if (histogram && f.all > f.w) drawMargin(c, f, histogram);
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
	for (const t of rows) {
		if (!t.errors) continue;
		const x = xOf(f, t.start_ns);
		const y = yOf(f, t.duration_ns);
		c.beginPath();
		c.moveTo(x, y - 5);
		c.lineTo(x + 5, y);
		c.lineTo(x, y + 5);
		c.lineTo(x - 5, y);
		c.fill();
	}
	c.globalAlpha = 1;
}

export function Scatter(props: { rows: TraceLine[]; histogram: HistogramAnswer | null }) {
	const box = useRef<HTMLDivElement>(null);
	const canvas = useRef<HTMLCanvasElement>(null);
	const [w, setW] = useState(0);
	const [paint, setPaint] = useState(0);
	const [near, setNear] = useState<TraceLine | null>(null);
	const [drag, setDrag] = useState<{ x: number; y: number; x2: number; y2: number } | null>(null);
	const f = useMemo(() => frameOf(props.rows, w), [props.rows, w]);
	useEffect(() => onTheme(() => setPaint((p) => p + 1)), []);
	useLayoutEffect(() => {
		const el = box.current;
		if (!el) return undefined;
		const o = new ResizeObserver(() => setW(el.clientWidth));
		o.observe(el);
		setW(el.clientWidth);
		return () => o.disconnect();
	}, []);
	useLayoutEffect(() => {
		if (canvas.current && w) draw(canvas.current, f, props.rows, props.histogram);
	}, [f, paint, props.histogram]);
	const place = (e: MouseEvent) => {
		const b = box.current?.getBoundingClientRect();
		return { x: e.clientX - (b?.left ?? 0), y: e.clientY - (b?.top ?? 0) };
	};
	const range = rangeOf(useRoute());
	const key = (e: KeyboardEvent) => {
		const step = e.key === "ArrowUp" ? KEY_STEP : e.key === "ArrowDown" ? 1 / KEY_STEP : 0;
		if (!step) return;
		e.preventDefault();
		const from = (range?.from_ns ?? 10 ** f.lo) * (e.shiftKey ? 1 : step);
		const to = (range?.to_ns ?? 10 ** f.hi) * (e.shiftKey ? step : 1);
		if (from < to) patch({ from_ns: Math.floor(from), to_ns: Math.ceil(to) }, true);
	};
	const nearest = (x: number, y: number) => {
		let best: TraceLine | null = null;
		let least = 144;
		for (const t of props.rows) {
			const d = (xOf(f, t.start_ns) - x) ** 2 + (yOf(f, t.duration_ns) - y) ** 2;
			if (d < least) {
				least = d;
				best = t;
			}
		}
		return best;
	};
	return (
		<div
			class="scatter"
			ref={box}
			tabIndex={0}
			role="slider"
			aria-label="Range of durations: arrows up and down move its lower edge, with Shift its upper"
			aria-valuetext={range ? `${duration(range.from_ns)} to ${duration(range.to_ns)}` : "all"}
			aria-valuenow={range?.from_ns ?? 0}
			onKeyDown={key}
			onPointerDown={(e) => {
				const p = place(e);
				(e.currentTarget as Element).setPointerCapture(e.pointerId);
				setDrag({ ...p, x2: p.x, y2: p.y });
			}}
			onPointerMove={(e) => {
				const p = place(e);
				if (drag) setDrag({ ...drag, x2: p.x, y2: p.y });
				else setNear(nearest(p.x, p.y));
			}}
			onPointerLeave={() => setNear(null)}
			onPointerUp={(e) => {
				const p = place(e);
				const d = drag;
				setDrag(null);
				if (d && Math.abs(p.x - d.x) > 6 && Math.abs(p.y - d.y) > 6)
					patch({
						since: Math.round(timeAt(f, Math.min(d.x, p.x))),
						until: Math.round(timeAt(f, Math.max(d.x, p.x))),
						from_ns: Math.floor(durationAt(f, Math.max(d.y, p.y))),
						to_ns: Math.ceil(durationAt(f, Math.min(d.y, p.y))),
					});
				else {
					const t = nearest(p.x, p.y);
					if (t) go(link(["trace", t.trace_id]));
				}
			}}
		>
			<canvas ref={canvas} style={{ width: "100%", height: `${H}px` }} role="img" aria-label={`${props.rows.length} traces by time and duration; the list below has the same`} />
			{drag && (
				<i
					class="brush"
					style={{
						left: `${Math.min(drag.x, drag.x2)}px`,
						top: `${Math.min(drag.y, drag.y2)}px`,
						width: `${Math.abs(drag.x2 - drag.x)}px`,
						height: `${Math.abs(drag.y2 - drag.y)}px`,
					}}
				/>
			)}
			{near && !drag && (
				<div
					class="tip"
					style={{
						left: `${Math.min(xOf(f, near.start_ns) + 10, Math.max(0, w - 240))}px`,
						top: `${Math.max(0, yOf(f, near.duration_ns) - 56)}px`,
					}}
				>
					<b>{near.service}</b> {near.name}
					<br />
					{near.duration_ns > 0 ? duration(near.duration_ns) : "end not seen"}, {absolute(near.start_ns).slice(11)}
					{near.errors > 0 && <span class="error">, {near.errors} errors</span>}
				</div>
			)}
		</div>
	);
}
