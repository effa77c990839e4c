// SPDX-License-Identifier: Apache-2.0
// Any condition, any service or none: a scatter plot of the traces above their list. Every state is in the URL.
import { useEffect, useMemo, useState } from "preact/hooks";
import { API, ApiError, type Differences, fetchLines, type Heat, type Lines, query, type TraceLine, useApi } from "../../base/api";
import { assign } from "../../base/colour";
import { conditionCount, filterParams, NO_CONDITIONS, rangeOf, type Sides, sidesOf } from "../../base/filter";
import { absolute, ago, count, duration, isToday } from "../../base/format";
import { useRested } from "../../base/rested";
import { link, patch, type Route, useRoute } from "../../base/route";
import { inWindow, timeWindow, windowName } from "../../base/time_window";
import { merge, useTail } from "../../base/tail";
import { DifferenceList } from "../../parts/differences";
import { Service } from "../../parts/service";
import { Bones, Empty, EmptyStore, Failure } from "../../parts/state";
import { type Column, Table } from "../../parts/table";
import { Conditions } from "./conditions";
import { Scatter } from "./scatter";
import "./search.css";

const PAGE = 400; // that are asked for at once: points of the plot
const ROWS = 100; // that are listed; 400 cost a layout of 100 ms
const LIVE_MS = 3000;
const DIFFERENCES = 6;
const REST_MS = 250; // a range that moves by a key that is held down is asked for when it rests

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

/** Each once, the most frequent first. */
function byFrequency(names: readonly string[]): string[] {
	const counts = new Map<string, number>();
	for (const n of names) counts.set(n, (counts.get(n) ?? 0) + 1);
	return [...counts].sort((a, b) => b[1] - a[1]).map(([n]) => n);
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

const listed = (r: Route): Record<string, string | string[] | number> => ({ ...filterParams(r), ...rangeOf(r) });

export const searchAsks = (r: Route) => ({ traces: query("traces", { ...listed(r), limit: PAGE, paged: 1 }), heat: query("heat", { ...filterParams(r), any: 1 }) });

export function Search() {
	const r = useRoute();
	const asks = searchAsks(r);
	const live = r.params.get("live") === "1";
	const range = rangeOf(r);
	const path = useRested(asks.traces, REST_MS);
	const { since: _since, until, ...conditions } = listed(r);
	const tail = useTail(live && !until ? query("tail", conditions) : null);
	const polls = live && (Boolean(until) || tail.state === "refused");
	const answer = useApi<Lines<TraceLine>>(path, polls ? { lines: true, everyMs: LIVE_MS } : { lines: true });
	useEffect(() => {
		if (tail.gaps) answer.reload();
	}, [tail.gaps]);
	const heat = useApi<Heat>(asks.heat, live ? { everyMs: LIVE_MS } : {});
	const sides = sidesOf(r);
	const more = useMore(answer.stale ? null : answer.data, path);
	const stored = more.rows ?? answer.data?.rows ?? null;
	const rows = useMemo(() => (stored && tail.rows.length ? merge([...tail.rows].reverse(), stored) : stored), [stored, tail.rows]);
	// How many are listed is in the URL, too: a reload shows as many.
	const shown = Math.max(ROWS, Number(r.params.get("rows")) || 0);
	const fetches = more.next !== null && rows !== null && rows.length < shown;
	useEffect(() => {
		if (fetches) more.load();
	}, [fetches, rows?.length]);
	const isMore = rows !== null && (rows.length > shown || more.next !== null);
	const colours = useMemo(() => assign(byFrequency(rows?.map((t) => t.service) ?? [])), [rows]);
	const lengths = useMemo((): [number, number] => {
		const all = rows?.map((t) => t.duration_ns).filter((d) => d > 0) ?? [];
		return [Math.min(...all, 1e18) / 1.5, Math.max(...all, 2)];
	}, [rows]);
	useEffect(() => {
		document.title = [["service", "name"].map((p) => r.params.get(p) ?? "").join(" ").trim(), "Search", "clew"].filter(Boolean).join(" · ");
	}, [r]);
	return (
		<>
			<div class="top">
				<h1>Search</h1>
				{!rows && <span class="quiet counted">&nbsp;</span>}
				{rows && (
					<span class="quiet counted">
						{more.next && heat.data && !range ? count(Math.max(heat.data.n, rows.length)) : count(rows.length)}
						{more.next && (range || !heat.data) ? " newest" : ""} {rows.length === 1 ? "trace" : "traces"}, {windowName(r)}
						{live && tail.state === "open" && ", live"}
						{live && tail.state === "lost" && ", live when the server is back"}
						{!sides && rows.length > 1 && <span class="wide-only">; drag over the plot to see what differs there</span>}
						{tail.lost > 0 && `, ${count(tail.lost)} came too fast to be shown`}
					</span>
				)}
				{conditionCount(r) > 0 && (
					<button type="button" class="bare act" onClick={() => patch(NO_CONDITIONS)}>
						Clear conditions
					</button>
				)}
			</div>
			<Conditions ready={rows !== null} />
			{answer.error && <Failure error={answer.error} retry={answer.reload} />}
			{!rows && <Bones rows={12} shown={answer.waiting} />}
			{rows && rows.length > 0 && (
				<div class={answer.stale ? "stale" : ""}>
					<div class="scatter-place">{(heat.data || heat.error) && <Scatter rows={rows} heat={heat.data} />}</div>
					{sides && <Differing sides={sides} />}
					{isMore && <h2 class="list-head">The newest {count(Math.min(shown, rows.length))}</h2>}
					<Table caption="Traces" columns={columns(colours, lengths, r.params.get("pick"))} rows={rows} rowKey={(t) => t.trace_id} href={(t) => link(["trace", t.trace_id])} most={shown} keys />
					{!range && <Downloads />}
					{more.error && <Failure error={more.error} retry={more.load} />}
					{isMore && (
						<p class="more">
							<button type="button" onClick={() => patch({ rows: Math.min(shown, rows.length) + ROWS }, true)}>
								Show {ROWS} more
							</button>
						</p>
					)}
				</div>
			)}
			{rows && rows.length === 0 && <Nothing />}
		</>
	);
}

const TITLES: Record<string, string> = { inside: "What differs inside the range", failed: "What the failed have that the others have not", slow: "What the slow have that the others have not" };

/** What the chosen ones have that the others of the same search have not. */
function Differing(props: { sides: Sides }) {
	const { params, names } = props.sides;
	const answer = useApi<Differences>(useRested(query("differences", params), REST_MS));
	return (
		<section class="differing">
			<h2>
				{TITLES[names[0]]}{" "}
				<a class="act small" href={link(["compare"], params)}>
					compare both, span by span
				</a>
			</h2>
			{answer.error && <Failure error={answer.error} retry={answer.reload} />}
			<div class="differing-place">
				{!answer.data && <Bones rows={DIFFERENCES + 1} shown={answer.waiting} />}
				{answer.data && (
					<div class={answer.stale ? "stale" : ""}>
						<DifferenceList of={answer.data} most={DIFFERENCES} names={names} />
					</div>
				)}
			</div>
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
				Nothing {inWindow(r)} fits. {conditionCount(r) === 0 ? "Look at a longer time" : everything ? "Take a condition away" : "Take a condition away, or look at a longer time"}.
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
