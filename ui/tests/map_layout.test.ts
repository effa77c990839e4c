// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import type { ServiceMap } from "../src/base/api";
import { busiest, layout } from "../src/views/map/layout";

function map(...calls: string[]): ServiceMap {
	const pairs = calls.map((c) => c.split(">") as [string, string]);
	const edge = { calls: 1, errors: 0, p50_ns: 1, p95_ns: 1, p99_ns: 1 };
	return {
		since_ns: 0,
		until_ns: 1e9,
		edges_total: calls.length,
		nodes: [...new Set(pairs.flat())].map((service) => ({ service, requests: 1, errors: 0 })),
		edges: pairs.map(([client, server]) => ({ client, server, ...edge })),
	};
}

it("puts callers left of those they call", () => {
	const l = layout(map("a>b", "b>c", "a>c"));
	expect(["a", "b", "c"].map((n) => l.places.get(n)?.rank)).toEqual([0, 1, 2]);
});

it("ends on circles and on calls to itself", () => {
	const l = layout(map("a>b", "b>a", "c>c"));
	expect(l.places.size).toBe(3);
});

it("gives each service a place of its own", () => {
	const l = layout(map("a>x", "a>y", "b>x", "b>z", "x>q", "y>q"));
	expect(new Set([...l.places.values()].map((p) => `${p.rank} ${p.at}`)).size).toBe(l.places.size);
});

it("leads a call that skips a rank around what stands there", () => {
	const l = layout(map("a>b", "b>c", "a>c"));
	const pass = l.routes.get("a c");
	expect(pass?.map((p) => p.rank)).toEqual([1]);
	expect(Math.abs((pass?.[0]?.at ?? 0) - (l.places.get("b")?.at ?? 0))).toBeGreaterThan(0.6);
});

it("keeps places of one rank apart, and all of them inside", () => {
	const l = layout(map("a>p", "a>q", "a>r", "b>q", "b>s", "p>z", "s>z", "a>z"));
	for (let rank = 0; rank < l.ranks; rank++) {
		const row = [...l.places.values()].filter((p) => p.rank === rank);
		const at = row.map((p) => p.at).sort((x, y) => x - y);
		for (let k = 1; k < at.length; k++) expect((at[k] as number) - (at[k - 1] as number)).toBeGreaterThanOrEqual(0.999);
		for (const x of at) expect(x >= -0.001 && x <= l.width - 0.999).toBe(true);
	}
});

it("draws the busiest calls of very many, and who makes them", () => {
	const many = map(...Array.from({ length: 60 }, (_, i) => Array.from({ length: 5 }, (_, k) => `s${i}>s${(i * 7 + k * 11 + 1) % 60}`)).flat(), "rare>s0");
	many.edges.forEach((e, i) => (e.calls = 1000 - i));
	const drawn = busiest(many, 100);
	expect(drawn.edges.length).toBe(100);
	expect(Math.min(...drawn.edges.map((e) => e.calls))).toBe(901);
	expect(drawn.nodes.some((n) => n.service === "rare")).toBe(false);
	expect(busiest(map("a>b"))).toEqual(map("a>b"));
	expect(layout(drawn).width).toBeLessThan(60); // no calls around what stands between
});
