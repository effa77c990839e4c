// SPDX-License-Identifier: Apache-2.0
// Step 5: why was this one slow? The tree on the left, the bars on one axis, the selected span beside.
//
//	/trace/ID?span=ID   selected        ?from=ns&to=ns   the stretch of time that is shown
//	          ?critical=1   only what is on the critical path       ?find=text       ?all=1   not only the longest spans
//	          ?shut=ID ID   folded       ?why=1, ?raw=1   what is open in the panel
import { useEffect, useMemo, useState } from "preact/hooks";
import { fetchJson, query, type TraceTree, useApi, ApiError, API } from "../../base/api";
import { assign } from "../../base/colour";
import { absolute, ago, count, duration, percent } from "../../base/format";
import { useRested } from "../../base/rested";
import { link, patch, type Route, useRoute } from "../../base/route";
import { Copy } from "../../parts/copy";
import { Service } from "../../parts/service";
import { Bones, Empty, Failure } from "../../parts/state";
import { FailedFirst, Legend } from "./legend";
import { TraceModel } from "./model";
import { Panel } from "./panel";
import { Timeline } from "./timeline";
import "./trace.css";

const LIMIT = 5000;
const ALL = 1000000;

/** The model of the answer, with the sub-trees that were opened since. */
function useModel(tree: TraceTree | null) {
	const plain = useMemo(() => tree && new TraceModel(tree), [tree]);
	const [grown, setGrown] = useState<{ of: TraceTree; model: TraceModel } | null>(null);
	const [error, setError] = useState<ApiError | null>(null);
	const model = grown && grown.of === tree ? grown.model : plain;
	const open = (spanId: string, have: number) => {
		if (!model || !tree) return;
		fetchJson<TraceTree>(query(`trace/${model.tree.trace_id}/tree`, { limit: have + LIMIT, under: spanId })).then(
			(sub) => {
				setError(null);
				setGrown((g) => ({ of: tree, model: (g && g.of === tree ? g.model : model).withSubtree(spanId, sub) }));
			},
			(e: unknown) => setError(e instanceof ApiError ? e : new ApiError(String(e), 0)),
		);
	};
	return { model, open, error };
}

/** How many spans are so; a click finds them, and leaves them again. */
function Fact(props: { n: number; one: string; many: string; find: string; title: string }) {
	const on = useRoute().params.get("find") === props.find;
	if (!props.n) return null;
	return (
		<button type="button" class="bare fact" aria-pressed={on} title={props.title} onClick={() => patch({ find: on ? null : props.find }, true)}>
			<span class={props.one === "error" ? "error" : ""}>
				{count(props.n)} {props.n === 1 ? props.one : props.many}
			</span>
		</button>
	);
}

/** Where the time was: in processes, or between them. */
function Split(props: { model: TraceModel }) {
	const { process, network, gap } = useMemo(() => props.model.split(), [props.model]);
	const total = Math.max(1, process + network + gap);
	const parts = [
		{ name: "in processes", ns: process },
		{ name: "network and queues", ns: network },
		{ name: "asleep", ns: gap },
	].filter((p) => p.ns > 0.001 * total);
	if (parts.length < 2) return null;
	return (
		<span class="quiet" title="Of the critical path">
			{parts.map((p) => `${percent(p.ns / total)} ${p.name}`).join(", ")}
		</span>
	);
}

