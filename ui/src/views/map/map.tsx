// SPDX-License-Identifier: Apache-2.0
// Who calls whom, and how it goes: any window of time, no batch job.
import { useEffect } from "preact/hooks";
import { query, type ServiceMap, useApi } from "../../base/api";
import { count, duration, percent, rate } from "../../base/format";
import { link, patch, useRoute } from "../../base/route";
import { windowName, windowParams } from "../../base/time_window";
import { Bones, Empty, EmptyStore, Failure } from "../../parts/state";
import { Drawing } from "./drawing";
import { edgeKey } from "./layout";

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
						const key = edgeKey(e.client, e.server);
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

export function MapView() {
	const r = useRoute();
	const live = r.params.get("live") === "1";
	const answer = useApi<ServiceMap>(query("map", windowParams(r)), live ? { everyMs: 5000 } : {});
	const chosen = r.params.get("edge");
	const seconds = answer.data ? Math.max(0.001, (answer.data.until_ns - answer.data.since_ns) / 1e9) : 0;
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
			{!answer.data && <Bones rows={10} shown={answer.waiting} />}
			{answer.data && answer.data.edges.length > 0 && (
				<>
					<div class="map-frame" tabIndex={0} role="region" aria-label="Map">
						<Drawing map={answer.data} chosen={chosen} seconds={seconds} />
					</div>
					<section>
						<EdgeTable map={answer.data} seconds={seconds} chosen={chosen} />
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
