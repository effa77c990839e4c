// SPDX-License-Identifier: Apache-2.0
// A trace in columns (preorder: a span is followed by its sub-tree), and what can be said of it without drawing.
import type { TraceTree } from "../../base/api";

export const CLIENT = 3;
export const PRODUCER = 4;

/** A piece of the critical path: whose time it was; gap: its thread slept, and no call of it was open. */
export interface Piece {
	row: number;
	from: number;
	to: number;
	gap: boolean;
}

/** What one operation has of the critical path. */
export interface Share {
	/** The span of it that has most. */
	row: number;
	/** How many spans of it are on the path. */
	spans: number;
	ns: number;
}

/** A span that may be the parent of an orphan; row -1: it is in another trace. */
export interface Candidate {
	row: number;
	trace: string;
	span: string;
	confidence: number;
}

export class TraceModel {
	/** Number of spans that are here; `tree.spans_total` are in the trace. */
	readonly n: number;
	/** The first row behind a span's sub-tree. */
	readonly end: Int32Array;
	readonly depth: Int32Array;
	/** 1: a piece of the critical path is this span's. */
	readonly critical: Uint8Array;
	readonly critical_path: Piece[] = [];
	/** By span: the parts of its own time on the critical path in which its thread slept. */
	readonly gaps = new Map<number, [from: number, to: number][]>();
	/** By orphan, the likeliest first. */
	readonly candidates = new Map<number, Candidate[]>();
	/** How many of the spans right below it were not sent (`folded` counts those further down, too). */
	readonly missing: Int32Array;
	/** By span: how much later it begins here than its own host's clock said; of most it is nothing. */
	readonly moved: ReadonlyMap<number, number>;
	private readonly rows = new Map<string, number>();

	constructor(readonly tree: TraceTree) {
		const n = (this.n = tree.id.length);
		this.end = new Int32Array(n);
		this.depth = new Int32Array(n);
		this.critical = new Uint8Array(n);
		this.missing = Int32Array.from(tree.folded);
		this.moved = new Map(tree.moved);
		for (let i = 0; i < n; i++) {
			const p = tree.parent[i] as number;
			this.depth[i] = p < 0 ? 0 : (this.depth[p] as number) + 1;
			this.end[i] = i + 1;
			this.rows.set(tree.id[i] as string, i);
		}
		for (let i = n - 1; i >= 0; i--) {
			const p = tree.parent[i] as number;
			if (p < 0) continue;
			this.end[p] = Math.max(this.end[p] as number, this.end[i] as number);
			this.missing[p] = (this.missing[p] as number) - (tree.folded[i] as number);
		}
		for (const [i, from, to, whose] of tree.critical) {
			const row = i >= 0 ? i : (whose ?? this.innermost(from, to));
			if (row < 0) continue;
			this.critical[row] = 1;
			this.critical_path.push({ row, from, to, gap: i < 0 });
			if (i < 0) this.gaps.set(row, [...(this.gaps.get(row) ?? []), [from, to]]);
		}
		for (const [i, trace, span, confidence] of tree.candidates) {
			const list = this.candidates.get(i) ?? [];
			list.push({ row: trace === tree.trace_id ? this.row(span) : -1, trace, span, confidence });
			this.candidates.set(
				i,
				list.sort((a, b) => b.confidence - a.confidence),
			);
		}
	}

	/** The deepest span that was open all of a stretch of time; -1: none. */
	private innermost(from: number, to: number): number {
		const t = this.tree;
		let best = -1;
		for (let i = 0; i < this.n; i++) {
			const start = t.start[i] as number;
			if (start > from || start + (t.duration[i] as number) < to) continue;
			if (best < 0 || (this.depth[i] as number) > (this.depth[best] as number)) best = i;
		}
		return best;
	}

	/** All services: the root's, then by their own time on the critical path, then by the time of their spans. */
	weightiest(): string[] {
		const t = this.tree;
		const own = new Float64Array(t.services.length);
		const all = new Float64Array(t.services.length);
		const add = (to: Float64Array, row: number, ns: number) => {
			const s = t.service[row] as number;
			to[s] = (to[s] as number) + ns;
		};
		for (const p of this.critical_path) add(own, p.row, p.to - p.from);
		for (let i = 0; i < this.n; i++) add(all, i, t.duration[i] as number);
		const root = this.n ? t.service[0] : -1;
		const rank = (s: number) => (s === root ? Infinity : (own[s] as number));
		return t.services
			.map((_, s) => s)
			.sort((a, b) => (rank(a) === rank(b) ? (all[b] as number) - (all[a] as number) : rank(b) - rank(a)))
			.map((s) => t.services[s] as string);
	}

