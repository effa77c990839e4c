// SPDX-License-Identifier: Apache-2.0
// The selected span: where its time went, why it hangs where it hangs, what it carries.
import { useMemo, useState } from "preact/hooks";
import { query, type SpanDetail, useApi } from "../../base/api";
import { quoted } from "../../base/filter";
import { absolute, duration, percent } from "../../base/format";
import { link, patch, useRoute } from "../../base/route";
import { Copy } from "../../parts/copy";
import { Service } from "../../parts/service";
import { Bones, Failure } from "../../parts/state";
import { waitOf } from "./meanwhile";
import type { TraceModel } from "./model";
import { ASLEEP, partsOf } from "./parts";
import { Waits } from "./waits";
import { Why } from "./why";

/** One bar: this span's thread while the span was open, and what of it is other spans'. */
function Breakdown(props: { model: TraceModel; row: number }) {
	const t = props.model.tree;
	const total = Math.max(1, t.duration[props.row] as number);
	const parts = partsOf(props.model, props.row);
	const network = t.network[props.row] ?? -1;
	if (!parts.length)
		return (
			<p class="quiet small">
				Where its thread's time went is not known: it was not traced by clew, or several requests shared the thread.
				{network >= 0 && ` On the network: ${duration(network)}.`}
			</p>
		);
	return (
		<div>
			<div class="breakdown" role="img" aria-label={parts.map((p) => `${p.name} ${duration(p.ns)}`).join(", ")}>
				{parts.map((p) => (
					<i key={p.name} style={{ width: `${Math.min(100, (p.ns / total) * 100)}%`, background: `var(${p.colour})` }} />
				))}
			</div>
			<table class="parts">
				<caption class="unseen">Where its thread's time went</caption>
				<tbody>
					{parts.map((p) => (
						<tr key={p.name} title={p.title}>
							<td>
								<span class="service">
									<i style={{ background: `var(${p.colour})` }} />
									{p.name}
								</span>
							</td>
							<td class="figure">{duration(p.ns)}</td>
							<td class="figure quiet">{percent(p.ns / total)}</td>
						</tr>
					))}
					{network >= 0 && (
						<tr>
							<td class="quiet">of it on the network and in queues</td>
							<td class="figure">{duration(network)}</td>
							<td class="figure quiet">{percent(network / total)}</td>
						</tr>
					)}
				</tbody>
			</table>
			{parts.some((p) => p.name === ASLEEP.name && p.ns > total / 10) && <p class="quiet small">Asleep: it waited for a lock, a disk, a timer or another thread, not for a call.</p>}
		</div>
	);
}

const CLOCK_NS = 1e6; // less is not worth a word

/** Both ends of a call bound each other's clocks. */
function clockOff(m: TraceModel, row: number): string {
	const by = m.moved.get(row) ?? 0;
	if (Math.abs(by) < CLOCK_NS) return "";
	return `; by its own host's clock ${duration(Math.abs(by))} ${by < 0 ? "later" : "earlier"}: clocks differ, it is drawn inside of its caller's call`;
}

/** The span's attributes without its resource's, which the flat object repeats; clew's own, or all others. */
function own(s: SpanDetail, clews: boolean): SpanDetail["attributes"] {
	return Object.fromEntries(Object.entries(s.attributes).filter(([k]) => !(k in s.resource) && k.startsWith("clew.") === clews));
}

/** Whose words a span is: its times and its evidence may be the kernel's all the same. */
function source(s: SpanDetail): string {
	if (s.scope === "clew") return "Seen in the kernel: this service said nothing of it.";
	const sdk = s.resource["telemetry.sdk.name"] ? `the ${s.resource["telemetry.sdk.name"]} SDK` : "its sender";
	const by = `Told by ${sdk}${s.scope ? ` (${s.scope})` : ""}`;
	return s.attributes["clew.wire_key"] ? `${by}, and seen in the kernel: where its time went, its connection, its parent.` : `${by}.`;
}

type Value = string | number | boolean;

