// SPDX-License-Identifier: Apache-2.0
// Where services stand on the map: callers left of those they call, few crossings. The same input gives the same map.
import type { ServiceMap } from "../../base/api";

export interface Place {
	service: string;
	external: boolean;
	x: number;
	y: number;
}

export interface Layout {
	places: Map<string, Place>;
	columns: number;
	rows: number;
}

/** Depth of each node from those that nobody (else) calls; a call back to an earlier one counts for nothing. */
function ranks(names: string[], calls: Map<string, string[]>, called: Set<string>): Map<string, number> {
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

export function layout(map: ServiceMap): Layout {
	const names = [...new Set(map.nodes.map((n) => n.service))].sort();
	const calls = new Map<string, string[]>();
	const callers = new Map<string, string[]>();
	for (const e of map.edges) {
		if (e.client === null || e.client === e.server) continue;
		calls.set(e.client, [...(calls.get(e.client) ?? []), e.server].sort());
		callers.set(e.server, [...(callers.get(e.server) ?? []), e.client]);
	}
	const rank = ranks(names, calls, new Set(callers.keys()));
	const columns: string[][] = [];
	for (const n of names) {
		const r = rank.get(n) ?? 0;
		(columns[r] ??= []).push(n);
	}
	// A few sweeps: each node goes to the middle of its neighbours in the column before, then behind.
	const at = new Map<string, number>();
	const settle = (column: string[] | undefined, neighbours: Map<string, string[]>) => {
		if (!column) return;
		const wish = new Map(
			column.map((n, i) => {
				const ys = (neighbours.get(n) ?? []).map((m) => at.get(m)).filter((y) => y !== undefined);
				return [n, ys.length ? ys.reduce((a, b) => a + b, 0) / ys.length : i];
			}),
		);
		column.sort((a, b) => (wish.get(a) as number) - (wish.get(b) as number) || a.localeCompare(b));
		column.forEach((n, i) => at.set(n, i - (column.length - 1) / 2));
	};
	for (const c of columns) c?.forEach((n, i) => at.set(n, i - (c.length - 1) / 2));
	for (let sweep = 0; sweep < 4; sweep++) {
		for (let k = 1; k < columns.length; k++) settle(columns[k], callers);
		for (let k = columns.length - 2; k >= 0; k--) settle(columns[k], calls);
	}
	const rows = Math.max(1, ...columns.map((c) => c?.length ?? 0));
	const places = new Map<string, Place>();
	columns.forEach((c, x) => {
		c?.forEach((n, i) => {
			const node = map.nodes.find((m) => m.service === n);
			places.set(n, { service: n, external: node?.external ?? false, x, y: i + (rows - c.length) / 2 });
		});
	});
	return { places, columns: columns.length, rows };
}