	/** Whose own time the critical path was, by service, operation and kind, most first; what was slept left out. */
	shares(): Share[] {
		const t = this.tree;
		const own = new Map<number, number>();
		for (const p of this.critical_path) if (!p.gap) own.set(p.row, (own.get(p.row) ?? 0) + p.to - p.from);
		const out = new Map<string, Share & { most: number }>();
		for (const [row, ns] of own) {
			const key = `${t.service[row]} ${t.name[row]} ${t.kind[row]}`;
			const s = out.get(key) ?? { row, spans: 0, ns: 0, most: 0 };
			out.set(key, { row: ns > s.most ? row : s.row, spans: s.spans + 1, ns: s.ns + ns, most: Math.max(s.most, ns) });
		}
		return [...out.values()].sort((a, b) => b.ns - a.ns);
	}

	/** Of the critical path: in processes, between them (a client's time outside of its server's), slept. */
	split(): { process: number; network: number; gap: number } {
		const out = { process: 0, network: 0, gap: 0 };
		for (const p of this.critical_path) {
			const between = this.tree.kind[p.row] === CLIENT && (this.tree.network[p.row] ?? -1) >= 0;
			out[p.gap ? "gap" : between ? "network" : "process"] += p.to - p.from;
		}
		return out;
	}

	/** The failed span that has no failed one below it, the first to end: where the failure began; -1: none failed. */
	failure(): number {
		const t = this.tree;
		const above = new Uint8Array(this.n); // a failed one is below it
		let best = -1;
		let least = Infinity;
		for (let i = this.n - 1; i >= 0; i--) {
			const end = (t.start[i] as number) + (t.duration[i] as number);
			if (this.isError(i) && !above[i] && end <= least) {
				best = i;
				least = end;
			}
			if ((this.isError(i) || above[i]) && this.parent(i) >= 0) above[this.parent(i)] = 1;
		}
		return best;
	}

	/** How long calls and other spans below it were open, what overlaps counted once; -1: not all of them are here. */
	below(i: number): number {
		const t = this.tree;
		if (this.missing[i]) return -1;
		const end = (t.start[i] as number) + (t.duration[i] as number);
		let at = t.start[i] as number;
		let sum = 0;
		for (let k = i + 1; k < (this.end[i] as number); k = this.end[k] as number) {
			const from = Math.max(at, t.start[k] as number);
			const to = Math.min(end, (t.start[k] as number) + (t.duration[k] as number));
			if (to <= from) continue;
			sum += to - from;
			at = to;
		}
		return sum;
	}

	row(spanId: string): number {
		return this.rows.get(spanId) ?? -1;
	}

	parent(i: number): number {
		return this.tree.parent[i] as number;
	}

	service(i: number): string {
		return this.tree.services[this.tree.service[i] as number] as string;
	}

	name(i: number): string {
		return this.tree.names[this.tree.name[i] as number] as string;
	}

	isError(i: number): boolean {
		return this.tree.status[i] === 2;
	}

	/** Has rows below it, here or still with the server. */
	hasChildren(i: number): boolean {
		return (this.end[i] as number) > i + 1 || (this.missing[i] as number) > 0;
	}

	/** The rows to show, top to bottom: without what is below a shut span; only: without what fails it. */
	visible(shut: ReadonlySet<string>, only?: (i: number) => boolean): Int32Array {
		const out = new Int32Array(this.n);
		let m = 0;
		for (let i = 0; i < this.n; ) {
			if (!only || only(i)) out[m++] = i;
			i = shut.has(this.tree.id[i] as string) ? (this.end[i] as number) : i + 1;
		}
		return out.subarray(0, m);
	}

	/** Of each span the row that shows it: its own, or that of the nearest above it that is shown; -1: none. */
	places(rows: Int32Array): Int32Array {
		const out = new Int32Array(this.n).fill(-1);
		for (let k = 0; k < rows.length; k++) out[rows[k] as number] = k;
		for (let i = 0; i < this.n; i++) {
			const p = this.tree.parent[i] as number;
			if (out[i] === -1 && p >= 0) out[i] = out[p] as number;
		}
		return out;
	}

	/** What is below a span, in figures: of those that are here. */
	summary(i: number): { spans: number; errors: number; services: string[] } {
		const services = new Set<number>();
		let errors = 0;
		const end = this.end[i] as number;
		for (let k = i + 1; k < end; k++) {
			if (this.isError(k)) errors++;
			services.add(this.tree.service[k] as number);
		}
		return {
			spans: Math.max(end - i - 1, this.tree.below[i] as number),
			errors,
			services: [...services].map((s) => this.tree.services[s] as string),
		};
	}

