// SPDX-License-Identifier: Apache-2.0
// Two traces side by side, matched by their paths of service and operation.
import { useEffect, useState } from "preact/hooks";
import { type Compare as Answer, type CompareRow, type CompareSummary, type HistogramAnswer, query, type TraceTree, useApi } from "../../base/api";
import { assign, serviceVar } from "../../base/colour";
import { absolute, count, duration, HOUR, percent } from "../../base/format";
import { filterParams, rangeOf } from "../../base/filter";
import { link, patch, useRoute } from "../../base/route";
import { Bones, Empty, Failure } from "../../parts/state";
import "./compare.css";

function Choose(props: { which: "a" | "b"; value: string }) {
	const [text, setText] = useState(props.value);
	useEffect(() => setText(props.value), [props.value]);
	return (
		<label class="field">
			<span>{props.which === "a" ? "One trace" : "The other"}</span>
			<input
				type="text"
				class="mono"
				value={text}
				placeholder="a trace's id, or its beginning"
				style={{ width: "300px" }}
				onInput={(e) => setText(e.currentTarget.value)}
				onBlur={() => patch({ [props.which]: text.trim() })}
				onKeyDown={(e) => e.key === "Enter" && patch({ [props.which]: text.trim() })}
			/>
		</label>
	);
}

function Head(props: { of: CompareSummary; what: string }) {
	const t = props.of;
	const one = t.traces === 1 && t.trace_id;
	const text = (
		<>
			<span class="quiet small">{one ? t.trace_id?.slice(0, 8) : props.what}</span>
			<br />
			<b>{duration(t.duration_ns)}</b>
			<br />
			<span class="quiet small">
				{count(t.spans)} spans{t.errors ? `, ${count(t.errors)} errors` : ""}
			</span>
		</>
	);
	return one ? <a href={link(["trace", t.trace_id as string])}>{text}</a> : text;
}

/** Longer to the right, shorter to the left of the middle; darker: what of it is its own time, not its callees'. */
function Delta(props: { row: CompareRow; most: number }) {
	const { row, most } = props;
	const place = (ns: number) => ({ [ns >= 0 ? "left" : "right"]: "50%", width: `${(Math.min(most, Math.abs(ns)) / most) * 50}%` });
	return (
		<span class="delta" aria-hidden="true">
			<i class="all" style={place(row.delta_ns)} />
			<i style={place(ownDelta(row))} />
		</span>
	);
}

const ownDelta = (row: CompareRow) => (row.b?.self_ns ?? 0) - (row.a?.self_ns ?? 0);

/** The answer in a sentence: how much longer, and whose own time most of that is. */
function Verdict(props: { of: Answer; who: string }) {
	const { a, b, rows } = props.of;
	const by = b.duration_ns - a.duration_ns;
	const sign = by < 0 ? -1 : 1;
	const [most] = rows.slice().sort((x, y) => sign * (ownDelta(y) - ownDelta(x)));
	const share = most ? ownDelta(most) / (by || 1) : 0;
	if (Math.abs(by) < 0.02 * Math.max(a.duration_ns, b.duration_ns)) return <p class="verdict">Both take equally long.</p>;
	return (
		<p class="verdict">
			{props.who} took <b>{duration(Math.abs(by))}</b> {by > 0 ? "longer" : "less"}
			{most && share > 0.2 && (
				<>
					; {percent(Math.min(1, share))} of it in{" "}
					<b>
						{most.service} {most.name}
					</b>{" "}
					itself
				</>
			)}
			.
		</p>
	);
}

function Side(props: { of: CompareRow["a"]; one: boolean }) {
	if (!props.of) return <span class="quiet">–</span>;
	const x = props.of;
	return (
		<span class={props.one && x.errors ? "error" : ""} title={`${duration(x.self_ns)} itself${x.errors ? `, ${count(x.errors)} errors` : ""}`}>
			{Math.abs(x.calls - 1) > 0.005 && <span class="quiet small wide-only">{count(x.calls)} calls </span>}
			{duration(x.duration_ns)}
		</span>
	);
}

/** The bucket in which a share of all lies, and which an example is of. */
function bucketAt(h: HistogramAnswer, at: number, but: string): HistogramAnswer["buckets"][0] | undefined {
	let below = 0;
	for (const b of h.buckets) {
		below += b.count;
		if (below >= at * h.n && b.examples.some((e) => e !== but)) return b;
	}
	return undefined;
}

/** One is chosen: others of the same root operation, from the hours around it. */
function Others(props: { of: string }) {
	const tree = useApi<TraceTree>(query(`trace/${props.of}/tree`, { limit: 1 }));
	const t = tree.data;
	const name = t && { service: t.services[t.service[0] as number], name: t.names[t.name[0] as number] };
	const around = t && { since: Math.round(t.start_ns - HOUR), until: Math.round(t.start_ns + HOUR) };
	const histogram = useApi<HistogramAnswer>(t && name ? query("histogram", { ...name, ...around }) : null);
	const h = histogram.data;
	const seen = new Set<string>();
	const offers = (h ? [{ at: 0.5, text: "a usual one" }, { at: 0.95, text: "one of the slow" }, { at: 1, text: "the slowest" }, { at: 0.01, text: "one of the fastest" }] : []).flatMap(({ at, text }) => {
		const b = h && bucketAt(h, at, t?.trace_id ?? "");
		const id = b?.examples.find((e) => e !== t?.trace_id && !seen.has(e));
		if (!b || !id) return [];
		seen.add(id);
		return [{ id, text, ns: b.from_ns }];
	});
	if (tree.error) return <Failure error={tree.error} />;
	return (
		<>
			{t && name && (
				<p class="others-of">
					<b>{name.service}</b> {name.name}, {duration(t.duration_ns)}, {absolute(t.start_ns).slice(0, 19)}. Against which?
				</p>
			)}
			<ul class="others">
				{offers.map((o) => (
					<li key={o.id}>
						<button type="button" onClick={() => patch({ a: o.id, b: t?.trace_id ?? props.of })}>
							{o.text} <span class="quiet">about {duration(o.ns)}</span>
						</button>
					</li>
				))}
			</ul>
		</>
	);
}

