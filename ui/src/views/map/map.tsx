// SPDX-License-Identifier: Apache-2.0
// Who calls whom, and how it goes: any window of time, no batch job.
import { useEffect, useMemo } from "preact/hooks";
import { type MapEdge, query, type ServiceMap, useApi } from "../../base/api";
import { count, duration, percent, rates } from "../../base/format";
import { link, patch, type Route, useRoute } from "../../base/route";
import { inWindow, windowName, windowParams } from "../../base/time_window";
import { Bones, Empty, EmptyStore, Failure } from "../../parts/state";
import { type Column, Table } from "../../parts/table";
import { Drawing } from "./drawing";
import { DRAWN_MAX, edgeKey } from "./layout";

function end(name: string | null, external?: boolean) {
	if (name === null) return <span class="quiet">not traced</span>;
	if (external) return <span title="not traced">{name}</span>;
	return (
		<a class="plain" href={link(["service", name])}>
			{name}
		</a>
	);
}

const ROWS = 200; // calls that are listed at first: thousands take a second to lay out

const keyOf = (e: MapEdge) => edgeKey(e.client, e.server);
const share = (e: MapEdge) => e.errors / Math.max(1, e.calls);

function columns(seconds: number, rate: (perSecond: number) => string): Column<MapEdge>[] {
	return [
		{ key: "from", title: "From", sort: (e) => e.client ?? "", cell: (e) => end(e.client) },
		{ key: "to", title: "To", sort: (e) => e.server, cell: (e) => end(e.server, e.external) },
		{ key: "rate", title: "Rate", figure: true, sort: (e) => e.calls, cell: (e) => <span title={`${count(e.calls)} calls`}>{rate(e.calls / seconds)}</span> },
		{ key: "errors", title: "Errors", figure: true, sort: share, cell: (e) => <span class={e.errors ? "error" : "quiet"}>{percent(share(e))}</span> },
		{ key: "p50", title: "p50", figure: true, wideOnly: true, sort: (e) => e.p50_ns, cell: (e) => duration(e.p50_ns) },
		{ key: "p95", title: "p95", figure: true, sort: (e) => e.p95_ns, cell: (e) => duration(e.p95_ns) },
		{ key: "p99", title: "p99", figure: true, wideOnly: true, sort: (e) => e.p99_ns, cell: (e) => duration(e.p99_ns) },
	];
}

export const mapAsks = (r: Route) => ({ map: query("map", windowParams(r)) });

export function MapView() {
	const r = useRoute();
	const live = r.params.get("live") === "1";
	const answer = useApi<ServiceMap>(mapAsks(r).map, live ? { everyMs: 5000 } : {});
	const chosen = r.params.get("edge");
	const all = r.params.get("rows") === "all";
	const seconds = answer.data ? Math.max(0.001, (answer.data.until_ns - answer.data.since_ns) / 1e9) : 1;
	const edges = useMemo(() => answer.data?.edges.slice().sort((a, b) => b.calls - a.calls) ?? [], [answer.data]);
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
						{answer.data.edges_total > answer.data.edges.length &&
							`; the ${count(answer.data.edges.length)} of ${count(answer.data.edges_total)} edges with the most calls`}
						{edges.filter((e) => e.client !== null).length > DRAWN_MAX && `; the ${count(DRAWN_MAX)} busiest are drawn`}
					</span>
				)}
			</div>
			{answer.error && <Failure error={answer.error} retry={answer.reload} />}
			{!answer.data && <Bones rows={10} shown={answer.waiting} />}
			{answer.data && answer.data.edges.length > 0 && (
				<>
					<div class="map-frame" tabIndex={0} role="region" aria-label="Map">
						<Drawing map={answer.data} chosen={chosen} seconds={seconds} />
					</div>
					<section>
						<Table caption="Calls between services" columns={columns(seconds, rates(edges.map((e) => e.calls / seconds)))} rows={edges} rowKey={keyOf} selected={(e) => chosen === keyOf(e)} most={all ? edges.length : ROWS} />
						{!all && edges.length > ROWS && (
							<p class="more">
								<button type="button" onClick={() => patch({ rows: "all" }, true)}>
									Show all {count(edges.length)}
								</button>
							</p>
						)}
					</section>
				</>
			)}
			{answer.data &&
				answer.data.edges.length === 0 &&
				(r.params.get("since") === "0" ? (
					<EmptyStore />
				) : (
					<Empty title={`No calls ${inWindow(r)}`}>
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