function Attributes(props: { title: string; of: Record<string, Value> }) {
	const [filter, setFilter] = useState("");
	const entries = useMemo(() => Object.entries(props.of).sort(([a], [b]) => a.localeCompare(b)), [props.of]);
	const want = filter.toLowerCase();
	const shown = entries.filter(([k, v]) => !want || k.toLowerCase().includes(want) || String(v).toLowerCase().includes(want));
	if (!entries.length) return null;
	return (
		<section>
			<h3>{props.title}</h3>
			{entries.length > 8 && (
				<input
					type="search"
					placeholder="Filter"
					aria-label={`Filter ${props.title.toLowerCase()}`}
					value={filter}
					onInput={(e) => setFilter(e.currentTarget.value)}
				/>
			)}
			<table class="attributes">
				<tbody>
					{shown.map(([k, v]) => (
						<tr key={k}>
							<th scope="row">{k}</th>
							<td>
								<a class="plain mono" title="Search for it" href={link(["search"], { where: [`${k}=${quoted(v)}`] })}>
									{String(v)}
								</a>
							</td>
						</tr>
					))}
				</tbody>
			</table>
			{shown.length === 0 && <p class="quiet small">None of {entries.length} fits.</p>}
		</section>
	);
}

/** What its sender left out, or what was beyond our limits. */
function Dropped(props: { of: SpanDetail["dropped"] }) {
	const parts = Object.entries(props.of).filter(([, n]) => n > 0);
	if (!parts.length) return null;
	return <p class="quiet small">Left out: {parts.map(([what, n]) => `${n} ${what}`).join(", ")}.</p>;
}

export function Panel(props: { model: TraceModel; row: number; colours: Map<string, number> }) {
	const { model, row } = props;
	const t = model.tree;
	const id = t.id[row] as string;
	const answer = useApi<SpanDetail>(query(`trace/${t.trace_id}/span/${id}`, {}));
	const raw = useRoute().params.get("raw") === "1";
	const s = answer.data;
	const wait = waitOf(model, row);
	return (
		<aside class="panel" aria-label={`Span ${model.name(row)}`}>
			<div class="panel-head">
				<Service name={model.service(row)} colour={props.colours.get(model.service(row))} />
				<button type="button" class="bare" aria-label="Close the span" onClick={() => patch({ span: null, why: null }, true)}>
					✕
				</button>
			</div>
			<h2>{model.name(row)}</h2>
			<p class="quiet">
				{duration(t.duration[row] as number)}, {t.start[row] ? `begins at ${duration(t.start[row] as number)}` : "from the begin on"}
				{s && <span title={`${s.start_ns} ns`}> ({absolute(s.start_ns)})</span>}
				{s && s.kind !== "unspecified" && `, ${s.kind}`}
				{clockOff(model, row)}
				{model.isError(row) && <span class="error">, error{s?.status_message ? `: ${s.status_message}` : ""}</span>}
			</p>
			<section>
				<Breakdown model={model} row={row} />
			</section>
			{wait && <Waits wait={wait} trace={t.trace_id} />}
			{answer.error && <Failure error={answer.error} retry={answer.reload} />}
			{!s && <Bones rows={8} shown={answer.waiting} />}
			{s && (
				<>
					{(t.incomplete[row] as number) > 0 && (
						<section>
							<h3>Incomplete</h3>
							<p class="quiet">{String(s.attributes["clew.incomplete"] ?? "Part of it was not seen.")}</p>
						</section>
					)}
					<p class="quiet small">{source(s)}</p>
					<Why key={s.span_id} span={s} model={model} row={row} colours={props.colours} />
					<Attributes title="Attributes" of={own(s, false)} />
					{s.events.length > 0 && (
						<section>
							<h3>Events</h3>
							<table class="attributes">
								<tbody>
									{s.events.map((e, k) => (
										<tr key={k}>
											<th scope="row">{duration(e.time_ns - s.start_ns)}</th>
											<td>
												{e.name}{" "}
												<span class="quiet mono">
													{Object.entries(e.attributes)
														.map(([a, v]) => `${a}=${v}`)
														.join(" ")}
												</span>
											</td>
										</tr>
									))}
								</tbody>
							</table>
						</section>
					)}
					<Attributes title="Resource" of={s.resource} />
					<Attributes title="How it was seen" of={own(s, true)} />
					<Dropped of={s.dropped} />
					<section class="panel-foot">
						<Copy text={id} what="span id" />
						<Copy text={JSON.stringify(s, null, 2)} what="JSON" />
						<button type="button" class="bare" aria-expanded={raw} onClick={() => patch({ raw: !raw }, true)}>
							Raw JSON
						</button>
						{raw && <pre>{JSON.stringify(s, null, 2)}</pre>}
					</section>
				</>
			)}
		</aside>
	);
}