	/** Everything above a span, nearest first. */
	ancestors(i: number): number[] {
		const out: number[] = [];
		for (let p = this.parent(i); p >= 0; p = this.parent(p)) out.push(p);
		return out;
	}

	/** The next row (cyclic) after `from` that fits; -1: none. */
	next(from: number, fits: (i: number) => boolean, step: 1 | -1 = 1): number {
		for (let k = 1; k <= this.n; k++) {
			const i = (((from + step * k) % this.n) + this.n) % this.n;
			if (fits(i)) return i;
		}
		return -1;
	}

	/** A copy in which the sub-tree of `under` is as the server's answer for it has it. */
	withSubtree(under: string, sub: TraceTree): TraceModel {
		const at = this.row(under);
		if (at < 0) return this;
		const t = this.tree;
		const cut = this.end[at] as number;
		const own = sub.id[0] === under ? 1 : 0; // the answer may begin with the span itself
		const shift = sub.start_ns - t.start_ns;
		const added = sub.id.length - own;
		const index = <T>(list: T[], more: T[]): number[] => {
			const known = new Map(list.map((v, i) => [v, i]));
			return more.map((v) => {
				let i = known.get(v);
				if (i === undefined) {
					i = list.push(v) - 1;
					known.set(v, i);
				}
				return i;
			});
		};
		const services = [...t.services];
		const names = [...t.names];
		const serviceAt = index(services, sub.services);
		const nameAt = index(names, sub.names);
		const splice = <T>(a: readonly T[], b: readonly T[]): T[] => [...a.slice(0, at + 1), ...b.slice(own), ...a.slice(cut)];
		const inner = (i: number) => (i < own ? at : at + 1 + i - own);
		const arrived = new Map(sub.id.map((id, i) => [id, inner(i)]));
		const moved = (i: number) =>
			i >= cut ? i - (cut - at - 1) + added : i > at ? (arrived.get(t.id[i] as string) ?? at) : i;
		const out: TraceTree = {
			...t,
			services,
			names,
			id: splice(t.id, sub.id),
			parent: [
				...t.parent.slice(0, at + 1),
				...sub.parent.slice(own).map((p) => (p < 0 ? at : inner(p))),
				...t.parent.slice(cut).map(moved),
			],
			service: splice(
				t.service,
				sub.service.map((i) => serviceAt[i] as number),
			),
			name: splice(
				t.name,
				sub.name.map((i) => nameAt[i] as number),
			),
			kind: splice(t.kind, sub.kind),
			status: splice(t.status, sub.status),
			start: splice(
				t.start,
				sub.start.map((s) => s + shift),
			),
			duration: splice(t.duration, sub.duration),
			class: splice(t.class, sub.class),
			incomplete: splice(t.incomplete, sub.incomplete),
			times: Object.fromEntries(
				Object.entries(t.times).map(([k, v]) => [k, splice(v, sub.times[k as keyof TraceTree["times"]])]),
			) as TraceTree["times"],
			network: splice(t.network, sub.network),
			below: splice(t.below, sub.below),
			folded: splice(t.folded, sub.folded),
			moved: [...t.moved.filter(([i]) => i <= at || i >= cut).map(([i, ns]): [number, number] => [moved(i), ns]), ...sub.moved.filter(([i]) => i >= own).map(([i, ns]): [number, number] => [inner(i), ns])],
			critical: t.critical.map(([i, a, b, whose]): TraceTree["critical"][0] => (whose === undefined ? [moved(i), a, b] : [moved(i), a, b, moved(whose)])),
			candidates: [
				...t.candidates.filter(([i]) => i <= at || i >= cut).map(([i, a, b, c]) => [moved(i), a, b, c] as TraceTree["candidates"][0]),
				...sub.candidates.filter(([i]) => i >= own).map(([i, a, b, c]) => [inner(i), a, b, c] as TraceTree["candidates"][0]),
			],
		};
		const before = t.folded[at] as number;
		const after = own ? (sub.folded[0] as number) : 0;
		out.folded[at] = after;
		for (let p = t.parent[at] as number; p >= 0; p = t.parent[p] as number) out.folded[p] = (out.folded[p] as number) - before + after;
		return new TraceModel(out);
	}
}

/** A round step for an axis of `length` ns, of about `want` steps. */
export function axisStep(length: number, want: number): number {
	const raw = length / Math.max(1, want);
	const p = 10 ** Math.floor(Math.log10(raw));
	for (const m of [1, 2, 5, 10]) if (raw <= m * p) return m * p;
	return 10 * p;
}
