// SPDX-License-Identifier: Apache-2.0
// Why this parent? How sure the link is, what speaks for it and what against, who else it could be.
import type { SpanDetail } from "../../base/api";
import { duration, percent } from "../../base/format";
import { here, link, patch, useRoute } from "../../base/route";
import { Service } from "../../parts/service";
import type { TraceModel } from "./model";

const VERDICTS: Record<string, string> = {
	certain: "Certain",
	probable: "Probable",
	orphan: "Not known",
	root: "A root",
	"": "Named by its sender",
};

function Reasons(props: { title: string; of: SpanDetail["why"]["reasons"] }) {
	if (!props.of.length) return null;
	return (
		<>
			<p class="quiet">{props.title}</p>
			<ul class="reasons">
				{props.of.map((r) => (
					<li key={r.text}>{r.text}</li>
				))}
			</ul>
		</>
	);
}

type Candidate = SpanDetail["links"][0];

/** When it began and was answered, as seen from the call. */
function told(begin: number, end: number, call: number): string {
	const from = (ns: number) => (ns === 0 ? "with the call" : `${duration(Math.abs(ns))} ${ns < 0 ? "before" : "after"} the call`);
	return `began ${from(begin - call)}, answered ${from(end - call)}${end < call ? ": it was over" : ""}`;
}

function CandidateRow(props: { of: Candidate; span: SpanDetail; model: TraceModel }) {
	const { of: c, span, model } = props;
	const row = c.trace_id === span.trace_id ? model.row(c.span_id) : -1;
	const a = c.attributes ?? {};
	const service = row >= 0 ? model.service(row) : String(a["clew.candidate.service"] ?? "");
	const name = row >= 0 ? model.name(row) : String(a["clew.candidate.name"] ?? "");
	const begin = row >= 0 ? model.tree.start_ns + (model.tree.start[row] as number) : Number(a["clew.candidate.start_ns"]);
	const end = row >= 0 ? begin + (model.tree.duration[row] as number) : Number(a["clew.candidate.end_ns"]);
	return (
		<li>
			<span>
				<a class="act" href={row >= 0 ? here({ span: c.span_id }) : link(["trace", c.trace_id], { span: c.span_id })}>
					{service ? `${service} ${name}` : c.span_id}
				</a>
				<br />
				<span class="quiet small">
					{service ? told(begin, end, span.start_ns) : "it is not in the store"}
					{row < 0 && service && `; trace ${c.trace_id.slice(0, 8)}`}
				</span>
			</span>
			<span class="quiet">{percent(c.confidence)}</span>
		</li>
	);
}

export function Why(props: { span: SpanDetail; model: TraceModel; row: number; colours: Map<string, number> }) {
	const { span: s, model } = props;
	const asked = useRoute().params.get("why") === "1";
	const cls = s.why.class || (s.parent_span_id === null ? "root" : "");
	const open = asked || cls === "orphan" || cls === "probable";
	const candidates = s.links.filter((l) => l.confidence >= 0);
	const parent = model.parent(props.row);
	const orphan = cls === "orphan";
	const speaks = s.why.reasons.filter((r) => r.for);
	const against = s.why.reasons.filter((r) => !r.for);
	const sure = s.why.confidence !== null && cls === "probable" ? `, ${percent(s.why.confidence)} sure` : "";
	// What its words are where there are no reasons: a root, a span that was received.
	const else_ = s.why.reasons.length ? [] : s.why.text.slice(0, 1);
	return (
		<section class="why">
			<h3>
				<button type="button" class="bare" aria-expanded={open} onClick={() => patch({ why: !asked }, true)}>
					Why this parent?
				</button>
			</h3>
			<p class="verdict-line">
				<i class={`joint-sample ${cls}`} />
				<b>{VERDICTS[cls] ?? cls}</b>
				{sure}
			</p>
			{parent >= 0 && (
				<p>
					<a class="parent-link" href={here({ span: model.tree.id[parent] as string })}>
						<Service name={model.service(parent)} colour={props.colours.get(model.service(parent))} /> {model.name(parent)}
					</a>
				</p>
			)}
			{parent < 0 && s.parent_span_id !== null && (
				<p class="quiet">
					Its parent, <span class="mono">{s.parent_span_id}</span>, is not in the store: it was not sent, or not sampled, or is still to come.
				</p>
			)}
			{open && (
				<>
					{else_.map((line) => (
						<p key={line} class="quiet">
							{line.charAt(0).toUpperCase() + line.slice(1)}.
						</p>
					))}
					<Reasons title={orphan ? "For the best guess speaks:" : "What says so:"} of={speaks} />
					<Reasons title={orphan ? "What keeps it from being believed:" : "Against it:"} of={against} />
					{candidates.length > 0 && (
						<>
							<p class="quiet">Candidates, the likeliest first:</p>
							<ul class="candidates">
								{candidates.map((c) => (
									<CandidateRow key={c.span_id} of={c} span={s} model={model} />
								))}
							</ul>
						</>
					)}
				</>
			)}
		</section>
	);
}
