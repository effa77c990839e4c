// SPDX-License-Identifier: Apache-2.0
// Step 2: which kind of request? A service's rate, errors and latency; its traces grouped by shape; its operations;
// who calls it and whom it calls.
import { useEffect, useMemo } from "preact/hooks";
import { type Operation, type Pattern, type Patterns, query, type Red, type ServiceMap, useApi } from "../../base/api";
import { assign } from "../../base/colour";
import { count, duration, percent, rate } from "../../base/format";
import { link, useRoute } from "../../base/route";
import { windowName, windowParams } from "../../base/time_window";
import { Plot } from "../../parts/plot";
import { Service as Name } from "../../parts/service";
import { Shape } from "../../parts/shape";
import { Bones, Empty, Failure } from "../../parts/state";
import { type Column, Table } from "../../parts/table";
import "./service.css";

function Charts(props: { red: Red }) {
	const r = props.red;
	const seconds = r.bucket_ns / 1e9;
	// Where there were no requests, there is no latency: a gap, not 0.
	const known = (ns: number[]) => ns.map((v, i) => (r.requests[i] ? v : null));
	const rates = useMemo(
		() => [
			{ name: "requests", values: r.requests.map((n) => n / seconds), colour: "--accent", fill: true },
			{ name: "errors", values: r.errors.map((n) => n / seconds), colour: "--error" },
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

function patternColumns(service: string, colours: Map<string, number>): Column<Pattern>[] {
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
			width: "34%",
			cell: (p) => (
				<a href={link(["service", service, "pattern", p.id])}>
					<span class="name">{p.name}</span> {p.service !== service && <span class="quiet small">from {p.service}</span>}
				</a>
			),
		},
		{ key: "spans", title: "Spans", figure: true, wideOnly: true, sort: (p) => p.spans, cell: (p) => count(p.spans) },
		{ key: "count", title: "Traces", figure: true, sort: (p) => p.count, cell: (p) => count(p.count) },
		{ key: "share", title: "Share of time", sort: (p) => p.share, wideOnly: true, width: "14%", cell: (p) => <ShareBar share={p.share} /> },
		{ key: "errors", title: "Errors", figure: true, sort: (p) => p.errors / Math.max(1, p.count), cell: (p) => errorCell(p.errors, p.count) },
		{ key: "p50", title: "p50", figure: true, wideOnly: true, sort: (p) => p.p50_ns, cell: (p) => duration(p.p50_ns) },
		{ key: "p95", title: "p95", figure: true, sort: (p) => p.p95_ns, cell: (p) => duration(p.p95_ns) },
		{ key: "p99", title: "p99", figure: true, wideOnly: true, sort: (p) => p.p99_ns, cell: (p) => duration(p.p99_ns) },
	];
}

function operationColumns(service: string): Column<Operation>[] {
	return [
		{
			key: "name",
			title: "Operation",
			sort: (o) => o.name,
			width: "40%",
			cell: (o) => (
				<a href={link(["search"], { service, name: o.name })}>
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

export function Service(props: { name: string }) {
	const r = useRoute();
	const service = props.name;
	const every = r.params.get("live") === "1" ? { everyMs: 5000 } : {};
	const red = useApi<Red>(query("red", { ...windowParams(r), service, buckets: 120 }), every);
	const patterns = useApi<Patterns>(query("patterns", { ...windowParams(r), service, any: 1, limit: 50 }), every);
	const operations = useApi<{ operations: Operation[] }>(query("operations", { ...windowParams(r), service }), every);
	const map = useApi<ServiceMap>(query("map", windowParams(r)), every);
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
				{requests !== null && (
					<span class="quiet">
						{count(requests)} requests, {windowName(r)}
					</span>
				)}
				<a class="act" href={link(["search"], { service })}>
					its traces
				</a>
			</div>
			{red.error && <Failure error={red.error} retry={red.reload} />}
			{requests === 0 ? (
				<Empty title={`No requests of ${service} in the ${windowName(r)}`}>
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
						{patterns.data && <Table caption="Patterns" param="patterns" columns={patternColumns(service, colours)} rows={patterns.data.patterns} rowKey={(p) => p.id} />}
					</section>
					<section>
						<h2>Operations</h2>
						{operations.error && <Failure error={operations.error} retry={operations.reload} />}
						{!operations.data && <Bones rows={4} shown={operations.waiting} />}
						{operations.data && <Table caption="Operations" param="operations" columns={operationColumns(service)} rows={operations.data.operations} rowKey={(o) => `${o.kind} ${o.name}`} />}
					</section>
					<section>{map.data && <Neighbours service={service} map={map.data} colours={colours} />}</section>
				</>
			)}
		</>
	);
}
