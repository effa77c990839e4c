// SPDX-License-Identifier: Apache-2.0
// How durations are distributed, on a logarithmic axis. Drag chooses a range; arrows move its edges by the keyboard.
import { useMemo, useRef } from "preact/hooks";
import type { HistogramAnswer } from "../base/api";
import type { Range } from "../base/filter";
import { count, duration, logMarks } from "../base/format";

const W = 800;
const H = 160;
const FOOT = 22;

type Bucket = HistogramAnswer["buckets"][0];

/** With the empty buckets between the others, which the answer leaves out. */
export function filled(buckets: readonly Bucket[]): Bucket[] {
	const out: Bucket[] = [];
	for (const b of buckets) {
		let last = out[out.length - 1];
		const ratio = b.to_ns / Math.max(1, b.from_ns);
		while (last && ratio > 1.001 && last.to_ns * Math.sqrt(ratio) < b.from_ns && out.length < 400) {
			const to = Math.min(b.from_ns, last.to_ns * ratio);
			last = { from_ns: last.to_ns, to_ns: to, count: 0, errors: 0, examples: [] };
			out.push(last);
		}
		out.push(b);
	}
	return out;
}

export function Histogram(props: { of: HistogramAnswer; range: Range | null; choose: (r: Range | null) => void }) {
	const svg = useRef<SVGSVGElement>(null);
	const begun = useRef<number | null>(null);
	const buckets = useMemo(() => filled(props.of.buckets), [props.of]);
	const first = buckets[0];
	const last = buckets[buckets.length - 1];
	if (!first || !last) return <p class="quiet">Nothing to count in this window.</p>;
	const lo = Math.log10(Math.max(1, first.from_ns));
	const hi = Math.log10(Math.max(2, last.to_ns));
	const x = (ns: number) => ((Math.log10(Math.max(1, ns)) - lo) / Math.max(0.05, hi - lo)) * W;
	const most = Math.max(...buckets.map((b) => b.count));
	// The root of the count: rare slow ones stay visible beside many fast ones.
	const y = (n: number) => Math.sqrt(n / most) * (H - FOOT - 16);
	const bucketAt = (e: PointerEvent) => {
		const box = svg.current?.getBoundingClientRect();
		const at = box ? ((e.clientX - box.left) / box.width) * W : 0;
		let best = 0;
		buckets.forEach((b, i) => {
			if (x(b.from_ns) <= at) best = i;
		});
		return best;
	};
	const choose = (a: number, b: number) => {
		const from = buckets[Math.min(a, b)];
		const to = buckets[Math.max(a, b)];
		if (from && to) props.choose({ from_ns: from.from_ns, to_ns: to.to_ns });
	};
	const decades: number[] = [];
	for (let d = Math.ceil(lo); d <= hi; d++) decades.push(10 ** d);
	const chosen = (b: { from_ns: number; to_ns: number }) =>
		props.range ? b.from_ns >= props.range.from_ns - 1 && b.to_ns <= props.range.to_ns + 1 : false;
	const key = (e: KeyboardEvent) => {
		const ins = buckets.map((b, i) => (chosen(b) ? i : -1)).filter((i) => i >= 0);
		const a = ins[0] ?? buckets.length - 1;
		const b = ins[ins.length - 1] ?? buckets.length - 1;
		const step = e.key === "ArrowLeft" ? -1 : e.key === "ArrowRight" ? 1 : 0;
		if (!step) return;
		e.preventDefault();
		e.stopPropagation();
		if (e.shiftKey) choose(a, Math.min(buckets.length - 1, Math.max(a, b + step)));
		else choose(Math.min(b, Math.max(0, a + step)), b);
	};
	return (
		<svg
			ref={svg}
			class="histogram"
			viewBox={`0 0 ${W} ${H}`}
			preserveAspectRatio="none"
			tabindex={0}
			role="slider"
			aria-label="Range of durations: arrows move its lower edge, with Shift its upper"
			aria-valuetext={props.range ? `${duration(props.range.from_ns)} to ${duration(props.range.to_ns)}` : "all"}
			aria-valuenow={props.range?.from_ns ?? 0}
			onKeyDown={key}
			onPointerDown={(e) => {
				begun.current = bucketAt(e);
				(e.currentTarget as Element).setPointerCapture(e.pointerId);
			}}
			onPointerMove={(e) => begun.current !== null && choose(begun.current, bucketAt(e))}
			onPointerUp={(e) => {
				if (begun.current !== null) choose(begun.current, bucketAt(e));
				begun.current = null;
			}}
			onDblClick={() => props.choose(null)}
		>
			{decades.map((d) => (
				<line key={d} class="grid" x1={x(d)} x2={x(d)} y1={0} y2={H - FOOT} />
			))}
			{buckets.map((b) => {
				const left = x(b.from_ns);
				const width = Math.max(1, x(b.to_ns) - left - 1);
				const h = b.count ? Math.max(2, y(b.count)) : 0;
				const eh = b.errors ? Math.max(2, (b.errors / b.count) * h) : 0;
				return (
					<g key={b.from_ns} class={props.range && !chosen(b) ? "outside" : ""}>
						<title>{`${duration(b.from_ns)} to ${duration(b.to_ns)}: ${count(b.count)}${b.errors ? `, ${count(b.errors)} errors` : ""}`}</title>
						<rect class="hit" x={left} y={0} width={width + 1} height={H - FOOT} />
						<rect class="bar" x={left} y={H - FOOT - h} width={width} height={h} />
						<rect class="bad" x={left} y={H - FOOT - eh} width={width} height={eh} />
					</g>
				);
			})}
			<line class="base" x1={0} x2={W} y1={H - FOOT} y2={H - FOOT} />
		</svg>
	);
}

/** The axis below it, as text that is not stretched with the drawing. */
export function HistogramAxis(props: { of: HistogramAnswer }) {
	const first = props.of.buckets[0];
	const last = props.of.buckets[props.of.buckets.length - 1];
	if (!first || !last) return null;
	const lo = Math.log10(Math.max(1, first.from_ns));
	const hi = Math.log10(Math.max(2, last.to_ns));
	const marks = logMarks(lo, hi);
	const at = (ns: number) => ((Math.log10(ns) - lo) / Math.max(0.05, hi - lo)) * 100;
	return (
		<div class="histogram-axis small quiet" aria-hidden="true">
			{marks
				.filter((m) => at(m) <= 94)
				.map((m) => (
					<span key={m} style={at(m) > 88 ? { right: 0 } : { left: `${at(m)}%` }}>
						{duration(m)}
					</span>
				))}
		</div>
	);
}
