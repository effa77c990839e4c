// SPDX-License-Identifier: Apache-2.0
// Step 2: which kind of request? A service's rate, errors and latency; its traces grouped by shape; its operations;
// who calls it and whom it calls.
import { useEffect, useMemo } from "preact/hooks";
import { isAnswered, type Lines, type Operation, type Pattern, type Patterns, query, type Red, type ServiceMap, type ServiceModel, useApi } from "../../base/api";
import { assign } from "../../base/colour";
import { changes, type Counts, ENOUGH, isClearlyWorse } from "../../base/deviation";
import { count, duration, percent, rate, rates } from "../../base/format";
import { link, type Route, useRoute } from "../../base/route";
import { inWindow, windowBefore, windowName, windowParams } from "../../base/time_window";
import { Plot } from "../../parts/plot";
import { Service as Name } from "../../parts/service";
import { Shape } from "../../parts/shape";
import { Bones, Empty, Failure } from "../../parts/state";
import { type Column, Table } from "../../parts/table";
import { Sure } from "./sure";
import "./service.css";

/** Red only where something failed: 0 is known beside it, and is nothing elsewhere. */
export function failing(errors: number[]): (number | null)[] {
	return errors.map((n, i) => (n || errors[i - 1] || errors[i + 1] ? n : null));
}

function Charts(props: { red: Red }) {
	const r = props.red;
	const seconds = r.bucket_ns / 1e9;
	// Where there were no requests, there is no latency: a gap, not 0.
	const known = (ns: number[]) => ns.map((v, i) => (r.requests[i] ? v : null));
	const rates = useMemo(
		() => [
			{ name: "requests", values: r.requests.map((n) => n / seconds), colour: "--accent", fill: true },
			{ name: "errors", values: failing(r.errors).map((n) => (n === null ? null : n / seconds)), colour: "--error", fill: true },
		],
		[r],
	);
	const times = useMemo(
		() => [
			{ name: "p50", values: known(r.p50_ns), colour: "--service-1" },
			{ name: "p95", values: known(r.p95_ns), colour: "--accent" },
			{ name: "p99", values: known(r.p99_ns), colour: "--quiet", dash: [4, 3] },
		],
		[r],
	);
	return (
		<div class="charts">
			<Plot title="Rate" since_ns={r.since_ns} bucket_ns={r.bucket_ns} lines={rates} say={rate} sync="red" />
			<Plot title="Latency" since_ns={r.since_ns} bucket_ns={r.bucket_ns} lines={times} say={duration} sync="red" />
		</div>
	);
}

function ShareBar(props: { share: number }) {
	return (
		<span class="share" title={percent(props.share)}>
			<i style={{ width: `${Math.max(1, props.share * 100)}%` }} />
		</span>
	);
}

const errorCell = (errors: number, requests: number) => (
	<span class={errors ? "error" : "quiet"} title={`${count(errors)} errors`}>
		{percent(requests ? errors / requests : 0)}
	</span>
);

const countsOf = (p: Pattern | undefined): Counts => ({ requests: p?.count ?? 0, errors: p?.errors ?? 0, p95_ns: p?.p95_ns ?? 0 });

/** What a pattern was before; undefined also when it was not among those that took most time. */
const was = (before: Patterns, p: Pattern) => before.patterns.find((b) => b.id === p.id);

/** What clearly got worse stands on top; the rest as the server has it: by the time that they took. */
function worstFirst(patterns: Pattern[], before: Patterns | null): Pattern[] {
	if (!before) return patterns;
	const bad = new Set(patterns.filter((p) => isClearlyWorse(countsOf(p), countsOf(was(before, p)))));
	return [...patterns.filter((p) => bad.has(p)), ...patterns.filter((p) => !bad.has(p))];
}

function Against(props: { pattern: Pattern; before: Patterns }) {
	const { pattern, before } = props;
	const then = was(before, pattern);
	// Of a window without requests everything would be new.
	if (!before.traces || (!then && before.total > before.patterns.length)) return null;
	const [a, b] = [countsOf(pattern), countsOf(then)];
	const bad = isClearlyWorse(a, b);
	const list = changes(a, b).filter((c) => c.what === "new" || (bad ? c.worse : Math.min(a.requests, b.requests) >= ENOUGH));
	return (
		<span class={bad ? "deviates" : "quiet"} title={list.map((c) => c.title).join("; ")}>
			{list.map((c) => c.text).join(", ")}
		</span>
	);
}

