// SPDX-License-Identifier: Apache-2.0
// What the thread of a span did while it was open: what its counters say, and what follows from its calls.
import { TIMES } from "../../base/colour";
import { CLIENT, type TraceModel } from "./model";

export interface Part {
	name: string;
	ns: number;
	/** A variable of the theme. */
	colour: string;
	title?: string;
}

const CALLS = { name: "waiting for what it called", colour: "--time-callee" };
export const ASLEEP = {
	name: "asleep",
	colour: "--time-sleep",
	title: "It neither ran nor waited for a processor, and no call of it was open: it waited for a lock, a disk, a timer or another thread",
};
const ELSEWHERE = { name: "elsewhere (callees, other threads)", colour: "--time-callee" };

/** This span's thread while the span was open; nothing where that is not known: what may have run is not said to sleep. */
export function partsOf(m: TraceModel, row: number): Part[] {
	const t = m.tree;
	if ((t.times.cpu[row] ?? -1) < 0) return [];
	const known: Part[] = TIMES.map((k) => ({ name: k.name, colour: k.colour, ns: t.times[k.key][row] ?? -1 })).filter((p) => p.ns > 0);
	const total = Math.max(1, t.duration[row] as number);
	const left = Math.max(0, total - known.reduce((n, p) => n + p.ns, 0));
	const calls = t.kind[row] === CLIENT ? left : m.below(row);
	const rest: Part[] = calls < 0 ? [{ ...ELSEWHERE, ns: left }] : [{ ...CALLS, ns: Math.min(left, calls) }, { ...ASLEEP, ns: left - Math.min(left, calls) }];
	return [...known, ...rest.filter((p) => p.ns > total * 0.005)];
}
