// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import type { Difference } from "../src/base/api";
import { joined } from "../src/parts/joined";

const item = (service: string, key: string, value: string, inside_share = 1): Difference => ({ kind: "attribute", service, key, value, inside_share, outside_share: 0.1, score: 9 });

it("says once what several services say alike, in the order of the server", () => {
	const out = joined([item("web", "region", "us"), item("web", "x", "1"), item("pay", "region", "us"), item("db", "region", "us", 0.5)]);
	expect(out.map((i) => `${i.key} ${i.services.join("+")}`)).toEqual(["region web+pay", "x web", "region db"]);
});
