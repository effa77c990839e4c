// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import type { Difference } from "../src/base/api";
import { failures, joined } from "../src/parts/joined";

const item = (service: string, key: string, value: string, inside_share = 1): Difference => ({ kind: "attribute", service, key, value, inside_share, outside_share: 0.1, score: 9 });

it("of what differs equally names the longest time first", () => {
	const segment = (value: string, ns: number): Difference => ({ ...item("web", "server", value), kind: "segment", inside_p50_ns: ns, outside_p50_ns: 0 });
	expect(joined([item("web", "x", "1"), segment("short", 5), segment("long", 500), { ...item("db", "y", "1"), score: 10 }]).map((i) => i.value)).toEqual(["1", "long", "short", "1"]);
});

it("tells how the failed failed from what may be why", () => {
	const { how, rest } = failures(joined([item("pay", "error.type", "500"), item("pay", "http.response.status_code", "500"), item("web", "http.response.status_code", "502"), item("web", "http.response.body.size", "33"), item("web", "item", "13", 0.4)]));
	expect(how.map((i) => `${i.value} ${i.services}`)).toEqual(["500 pay", "502 web"]);
	expect(rest.map((i) => i.key)).toEqual(["item"]);
});

it("leaves out an URL where its path says the same", () => {
	const out = joined([item("web", "url.full", "http://shop/items/13", 0.4), item("web", "url.path", "/items/13", 0.4), item("web", "url.full", "http://shop/items/14", 0.2)]);
	expect(out.map((i) => i.value)).toEqual(["/items/13", "http://shop/items/14"]);
});

it("says once what several services say alike, in the order of the server", () => {
	const out = joined([item("web", "region", "us"), item("web", "x", "1"), item("pay", "region", "us"), item("db", "region", "us", 0.5)]);
	expect(out.map((i) => `${i.key} ${i.services.join("+")}`)).toEqual(["region web+pay", "x web", "region db"]);
});
