// SPDX-License-Identifier: Apache-2.0
// Step 1: is anything wrong? Services as rows, those that deviate most from the window before on top; the map beside.
import { useEffect, useMemo } from "preact/hooks";
import { type Overview as Answer, type OverviewService, query, type ServiceMap, useApi } from "../base/api";
import { assign } from "../base/colour";
import { count, duration, percent, rate } from "../base/format";
import { link, useRoute } from "../base/route";
import { windowName, windowParams } from "../base/time_window";
import { Service } from "../parts/service";
import { Spark } from "../parts/spark";
import { Bones, Empty, EmptyStore, Failure } from "../parts/state";
import { type Column, Table } from "../parts/table";
import { Drawing, drawingSize } from "./map/drawing";
import { layout } from "./map/layout";
import "./overview.css";

const LIVE_MS = 5000;

function share(errors: number, requests: number): number {
	return requests ? errors / requests : 0;
}

/** "3.1 × slower", "errors 0.1 % → 4 %": what deviates, in words; nothing when nothing does. */
export function deviates(s: OverviewService): string {
	const b = s.before;
	const now = share(s.errors, s.requests);
	const then = share(b.errors, b.requests);
	const says: string[] = [];
	if (b.requests === 0) return s.requests ? "new" : "";
	if (now > then * 1.5 + 0.001) says.push(`errors ${percent(then)} → ${percent(now)}`);
	const times = b.p95_ns ? s.p95_ns / b.p95_ns : 1;
	if (times > 1.25) says.push(`p95 ${times.toFixed(times < 10 ? 1 : 0)} × slower`);
	else if (times < 0.8) says.push(`p95 ${(1 / times).toFixed(1)} × faster`);
	return says.join(", ");
}

/** Where the reason of a deviation is seen: its failed traces, else those that were slower than was usual. */
function reason(s: OverviewService): string | null {
	if (!s.before.requests || s.deviation <= 0) return null;
	const failing = share(s.errors, s.requests) > share(s.before.errors, s.before.requests) * 1.5 + 0.001;
	if (failing) return link(["search"], { service: s.service, error: true });
	return s.p95_ns > s.before.p95_ns * 1.25 ? link(["search"], { service: s.service, min_duration: s.before.p95_ns }) : null;
}

/** What got worse first; the rest as the server has it (by deviation, whichever way, then requests). */
function ordered(services: OverviewService[]): OverviewService[] {
	const bad = (s: OverviewService) => s.deviation >= 1 && isWorse(s);
	return [...services.filter(bad), ...services.filter((s) => !bad(s))];
}

const isWorse = (s: OverviewService) => share(s.errors, s.requests) > share(s.before.errors, s.before.requests) || s.p95_ns > s.before.p95_ns;

function columns(colours: Map<string, number>, seconds: number, compares: boolean): Column<OverviewService>[] {
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
			title: "Against before",
			class: "wraps",
			sort: (s) => s.deviation,
			cell: (s) => {
				const says = s.deviation > 0 || s.before.requests === 0 ? deviates(s) : "";
				const where = reason(s);
				const look = s.deviation >= 1 && isWorse(s) ? "deviates" : "quiet";
				return where ? (
					<a class={`plain ${look}`} href={where} title="Show these traces">
						{says}
					</a>
				) : (
					<span class={look}>{says}</span>
				);
			},
		},
		{ key: "rate", title: "Requests", figure: true, wideOnly: true, sort: (s) => s.requests, cell: (s) => <span title={`${count(s.requests)} requests`}>{rate(s.requests / seconds)}</span> },
		{
			key: "spark",
			title: "",
			unseen: "Requests over time",
			wideOnly: true,
			cell: (s) => <Spark values={s.spark.requests} errors={s.spark.errors} width={72} label={`requests of ${s.service} over the window`} />,
		},
		{
			key: "errors",
			title: "Errors",
			figure: true,
			sort: (s) => share(s.errors, s.requests),
			cell: (s) => <span class={s.errors ? "error" : "quiet"} title={`${count(s.errors)} errors`}>{percent(share(s.errors, s.requests))}</span>,
		},
		{ key: "p50", title: "p50", figure: true, wideOnly: true, sort: (s) => s.p50_ns, cell: (s) => duration(s.p50_ns) },
		{ key: "p95", title: "p95", figure: true, sort: (s) => s.p95_ns, cell: (s) => duration(s.p95_ns) },
		{ key: "p99", title: "p99", figure: true, wideOnly: true, sort: (s) => s.p99_ns, cell: (s) => duration(s.p99_ns) },
		{
			key: "trend",
			title: "p95 over time",
			wideOnly: true,
			cell: (s) => <Spark values={s.spark.p95_ns.map((ns, i) => (s.spark.requests[i] ? ns : null))} width={72} label={`p95 of ${s.service} over the window`} />,
		},
	];
	return all.filter((c) => compares || c.key !== "deviation");
}

const BESIDE_W = 440; // px: a wider map stands below the table
const BELOW_NODES = 40; // a larger one has its own view

type Where = "beside" | "below" | "nowhere";

function whereOf(map: ServiceMap | null): Where {
	if (!map || map.edges.every((e) => e.client === null) || map.nodes.length > BELOW_NODES) return "nowhere";
	return drawingSize(layout(map), true).w <= BESIDE_W ? "beside" : "below";
}

export function Overview() {
	const r = useRoute();
	const live = r.params.get("live") === "1";
	const answer = useApi<Answer>(query("overview", { ...windowParams(r), buckets: 60 }), live ? { everyMs: LIVE_MS } : {});
	const map = useApi<ServiceMap>(query("map", windowParams(r)), live ? { everyMs: LIVE_MS } : {});
	useEffect(() => {
		document.title = "Overview · clew";
	}, []);
	const data = answer.data;
	const where = useMemo(() => whereOf(map.data), [map.data]);
	const narrow = matchMedia("(max-width: 720px)").matches;
	const compares = data?.services.some((s) => s.before.requests > 0) ?? false;
	const worse = data?.services.filter((s) => s.deviation >= 1 && isWorse(s)).length ?? 0;
	const colours = assign(data?.services.map((s) => s.service) ?? []);
	const seconds = data ? Math.max(1, (data.until_ns - data.since_ns) / 1e9) : 1;
	return (
		<>
			<div class="top">
				<h1>Overview</h1>
				{data && data.services_total > 0 && (
					<span class="quiet">
						{count(data.services_total)} services, {count(data.services.reduce((n, s) => n + s.requests, 0))} requests, {windowName(r)}
						{compares && (worse ? <b class="deviates">, {count(worse)} worse than before</b> : ", none worse than before")}
					</span>
				)}
			</div>
			{answer.error && <Failure error={answer.error} retry={answer.reload} />}
			{!data && <Bones rows={8} shown={answer.waiting} />}
			{data && data.services.length > 0 && (
				<div class={`overview map-${where} ${answer.stale ? "stale" : ""}`}>
					<div>
						<Table caption="Services, the ones that got worse first" columns={columns(colours, seconds, compares)} rows={ordered(data.services)} rowKey={(s) => s.service} />
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
			{data && data.services.length === 0 && (r.params.get("since") === "0" ? <EmptyStore /> : <NothingHere />)}
		</>
	);
}

function NothingHere() {
	const r = useRoute();
	return (
		<Empty title={`No requests in the ${windowName(r)}`}>
			<p>
				<a class="button" href={link([], { since: "0", until: null })}>
					Show everything that the store holds
				</a>
			</p>
		</Empty>
	);
}
