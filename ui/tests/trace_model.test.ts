// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import type { TraceTree } from "../src/base/api";
import { waitOf } from "../src/views/trace/meanwhile";
import { axisStep, TraceModel } from "../src/views/trace/model";
import { partsOf } from "../src/views/trace/parts";

/** id:parent pairs, in preorder. */
function tree(...spans: string[]): TraceTree {
	const id = spans.map((s) => s.split(":")[0] as string);
	const n = id.length;
	const fill = (v: number) => new Array<number>(n).fill(v);
	return {
		trace_id: "t",
		start_ns: 1000,
		duration_ns: 100,
		spans_total: n,
		complete: true,
		totals: { services: 1, errors: 0, orphans: 0, incomplete: 0, not_stored: 0 },
		services: ["s"],
		names: [...id],
		id,
		parent: spans.map((s) => id.indexOf(s.split(":")[1] ?? "")),
		service: fill(0),
		name: id.map((_, i) => i),
		kind: fill(2),
		status: fill(0),
		start: id.map((_, i) => i),
		duration: fill(10),
		class: fill(1),
		incomplete: fill(0),
		times: { cpu: fill(1), runq: fill(1), futex: fill(1), disk: fill(1), net: fill(1), sleep: fill(1), other: fill(1) },
		network: fill(-1),
		below: fill(0),
		folded: fill(0),
		moved: [],
		critical: [[0, 0, 100]],
		candidates: [],
	};
}

const names = (m: TraceModel, rows: Int32Array) => [...rows].map((i) => m.name(i)).join(" ");

it("knows sub-trees", () => {
	const m = new TraceModel(tree("a", "b:a", "c:b", "d:a", "e"));
	expect([...m.end]).toEqual([4, 3, 3, 4, 5]);
	expect([...m.depth]).toEqual([0, 1, 2, 1, 0]);
	expect(m.ancestors(2)).toEqual([1, 0]);
});

it("leaves out what is shut", () => {
	const m = new TraceModel(tree("a", "b:a", "c:b", "d:a", "e"));
	expect(names(m, m.visible(new Set(["b"])))).toBe("a b d e");
	expect(names(m, m.visible(new Set(["a"])))).toBe("a e");
	expect(names(m, m.visible(new Set(), (i) => m.critical[i] === 1))).toBe("a");
});

it("finds the next, around the end", () => {
	const m = new TraceModel(tree("a", "b:a", "c:b"));
	expect(m.next(2, (i) => i < 2)).toBe(0);
	expect(m.next(0, (i) => i > 0, -1)).toBe(2);
	expect(m.next(0, () => false)).toBe(-1);
});

it("opens what the server had folded, in its place", () => {
	const base = tree("a", "b:a", "d:a", "e");
	base.folded[0] = 2;
	base.folded[1] = 2;
	base.critical = [[2, 0, 5]];
	base.candidates = [[3, "t2", "x", 0.4]];
	base.moved = [[2, 7]];
	const sub = tree("b", "x:b", "y:x");
	sub.start_ns = 1005;
	sub.moved = [[1, -3]];
	sub.names = ["b", "new", "d"];
	const m = new TraceModel(base).withSubtree("b", sub);
	expect(m.tree.id).toEqual(["a", "b", "x", "y", "d", "e"]);
	expect(m.tree.parent).toEqual([-1, 0, 1, 2, 0, -1]);
	expect([2, 3].map((i) => m.name(i))).toEqual(["new", "d"]);
	expect(m.tree.start[2]).toBe(6);
	expect(m.tree.critical).toEqual([[4, 0, 5]]);
	expect(m.tree.candidates[0]?.[0]).toBe(5);
	expect([...m.moved]).toEqual([[4, 7], [2, -3]]);
	expect(m.hasChildren(1)).toBe(true);
	expect([m.tree.folded[0], m.tree.folded[1]]).toEqual([0, 0]);
});

it("counts what is missing right below a span once", () => {
	const t = tree("a", "b:a", "c:b", "d:a");
	t.folded = [7, 4, 4, 0];
	expect([...new TraceModel(t).missing]).toEqual([3, 0, 4, 0]);
});

it("fetches more of a sub-tree that is there in part", () => {
	const base = tree("a", "b:a", "c:b", "d:a");
	base.folded = [3, 3, 0, 0];
	base.critical = [[2, 0, 5], [-1, 5, 6, 2]];
	const sub = tree("b", "x:b", "c:b");
	sub.folded = [2, 0, 0];
	const m = new TraceModel(base).withSubtree("b", sub);
	expect(m.tree.id).toEqual(["a", "b", "x", "c", "d"]);
	expect(m.tree.folded).toEqual([2, 2, 0, 0, 0]);
	expect([...m.missing]).toEqual([0, 2, 0, 0, 0]);
	expect(m.tree.critical).toEqual([[3, 0, 5], [-1, 5, 6, 3]]);
});

it("knows whose the unexplained time is", () => {
	const t = tree("a", "b:a", "c:a");
	t.critical = [[1, 0, 3], [-1, 3, 5, 2], [0, 5, 9]];
	const m = new TraceModel(t);
	expect([...m.critical]).toEqual([1, 1, 1]);
	expect(m.gaps.get(2)).toEqual([[3, 5]]);
	expect(m.critical_path.map((p) => p.row)).toEqual([1, 2, 0]);
});

