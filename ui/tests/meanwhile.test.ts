// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { meanwhile, type Other, type Wait } from "../src/views/trace/meanwhile";

const MS = 1e6;
const S = 1e9;
let n = 0;
const other = (start_ms: number, ms: number, thread = `${n}`): Other => ({ trace_id: `t${n++}`, span_id: "s", name: "q", start_ns: start_ms * MS, duration_ns: ms * MS, thread });
const asleep: Wait = { what: "asleep", service: "db", from: 1000 * MS, to: 4 * S };
const ids = (list: Other[]) => list.map((o) => o.trace_id);

it("finds those that waited with it, and who held them: it ended first", () => {
	const [a, b] = [other(1500, 2500), other(2500, 1499.6)];
	const holder = other(990, 3008);
	const m = meanwhile(asleep, [a, b, holder, other(1000, 20), other(3000, 5), other(3996, 1, "r"), other(2000, 1, "r")]);
	expect(ids(m.together)).toEqual(ids([b, a]));
	expect(m.within / MS).toBeCloseTo(0.4);
	expect(m.holder).toBe(holder);
});

it("finds a transaction that was held open: nothing was asked of its thread until its end", () => {
	const waited = other(1500, 2501);
	const commit = other(3999, 0.8, "held");
	const reader = [other(2000, 1, "reader"), other(3999.5, 0.2, "reader")];
	expect(meanwhile(asleep, [waited, commit, ...reader, other(900, 2, "held")]).holder).toBe(commit);
	expect(meanwhile(asleep, [waited, ...reader]).holder).toBeNull();
	// Not all that began are known: the thread may have been asked.
	expect(meanwhile(asleep, [waited, commit], false).holder).toBeNull();
});

it("takes what a holder did before its transaction's end for no waiting", () => {
	const waited = other(1500, 2501);
	const slept = other(990, 3008, "held");
	const m = meanwhile(asleep, [waited, slept, other(3998.2, 1.5, "held")]);
	expect(ids(m.together)).toEqual(ids([waited]));
	expect(m.holder).toBe(slept);
});

it("says where it waited alone", () => {
	const m = meanwhile(asleep, [other(1200, 30), other(5000, 10)]);
	expect(m.together).toEqual([]);
	expect(m.most).toBe(1);
});

it("counts who was in the service at once, and sees that it was taken when one was done", () => {
	const queue: Wait = { what: "queue", service: "orders", from: 1000 * MS, to: 1200 * MS };
	const m = meanwhile(queue, [other(900, 150), other(950, 249), other(1050, 300), other(1300, 100)]);
	expect(m.most).toBe(2); // one ends when the next begins
	expect(m.followed).toBe(true);
	expect(meanwhile(queue, [other(900, 400)]).followed).toBe(false);
	expect(meanwhile(queue, []).most).toBe(0);
});
