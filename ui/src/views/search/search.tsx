// SPDX-License-Identifier: Apache-2.0
// Any condition, any service or none: a scatter plot of the traces above their list. Every state is in the URL.
import { useEffect, useMemo, useState } from "preact/hooks";
import { API, ApiError, type Differences, fetchLines, type HistogramAnswer, type Lines, query, type TraceLine, useApi } from "../../base/api";
import { assign } from "../../base/colour";
import { conditionCount, filterParams, NO_CONDITIONS, type Range, rangeOf } from "../../base/filter";
import { absolute, ago, count, duration, isToday } from "../../base/format";
import { link, patch, useRoute } from "../../base/route";
import { timeWindow, windowName } from "../../base/time_window";
import { merge, useTail } from "../../base/tail";
import { DifferenceList } from "../../parts/differences";
import { Service } from "../../parts/service";
import { Bones, Empty, EmptyStore, Failure } from "../../parts/state";
import { type Column, Table } from "../../parts/table";
import { Conditions } from "./conditions";
import { Scatter } from "./scatter";
import "./search.css";

const PAGE = 400;
const LIVE_MS = 3000;
const DIFFERENCES = 6;

/** The pages that were asked for after the first one; forgotten when the question changes. */
function useMore(first: Lines<TraceLine> | null, path: string) {
	const [more, setMore] = useState<{ of: string; rows: TraceLine[]; next: string | null } | null>(null);
	const [error, setError] = useState<ApiError | null>(null);
	const mine = more?.of === path ? more : null;
	const next = mine ? mine.next : (first?.next ?? null);
	return {
		rows: first ? (mine ? [...first.rows, ...mine.rows] : first.rows) : null,
		next,
		error,
		load: () => {
			if (!next) return;
			fetchLines<TraceLine>(`${path}&cursor=${encodeURIComponent(next)}`).then(
				(page) => {
					setError(null);
					setMore({ of: path, rows: [...(mine?.rows ?? []), ...page.rows], next: page.next });
				},
				(e: unknown) => setError(e instanceof ApiError ? e : new ApiError(String(e), 0)),
			);
		},
	};
}

/** Between the shortest and the longest of the list, on the plot's scale. */
function lengthOf(t: TraceLine, range: [number, number]): number {
	if (t.duration_ns <= 0) return 0;
	return Math.max(0.02, (Math.log(t.duration_ns) - Math.log(range[0])) / Math.max(0.1, Math.log(range[1]) - Math.log(range[0])));
}

function columns(colours: Map<string, number>, range: [number, number], pick: string | null): Column<TraceLine>[] {
	return [
		{
			key: "start",
			title: "Began",
			figure: true,
			width: "1%",
			sort: (t) => t.start_ns,
			cell: (t) => {
				const text = absolute(t.start_ns);
				return (
					<span title={`${text}, ${ago(t.start_ns)}`}>
						{!isToday(t.start_ns) && <span class="wide-only">{text.slice(5, 11)}</span>}
						{text.slice(11, 19)}
						<span class="wide-only">{text.slice(19)}</span>
					</span>
				);
			},
		},
		{
			key: "service",
			title: "Service",
			sort: (t) => t.service,
			cell: (t) => (
				<a href={link(["trace", t.trace_id])}>
					<Service name={t.service} colour={colours.get(t.service)} />
				</a>
			),
		},
		{
			key: "name",
			title: "Operation",
			sort: (t) => t.name,
			width: "34%",
			cell: (t) => (
				<a class="clip operation-link" href={link(["trace", t.trace_id])}>
					<span class={`name ${t.errors ? "error" : ""}`}>{t.name}</span>
				</a>
			),
		},
		{
			key: "bar",
			title: "",
			unseen: "Duration, drawn",
			wideOnly: true,
			width: "16%",
			cell: (t) => <i class="length" style={{ width: `${lengthOf(t, range) * 100}%` }} />,
		},
		{ key: "duration", title: "Duration", figure: true, sort: (t) => t.duration_ns, cell: (t) => (t.duration_ns > 0 ? duration(t.duration_ns) : <span class="quiet" title="Its end was not seen">–</span>) },
		{ key: "spans", title: "Spans", figure: true, wideOnly: true, sort: (t) => t.spans, cell: (t) => count(t.spans) },
		{ key: "services", title: "Services", figure: true, wideOnly: true, sort: (t) => t.services, cell: (t) => count(t.services) },
		{
			key: "errors",
			title: "Errors",
			figure: true,
			sort: (t) => t.errors,
			cell: (t) => <span class={t.errors ? "error" : "quiet"}>{count(t.errors)}</span>,
		},
		{
			key: "pick",
			title: "",
			unseen: "Compare",
			wideOnly: true,
			cell: (t) =>
				pick && pick !== t.trace_id ? (
					<a class="act small" href={link(["compare"], { a: pick, b: t.trace_id })}>
						compare with it
					</a>
				) : (
					<button type="button" class="bare small on-hover" aria-pressed={pick === t.trace_id} onClick={() => patch({ pick: pick === t.trace_id ? null : t.trace_id }, true)}>
						{pick ? "chosen" : "compare"}
					</button>
				),
		},
	];
}

