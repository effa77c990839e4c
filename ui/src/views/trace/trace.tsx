// SPDX-License-Identifier: Apache-2.0
// Step 5: why was this one slow? The tree on the left, the bars on one axis, the selected span beside.
//
//	/trace/ID?span=ID   selected        ?from=ns&to=ns   the stretch of time that is shown
//	          ?critical=1   only what is on the critical path       ?find=text
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { fetchJson, query, type TraceTree, useApi, ApiError, API } from "../../base/api";
import { assign } from "../../base/colour";
import { absolute, ago, count, duration, percent } from "../../base/format";
import { useKeys } from "../../base/keys";
import { link, patch, useRoute } from "../../base/route";
import { Service } from "../../parts/service";
import { Bones, Empty, Failure } from "../../parts/state";
import { TraceModel } from "./model";
import { Panel } from "./panel";
import { Timeline } from "./timeline";
import "./trace.css";

const LIMIT = 5000;

/** The model of the answer, with the sub-trees that were opened since. */
function useModel(tree: TraceTree | null) {
	const [model, setModel] = useState<TraceModel | null>(null);
	const [error, setError] = useState<ApiError | null>(null);
	useEffect(() => setModel(tree ? new TraceModel(tree) : null), [tree]);
	const open = (spanId: string, have: number) => {
		if (!model) return;
		fetchJson<TraceTree>(query(`trace/${model.tree.trace_id}/tree`, { limit: have + LIMIT, under: spanId })).then(
			(sub) => {
				setError(null);
				setModel((m) => m && m.withSubtree(spanId, sub));
			},
			(e: unknown) => setError(e instanceof ApiError ? e : new ApiError(String(e), 0)),
		);
	};
	return { model, open, error };
}

function Summary(props: { model: TraceModel; id: string }) {
	const t = props.model.tree;
	const { services, errors, orphans, incomplete } = t.totals;
	return (
		<div class="trace-facts">
			<span>
				<b>{duration(t.duration_ns)}</b>
			</span>
			<span title={ago(t.start_ns)}>{absolute(t.start_ns)}</span>
			<span>
				{count(t.spans_total)} {t.spans_total === 1 ? "span" : "spans"}, {count(services)} {services === 1 ? "service" : "services"}
				{!t.complete && (
					<span class="quiet" title="Those that failed and the longest; +N beside a span fetches what is below it">
						, {count(t.id.length)} shown
					</span>
				)}
			</span>
			{errors > 0 && <span class="error">{count(errors)} {errors === 1 ? "error" : "errors"}</span>}
			{orphans > 0 && <span title="Spans whose parent is not known: they list the candidates">{count(orphans)} {orphans === 1 ? "orphan" : "orphans"}</span>}
			{incomplete > 0 && <span title="Part of these spans was not seen: their edge is torn">{count(incomplete)} incomplete</span>}
			<span class="mono quiet clip">{t.trace_id}</span>
		</div>
	);
}

/** What each service has of the critical path, most first; a click finds its spans. */
function Legend(props: { model: TraceModel; colours: Map<string, number> }) {
	const shares = useMemo(() => {
		const m = props.model;
		const ns = new Map<string, number>(m.tree.services.map((s) => [s, 0]));
		for (const p of m.critical_path) if (!p.gap) ns.set(m.service(p.row), (ns.get(m.service(p.row)) ?? 0) + p.to - p.from);
		return [...ns].sort((a, b) => b[1] - a[1]);
	}, [props.model]);
	const gap = props.model.critical_path.reduce((n, p) => n + (p.gap ? p.to - p.from : 0), 0);
	const total = Math.max(1, props.model.tree.duration_ns);
	return (
		<ul class="legend" aria-label="Services and their share of the critical path">
			{shares.slice(0, 12).map(([s, ns]) => (
				<li key={s}>
					<button type="button" class="bare" onClick={() => patch({ find: s }, true)}>
						<Service name={s} colour={props.colours.get(s)} />
						{ns > 0 && (
							<span class="quiet">
								{duration(ns)} <span class="small">{percent(ns / total)}</span>
							</span>
						)}
					</button>
				</li>
			))}
			{gap > total * 0.001 && (
				<li class="gap-share" title="Time on the critical path in which the thread that was responsible was not seen to run or to wait: hatched on the bars">
					<span class="service">
						<i class="hatched" />
						unexplained
					</span>
					<span class="quiet">
						{duration(gap)} <span class="small">{percent(gap / total)}</span>
					</span>
				</li>
			)}
			{shares.length > 12 && <li class="quiet small">and {shares.length - 12} more</li>}
		</ul>
	);
}

