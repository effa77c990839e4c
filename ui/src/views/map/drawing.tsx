// SPDX-License-Identifier: Apache-2.0
// The map as a drawing: ranks run to the right (the map's own view) or down (beside a table).
import { useMemo, useState } from "preact/hooks";
import type { MapEdge, ServiceMap } from "../../base/api";
import { assign, serviceVar } from "../../base/colour";
import { count, duration, percent, rate } from "../../base/format";
import { link, patch } from "../../base/route";
import { busiest, edgeKey, layout, type Layout } from "./layout";
import "./map.css";

const LABELS_MAX = 24; // more calls than this are labelled only where one points

interface Frame {
	down: boolean;
	boxW: number;
	boxH: number;
	/** From a rank to the next, and from a place to its neighbour. */
	step: number;
	apart: number;
}

const ACROSS: Frame = { down: false, boxW: 164, boxH: 48, step: 288, apart: 76 };
const DOWN: Frame = { down: true, boxW: 124, boxH: 44, step: 84, apart: 136 };

/** Along the ranks and across them, as x and y. */
const xy = (f: Frame, along: number, across: number): [number, number] => (f.down ? [across, along] : [along, across]);

export function drawingSize(of: Layout, down: boolean): { w: number; h: number } {
	const f = down ? DOWN : ACROSS;
	const along = (of.ranks - 1) * f.step + (f.down ? f.boxH : f.boxW) + 8;
	const across = of.width * f.apart + 8;
	return f.down ? { w: across, h: along + 24 } : { w: along, h: across + 40 };
}

interface Line {
	d: string;
	/** Where its words stand. */
	x: number;
	y: number;
}

function lineOf(f: Frame, of: Layout, e: MapEdge): Line | null {
	const a = e.client === null ? undefined : of.places.get(e.client);
	const b = of.places.get(e.server);
	if (!a || !b) return null;
	const thick = f.down ? f.boxH : f.boxW;
	const middle = (at: number) => (at + 0.5) * f.apart;
	if (a === b) {
		const [x, y] = xy(f, a.rank * f.step, middle(a.at));
		const left = f.down ? x + f.boxW / 2 : x + f.boxW;
		const top = f.down ? y : y - f.boxH / 2;
		return { d: `M${left - 40} ${top}c4 -24 36 -24 40 10`, x: left - 18, y: top - 22 };
	}
	const points: [number, number][] = [[a.rank * f.step + thick, middle(a.at)]];
	if (b.rank > a.rank) {
		for (const p of of.routes.get(edgeKey(e.client, e.server)) ?? []) points.push([p.rank * f.step, middle(p.at)], [p.rank * f.step + thick, middle(p.at)]);
		points.push([b.rank * f.step, middle(b.at)]);
		let d = `M${xy(f, ...(points[0] as [number, number])).join(" ")}`;
		for (let k = 1; k < points.length; k++) {
			const [p, q] = [points[k - 1] as [number, number], points[k] as [number, number]];
			const bend = (q[0] - p[0]) / 2;
			if (k % 2 === 0) d += `L${xy(f, ...q).join(" ")}`;
			else d += `C${xy(f, p[0] + bend, p[1]).join(" ")} ${xy(f, q[0] - bend, q[1]).join(" ")} ${xy(f, ...q).join(" ")}`;
		}
		const [p, q] = [points[points.length - 2] as [number, number], points[points.length - 1] as [number, number]];
		const [x, y] = xy(f, (p[0] + q[0]) / 2, (p[1] + q[1]) / 2);
		return { d, x, y };
	}
	// Back to an earlier one, or to a neighbour: around, beside the boxes.
	const low = Math.max(middle(a.at), middle(b.at)) + (f.down ? f.boxW : f.boxH) * 0.9;
	const [x1, y1] = xy(f, a.rank * f.step + thick, middle(a.at));
	const [x2, y2] = xy(f, b.rank * f.step, middle(b.at));
	const mid = (a.rank * f.step + thick + b.rank * f.step) / 2;
	const [cx, cy] = xy(f, a.rank * f.step + thick + 50, low);
	const [mx, my] = xy(f, mid, low);
	const [ex, ey] = xy(f, b.rank * f.step - 50, middle(b.at));
	return { d: `M${x1} ${y1}C${cx} ${f.down ? y1 + 40 : y1} ${cx} ${cy} ${mx} ${my}S${ex} ${ey} ${x2} ${y2}`, x: mx, y: my };
}

/** Words that would stand on one another are moved apart, downwards. */
function moveApart(lines: Line[]) {
	const sorted = lines.slice().sort((a, b) => a.y - b.y);
	sorted.forEach((line, k) => {
		for (const above of sorted.slice(0, k)) if (Math.abs(above.x - line.x) < 100 && line.y - above.y < 15) line.y = above.y + 15;
	});
}