function Summary(props: { model: TraceModel; colours: Map<string, number> }) {
	const t = props.model.tree;
	const { services, errors, orphans, incomplete, not_stored: notStored } = t.totals;
	const probable = useMemo(() => t.class.filter((c) => c === 2).length, [t]);
	return (
		<div class="trace-facts">
			<span>
				<b>{duration(t.duration_ns)}</b>
			</span>
			<span title={ago(t.start_ns)}>{absolute(t.start_ns)}</span>
			<span>
				{count(t.spans_total)} {t.spans_total === 1 ? "span" : "spans"}, {count(services)} {services === 1 ? "service" : "services"}
				{!t.complete && (
					<>
						<span class="quiet" title="Those that failed and the longest; +N beside a span fetches what is below it">
							, {count(t.id.length)} of them here
						</span>
						<button type="button" class="bare fact after act" onClick={() => patch({ all: true }, true)}>
							Fetch all
						</button>
					</>
				)}
			</span>
			<Split model={props.model} />
			<Fact n={errors} one="error" many="errors" find="is:error" title="Underline them; e goes from one to the next" />
			<FailedFirst model={props.model} colours={props.colours} />
			<Fact n={orphans} one="orphan" many="orphans" find="is:orphan" title="Spans whose parent is not known: they list the candidates. n goes from one to the next" />
			<Fact n={probable} one="probable link" many="probable links" find="is:probable" title="Spans whose parent is likely, not certain: drawn dashed. n goes from one to the next" />
			<Fact n={incomplete} one="incomplete" many="incomplete" find="is:incomplete" title="Part of these spans was not seen: their edge is torn. n goes from one to the next" />
			{notStored > 0 && (
				<span class="error" title="The store could not keep up while this trace was captured: these spans of it were dropped">
					{count(notStored)} more not stored
				</span>
			)}
			<span class="quiet clip trace-id">
				<span class="mono">{t.trace_id}</span>
				<Copy text={t.trace_id} what="id" class="small" />
			</span>
		</div>
	);
}

export const traceAsks = (r: Route, id: string) => ({ tree: query(`trace/${id}/tree`, { limit: r.params.get("all") === "1" ? ALL : LIMIT }) });

export function Trace(props: { id: string }) {
	const r = useRoute();
	const answer = useApi<TraceTree>(traceAsks(r, props.id).tree);
	const { model, open, error } = useModel(answer.data);
	const find = r.params.get("find") ?? "";
	const criticalOnly = r.params.get("critical") === "1";
	const colours = useMemo(() => assign(model?.weightiest() ?? []), [model]);
	const wanted = r.params.get("span") ?? "";
	const selected = model ? model.row(wanted) : -1;
	const rested = useRested(wanted);
	const told = selected >= 0 && model && model.row(rested) >= 0 ? model.row(rested) : selected;

	useEffect(() => {
		document.title = model ? `${model.name(0)} · ${duration(model.tree.duration_ns)} · clew` : "Trace · clew";
	}, [model]);

	if (answer.error && !answer.data)
		return answer.error.status === 404 ? (
			<Empty title="There is no such trace here">
				<p>
					{answer.error.message}. It may have been dropped by the retention, or not be stored yet: a trace is stored about two seconds
					after its last answer.
				</p>
				<p>
					<a class="act" href={link(["search"])}>
						Search for others
					</a>
				</p>
			</Empty>
		) : (
			<Failure error={answer.error} retry={answer.reload} />
		);
	if (!model) return <Bones rows={20} shown={answer.waiting} />;
	const t = model.tree;
	return (
		<>
			<div class="top trace-top">
				<h1 class="clip">
					<a href={link(["service", model.service(0)])}>
						<Service name={model.service(0)} colour={colours.get(model.service(0))} />
					</a>{" "}
					<span class="operation">{model.name(0)}</span>
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
			<Summary model={model} colours={colours} />
			{answer.error && <Failure error={answer.error} retry={answer.reload} />}
			{error && <Failure error={error} />}
			{wanted && selected < 0 && !answer.stale && (
				<p class="note calm" role="status">
					The span {wanted} is not {t.complete ? "in this trace" : "among those that are here"}.
					{!t.complete && (
						<button type="button" onClick={() => patch({ all: true }, true)}>
							Fetch all {count(t.spans_total)}
						</button>
					)}
				</p>
			)}
			<Legend model={model} colours={colours} />
			<div class={`trace-body ${selected >= 0 ? "with-panel" : ""}`}>
				<Timeline model={model} colours={colours} selected={selected} find={find} criticalOnly={criticalOnly} open={open} />
				{told >= 0 && <Panel key={t.id[told]} model={model} row={told} colours={colours} />}
			</div>
		</>
	);
}