export function Compare() {
	const r = useRoute();
	const a = r.params.get("a") ?? "";
	const b = r.params.get("b") ?? "";
	const range = rangeOf(r);
	const failed = r.params.get("failed") === "1";
	const slow = r.params.get("at_least_ns");
	const sets = range !== null || failed || slow !== null;
	const { pattern, ...filter } = filterParams(r);
	const setsPath = query("compare", { ...filter, pattern, any: r.params.get("any"), ...range, failed, at_least_ns: slow });
	const names = range ? ["inside", "outside"] : [failed ? "failed" : "slow", "others"];
	const the = range ? "" : "the ";
	const back = range ? { ...range } : { error: failed, min_duration: slow };
	const answer = useApi<Answer>(sets ? setsPath : a && b ? query("compare", { a, b }) : null);
	const d = answer.data;
	const colours = assign(d?.rows.map((x) => x.service) ?? []);
	const most = Math.max(1, ...(d?.rows.map((x) => Math.abs(x.delta_ns)) ?? []));
	useEffect(() => {
		document.title = "Compare · clew";
	}, []);
	return (
		<>
			<div class="top">
				<h1>Compare</h1>
			</div>
			{sets ? (
				<p class="quiet compare-sets">
					Traces{r.params.get("service") ? ` of ${r.params.get("service")}` : ""} that{" "}
					{range ? `took ${duration(range.from_ns)} to ${duration(range.to_ns)}` : [failed ? "failed" : "", slow ? `took at least ${duration(Number(slow))}` : ""].filter(Boolean).join(" and ")}{" "}
					against the others like them; figures are means a trace.{" "}
					{r.params.get("service") && pattern ? (
						<a class="act" href={link(["service", r.params.get("service") as string, "pattern", String(pattern)], back)}>
							Back to the pattern
						</a>
					) : (
						<a class="act" href={link(["search"], { ...filter, ...back })}>
							Back to the search
						</a>
					)}
				</p>
			) : (
				<div class="conditions compare-choose">
					<Choose which="a" value={a} />
					<Choose which="b" value={b} />
					<button type="button" disabled={!a || !b} onClick={() => patch({ a: b, b: a })}>
						Swap
					</button>
				</div>
			)}
			{answer.error && <Failure error={answer.error} retry={answer.reload} />}
			{!sets && (!a || !b) && (
				<Empty title={a || b ? "Compare it with" : "Which two traces?"}>
					{(a || b) && <Others of={a || b} />}
					<p>
						{a || b ? "Or choose" : "Choose"} “compare” beside a trace in the{" "}
						<a class="act" href={link(["search"], { pick: a || b || null })}>
							search
						</a>
						, or paste the beginning of an id above.
					</p>
				</Empty>
			)}
			{!d && <Bones rows={10} shown={answer.waiting} />}
			{d && <Verdict of={d} who={sets ? (range ? "Those inside" : `The ${names[0]} ones`) : "The other"} />}
			{d && (
				<div class="table-frame">
					<table class="compare">
						<caption class="unseen">The two traces, path by path</caption>
						<thead>
							<tr>
								<th scope="col">Service, operation</th>
								<th scope="col" class="figure">
									<Head of={d.a} what={sets ? `${count(d.a.traces)} ${names[1]}` : ""} />
								</th>
								<th scope="col" class="figure">
									<Head of={d.b} what={sets ? `${count(d.b.traces)} ${names[0]}` : ""} />
								</th>
								<th scope="col" class="figure">
									Difference
								</th>
								<th scope="col" class="wide-only" style={{ width: "24%" }}>
									<span class="quiet small ends">
										<span>shorter</span>
										<span>longer</span>
									</span>
								</th>
							</tr>
						</thead>
						<tbody>
							{d.rows.map((x, i) => (
								<tr key={`${i} ${x.service} ${x.name}`} class={!x.a || !x.b ? "one-sided" : ""}>
									<td class="clip" style={{ paddingLeft: `${x.depth * 14}px` }}>
										<i class="dot" style={{ background: serviceVar(colours.get(x.service)) }} />
										<b>{x.service}</b> {x.name}
										{!x.a && <span class="only"> only {sets ? `${the}${names[0]}` : "in the other"}</span>}
										{!x.b && <span class="only"> only {sets ? `${the}${names[1]}` : "in the first"}</span>}
									</td>
									<td class="figure">
										<Side of={x.a} one={!sets} />
									</td>
									<td class="figure">
										<Side of={x.b} one={!sets} />
									</td>
									<td class="figure" title={`${duration(ownDelta(x))} of it itself`}>{x.delta_ns === 0 ? "" : `${x.delta_ns > 0 ? "+" : ""}${duration(x.delta_ns)}`}</td>
									<td class="wide-only">
										<Delta row={x} most={most} />
									</td>
								</tr>
							))}
						</tbody>
					</table>
					{d.truncated && <p class="quiet small">There is more: only the first paths are compared.</p>}
				</div>
			)}
		</>
	);
}