export function Trace(props: { id: string }) {
	const r = useRoute();
	const answer = useApi<TraceTree>(query(`trace/${props.id}/tree`, { limit: LIMIT }));
	const { model, open, error } = useModel(answer.stale ? null : answer.data);
	const find = r.params.get("find") ?? "";
	const findField = useRef<HTMLInputElement>(null);
	const criticalOnly = r.params.get("critical") === "1";
	const colours = useMemo(() => assign(model?.tree.services ?? []), [model]);
	const selected = model ? model.row(r.params.get("span") ?? "") : -1;

	useEffect(() => {
		document.title = model ? `${model.name(0)} · ${duration(model.tree.duration_ns)} · clew` : "Trace · clew";
	}, [model]);
	useKeys([
		{ key: "f", does: "find in the trace", run: () => findField.current?.focus() },
		{ key: "c", does: "critical path only", run: () => patch({ critical: !criticalOnly }, true) },
	]);

	if (answer.error && !answer.data)
		return answer.error.status === 404 ? (
			<Empty title="There is no such trace here">
				<p>
					{answer.error.message}. It may have been dropped by the retention, or not be stored yet: a trace is stored about two seconds
					after its last answer.
				</p>
				<p>
					<a class="plain" href={link(["search"])}>
						Search for others
					</a>
				</p>
			</Empty>
		) : (
			<Failure error={answer.error} retry={answer.reload} />
		);
	if (!model) return <Bones rows={20} shown={answer.waiting} />;
	const t = model.tree;
	const timed = t.times.cpu.some((ns) => ns >= 0);
	return (
		<>
			<div class="top trace-top">
				<h1 class="clip">
					<Service name={model.service(0)} colour={colours.get(model.service(0))} /> <span class="operation">{model.name(0)}</span>
				</h1>
				<span class="actions">
					<a class="button" href={link(["search"], { service: model.service(0), name: model.name(0), min_duration: Math.round(t.duration_ns / 2) })}>
						Others like this
					</a>
					<a class="button" href={link(["compare"], { a: t.trace_id })}>
						Compare
					</a>
					<a class="button" href={`${API}trace/${t.trace_id}`} download={`trace-${t.trace_id}.json`}>
						JSON
					</a>
				</span>
			</div>
			<Summary model={model} id={props.id} />
			{answer.error && <Failure error={answer.error} retry={answer.reload} />}
			{error && <Failure error={error} />}
			<Legend model={model} colours={colours} />
			<div class="trace-tools">
				<input
					ref={findField}
					type="search"
					placeholder="Find in the trace (f)"
					aria-label="Find in the trace"
					value={find}
					onInput={(e) => patch({ find: e.currentTarget.value }, true)}
				/>
				<button type="button" aria-pressed={criticalOnly} onClick={() => patch({ critical: !criticalOnly }, true)}>
					Critical path only
				</button>
				<ul class="times-legend small quiet wide-only" hidden={!timed}>
					<li class="l-cpu">running</li>
					<li class="l-runq">waiting for a CPU</li>
					<li class="l-futex">lock</li>
					<li class="l-disk">disk</li>
					<li class="l-net">network</li>
					<li class="l-sleep">sleep</li>
				</ul>
			</div>
			<div class={`trace-body ${selected >= 0 ? "with-panel" : ""}`}>
				<Timeline model={model} colours={colours} selected={selected} find={find} criticalOnly={criticalOnly} open={open} />
				{selected >= 0 && <Panel key={t.id[selected]} model={model} row={selected} colours={colours} />}
			</div>
		</>
	);
}
