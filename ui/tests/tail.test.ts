// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import type { TraceLine } from "../src/base/api";
import { merge } from "../src/base/tail";

const line = (trace_id: string, start_ns: number, spans = 1) => ({ trace_id, start_ns, spans }) as TraceLine;

it("puts the newest first, each trace once as it was told last", () => {
	const rows = merge([line("c", 30), line("b", 20, 5), line("c", 30, 7)], [line("b", 20), line("a", 10)]);
	expect(rows.map((t) => `${t.trace_id}${t.spans}`)).toEqual(["c7", "b5", "a1"]);
});

it("keeps no more than it may", () => {
	expect(merge([line("c", 30)], [line("b", 20), line("a", 10)], 2).map((t) => t.trace_id)).toEqual(["c", "b"]);
});
