// SPDX-License-Identifier: Apache-2.0
// The selected span: where its time went, why it hangs where it hangs, what it carries.
import { useMemo, useState } from "preact/hooks";
import { query, type SpanDetail, useApi } from "../../base/api";
import { TIMES } from "../../base/colour";
import { quoted } from "../../base/filter";
import { absolute, duration, percent } from "../../base/format";
import { link, patch, useRoute } from "../../base/route";
import { Copy } from "../../parts/copy";
import { Service } from "../../parts/service";
import { Bones, Failure } from "../../parts/state";
import type { TraceModel } from "./model";

/** One bar: this span's thread while the span was open, and what of it is other spans'. */
function Breakdown(props: { model: TraceModel; row: number }) {
	const t = props.model.tree;
	const total = Math.max(1, t.duration[props.row] as number);
	const parts = TIMES.map((k) => ({ ...k, ns: t.times[k.key][props.row] ?? -1 })).filter((p) => p.ns > 0);
	const known = parts.reduce((n, p) => n + p.ns, 0);
	const rest = total - known;
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
					<i key={p.key} style={{ width: `${Math.min(100, (p.ns / total) * 100)}%`, background: `var(${p.colour})` }} />
				))}
			</div>
			<table class="parts">
				<tbody>
					{parts.map((p) => (
						<tr key={p.key}>
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
					{rest > total * 0.005 && (
						<tr>
							<td>
								<span class="service">
									<i style={{ background: "var(--time-callee)" }} />
									elsewhere (callees, other threads)
								</span>
							</td>
							<td class="figure">{duration(rest)}</td>
							<td class="figure quiet">{percent(rest / total)}</td>
						</tr>
					)}
					{network >= 0 && (
						<tr>
							<td class="quiet">of it on the network and in queues</td>
							<td class="figure">{duration(network)}</td>
							<td class="figure quiet">{percent(network / total)}</td>
						</tr>
					)}
				</tbody>
			</table>
		</div>
	);
}

const CLASS_TEXT: Record<string, string> = {
	root: "It is a root: nobody that is traced called it.",
	certain: "Its parent is certain.",
	probable: "Its parent is probable.",
	orphan: "Its parent is not known.",
};

function Why(props: { span: SpanDetail }) {
	const s = props.span;
	const asked = useRoute().params.get("why") === "1";
	const cls = s.why.class || (s.parent_span_id === null ? "root" : "");
	const open = asked || cls === "orphan" || cls === "probable";
	const candidates = s.links.filter((l) => l.confidence >= 0);
	return (
		<section class="why">
			<h3>
				<button type="button" class="bare" aria-expanded={open} onClick={() => patch({ why: !asked }, true)}>
					<i class={`joint-sample ${cls}`} /> Why this parent?
				</button>
			</h3>
			<p>{CLASS_TEXT[cls] ?? "It came from a sender that names its parent itself."}</p>
			{open && (
				<>
					{s.why.text.map((line) => (
						<p key={line} class="quiet">
							{line}
						</p>
					))}
					{candidates.length > 0 && (
						<>
							<p>Candidates:</p>
							<ul class="candidates">
								{candidates.map((c) => (
									<li key={c.span_id}>
										<a class="act" href={link(["trace", c.trace_id], { span: c.span_id })}>
											{c.attributes?.["clew.candidate.service"]
												? `${c.attributes["clew.candidate.service"]} ${c.attributes["clew.candidate.name"] ?? ""}`
												: c.span_id}
										</a>
										<span class="quiet">{percent(c.confidence)}</span>
									</li>
								))}
							</ul>
						</>
					)}
				</>
			)}
		</section>
	);
}

/** The span's attributes without its resource's, which the flat object repeats; clew's own, or all others. */
function own(s: SpanDetail, clews: boolean): SpanDetail["attributes"] {
	return Object.fromEntries(Object.entries(s.attributes).filter(([k]) => !(k in s.resource) && k.startsWith("clew.") === clews));
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
				{duration(t.duration[row] as number)}, begins at {duration(t.start[row] as number)}
				{s && <span title={`${s.start_ns} ns`}> ({absolute(s.start_ns)})</span>}
				{s && s.kind !== "unspecified" && `, ${s.kind}`}
				{model.isError(row) && <span class="error">, error{s?.status_message ? `: ${s.status_message}` : ""}</span>}
			</p>
			<section>
				<Breakdown model={model} row={row} />
			</section>
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
					<Why key={s.span_id} span={s} />
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