function Edge(props: { edge: MapEdge; line: Line; most: number; chosen: boolean; faded: boolean }) {
	const e = props.edge;
	const width = 1 + 2.5 * Math.sqrt(e.calls / props.most);
	const key = edgeKey(e.client, e.server);
	return (
		<g class={`edge ${props.chosen ? "is-chosen" : ""} ${props.faded ? "faded" : ""} ${e.errors ? "fails" : ""}`} onClick={() => patch({ edge: props.chosen ? null : key }, true)}>
			<title>{`${e.client} → ${e.server}: ${count(e.calls)} calls, ${count(e.errors)} errors, p50 ${duration(e.p50_ns)}, p95 ${duration(e.p95_ns)}`}</title>
			<path class="hit" d={props.line.d} />
			<path class="line" d={props.line.d} style={{ strokeWidth: `${width}px` }} marker-end="url(#arrow)" />
		</g>
	);
}

export function Drawing(props: { map: ServiceMap; chosen: string | null; down?: boolean; seconds?: number }) {
	const map = useMemo(() => busiest(props.map), [props.map]);
	const of = useMemo(() => layout(map), [map]);
	const [near, setNear] = useState<string | null>(null);
	const f = props.down ? DOWN : ACROSS;
	const colours = assign(map.nodes.filter((n) => !n.external).map((n) => n.service));
	const most = Math.max(1, ...map.edges.map((e) => e.calls));
	const touches = (e: MapEdge) => near === null || e.client === near || e.server === near;
	const few = !f.down && map.edges.length <= LABELS_MAX;
	const { w, h } = drawingSize(of, f.down);
	// Short, so that it stands between two boxes; the table and the tip have the rest.
	const say = (e: MapEdge) => (f.down && props.seconds ? rate(e.calls / props.seconds) : duration(e.p95_ns));
	const room = f.down ? 13 : 18;
	const lines = useMemo(() => {
		const all = map.edges.map((e) => lineOf(f, of, e));
		moveApart(all.filter((line) => line !== null));
		return all;
	}, [of, f]);
	return (
		<svg class="map" viewBox={`-4 -24 ${w} ${h}`} style={{ maxWidth: `${w}px`, minWidth: `${w * 0.8}px` }} role="group" aria-label="Services and their calls">
			<defs>
				<marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto">
					<path d="M0 0L8 4L0 8z" class="arrow" />
				</marker>
			</defs>
			<g aria-hidden="true">
				{map.edges.map((e, k) => {
					const line = lines[k];
					const key = edgeKey(e.client, e.server);
					return line && <Edge key={key} edge={e} line={line} most={most} chosen={props.chosen === key} faded={!touches(e)} />;
				})}
				{/* Words last: no line crosses them out. */}
				{map.edges.map((e, k) => {
					const line = lines[k];
					const key = edgeKey(e.client, e.server);
					const words = few ? touches(e) : props.chosen === key || (near !== null && touches(e));
					return (
						line &&
						words && (
							<text key={key} class="words" x={line.x} y={line.y - (f.down ? -4 : 6)}>
								{say(e)}
								{e.errors > 0 && <tspan class="bad">{` ${percent(e.errors / Math.max(1, e.calls))}`}</tspan>}
							</text>
						)
					);
				})}
			</g>
			{map.nodes.map((n) => {
				const p = of.places.get(n.service);
				if (!p) return null;
				const [x, y] = xy(f, p.rank * f.step, (p.at + 0.5) * f.apart - (f.down ? f.boxW : f.boxH) / 2);
				const says = `${n.service}: ${count(n.requests)} requests, ${count(n.errors)} errors${n.p95_ns ? `, p95 ${duration(n.p95_ns)}` : ""}`;
				const box = (
					<>
						<rect class="box" width={f.boxW} height={f.boxH} rx={8} />
						<rect class="tag" width={4} height={f.boxH - 20} x={10} y={10} rx={2} style={{ fill: n.external ? "var(--service-other)" : serviceVar(colours.get(n.service)) }} />
						<text x={22} y={f.boxH / 2 - 4}>
							{n.service.length > room ? n.service.slice(0, room - 1) + "…" : n.service}
						</text>
						<text x={22} y={f.boxH / 2 + 13} class="under">
							{n.external ? "not traced" : n.p95_ns ? `${f.down ? "" : "p95 "}${duration(n.p95_ns)}` : count(n.requests)}
							{n.errors > 0 && <tspan class="bad">{`  ${percent(n.errors / Math.max(1, n.requests))}`}</tspan>}
						</text>
					</>
				);
				const on = { onPointerEnter: () => setNear(n.service), onPointerLeave: () => setNear(null) };
				return (
					<g key={n.service} class={`node ${n.external ? "external" : ""}`} transform={`translate(${x} ${y})`} {...on}>
						<title>{says}</title>
						{n.external ? (
							box
						) : (
							<a href={link(["service", n.service])} onFocus={() => setNear(n.service)} onBlur={() => setNear(null)}>
								{box}
							</a>
						)}
					</g>
				);
			})}
		</svg>
	);
}
