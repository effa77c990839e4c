// SPDX-License-Identifier: Apache-2.0
// Time by duration over the whole window: cells where there are more traces than are listed, else a point a trace;
// errors are red diamonds. Drag narrows the search to what is inside; a click leads to the trace, or into the cell.
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Heat, TraceLine } from "../../base/api";
import { absolute, count, duration } from "../../base/format";
import { type Range, rangeOf } from "../../base/filter";
import { go, link, type Params, patch, useRoute } from "../../base/route";
import { onTheme } from "../../base/theme";
import { boxOf, drawPlot } from "./draw";
import { type Cell, cellsOf, durationAt, frameOf, H, timeAt, within, xOf, yOf } from "./frame";

const KEY_STEP = 10 ** 0.1; // what an arrow moves an edge by: a bucket of the histogram
const NEAR = 144; // px, squared: a point that one points at
const DRAGGED = 6; // px: less is a click, or leaves that axis as it is

interface Drag {
	x: number;
	y: number;
	x2: number;
	y2: number;
}

/** What a drag chose: time, durations, or both, by which way it went. */
const goes = (d: Drag) => ({ across: Math.abs(d.x2 - d.x) > DRAGGED, up: Math.abs(d.y2 - d.y) > DRAGGED });

function Brush(props: { drag: Drag; w: number }) {
	const d = props.drag;
	const { across, up } = goes(d);
	if (!across && !up) return null;
	const left = across ? Math.min(d.x, d.x2) : 0;
	const top = up ? Math.min(d.y, d.y2) : 0;
	return (
		<i
			class="brush"
			style={{ left: `${left}px`, top: `${top}px`, width: `${across ? Math.abs(d.x2 - d.x) : props.w}px`, height: `${up ? Math.abs(d.y2 - d.y) : H}px` }}
		/>
	);
}

const chosenTime = (since: number, until: number): Params => ({ since: Math.round(since), until: Math.round(until) });
const chosenRange = (r: Range): Params => ({ from_ns: Math.floor(r.from_ns), to_ns: Math.ceil(r.to_ns) });

/** heat: null while it is not known. */
export function Scatter(props: { rows: TraceLine[]; heat: Heat | null }) {
	const { rows, heat } = props;
	const box = useRef<HTMLDivElement>(null);
	const canvas = useRef<HTMLCanvasElement>(null);
	const [w, setW] = useState(0);
	const [paint, setPaint] = useState(0);
	const [near, setNear] = useState<TraceLine | Cell | null>(null);
	const [drag, setDrag] = useState<Drag | null>(null);
	const f = useMemo(() => frameOf(rows, heat, w), [rows, heat, w]);
	const range = rangeOf(useRoute());
	const points = !heat || within(heat, range) <= rows.length;
	const cells = useMemo(() => (heat && !points ? cellsOf(heat) : []), [heat, points]);
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
		if (canvas.current && w) drawPlot(canvas.current, f, rows, heat, points, range);
	}, [f, paint, points, range?.from_ns, range?.to_ns]);
	const place = (e: MouseEvent) => {
		const b = box.current?.getBoundingClientRect();
		return { x: e.clientX - (b?.left ?? 0), y: e.clientY - (b?.top ?? 0) };
	};
	const key = (e: KeyboardEvent) => {
		const step = e.key === "ArrowUp" ? KEY_STEP : e.key === "ArrowDown" ? 1 / KEY_STEP : 0;
		if (!step) return;
		e.preventDefault();
		const from = (range?.from_ns ?? 10 ** f.lo) * (e.shiftKey ? 1 : step);
		const to = (range?.to_ns ?? 10 ** f.hi) * (e.shiftKey ? step : 1);
		if (from < to) patch(chosenRange({ from_ns: from, to_ns: to }), true);
	};
	const nearest = (x: number, y: number): TraceLine | Cell | null => {
		let best: TraceLine | null = null;
		let least = NEAR;
		for (const t of points ? rows : []) {
			const d = (xOf(f, t.start_ns) - x) ** 2 + (yOf(f, t.duration_ns) - y) ** 2;
			if (d < least) {
				least = d;
				best = t;
			}
		}
		return (
			best ??
			cells.find((c) => {
				const b = boxOf(f, c);
				return x >= b.x && x < b.x + b.w && y >= b.y && y < b.y + b.h;
			}) ??
			null
		);
	};
	const choose = (d: Drag) => {
		const { across, up } = goes(d);
		if (across || up)
			return patch({
				...(across ? chosenTime(timeAt(f, Math.min(d.x, d.x2)), timeAt(f, Math.max(d.x, d.x2))) : {}),
				...(up ? chosenRange({ from_ns: Math.max(0, durationAt(f, Math.max(d.y, d.y2))), to_ns: durationAt(f, Math.min(d.y, d.y2)) }) : {}),
			});
		const at = nearest(d.x2, d.y2);
		if (at && "trace_id" in at) go(link(["trace", at.trace_id]));
		else if (at) patch({ ...chosenTime(at.since, at.until), ...chosenRange(at.range) });
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
				if (e.button !== 0) return;
				(e.currentTarget as Element).setPointerCapture(e.pointerId);
				setNear(null);
				setDrag({ ...p, x2: p.x, y2: p.y });
			}}
			onPointerMove={(e) => {
				const p = place(e);
				if (drag) setDrag({ ...drag, x2: p.x, y2: p.y });
				else setNear(nearest(p.x, p.y));
			}}
			onPointerLeave={() => setNear(null)}
			onPointerCancel={() => setDrag(null)}
			onPointerUp={(e) => {
				const p = place(e);
				setDrag(null);
				if (drag) choose({ ...drag, x2: p.x, y2: p.y });
			}}
		>
			<canvas ref={canvas} style={{ width: "100%", height: `${H}px` }} role="img" aria-label={`${count(heat?.n ?? rows.length)} traces by time and duration; the list below has the newest`} />
			{drag && <Brush drag={drag} w={f.w} />}
			{near && !drag && <Tip of={near} left={(x) => Math.min(x + 10, Math.max(0, w - 240))} frame={f} />}
		</div>
	);
}

function Tip(props: { of: TraceLine | Cell; frame: Parameters<typeof xOf>[0]; left: (x: number) => number }) {
	const { of, frame } = props;
	const isTrace = "trace_id" in of;
	const [x, y] = isTrace ? [xOf(frame, of.start_ns), yOf(frame, of.duration_ns)] : [xOf(frame, of.until), boxOf(frame, of).y];
	return (
		<div class="tip" style={{ left: `${props.left(x)}px`, top: `${Math.max(0, y - 56)}px` }}>
			{isTrace ? (
				<>
					<b>{of.service}</b> {of.name}
					<br />
					{of.duration_ns > 0 ? duration(of.duration_ns) : "end not seen"}, {absolute(of.start_ns).slice(11)}
				</>
			) : (
				<>
					<b>
						{count(of.count)} {of.count === 1 ? "trace" : "traces"}
					</b>{" "}
					of {duration(of.range.from_ns)} to {duration(of.range.to_ns)}
					<br />
					{absolute(of.since).slice(11, 19)} – {absolute(of.until).slice(11, 19)}
				</>
			)}
			{of.errors > 0 && (
				<span class="error">
					, {count(of.errors)} {isTrace ? (of.errors === 1 ? "error" : "errors") : "failed"}
				</span>
			)}
		</div>
	);
}
