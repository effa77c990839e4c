// SPDX-License-Identifier: Apache-2.0
// Below a span that waited for what was not seen: what else its service did at that time.
import { type Lines, query, type SpanDetail, useApi } from "../../base/api";
import { count, duration, S } from "../../base/format";
import { link } from "../../base/route";
import { Bones, Failure } from "../../parts/state";
import { meanwhile, type Other, type Wait } from "./meanwhile";

const LOOK_BACK = 60 * S; // whoever waited or held before this one
const ASKED = 500;

const lead = (o: Other) => link(["trace", o.trace_id], { span: o.span_id });

function Held(props: { wait: Wait; others: Other[]; complete: boolean }) {
	const { wait: w, others } = props;
	const m = meanwhile(w, others, props.complete);
	if (!m.together.length && !m.holder)
		return <p class="quiet">No other request of {w.service} waited as long and went on at the same time: what this one waited for was its own.</p>;
	return (
		<>
			{m.together.length > 0 && (
				<p>
					<a class="plain" href={link(["search"], { service: w.service, since: Math.round(w.from - LOOK_BACK), until: Math.round(w.to), min_duration: Math.round((w.to - w.from) / 10) })}>
						<b>
							{count(m.together.length)} other {m.together.length === 1 ? "request" : "requests"}
						</b>
					</a>{" "}
					waited too, and all went on within {duration(m.within)}: one thing held them, as a lock does, or a process that was stopped.
				</p>
			)}
			{m.holder && (
				<p>
					Just before, {w.service} was done with{" "}
					<a class="act" href={lead(m.holder)}>
						a request that took {duration(m.holder.duration_ns)}
					</a>
					: it may have held {m.together.length ? "them all" : "this one"}.
				</p>
			)}
		</>
	);
}

function Queued(props: { wait: Wait; others: Other[] }) {
	const { wait: w, others } = props;
	const m = meanwhile(w, others);
	if (!m.most) return <p class="quiet">{w.service} had no other request then: the wait was on the network, or its process did not read: it was stopped, or busy with something else.</p>;
	return (
		<p>
			{w.service} had{" "}
			<a class="plain" href={link(["search"], { service: w.service, since: Math.round(w.from - LOOK_BACK), until: Math.round(w.to) })}>
				<b>
					{count(m.most)} other {m.most === 1 ? "request" : "requests"} at once
				</b>
			</a>{" "}
			while this one waited{m.followed ? ", and took it when one of them was done: all of its workers may have been taken." : "."}
		</p>
	);
}

/** trace: the one that waited; its own spans are not the others. */
export function Waits(props: { wait: Wait; trace: string }) {
	const { wait: w } = props;
	const longer = Math.round((w.to - w.from) / 50);
	const asked = { service: w.service, kind: ["server", "consumer"], since: Math.round(w.from - LOOK_BACK), until: Math.round(w.to), limit: ASKED };
	const slow = useApi<Lines<SpanDetail>>(query("spans", { ...asked, min_duration: longer, sort: "duration" }), { lines: true });
	const begun = useApi<Lines<SpanDetail>>(query("spans", { ...asked, since: Math.round(w.from), sort: "start" }), { lines: true });
	const error = slow.error ?? begun.error;
	if (!slow.data || !begun.data)
		return (
			<section class="meanwhile">
				<h3>Meanwhile in {w.service}</h3>
				{error ? <Failure error={error} retry={slow.error ? slow.reload : begun.reload} /> : <Bones rows={4} height={20} shown={slow.waiting || begun.waiting} />}
			</section>
		);
	const byId = new Map([...slow.data.rows, ...begun.data.rows].filter((s) => s.trace_id !== props.trace).map((s) => [`${s.trace_id}${s.span_id}`, s]));
	const others = [...byId.values()].map((s): Other => ({ ...s, thread: String(s.attributes["thread.id"] ?? "") }));
	return (
		<section class="meanwhile">
			<h3>Meanwhile in {w.service}</h3>
			{w.what === "asleep" ? <Held wait={w} others={others} complete={begun.data.rows.length < ASKED} /> : <Queued wait={w} others={others} />}
		</section>
	);
}