export function Search() {
	const r = useRoute();
	const live = r.params.get("live") === "1";
	const range = rangeOf(r);
	const filter: Record<string, string | string[] | number> = { ...filterParams(r), ...range };
	const path = query("traces", { ...filter, limit: PAGE, paged: 1 });
	const { since: _since, until, ...conditions } = filter;
	const tail = useTail(live && !until ? query("tail", conditions) : null);
	const polls = live && (Boolean(until) || tail.state === "refused");
	const answer = useApi<Lines<TraceLine>>(path, polls ? { lines: true, everyMs: LIVE_MS } : { lines: true });
	const histogram = useApi<HistogramAnswer>(query("histogram", { ...filterParams(r), any: 1 }), live ? { everyMs: LIVE_MS } : {});
	const more = useMore(answer.stale ? null : answer.data, path);
	const stored = more.rows ?? answer.data?.rows ?? null;
	const rows = useMemo(() => (stored && tail.rows.length ? merge([...tail.rows].reverse(), stored) : stored), [stored, tail.rows]);
	const colours = useMemo(() => assign(rows?.map((t) => t.service) ?? []), [rows]);
	const lengths = useMemo((): [number, number] => {
		const all = rows?.map((t) => t.duration_ns).filter((d) => d > 0) ?? [];
		return [Math.min(...all, 1e18) / 1.5, Math.max(...all, 2)];
	}, [rows]);
	useEffect(() => {
		document.title = "Search · clew";
	}, []);
	return (
		<>
			<div class="top">
				<h1>Search</h1>
				{rows && (
					<span class="quiet">
						{count(rows.length)}
						{more.next ? " newest" : ""} traces, {windowName(r)}
						{live && tail.state === "open" && ", live"}
						{!range && rows.length > 1 && <span class="wide-only">; drag over the plot to see what differs there</span>}
						{tail.lost > 0 && `, ${count(tail.lost)} came too fast to be shown`}
					</span>
				)}
				{conditionCount(r) > 0 && (
					<button type="button" class="bare act" onClick={() => patch(NO_CONDITIONS)}>
						Clear conditions
					</button>
				)}
			</div>
			<Conditions />
			{answer.error && <Failure error={answer.error} retry={answer.reload} />}
			{!rows && <Bones rows={12} shown={answer.waiting} />}
			{rows && rows.length > 0 && (
				<div class={answer.stale ? "stale" : ""}>
					<Scatter rows={rows} histogram={histogram.data} />
					{range && <Differing range={range} />}
					<Table caption="Traces" columns={columns(colours, lengths, r.params.get("pick"))} rows={rows} rowKey={(t) => t.trace_id} />
					{!range && <Downloads />}
					{more.error && <Failure error={more.error} retry={more.load} />}
					{more.next && (
						<p class="more">
							<button type="button" onClick={more.load}>
								Show {PAGE} more
							</button>
						</p>
					)}
				</div>
			)}
			{rows && rows.length === 0 && <Nothing />}
		</>
	);
}

/** What the chosen durations have that the others of the same search have not. */
function Differing(props: { range: Range }) {
	const r = useRoute();
	const params = { ...filterParams(r), any: 1, ...props.range };
	const answer = useApi<Differences>(query("differences", params));
	return (
		<section class="differing">
			<h2>
				What differs inside the range{" "}
				<a class="act small" href={link(["compare"], params)}>
					compare both, span by span
				</a>
			</h2>
			{answer.error && <Failure error={answer.error} retry={answer.reload} />}
			{!answer.data && <Bones rows={DIFFERENCES + 1} shown={answer.waiting} />}
			{answer.data && <DifferenceList of={answer.data} most={DIFFERENCES} />}
		</section>
	);
}

const FORMATS = [
	{ format: "ndjson", name: "JSON lines", file: "spans.ndjson" },
	{ format: "otlp", name: "OTLP", file: "traces.otlp.jsonl" },
	{ format: "parquet", name: "Parquet", file: "spans.parquet" },
];

/** The spans that fit, as a file. */
function Downloads() {
	const r = useRoute();
	return (
		<p class="downloads small quiet">
			Take these spans along:{" "}
			{FORMATS.map((f) => (
				<a key={f.format} class="act" download={f.file} href={API + query("download", { ...filterParams(r), format: f.format })}>
					{f.name}
				</a>
			))}
		</p>
	);
}

function Nothing() {
	const r = useRoute();
	const everything = timeWindow(r).since === "0";
	if (everything && conditionCount(r) === 0) return <EmptyStore />;
	return (
		<Empty title="No trace fits">
			<p>
				{conditionCount(r) > 0 ? "Take a condition away, or look at a longer time: " : "Look at a longer time: "}
				{windowName(r)} is what was searched.
			</p>
			{conditionCount(r) > 1 && <p class="quiet">All conditions must hold on one and the same span of a trace: an attribute of the front end is not found on the service behind it.</p>}
			<p>
				{!everything && (
					<button type="button" onClick={() => patch({ since: "0", until: null })}>
						Search everything
					</button>
				)}{" "}
				{conditionCount(r) > 0 && (
					<button type="button" onClick={() => patch(NO_CONDITIONS)}>
						Clear conditions
					</button>
				)}
			</p>
		</Empty>
	);
}
