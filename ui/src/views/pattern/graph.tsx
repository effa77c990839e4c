// SPDX-License-Identifier: Apache-2.0
// One pattern as a time line of medians: each kind of span once, where it usually begins and how long it usually takes.
import type { PatternGraph, PatternNode } from "../../base/api";
import { serviceVar } from "../../base/colour";
import { count, duration, percent } from "../../base/format";
import { link } from "../../base/route";

function depths(nodes: PatternNode[]): number[] {
	const out: number[] = [];
	for (const n of nodes) out.push(n.parent < 0 ? 0 : (out[n.parent] ?? 0) + 1);
	return out;
}

export function Graph(props: { of: PatternGraph; colours: Map<string, number> }) {
	const nodes = props.of.nodes;
	const depth = depths(nodes);
	const end = Math.max(1, ...nodes.map((n) => n.offset_p50_ns + n.p50_ns));
	return (
		<div class="graph table-frame" role="table" aria-label="How traces of this shape run">
			<div class="graph-row head" role="row">
				<span role="columnheader">Service, operation</span>
				<span role="columnheader" class="figure wide-only">
					Calls
				</span>
				<span role="columnheader">Usual time line (medians)</span>
				<span role="columnheader" class="figure">
					p50
				</span>
				<span role="columnheader" class="figure">
					p95
				</span>
				<span role="columnheader" class="figure wide-only" title="Time in it itself, of the root's">
					Itself
				</span>
				<span role="columnheader" class="figure wide-only" title="In how many traces it is on the critical path">
					Critical
				</span>
			</div>
			{nodes.map((n, i) => (
				<div key={i} class="graph-row" role="row">
					<span role="cell" class="clip" style={{ paddingLeft: `${(depth[i] as number) * 14}px` }}>
						<i class="dot" style={{ background: serviceVar(props.colours.get(n.service)) }} />
						<a class="plain" href={link(["service", n.service])}>
							<b>{n.service}</b>
						</a>{" "}
						<a class="plain" href={link(["search"], { service: n.service, name: n.name })} title={n.name}>
							{n.name}
						</a>
						{n.errors > 0 && (
							<a class="plain error small" href={link(["search"], { service: n.service, name: n.name, error: true })} title={`${count(n.errors)} in the ${count(props.of.sample)} traces that were looked at`}>
								{" "}
								{percent(n.errors / Math.max(1, props.of.sample * n.calls))} failed
							</a>
						)}
					</span>
					<span role="cell" class="figure quiet wide-only">
						{n.calls >= 0.995 && n.calls < 1.005 ? "" : `× ${count(n.calls)}`}
					</span>
					<span role="cell" class="lane">
						<i
							class={n.critical >= 0.5 ? "critical" : ""}
							style={{
								left: `${(n.offset_p50_ns / end) * 100}%`,
								width: `${Math.max(0.4, (n.p50_ns / end) * 100)}%`,
								background: serviceVar(props.colours.get(n.service)),
							}}
						/>
					</span>
					<span role="cell" class="figure">
						{duration(n.p50_ns)}
					</span>
					<span role="cell" class="figure">
						{duration(n.p95_ns)}
					</span>
					<span role="cell" class="figure wide-only" title={`${duration(n.self_p50_ns)} itself${n.network_p50_ns > 0 ? `, ${duration(n.network_p50_ns)} on the network` : ""}`}>
						{percent(n.share)}
					</span>
					<span role="cell" class="figure quiet wide-only">
						{percent(n.critical)}
					</span>
				</div>
			))}
		</div>
	);
}
