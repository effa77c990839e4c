// SPDX-License-Identifier: Apache-2.0
// A wait that no call explains, and what else its service did then: whether one thing held several requests, whether
// all of its workers were taken.
import type { TraceModel } from "./model";
import { CLIENT } from "./model";

/** Where a span of this trace waited; times in Unix ns. */
export interface Wait {
	/** asleep: its thread did nothing; queue: the callee had not yet begun with it. */
	what: "asleep" | "queue";
	/** Whose other requests may say why. */
	service: string;
	from: number;
	to: number;
}

/** A request of that service. */
export interface Other {
	trace_id: string;
	span_id: string;
	name: string;
	start_ns: number;
	duration_ns: number;
	/** What served it; "": not known. */
	thread: string;
}

const LEAST_NS = 1e6; // less is not worth a question
const LEAST_SHARE = 0.3; // of the span

/** What of a span is to be explained by what else went on; null: nothing. */
export function waitOf(m: TraceModel, row: number): Wait | null {
	const t = m.tree;
	const start = t.start[row] as number;
	const end = start + (t.duration[row] as number);
	const worth = (ns: number) => ns >= LEAST_NS && ns >= LEAST_SHARE * (end - start);
	const gaps = m.gaps.get(row)?.slice().sort((a, b) => b[1] - b[0] - (a[1] - a[0])) ?? [];
	const [gap] = gaps;
	// As that service's own clock has it: so have its other requests.
	const at = (ns: number, of: number) => t.start_ns + ns - (m.moved.get(of) ?? 0);
	if (gap && worth(gap[1] - gap[0])) return { what: "asleep", service: m.service(row), from: at(gap[0], row), to: at(gap[1], row) };
	const below = row + 1;
	if (t.kind[row] !== CLIENT || (t.network[row] ?? -1) < 0 || below >= (m.end[row] as number)) return null;
	const taken = t.start[below] as number;
	return worth(taken - start) ? { what: "queue", service: m.service(below), from: at(start, below), to: at(taken, below) } : null;
}

const endOf = (o: Other) => o.start_ns + o.duration_ns;

/** How near to each other two ends are that one thing may have brought about. */
const near = (w: Wait) => Math.max(5e6, 0.01 * (w.to - w.from));

export interface Meanwhile {
	/** Waited too, and went on at about the same time. */
	together: Other[];
	/** From the first of them that went on to the last, this one among them, ns. */
	within: number;
	/** May have held them: what it did last ended, or began, just before they went on. */
	holder: Other | null;
	/** How many were in the service at once, at most, while this one waited. */
	most: number;
	/** One of them was done just before this one was taken. */
	followed: boolean;
}

/** At how many at once it was highest. */
function atOnce(w: Wait, then: readonly Other[]): number {
	// Each begin and each end, in the order of time; of equal times the end first.
	const steps = then.flatMap((o) => [[Math.max(o.start_ns, w.from), 1] as const, [endOf(o), -1] as const]).sort((a, b) => a[0] - b[0] || a[1] - b[1]);
	let now = 0;
	let most = 0;
	for (const [, by] of steps) most = Math.max(most, (now += by));
	return most;
}

/**
 * The end of a transaction is short. That of a holder is the first that its thread was asked since the wait began, just before the
 * others went on: `first`. A thread that serves others meanwhile holds nobody.
 */
function ending(w: Wait, others: readonly Other[], first: number): Other | undefined {
	const begun = others.filter((o) => o.thread && o.start_ns > w.from && o.start_ns <= first).sort((a, b) => b.start_ns - a.start_ns);
	return begun.find((o) => o.start_ns >= first - near(w) && begun.every((b) => b === o || b.thread !== o.thread));
}

/**
 * others: requests of the wait's service that began before it ended, this one not among them; complete: all those that
 * began while it waited are.
 */
export function meanwhile(w: Wait, others: readonly Other[], complete = true): Meanwhile {
	const then = others.filter((o) => o.start_ns < w.to && endOf(o) > w.from);
	const late = then.filter((o) => o.duration_ns > 0.1 * (w.to - w.from) && Math.abs(endOf(o) - w.to) <= near(w)).sort((a, b) => endOf(a) - endOf(b));
	const first = Math.min(w.to, ...late.slice(1).map(endOf));
	const last = complete ? ending(w, others.filter((o) => !late.includes(o)), first) : undefined;
	// What a holder did before its transaction ended did not wait with the others; else the first to end may have held them.
	const early = late[0] && endOf(late[0]) < first ? late[0] : undefined;
	const own = last ? late.find((o) => o.thread === last.thread) : early;
	const together = late.filter((o) => o !== own);
	const ends = [w.to, ...together.map(endOf)];
	return {
		together,
		within: Math.max(...ends) - Math.min(...ends),
		holder: own ?? last ?? null,
		most: atOnce(w, then),
		followed: then.some((o) => endOf(o) <= w.to && endOf(o) >= w.to - near(w)),
	};
}
