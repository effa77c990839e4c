// SPDX-License-Identifier: Apache-2.0
// Step 1: is anything wrong? Services as rows, those that deviate most from the window before on top; the map beside.
import { useEffect, useMemo } from "preact/hooks";
import { isAnswered, type Overview as Answer, type OverviewService, query, type ServiceMap, useApi } from "../base/api";
import { assign } from "../base/colour";
import { atLeast, type Change, changes, share } from "../base/deviation";
import { count, duration, percent, rates } from "../base/format";
import { link, type Route, useRoute } from "../base/route";
import { inWindow, windowBefore, windowName, windowParams } from "../base/time_window";
import { Losses } from "../parts/losses";
import { Service } from "../parts/service";
import { Latencies, Spark } from "../parts/spark";
import { Bones, Empty, EmptyStore, Failure } from "../parts/state";
import { type Column, Table } from "../parts/table";
import { Drawing, drawingSize } from "./map/drawing";
import { busiest, layout } from "./map/layout";
import "./overview.css";

const LIVE_MS = 5000;

const failed = (s: OverviewService) => link(["search"], { service: s.service, error: true });

/** Where the reason of a change is seen: its failed traces, or those that were slower than was usual. */
function reason(s: OverviewService, change: Change): string | null {
	if (change.what === "errors") return failed(s);
	if (change.what === "tail") return link(["search"], { service: s.service, min_duration: s.tail?.over_ns });
	return change.what === "slower" ? link(["search"], { service: s.service, min_duration: s.before.p95_ns }) : null;
}

function Changes(props: { of: OverviewService }) {
	const s = props.of;
	// What chance explains is not worth a word.
	const list = s.deviation > 0 || !s.before.requests ? changes(s, s.before) : [];
	const strong = s.deviation >= 1;
	return (
		<>
			{list.map((c, k) => {
				const href = reason(s, c);
				const look = strong && c.worse ? "deviates" : "quiet";
				return (
					<span key={c.what} class="change">
						{href ? (
							<a class={`plain ${look}`} href={href} title={`${c.title}. Show these traces and what they have in common`}>
								{c.text}
							</a>
						) : (
							<span class={look} title={c.title}>
								{c.text}
							</span>
						)}
						{k < list.length - 1 && <span class="quiet">,&nbsp;</span>}
					</span>
				);
			})}
		</>
	);
}

/** What got worse first, or what fails where nothing is known of before; the rest by deviation, errors, requests. */
function ordered(services: OverviewService[], before: boolean): OverviewService[] {
	if (!before) return services.slice().sort((a, b) => atLeast(b) - atLeast(a) || b.requests - a.requests);
	const bad = (s: OverviewService) => s.deviation >= 1 && isWorse(s);
	const rest = services.filter((s) => !bad(s)).sort((a, b) => b.deviation - a.deviation || share(b) - share(a));
	return [...services.filter(bad), ...rest];
}

const isWorse = (s: OverviewService) => share(s) > share(s.before) || s.p95_ns > s.before.p95_ns || s.tail !== undefined;

/** Of the longest only its bucket's begin is known; a quantile in that bucket may be more. */
const slowest = (s: OverviewService) => Math.max(s.max_ns, s.p99_ns);

function columns(colours: Map<string, number>, seconds: number, before: string | null, rate: (perSecond: number) => string): Column<OverviewService>[] {
	const all: Column<OverviewService>[] = [
		{
			key: "service",
			title: "Service",
			sort: (s) => s.service,
			cell: (s) => (
				<a href={link(["service", s.service])}>
					<Service name={s.service} colour={colours.get(s.service)} />
				</a>
			),
		},
		{
			key: "deviation",
			title: before ? `Against ${before}` : "",
			class: "wraps",
			sort: (s) => s.deviation,
			cell: (s) => <Changes of={s} />,
		},
		{ key: "rate", title: "Requests", figure: true, wideOnly: true, sort: (s) => s.requests, cell: (s) => <span title={`${count(s.requests)} requests`}>{rate(s.requests / seconds)}</span> },
		{
			key: "spark",
			title: "",
			unseen: "Requests over time",
			wideOnly: true,
			class: "flow",
			cell: (s) => <Spark values={s.spark.requests} errors={s.spark.errors} width={72} label={`requests of ${s.service} over the window`} />,
		},
		{
			key: "errors",
			title: "Errors",
			figure: true,
			sort: share,
			cell: (s) =>
				s.errors ? (
					<a class="plain error" href={failed(s)} title={`${count(s.errors)} of ${count(s.requests)} requests failed. Show these traces and what they have in common`}>
						{percent(share(s))}
					</a>
				) : (
					<span class="quiet" title="No errors">
						0
					</span>
				),
		},
		{ key: "p50", title: "p50", figure: true, wideOnly: true, sort: (s) => s.p50_ns, cell: (s) => duration(s.p50_ns) },
		{ key: "p95", title: "p95", figure: true, sort: (s) => s.p95_ns, cell: (s) => duration(s.p95_ns) },
		{ key: "p99", title: "p99", figure: true, wideOnly: true, sort: (s) => s.p99_ns, cell: (s) => duration(s.p99_ns) },
		{
			key: "slowest",
			title: "Slowest",
			figure: true,
			wideOnly: true,
			sort: slowest,
			cell: (s) => <span title={`The slowest took ${duration(slowest(s))} or a little more`}>{duration(slowest(s))}</span>,
		},
		{
			key: "trend",
			title: "p95 to slowest",
			wideOnly: true,
			cell: (s) => {
				const known = (ns: number[]) => ns.map((v, i) => (s.spark.requests[i] ? v : null));
				return <Latencies most={known(s.spark.p95_ns)} longest={known(s.spark.max_ns)} errors={s.spark.errors} width={72} label={`p95 of ${s.service} over the window, and the slowest request`} />;
			},
		},
	];
	return all.filter((c) => before || c.key !== "deviation");
}

