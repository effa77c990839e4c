// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { assign, SERVICE_COLOURS } from "../src/base/colour";

it("gives services that are seen together different colours", () => {
	const names = Array.from({ length: SERVICE_COLOURS }, (_, i) => `service-${i}`);
	expect(new Set(assign(names).values()).size).toBe(SERVICE_COLOURS);
});

it("does not depend on the order", () => {
	const a = assign(["cart", "web", "db"]);
	const b = assign(["db", "cart", "web"]);
	for (const s of ["cart", "web", "db"]) expect(a.get(s)).toBe(b.get(s));
});

it("shares the neutral tone beyond its colours", () => {
	const many = assign(Array.from({ length: 20 }, (_, i) => `s${i}`));
	expect([...many.values()].filter((n) => n === -1).length).toBe(8);
});

it("gives a service the colour that it had in another view", () => {
	const few = assign(["alpha", "omega"]);
	const more = assign(["alpha", "beta", "delta", "gamma", "kappa", "lambda", "omega", "sigma"]);
	for (const s of ["alpha", "omega"]) expect(more.get(s)).toBe(few.get(s));
	expect(new Set(more.values()).size).toBe(8);
});
