// SPDX-License-Identifier: Apache-2.0
// Where services stand on the map: callers before those they call, few crossings, and calls that skip a rank led
// around what stands between. The same input gives the same map.
import type { ServiceMap } from "../../base/api";

export interface Place {
	service: string;
	external: boolean;
	/** How far from those that nobody calls: a whole number. */
	rank: number;
	/** The middle, across the ranks; one apart is what a service needs. */
	at: number;
}

export interface Layout {
	places: Map<string, Place>;
	/** What a call passes between its ends: its place in each rank that it skips, by edgeKey(). */
	routes: Map<string, { rank: number; at: number }[]>;
	ranks: number;
	/** Of the widest rank. */
	width: number;
}

export const edgeKey = (client: string | null, server: string) => `${client ?? ""} ${server}`;

export const DRAWN_MAX = 150; // calls: more cannot be told apart
const PASSES_MAX = 120; // of more the way around what stands between would be most of the drawing

/** The calls that are made most, and the services between which they are made; all where they can be drawn. */
export function busiest(map: ServiceMap, most = DRAWN_MAX): ServiceMap {
	const edges = map.edges.filter((e) => e.client !== null);
	if (edges.length <= most) return map;
	const drawn = edges.sort((a, b) => b.calls - a.calls).slice(0, most);
	const ends = new Set(drawn.flatMap((e) => [e.client as string, e.server]));
	return { ...map, edges: drawn, nodes: map.nodes.filter((n) => ends.has(n.service)) };
}

const HIGH = 12; // services in a rank: more do not fit on a screen

const PASS = 0.45; // what a passing call needs, of what a service needs

interface Slot {
	key: string;
	need: number;
	at: number;
	before: Slot[];
	behind: Slot[];
	tie: string;
}

/** Depth of each node from those that nobody (else) calls; a call back to an earlier one counts for nothing. */
function ranksOf(names: string[], calls: Map<string, string[]>, called: Set<string>): Map<string, number> {
	const rank = new Map<string, number>();
	const onPath = new Set<string>();
	const visit = (n: string, depth: number) => {
		if (onPath.has(n) || depth > 24 || (rank.get(n) ?? -1) >= depth) return;
		rank.set(n, depth);
		onPath.add(n);
		for (const m of calls.get(n) ?? []) visit(m, depth + 1);
		onPath.delete(n);
	};
	for (const n of names) if (!called.has(n)) visit(n, 0);
	for (const n of names) if (!rank.has(n)) visit(n, 0); // in a circle that nobody enters
	return rank;
}

const mean = (list: Slot[]) => list.reduce((n, s) => n + s.at, 0) / list.length;

/** In their order, none nearer to the next than both need; as near to the wishes as that leaves. */
function spread(row: Slot[], wish: number[]) {
	let last = -Infinity;
	row.forEach((s, k) => {
		const before = row[k - 1];
		s.at = before ? Math.max(wish[k] as number, last + (before.need + s.need) / 2) : (wish[k] as number);
		last = s.at;
	});
	const off = row.reduce((n, s, k) => n + s.at - (wish[k] as number), 0) / Math.max(1, row.length);
	for (const s of row) s.at -= off;
}

function settle(rows: Slot[][]) {
	for (const row of rows)
		spread(
			row,
			row.map((_, k) => k - (row.length - 1) / 2),
		);
	const pull = (row: Slot[], side: "before" | "behind", order: boolean) => {
		const wish = new Map(row.map((s) => [s, s[side].length ? mean(s[side]) : s.at]));
		if (order) row.sort((a, b) => (wish.get(a) as number) - (wish.get(b) as number) || (a.tie < b.tie ? -1 : 1));
		spread(
			row,
			row.map((s) => wish.get(s) as number),
		);
	};
	for (let sweep = 0; sweep < 8; sweep++) {
		const order = sweep < 5;
		for (let k = 1; k < rows.length; k++) pull(rows[k] as Slot[], "before", order);
		for (let k = rows.length - 2; k >= 0; k--) pull(rows[k] as Slot[], "behind", order);
	}
	// Of a high map whoever looks sees a part: there it must not be empty.
	if (rows.some((row) => row.length > HIGH)) for (const row of rows) spread(row, row.map((_, k) => k - (row.length - 1) / 2));
}

export function layout(map: ServiceMap): Layout {
	const names = [...new Set(map.nodes.map((n) => n.service))].sort();
	const external = new Set(map.nodes.filter((n) => n.external).map((n) => n.service));
	const known = new Set(names);
	const calls = new Map<string, string[]>();
	const called = new Set<string>();
	for (const e of map.edges) {
		if (e.client === null || e.client === e.server || !known.has(e.client) || !known.has(e.server)) continue;
		calls.set(e.client, [...new Set([...(calls.get(e.client) ?? []), e.server])].sort());
		called.add(e.server);
	}
	const rank = ranksOf(names, calls, called);
	const rows: Slot[][] = [];
	const slots = new Map<string, Slot>();
	const put = (key: string, r: number, need: number, tie: string): Slot => {
		const s: Slot = { key, need, at: 0, before: [], behind: [], tie };
		(rows[r] ??= []).push(s);
		return s;
	};
	for (const n of names) slots.set(n, put(n, rank.get(n) ?? 0, 1, n));
	const routes = new Map<string, { rank: number; slot: Slot }[]>();
	const skipped = (client: string, server: string) => Math.max(0, (rank.get(server) ?? 0) - (rank.get(client) ?? 0) - 1);
	const passing = [...calls].reduce((n, [client, servers]) => n + servers.reduce((k, server) => k + skipped(client, server), 0), 0) <= PASSES_MAX;
	for (const [client, servers] of calls)
		for (const server of servers) {
			const from = rank.get(client) ?? 0;
			const to = rank.get(server) ?? 0;
			if (to <= from) continue;
			let last = slots.get(client) as Slot;
			const passes: { rank: number; slot: Slot }[] = [];
			for (let r = from + 1; passing && r < to; r++) {
				const s = put("", r, PASS, `${client} ${server}`);
				last.behind.push(s);
				s.before.push(last);
				passes.push({ rank: r, slot: s });
				last = s;
			}
			const end = slots.get(server) as Slot;
			last.behind.push(end);
			end.before.push(last);
			if (passes.length) routes.set(edgeKey(client, server), passes);
		}
	for (let r = 0; r < rows.length; r++) rows[r] ??= [];
	settle(rows);
	const all = rows.flat();
	const low = Math.min(0, ...all.map((s) => s.at - s.need / 2));
	const high = Math.max(0, ...all.map((s) => s.at + s.need / 2));
	const places = new Map<string, Place>();
	for (const [service, s] of slots) places.set(service, { service, external: external.has(service), rank: rank.get(service) ?? 0, at: s.at - low - 0.5 });
	return {
		places,
		routes: new Map([...routes].map(([key, list]) => [key, list.map((p) => ({ rank: p.rank, at: p.slot.at - low - 0.5 }))])),
		ranks: Math.max(1, rows.length),
		width: Math.max(1, high - low),
	};
}
