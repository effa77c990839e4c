// SPDX-License-Identifier: Apache-2.0
// Who calls whom, and how it goes: any window of time, no batch job.
import { useEffect, useMemo, useState } from "preact/hooks";
import { type MapEdge, query, type ServiceMap, useApi } from "../../base/api";
import { assign, serviceVar } from "../../base/colour";
import { count, duration, percent, rate } from "../../base/format";
import { link, patch, useRoute } from "../../base/route";
import { windowLength, windowName, windowParams } from "../../base/time_window";
import { Bones, Empty, EmptyStore, Failure } from "../../parts/state";
import { layout, type Layout, type Place } from "./layout";
import "./map.css";

const COLUMN = 250;
const ROW = 76;
const BOX_W = 164;
const BOX_H = 48;

function edgePath(a: Place, b: Place): string {
	const x1 = a.x * COLUMN + BOX_W;
	const y1 = a.y * ROW + BOX_H / 2;
	const x2 = b.x * COLUMN;
	const y2 = b.y * ROW + BOX_H / 2;
	if (b.x > a.x) {
		const bend = Math.max(40, (x2 - x1) / 2);
		return `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
	}
	if (a === b) return `M${x1 - 40} ${y1 - BOX_H / 2}c4 -28 36 -28 40 12`; // itself: a small loop at its corner
	const low = Math.max(y1, y2) + BOX_H; // back to an earlier one: below
	return `M${x1} ${y1}C${x1 + 60} ${y1} ${x1 + 40} ${low} ${(x1 + x2) / 2} ${low}S${x2 - 60} ${y2} ${x2} ${y2}`;
}

function Edge(props: { edge: MapEdge; of: Layout; most: number; chosen: boolean; faded: boolean }) {
	const e = props.edge;
	const a = e.client === null ? undefined : props.of.places.get(e.client);
	const b = props.of.places.get(e.server);
	if (!a || !b) return null;
	const width = 1 + 4 * Math.sqrt(e.calls / props.most);
	const d = edgePath(a, b);
	const key = `${e.client} ${e.server}`;
	return (
		<g class={`edge ${props.chosen ? "is-chosen" : ""} ${props.faded ? "faded" : ""}`} onClick={() => patch({ edge: key }, true)}>
			<title>{`${e.client} → ${e.server}: ${count(e.calls)} calls, ${count(e.errors)} errors, p50 ${duration(e.p50_ns)}, p95 ${duration(e.p95_ns)}`}</title>
			<path class="hit" d={d} />
			<path class="line" d={d} style={{ strokeWidth: `${width}px` }} marker-end="url(#arrow)" />
			{e.errors > 0 && <path class="bad" d={d} pathLength={100} style={{ strokeWidth: `${width}px`, strokeDasharray: `${Math.max(2, (e.errors / e.calls) * 100)} 100` }} />}
		</g>
	);
}

function EdgeTable(props: { map: ServiceMap; seconds: number; chosen: string | null }) {
	const edges = props.map.edges.slice().sort((a, b) => b.calls - a.calls);
	return (
		<div class="table-frame">
			<table>
				<caption class="unseen">Calls between services</caption>
				<thead>
					<tr>
						<th scope="col">From</th>
						<th scope="col">To</th>
						<th scope="col" class="figure">
							Rate
						</th>
						<th scope="col" class="figure">
							Errors
						</th>
						<th scope="col" class="figure">
							p50
						</th>
						<th scope="col" class="figure">
							p95
						</th>
						<th scope="col" class="figure wide-only">
							p99
						</th>
					</tr>
				</thead>
				<tbody>
					{edges.map((e) => {
						const key = `${e.client} ${e.server}`;
						return (
							<tr key={key} aria-selected={props.chosen === key || undefined}>
								<td>{e.client === null ? <span class="quiet">not traced</span> : <a class="plain" href={link(["service", e.client])}>{e.client}</a>}</td>
								<td>
									{e.external ? (
										<span title="not traced">{e.server}</span>
									) : (
										<a class="plain" href={link(["service", e.server])}>
											{e.server}
										</a>
									)}
								</td>
								<td class="figure" title={`${count(e.calls)} calls`}>
									{props.seconds ? rate(e.calls / props.seconds) : count(e.calls)}
								</td>
								<td class="figure">
									<span class={e.errors ? "error" : "quiet"}>{percent(e.errors / Math.max(1, e.calls))}</span>
								</td>
								<td class="figure">{duration(e.p50_ns)}</td>
								<td class="figure">{duration(e.p95_ns)}</td>
								<td class="figure wide-only">{duration(e.p99_ns)}</td>
							</tr>
						);
					})}
				</tbody>
			</table>
		</div>
	);
}

export function Drawing(props: { map: ServiceMap; chosen: string | null }) {
	const of = useMemo(() => layout(props.map), [props.map]);
	const [near, setNear] = useState<string | null>(null);
	const colours = assign(props.map.nodes.filter((n) => !n.external).map((n) => n.service));
	const most = Math.max(1, ...props.map.edges.map((e) => e.calls));
	const touches = (e: MapEdge) => near === null || e.client === near || e.server === near;
	const w = (of.columns - 1) * COLUMN + BOX_W + 12;
	const h = (of.rows - 1) * ROW + BOX_H + 56;
	return (
		<div class="map-frame">
			<svg class="map" viewBox={`-4 -28 ${w} ${h}`} width={w} height={h} role="img" aria-label="Services and their calls; the table below has the same">
				<defs>
					<marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto">
						<path d="M0 0L8 4L0 8z" class="arrow" />
					</marker>
				</defs>
				{props.map.edges.map((e) => (
					<Edge key={`${e.client} ${e.server}`} edge={e} of={of} most={most} chosen={props.chosen === `${e.client} ${e.server}`} faded={!touches(e)} />
				))}
				{props.map.nodes.map((n) => {
					const p = of.places.get(n.service);
					if (!p) return null;
					const box = (
						<>
							<rect class="box" width={BOX_W} height={BOX_H} rx={8} />
							<rect class="tag" width={4} height={BOX_H - 20} x={10} y={10} rx={2} style={{ fill: n.external ? "var(--service-other)" : serviceVar(colours.get(n.service)) }} />
							<text x={22} y={20}>
								{n.service.length > 19 ? n.service.slice(0, 18) + "…" : n.service}
							</text>
							<text x={22} y={38} class="under">
								{count(n.requests)}
								{n.p95_ns ? `, p95 ${duration(n.p95_ns)}` : n.external ? ", not traced" : ""}
							</text>
							{n.errors > 0 && <circle class="bad-dot" cx={BOX_W - 12} cy={14} r={4} />}
						</>
					);
					const on = { onPointerEnter: () => setNear(n.service), onPointerLeave: () => setNear(null) };
					return (
						<g key={n.service} class={`node ${n.external ? "external" : ""}`} transform={`translate(${p.x * COLUMN} ${p.y * ROW})`} {...on}>
							<title>{`${n.service}: ${count(n.requests)} requests, ${count(n.errors)} errors`}</title>
							{n.external ? box : <a href={link(["service", n.service])}>{box}</a>}
						</g>
					);
				})}
			</svg>
		</div>
	);
}

export function MapView() {
	const r = useRoute();
	const live = r.params.get("live") === "1";
	const answer = useApi<ServiceMap>(query("map", windowParams(r)), live ? { everyMs: 5000 } : {});
	const chosen = r.params.get("edge");
	useEffect(() => {
		document.title = "Map · clew";
	}, []);
	return (
		<>
			<div class="top">
				<h1>Map</h1>
				{answer.data && (
					<span class="quiet">
						{count(answer.data.nodes.filter((n) => !n.external).length)} services, {windowName(r)}
					</span>
				)}
			</div>
			{answer.error && <Failure error={answer.error} retry={answer.reload} />}
			{!answer.data && answer.waiting && <Bones rows={10} />}
			{answer.data && answer.data.edges.length > 0 && (
				<>
					<Drawing map={answer.data} chosen={chosen} />
					<section>
						<EdgeTable map={answer.data} seconds={windowLength(r) / 1e9} chosen={chosen} />
					</section>
				</>
			)}
			{answer.data &&
				answer.data.edges.length === 0 &&
				(r.params.get("since") === "0" ? (
					<EmptyStore />
				) : (
					<Empty title={`No calls in the ${windowName(r)}`}>
						<p>
							<button type="button" onClick={() => patch({ since: "0", until: null })}>
								Show everything
							</button>
						</p>
					</Empty>
				))}
		</>
	);
}