function patternColumns(service: string, colours: Map<string, number>, before: { name: string; of: Patterns } | null): Column<Pattern>[] {
	return [
		{
			key: "shape",
			title: "Shape",
			width: "1%",
			cell: (p) => (
				<a href={link(["service", service, "pattern", p.id])} aria-label={`pattern ${p.name} of ${p.spans} spans`}>
					<Shape of={p.shape} colours={colours} />
				</a>
			),
		},
		{
			key: "name",
			title: "Operation",
			sort: (p) => p.name,
			width: "24%",
			cell: (p) => (
				<a href={link(["service", service, "pattern", p.id])}>
					<span class="name">{p.name}</span> {p.service !== service && <span class="quiet small">from {p.service}</span>}
				</a>
			),
		},
		{ key: "against", title: before?.of.traces ? `Against ${before.name}` : "", unseen: "Against the time before", wideOnly: true, width: "18%", cell: (p) => before && <Against pattern={p} before={before.of} /> },
		{ key: "spans", title: "Spans", figure: true, wideOnly: true, sort: (p) => p.spans, cell: (p) => count(p.spans) },
		{ key: "count", title: "Traces", figure: true, sort: (p) => p.count, cell: (p) => count(p.count) },
		{ key: "share", title: "Share of time", sort: (p) => p.share, wideOnly: true, width: "10%", cell: (p) => <ShareBar share={p.share} /> },
		{ key: "errors", title: "Errors", figure: true, sort: (p) => p.errors / Math.max(1, p.count), cell: (p) => errorCell(p.errors, p.count) },
		{ key: "p50", title: "p50", figure: true, wideOnly: true, sort: (p) => p.p50_ns, cell: (p) => duration(p.p50_ns) },
		{ key: "p95", title: "p95", figure: true, sort: (p) => p.p95_ns, cell: (p) => duration(p.p95_ns) },
		{ key: "p99", title: "p99", figure: true, wideOnly: true, sort: (p) => p.p99_ns, cell: (p) => duration(p.p99_ns) },
	];
}

function operationColumns(service: string, rate: (perSecond: number) => string): Column<Operation>[] {
	return [
		{
			key: "name",
			title: "Operation",
			sort: (o) => o.name,
			width: "40%",
			cell: (o) => (
				<a href={link(["search"], { service, name: o.name, kind: o.kind })}>
					<span class="name">{o.name}</span> <span class="quiet small">{o.kind}</span>
				</a>
			),
		},
		{ key: "rate", title: "Rate", figure: true, sort: (o) => o.rate, cell: (o) => rate(o.rate) },
		{ key: "share", title: "Share of time", sort: (o) => o.share, wideOnly: true, width: "14%", cell: (o) => <ShareBar share={o.share} /> },
		{ key: "errors", title: "Errors", figure: true, sort: (o) => o.errors / Math.max(1, o.requests), cell: (o) => errorCell(o.errors, o.requests) },
		{ key: "p50", title: "p50", figure: true, wideOnly: true, sort: (o) => o.p50_ns, cell: (o) => duration(o.p50_ns) },
		{ key: "p95", title: "p95", figure: true, sort: (o) => o.p95_ns, cell: (o) => duration(o.p95_ns) },
		{ key: "p99", title: "p99", figure: true, wideOnly: true, sort: (o) => o.p99_ns, cell: (o) => duration(o.p99_ns) },
	];
}

function Neighbours(props: { service: string; map: ServiceMap; colours: Map<string, number> }) {
	const callers = props.map.edges.filter((e) => e.server === props.service && e.client !== props.service);
	const callees = props.map.edges.filter((e) => e.client === props.service && e.server !== props.service);
	const list = (title: string, edges: typeof callers, name: (e: (typeof callers)[0]) => string | null) => (
		<div>
			<h3>{title}</h3>
			{edges.length === 0 && <p class="quiet">nobody that was seen</p>}
			<ul class="neighbours">
				{edges.map((e) => {
					const n = name(e);
					return (
						<li key={n ?? ""}>
							{n === null ? (
								<span class="quiet">callers that are not traced</span>
							) : e.external && title === "Calls" ? (
								<Name name={n} colour={props.colours.get(n)} external />
							) : (
								<a href={link(["service", n])}>
									<Name name={n} colour={props.colours.get(n)} />
								</a>
							)}
							<span class="quiet">
								{count(e.calls)} calls, p95 {duration(e.p95_ns)}
								{e.errors > 0 && <span class="error">, {count(e.errors)} errors</span>}
							</span>
						</li>
					);
				})}
			</ul>
		</div>
	);
	return (
		<div class="two">
			{list("Called by", callers, (e) => e.client)}
			{list("Calls", callees, (e) => e.server)}
		</div>
	);
}

