// SPDX-License-Identifier: Apache-2.0
// Steps 3 and 4: how does this kind of request run, and how are its durations distributed? The graph as a time line of
// medians; below it the histogram: a brushed range gives examples and says what differs inside it from outside.
import { useEffect } from "preact/hooks";
import { type Differences, type HistogramAnswer, type PatternGraph, query, useApi } from "../../base/api";
import { assign } from "../../base/colour";
import { count, duration } from "../../base/format";
import { filterParams, NO_RANGE, type Range, rangeOf } from "../../base/filter";
import { useRested } from "../../base/rested";
import { link, patch, type Route, useRoute } from "../../base/route";
import { inWindow, windowName } from "../../base/time_window";
import { DifferenceList } from "../../parts/differences";
import { Histogram, HistogramAxis } from "../../parts/histogram";
import { Service } from "../../parts/service";
import { Bones, Empty, Failure } from "../../parts/state";
import { Graph } from "./graph";
import "./pattern.css";

const EXAMPLES = 6; // as high as the histogram beside them

/** Examples of the brushed buckets, else of the slowest. */
function examplesOf(h: HistogramAnswer, range: Range | null): { id: string; ns: number }[] {
	const buckets = h.buckets.filter((b) => b.count && (!range || (b.from_ns >= range.from_ns - 1 && b.to_ns <= range.to_ns + 1)));
	return buckets
		.slice()
		.reverse()
		.flatMap((b) => b.examples.map((id) => ({ id, ns: b.from_ns })))
		.slice(0, EXAMPLES);
}

export const patternAsks = (r: Route, service: string, id: string) => ({
	graph: query(`patterns/${id}`, { ...filterParams(r), service, any: 1 }),
	histogram: query("histogram", { ...filterParams(r), service, any: 1, pattern: id }),
});

export function PatternView(props: { service: string; id: string }) {
	const r = useRoute();
	const asks = patternAsks(r, props.service, props.id);
	const filter = filterParams(r);
	const range = rangeOf(r);
	const graph = useApi<PatternGraph>(asks.graph);
	const live = r.params.get("live") === "1" ? { everyMs: 5000 } : {};
	const histogram = useApi<HistogramAnswer>(asks.histogram, live);
	const differences = useApi<Differences>(useRested(range ? query("differences", { ...filter, service: props.service, any: 1, pattern: props.id, ...range }) : null));
	const g = graph.data;
	const colours = assign(g?.nodes.map((n) => n.service) ?? []);
	const root = g?.nodes[0];
	useEffect(() => {
		document.title = root ? `${root.name} · ${props.service} · clew` : "Pattern · clew";
	}, [root]);
	if (graph.error?.status === 404)
		return (
			<Empty title="No trace of this shape here">
				<p>Nothing {inWindow(r)} has this shape any more.</p>
				<p>
					<a class="button" href={link(["service", props.service])}>
						The patterns of {props.service}
					</a>
				</p>
			</Empty>
		);
	return (
		<>
			<div class="top">
				<h1>
					<a href={link(["service", props.service])}>
						<Service name={props.service} colour={colours.get(props.service)} />
					</a>{" "}
					<span class="pattern-name">{root?.name ?? ""}</span>
				</h1>
				{g && (
					<span class="quiet">
						{count(g.count)} traces of {count(g.nodes.length)} kinds of span, p50 {duration(g.p50_ns)}, p95 {duration(g.p95_ns)}, {windowName(r)}
					</span>
				)}
			</div>
			{graph.error && <Failure error={graph.error} retry={graph.reload} />}
			{!g && <Bones rows={8} shown={graph.waiting} />}
			<section>{g && <Graph of={g} colours={colours} />}</section>
			{/* What stands below waits for what stands above it, so that nothing jumps. */}
			{(g || graph.error) && (
				<>
			<section>
				<h2>
					Durations{" "}
					<span class="quiet small">
						{range ? (
							<>
								{duration(range.from_ns)} to {duration(range.to_ns)}{" "}
								<button type="button" class="bare small act" onClick={() => patch(NO_RANGE, true)}>
									show all
								</button>
							</>
						) : (
							"drag over a range to see what differs inside it"
						)}
					</span>
				</h2>
				{histogram.error && <Failure error={histogram.error} retry={histogram.reload} />}
				<div class="distribution">
					<div>
						{histogram.data && (
							<>
								<Histogram of={histogram.data} range={range} choose={(x) => patch(x ? { from_ns: Math.floor(x.from_ns), to_ns: Math.ceil(x.to_ns) } : NO_RANGE, true)} />
								<HistogramAxis of={histogram.data} />
							</>
						)}
					</div>
					<div class="examples">
						<h3>{range ? "Examples in the range" : "Slowest examples"}</h3>
						<ul>
							{histogram.data &&
								examplesOf(histogram.data, range).map((e) => (
									<li key={e.id}>
										<a class="plain mono" href={link(["trace", e.id])}>
											{e.id.slice(0, 16)}
										</a>
										<span class="figure">≥ {duration(e.ns)}</span>
									</li>
								))}
						</ul>
						{g && histogram.data && range === null && g.examples.length > 0 && (
							<p class="small quiet">
								<a class="act" href={link(["compare"], { a: g.examples[0]?.trace_id, b: examplesOf(histogram.data, null)[0]?.id })}>
									Compare a usual one with the slowest
								</a>
							</p>
						)}
					</div>
				</div>
			</section>
			{range && histogram.data && (
				<section>
					<h2>
						What differs inside the range{" "}
						<a class="act small" href={link(["compare"], { service: props.service, any: true, pattern: props.id, from_ns: Math.floor(range.from_ns), to_ns: Math.ceil(range.to_ns) })}>
							compare both, span by span
						</a>
					</h2>
					{differences.error && <Failure error={differences.error} retry={differences.reload} />}
					{!differences.data && <Bones rows={5} shown={differences.waiting} />}
					{differences.data && <DifferenceList of={differences.data} most={20} />}
				</section>
			)}
				</>
			)}
		</>
	);
}