const BESIDE_W = 440; // px: a wider map stands below the table
const BELOW_NODES = 40; // a larger one has its own view

type Where = "beside" | "below" | "nowhere";

function whereOf(map: ServiceMap): Where {
	if (map.edges.every((e) => e.client === null) || map.nodes.length > BELOW_NODES) return "nowhere";
	return drawingSize(layout(busiest(map)), true).w <= BESIDE_W ? "beside" : "below";
}

const KEPT = "clew.map-place";
const FEW_SERVICES = 8; // of so many the map most likely has room beside the table

/** Where it will stand, before it is there: where it stood last, as long as nothing else is known. */
function expected(services: number): Where {
	try {
		const last = localStorage.getItem(KEPT);
		if (last === "beside" || last === "below" || last === "nowhere") return last;
	} catch {
		/* nothing is kept here */
	}
	return services > 1 && services <= FEW_SERVICES ? "beside" : "below";
}

function keep(where: Where) {
	try {
		localStorage.setItem(KEPT, where);
	} catch {
		/* then the next one is guessed */
	}
}

export const overviewAsks = (r: Route) => ({ overview: query("overview", { ...windowParams(r), buckets: 60 }), map: query("map", windowParams(r)) });

export function Overview() {
	const r = useRoute();
	const asks = overviewAsks(r);
	const live = r.params.get("live") === "1";
	const answer = useApi<Answer>(asks.overview, live ? { everyMs: LIVE_MS } : {});
	const map = useApi<ServiceMap>(asks.map, live ? { everyMs: LIVE_MS } : {});
	useEffect(() => {
		document.title = "Overview · clew";
	}, []);
	const data = answer.data;
	// The table does not wait for the map: a place is left for it, so that nothing jumps.
	const place = useMemo(() => map.data && whereOf(map.data), [map.data]);
	const where = place ?? (map.error ? "nowhere" : expected(data?.services_total ?? 0));
	useEffect(() => {
		if (place && data?.services.length) keep(place);
	}, [place, data === null]);
	const narrow = matchMedia("(max-width: 720px)").matches;
	const before = data?.services.some((s) => s.before.requests > 0) ? (windowBefore(r)?.name ?? null) : null;
	const worse = data?.services.filter((s) => s.deviation >= 1 && isWorse(s)).length ?? 0;
	const failing = data?.services.filter((s) => s.errors > 0).length ?? 0;
	const colours = assign(data ? ordered(data.services, before !== null).map((s) => s.service) : []);
	const seconds = data ? Math.max(1, (data.until_ns - data.since_ns) / 1e9) : 1;
	return (
		<>
			<div class="top">
				<h1>Overview</h1>
				{data && data.services_total > 0 && (
					<span class="quiet">
						{count(data.services_total)} {data.services_total === 1 ? "service" : "services"}, {count(data.services.reduce((n, s) => n + s.requests, 0))} requests, {windowName(r)}
						{!before && failing > 0 && `, ${count(failing)} with errors`}
						{before && (
							<>
								, {worse ? <b class="deviates">{count(worse)} worse than before</b> : "none worse than before"}
							</>
						)}
					</span>
				)}
			</div>
			{answer.error && <Failure error={answer.error} retry={answer.reload} />}
			{!data && <Bones rows={8} shown={answer.waiting} />}
			{data && data.services.length > 0 && (
				<div class={`overview map-${where} ${answer.stale ? "stale" : ""}`}>
					<div>
						<Table caption={before ? "Services, the ones that got worse first" : "Services, the ones that fail most first"} columns={columns(colours, seconds, before, rates(data.services.map((s) => s.requests / seconds)))} rows={ordered(data.services, before !== null)} rowKey={(s) => s.service} href={(s) => link(["service", s.service])} keys />
						{data.services_total > data.services.length && (
							<p class="quiet small">
								{count(data.services_total - data.services.length)} more services deviate less; search finds them by name.
							</p>
						)}
					</div>
					{map.data && where !== "nowhere" && (
						<section class="map-frame" tabIndex={0} aria-label="Who calls whom">
							<Drawing map={map.data} chosen={null} down={where === "beside" || narrow} seconds={Math.max(0.001, (map.data.until_ns - map.data.since_ns) / 1e9)} />
						</section>
					)}
				</div>
			)}
			<Losses ready={data !== null && isAnswered(map)} />
			{data && data.services.length === 0 && (r.params.get("since") === "0" ? <EmptyStore /> : <NothingHere />)}
		</>
	);
}

function NothingHere() {
	const r = useRoute();
	return (
		<Empty title={`No requests ${inWindow(r)}`}>
			<p>
				<a class="button" href={link([], { since: "0", until: null })}>
					Show everything that the store holds
				</a>
			</p>
		</Empty>
	);
}