export function serviceAsks(r: Route, service: string) {
	const now = { ...windowParams(r), service };
	const before = windowBefore(r);
	return {
		red: query("red", { ...now, buckets: 120 }),
		patterns: query("patterns", { ...now, any: 1, limit: 50 }),
		before: before && query("patterns", { ...before.params, service, any: 1, limit: 200, examples: 0 }),
		operations: query("operations", now),
		why: "services/why",
		map: query("map", windowParams(r)),
	};
}

export function Service(props: { name: string }) {
	const r = useRoute();
	const service = props.name;
	const asks = serviceAsks(r, service);
	const every = r.params.get("live") === "1" ? { everyMs: 5000 } : {};
	const red = useApi<Red>(asks.red, every);
	const patterns = useApi<Patterns>(asks.patterns, every);
	const window = windowBefore(r);
	const before = useApi<Patterns>(asks.before);
	const operations = useApi<{ operations: Operation[] }>(asks.operations, every);
	const why = useApi<Lines<ServiceModel>>(asks.why, { lines: true });
	const map = useApi<ServiceMap>(asks.map, every);
	const names = new Set([service, ...(patterns.data?.patterns.flatMap((p) => p.shape.map((n) => n.service)) ?? [])]);
	const colours = assign([...names]);
	const requests = red.data?.requests.reduce((a, b) => a + b, 0) ?? null;
	useEffect(() => {
		document.title = `${service} · clew`;
	}, [service]);
	return (
		<>
			<div class="top">
				<h1>
					<Name name={service} colour={colours.get(service)} />
				</h1>
				<span class="quiet counted">{requests === null ? "\u00a0" : `${count(requests)} requests, ${windowName(r)}`}</span>
				<a class="act" href={link(["search"], { service })}>
					Its traces
				</a>
			</div>
			{red.error && <Failure error={red.error} retry={red.reload} />}
			{requests === 0 ? (
				<Empty title={`No requests of ${service} ${inWindow(r)}`}>
					<p>
						<a class="button" href={link(["service", service], { since: "0", until: null })}>
							Look at everything
						</a>
					</p>
				</Empty>
			) : (
				<>
					<div class="charts-place">{red.data && <Charts red={red.data} />}</div>
					<section>
						<h2>
							Patterns{" "}
							{patterns.data && (
								<span class="quiet small">
									{count(patterns.data.traces)} traces{patterns.data.sampled ? ", a sample" : ""}, grouped by shape
								</span>
							)}
						</h2>
						{patterns.error && <Failure error={patterns.error} retry={patterns.reload} />}
						{!patterns.data && <Bones rows={5} shown={patterns.waiting} />}
						{patterns.data && <Table caption="Patterns" param="patterns" columns={patternColumns(service, colours, window && before.data ? { name: window.name, of: before.data } : null)} rows={worstFirst(patterns.data.patterns, before.data)} rowKey={(p) => p.id} href={(p) => link(["service", service, "pattern", p.id])} keys />}
					</section>
					{/* What stands below waits for what stands above it, so that nothing jumps. */}
					{isAnswered(patterns) && (
						<section>
							<h2>Operations</h2>
							{operations.error && <Failure error={operations.error} retry={operations.reload} />}
							{!operations.data && <Bones rows={4} shown={operations.waiting} />}
							{operations.data && <Table caption="Operations" param="operations" columns={operationColumns(service, rates(operations.data.operations.map((o) => o.rate)))} rows={operations.data.operations} rowKey={(o) => `${o.kind} ${o.name}`} href={(o) => link(["search"], { service, name: o.name, kind: o.kind })} />}
						</section>
					)}
					{isAnswered(patterns) && isAnswered(operations) && isAnswered(why) && (
						<>
							<Sure of={why.data?.rows.find((m) => m.service === service)} />
							<section>{map.data && <Neighbours service={service} map={map.data} colours={colours} />}</section>
						</>
					)}
				</>
			)}
		</>
	);
}
