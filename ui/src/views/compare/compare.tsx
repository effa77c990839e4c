// SPDX-License-Identifier: Apache-2.0
// Two traces side by side, matched by their paths of service and operation.
import { useEffect, useState } from "preact/hooks";
import { type Compare as Answer, type CompareRow, type CompareSummary, query, useApi } from "../../base/api";
import { assign, serviceVar } from "../../base/colour";
import { count, duration, percent } from "../../base/format";
import { filterParams } from "../../base/filter";
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
function Verdict(props: { of: Answer; sets: boolean }) {
	const { a, b, rows } = props.of;
	const by = b.duration_ns - a.duration_ns;
	const sign = by < 0 ? -1 : 1;
	const [most] = rows.slice().sort((x, y) => sign * (ownDelta(y) - ownDelta(x)));
	const share = most ? ownDelta(most) / (by || 1) : 0;
	if (Math.abs(by) < 0.02 * Math.max(a.duration_ns, b.duration_ns)) return <p class="verdict">Both take equally long.</p>;
	return (
		<p class="verdict">
			{props.sets ? "Those inside" : "The other"} took <b>{duration(Math.abs(by))}</b> {by > 0 ? "longer" : "less"}
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

export function Compare() {
	const r = useRoute();
	const a = r.params.get("a") ?? "";
	const b = r.params.get("b") ?? "";
	const from = r.params.get("from_ns");
	const to = r.params.get("to_ns");
	const sets = from !== null && to !== null;
	const { pattern, ...filter } = filterParams(r);
	const setsPath = query("compare", { ...filter, pattern, any: r.params.get("any"), from_ns: from, to_ns: to });
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
					Traces{r.params.get("service") ? ` of ${r.params.get("service")}` : ""} that took {duration(Number(from))} to {duration(Number(to))} against the others like
					them; figures are means a trace.{" "}
					{r.params.get("service") && pattern ? (
						<a class="act" href={link(["service", r.params.get("service") as string, "pattern", String(pattern)], { from_ns: from, to_ns: to })}>
							Back to the pattern
						</a>
					) : (
						<a class="act" href={link(["search"], { ...filter, from_ns: from, to_ns: to })}>
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
				<Empty title={a || b ? "And with which one?" : "Which two traces?"}>
					<p>
						{a || b ? "The first one is chosen. " : ""}Choose “compare” beside a trace in the{" "}
						<a class="act" href={link(["search"], { pick: a || b || null })}>
							search
						</a>
						, or paste the beginning of an id above.
					</p>
				</Empty>
			)}
			{!d && <Bones rows={10} shown={answer.waiting} />}
			{d && <Verdict of={d} sets={sets} />}
			{d && (
				<div class="table-frame">
					<table class="compare">
						<caption class="unseen">The two traces, path by path</caption>
						<thead>
							<tr>
								<th scope="col">Service, operation</th>
								<th scope="col" class="figure">
									<Head of={d.a} what={`${count(d.a.traces)} outside`} />
								</th>
								<th scope="col" class="figure">
									<Head of={d.b} what={`${count(d.b.traces)} inside`} />
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
										{!x.a && <span class="only"> only {sets ? "inside" : "in the other"}</span>}
										{!x.b && <span class="only"> only {sets ? "outside" : "in the first"}</span>}
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
