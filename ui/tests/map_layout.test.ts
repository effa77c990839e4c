// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import type { ServiceMap } from "../src/base/api";
import { layout } from "../src/views/map/layout";

function map(...calls: string[]): ServiceMap {
	const pairs = calls.map((c) => c.split(">") as [string, string]);
	const edge = { calls: 1, errors: 0, p50_ns: 1, p95_ns: 1, p99_ns: 1 };
	return {
		nodes: [...new Set(pairs.flat())].map((service) => ({ service, requests: 1, errors: 0 })),
		edges: pairs.map(([client, server]) => ({ client, server, ...edge })),
	};
}

it("puts callers left of those they call", () => {
	const l = layout(map("a>b", "b>c", "a>c"));
	expect(["a", "b", "c"].map((n) => l.places.get(n)?.x)).toEqual([0, 1, 2]);
});

it("ends on circles and on calls to itself", () => {
	const l = layout(map("a>b", "b>a", "c>c"));
	expect(l.places.size).toBe(3);
});

it("gives each service a place of its own", () => {
	const l = layout(map("a>x", "a>y", "b>x", "b>z", "x>q", "y>q"));
	expect(new Set([...l.places.values()].map((p) => `${p.x} ${p.y}`)).size).toBe(l.places.size);
});
