// SPDX-License-Identifier: Apache-2.0
// node drive.mjs FACTS.json [ONLY]: drives every view of the page as people do, and holds what it shows against the API.
// Each test_*.mjs takes the suite (page.mjs) and runs its tests on it, one after another.
import fs from "node:fs";
import { Suite } from "./page.mjs";

const PARTS = ["flow", "overview", "service", "trace", "search", "compare", "keys", "address", "no_answer", "live", "many_spans", "traced", "looks"];

const [, , facts, only] = process.argv;
const s = new Suite(JSON.parse(fs.readFileSync(facts, "utf8")), only);
await s.begin();
const { patterns } = await s.api("patterns?service=web&any=1&since=-2h");
s.checkout = patterns.find((p) => p.name === "POST /checkout"); // most tests look at it, or at a trace of it
for (const part of PARTS) await (await import(`./test_${part}.mjs`)).default(s);
await s.end();
process.exit(s.failures.length ? 1 : 0);