it("shows what is folded in the row above it", () => {
	const m = new TraceModel(tree("a", "b:a", "c:b", "d:a"));
	expect([...m.places(m.visible(new Set(["b"])))]).toEqual([0, 1, 1, 2]);
	expect(m.summary(0)).toEqual({ spans: 3, errors: 0, services: ["s"] });
});

it("keeps the candidates of an orphan, the likeliest first", () => {
	const t = tree("a", "b");
	t.candidates = [[1, "t", "a", 0.2], [1, "other", "q", 0.5]];
	expect(new TraceModel(t).candidates.get(1)).toEqual([
		{ row: -1, trace: "other", span: "q", confidence: 0.5 },
		{ row: 0, trace: "t", span: "a", confidence: 0.2 },
	]);
});

it("chooses round steps", () => {
	expect(axisStep(1000, 10)).toBe(100);
	expect(axisStep(1234, 10)).toBe(200);
	expect(axisStep(7, 3)).toBe(5);
});

it("says whose own time the critical path was, the same operation once", () => {
	const t = tree("a", "b:a", "c:a", "d:a");
	t.name = [0, 1, 1, 2];
	t.critical = [
		[0, 0, 10],
		[1, 10, 30],
		[2, 30, 70],
		[-1, 70, 90, 0],
		[3, 90, 100],
	];
	expect(new TraceModel(t).shares().map((s) => [s.row, s.spans, s.ns])).toEqual([
		[2, 2, 60],
		[0, 1, 10],
		[3, 1, 10],
	]);
});

it("tells time in processes from time between them", () => {
	const t = tree("a", "b:a", "c:b");
	t.kind = [2, 3, 2];
	t.network = [-1, 30, -1];
	t.critical = [
		[0, 0, 10],
		[1, 10, 30],
		[2, 30, 80],
		[-1, 80, 90, 2],
		[1, 90, 100],
	];
	expect(new TraceModel(t).split()).toEqual({ process: 60, network: 30, gap: 10 });
});

it("finds where a failure began", () => {
	const t = tree("a", "b:a", "c:b", "d:a", "e:d");
	expect(new TraceModel(t).failure()).toBe(-1);
	t.status = [2, 2, 2, 2, 0];
	t.start = [0, 10, 20, 5, 6];
	t.duration = [90, 50, 30, 20, 5];
	expect(new TraceModel(t).failure()).toBe(3); // d ended before c
	t.status[3] = 0;
	expect(new TraceModel(t).failure()).toBe(2);
});

it("counts what is below a span once where it overlaps, and not beyond its end", () => {
	const t = tree("a", "b:a", "c:b", "d:a", "e:a");
	t.start = [0, 0, 0, 4, 95];
	t.duration = [100, 6, 90, 10, 20];
	const m = new TraceModel(t);
	expect(m.below(0)).toBe(14 + 5);
	expect(m.below(2)).toBe(0);
	t.folded[0] = 3;
	expect(new TraceModel(t).below(0)).toBe(-1); // the server has more
});

/** A server's span of 100 ns with a call of 30 in it. */
function called() {
	const t = tree("a", "b:a");
	t.duration = [100, 30];
	t.start = [0, 50];
	t.kind = [2, 3];
	for (const k of Object.values(t.times)) k.fill(-1);
	return t;
}

it("says what a thread did: it ran, waited for its call, slept", () => {
	const t = called();
	t.times.cpu = [20, 3];
	t.times.runq = [0, -1];
	expect(partsOf(new TraceModel(t), 0).map((p) => [p.name, p.ns])).toEqual([
		["running", 20],
		["waiting for what it called", 30],
		["asleep", 50],
	]);
	expect(partsOf(new TraceModel(t), 1).map((p) => p.name)).toEqual(["running", "waiting for what it called"]);
	expect(partsOf(new TraceModel(called()), 0)).toEqual([]);
	t.times.cpu = [-1, 0];
	t.times.runq = [5, 0];
	expect(partsOf(new TraceModel(t), 0)).toEqual([]); // how long it ran is not known: nor then, how long it slept
	expect(partsOf(new TraceModel(t), 1).map((p) => p.name)).toEqual(["waiting for what it called"]);
});

it("takes the longest sleep of a span as what is to be explained, or the callee's queue", () => {
	const t = called();
	t.duration = [100e6, 80e6];
	t.start = [0, 10e6];
	t.critical = [[-1, 0, 10e6, 0], [1, 10e6, 90e6], [-1, 90e6, 100e6, 0]];
	expect(waitOf(new TraceModel(t), 0)).toBeNull(); // little of it
	t.critical = [[-1, 0, 60e6, 0], [1, 60e6, 90e6], [-1, 90e6, 100e6, 0]];
	expect(waitOf(new TraceModel(t), 0)).toEqual({ what: "asleep", service: "s", from: 1000, to: 1000 + 60e6 });
	const q = tree("a", "b:a");
	Object.assign(q, { kind: [3, 2], network: [60e6, -1], start: [0, 55e6], duration: [100e6, 40e6] });
	expect(waitOf(new TraceModel(q), 0)).toEqual({ what: "queue", service: "s", from: 1000, to: 1000 + 55e6 });
	expect(waitOf(new TraceModel(q), 1)).toBeNull();
});
