// SPDX-License-Identifier: Apache-2.0
// The answer in one line: whose own time the critical path was, and where a failure began. A click selects the span.
import { useMemo } from "preact/hooks";
import { TIMES } from "../../base/colour";
import { count, duration, percent } from "../../base/format";
import { patch } from "../../base/route";
import { Service } from "../../parts/service";
import { waitOf } from "./meanwhile";
import { CLIENT, type Share, type TraceModel } from "./model";

const SHOWN = 4;
const LEAST = 0.03; // of the trace: less is told with the others
const MUCH = 0.1; // what a service must have to be named without an operation

/** What a span without spans below it mostly did, where that is known. */
function mostly(m: TraceModel, i: number): string {
	const t = m.tree;
	if (m.hasChildren(i) || (t.times.cpu[i] ?? -1) < 0) return "";
	const most = TIMES.find((k) => (t.times[k.key][i] ?? 0) > 0.6 * (t.duration[i] as number));
	return most ? `, mostly ${most.name}` : "";
}

/** Whose time it is that a span has of its own. */
function whose(m: TraceModel, s: Share): string {
	if (m.tree.kind[s.row] !== CLIENT) return mostly(m, s.row);
	if ((m.tree.network[s.row] ?? -1) < 0) return ", its callee is not traced";
	return waitOf(m, s.row) ? `, before ${m.service(s.row + 1)} began` : ", network and queues";
}

interface Entry {
	key: string;
	/** The span to select; -1: none. */
	row: number;
	ns: number;
	service: string;
	text: string;
	beside: string;
	gap?: boolean;
}

/** Where threads slept: the span that has most of it, and the others together. */
function slept(m: TraceModel, total: number): Entry[] {
	const gaps = [...m.gaps].map(([row, list]): [number, number] => [row, list.reduce((n, [from, to]) => n + to - from, 0)]).sort((a, b) => b[1] - a[1]);
	const all = gaps.reduce((n, [, ns]) => n + ns, 0);
	const [most] = gaps;
	if (!most || all <= total * 0.001) return [];
	const one = gaps.length === 1 || most[1] > 0.9 * all;
	return [{ key: "asleep", row: most[0], ns: all, service: one ? m.service(most[0]) : "", text: one ? m.name(most[0]) : "", beside: one ? ", asleep" : "asleep, in several places", gap: true }];
}

/** The operations that have most, those that slept among them; the others by service, together where that is little. */
function entries(m: TraceModel): Entry[] {
	const total = Math.max(1, m.tree.duration_ns);
	const shares = m.shares();
	const one = (s: Share): Entry => ({
		key: `${s.row}`,
		row: s.row,
		ns: s.ns,
		service: m.service(s.row),
		text: m.name(s.row),
		beside: `${s.spans > 1 ? `, ${count(s.spans)} spans` : ""}${whose(m, s)}`,
	});
	const asleep = slept(m, total);
	const top = shares.filter((s, k) => k < SHOWN && ((k === 0 && !asleep.length) || s.ns > total * LEAST));
	const out = top.map(one);
	const rest = new Map<string, Share[]>();
	for (const s of shares.slice(top.length)) rest.set(m.service(s.row), [...(rest.get(m.service(s.row)) ?? []), s]);
	let others = 0;
	for (const [service, list] of rest) {
		const ns = list.reduce((n, s) => n + s.ns, 0);
		if (ns > total * MUCH) out.push({ key: service, row: (list[0] as Share).row, ns, service, text: "", beside: `${count(list.length)} ${top.length ? "other " : ""}operations` });
		else others += ns;
	}
	out.push(...asleep);
	out.sort((a, b) => b.ns - a.ns);
	if (others > total * 0.001) out.push({ key: "others", row: -1, ns: others, service: "", text: "", beside: "all others" });
	return out;
}

/** Where a failure began. */
export function FailedFirst(props: { model: TraceModel; colours: Map<string, number> }) {
	const m = props.model;
	const at = useMemo(() => m.failure(), [m]);
	if (at < 0) return null;
	return (
		<button type="button" class="bare fact failed-first" title="The failed span below which none failed: select it" onClick={() => patch({ span: m.tree.id[at] as string, why: null }, true)}>
			<span class="quiet">failed first</span>
			<Service name={m.service(at)} colour={props.colours.get(m.service(at))} />
			<span class="clip">{m.name(at)}</span>
		</button>
	);
}

export function Legend(props: { model: TraceModel; colours: Map<string, number> }) {
	const m = props.model;
	const total = Math.max(1, m.tree.duration_ns);
	const list = useMemo(() => entries(m), [m]);
	const select = (row: number) => patch({ span: m.tree.id[row] as string, why: null }, true);
	const named = (service: string) => service && <Service name={service} colour={props.colours.get(service)} />;
	return (
		<div class="legend-line">
			<span class="quiet" title="From the end backwards: whose own time it was that the trace waited for">
				Critical path
			</span>
			<ul class="legend" aria-label="Whose time it was, on the critical path">
				{list.map((e) => (
					<li key={e.key}>
						<button
							type="button"
							class="bare"
							disabled={e.row < 0}
							title={e.gap ? "Its thread neither ran nor waited for a processor, and no call of it was open: it waited for a lock, a disk, a timer or another thread. Hatched on the bars" : "Select the one that took longest"}
							onClick={() => select(e.row)}
						>
							{e.gap && <i class="hatched" />}
							{named(e.service)}
							<span class="clip">
								{e.text}
								<span class="quiet">{e.beside}</span>
							</span>
							<b>{percent(e.ns / total)}</b>
							<span class="quiet">{duration(e.ns)}</span>
						</button>
					</li>
				))}
			</ul>
		</div>
	);
}
