// SPDX-License-Identifier: Apache-2.0
// Figures over time, by uPlot: lines that share a cursor; drag chooses a window of time for the whole page.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { resolve } from "../base/colour";
import { absolute, timeMarks } from "../base/format";
import { patch } from "../base/route";
import { onTheme } from "../base/theme";

export interface Line {
	name: string;
	/** null: nothing is known of that time. */
	values: (number | null)[];
	/** A variable of the theme. */
	colour: string;
	fill?: boolean;
	dash?: number[];
}

/** A value between two that are not known would not be seen as a line. */
const lonely = (values: (number | null)[]) => values.some((v, i) => v !== null && (values[i - 1] ?? null) === null && (values[i + 1] ?? null) === null);

export function Plot(props: {
	title: string;
	since_ns: number;
	bucket_ns: number;
	lines: Line[];
	say: (v: number) => string;
	/** Plots of one key move their cursors together. */
	sync: string;
	height?: number;
}) {
	const box = useRef<HTMLDivElement>(null);
	const [paint, setPaint] = useState(0);
	const [at, setAt] = useState<number | null>(null);
	const n = props.lines[0]?.values.length ?? 0;
	useEffect(() => onTheme(() => setPaint((p) => p + 1)), []);
	useLayoutEffect(() => {
		const el = box.current;
		if (!el || !n) return undefined;
		const font = `12px ${resolve("--font")}`;
		const axis = { stroke: resolve("--quiet"), font, grid: { stroke: resolve("--line"), width: 1 }, ticks: { show: false } };
		const height = props.height ?? 140;
		const marks = (u: uPlot) => timeMarks((u.scales["x"]?.min ?? 0) * 1e9, (u.scales["x"]?.max ?? 1) * 1e9, Math.max(2, Math.floor(u.width / 110)));
		const u = new uPlot(
			{
				width: el.clientWidth,
				height,
				legend: { show: false },
				padding: [8, 8, 0, 0],
				cursor: {
					sync: { key: props.sync },
					points: { size: 6 },
					drag: { x: true, y: false, setScale: false },
				},
				scales: { x: { time: true }, y: { range: (_u, _min, max) => [0, max > 0 ? max * 1.1 : 1] } },
				axes: [
					{
						...axis,
						grid: { show: false },
						size: 24,
						splits: (u) => marks(u).map((m) => m.ns / 1e9),
						values: (u) => marks(u).map((m) => m.text),
					},
					{ ...axis, size: 64, values: (_u, splits) => splits.map((v) => (v === 0 ? "0" : props.say(v))) },
				],
				series: [
					{},
					...props.lines.map((l) => ({
						label: l.name,
						stroke: resolve(l.colour),
						width: 1.5,
						points: { show: lonely(l.values), size: 3 },
						...(l.fill ? { fill: `color-mix(in srgb, ${resolve(l.colour)} 14%, transparent)` } : {}),
						...(l.dash ? { dash: l.dash } : {}),
					})),
				],
				hooks: {
					setCursor: [(c) => setAt(c.cursor.idx ?? null)],
					setSelect: [
						(c) => {
							if (c.select.width < 4) return;
							const from = c.posToVal(c.select.left, "x");
							const to = c.posToVal(c.select.left + c.select.width, "x");
							c.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
							patch({ since: Math.round(from * 1e9), until: Math.round(to * 1e9) });
						},
					],
				},
			},
			[
				Array.from({ length: n }, (_, i) => (props.since_ns + (i + 0.5) * props.bucket_ns) / 1e9),
				...props.lines.map((l) => l.values),
			] as uPlot.AlignedData,
			el,
		);
		const o = new ResizeObserver(() => u.setSize({ width: el.clientWidth, height }));
		o.observe(el);
		return () => {
			o.disconnect();
			u.destroy();
		};
	}, [props.lines, props.since_ns, props.bucket_ns, paint]);
	return (
		<figure class="plot">
			<figcaption>
				<b>{props.title}</b>
				{props.lines.map((l) => (
					<span key={l.name} class="small">
						<i style={{ background: `var(${l.colour})` }} />
						<span class="quiet">{l.name}</span> {at === null ? "" : typeof l.values[at] === "number" ? props.say(l.values[at]) : "–"}
					</span>
				))}
				<span class="quiet small plot-time">{at !== null ? absolute(props.since_ns + at * props.bucket_ns).slice(0, 19) : ""}</span>
			</figcaption>
			<div ref={box} style={{ height: `${props.height ?? 140}px` }} role="img" aria-label={`${props.title} over time`} />
		</figure>
	);
}
