// SPDX-License-Identifier: Apache-2.0
// Live: traces that come in while one looks.
import { randomBytes } from "node:crypto";
import { becomes, check, equal, param } from "./page.mjs";

const hex = (n) => randomBytes(n).toString("hex");

/** Sends a trace of one span, as an SDK does; its id. */
async function send(otlp, name) {
	const start = BigInt(Date.now()) * 1000000n;
	const traceId = hex(16);
	const spans = [{ traceId, spanId: hex(8), name, kind: 2, startTimeUnixNano: String(start), endTimeUnixNano: String(start + 5000000n) }];
	const body = { resourceSpans: [{ resource: { attributes: [{ key: "service.name", value: { stringValue: "live" } }] }, scopeSpans: [{ spans }] }] };
	const r = await fetch(`${otlp}/v1/traces`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
	check(r.ok, `sent: ${r.status}`);
	return traceId;
}

export default async function (s) {
	await s.test("live: what comes in is shown without being asked for", async (page) => {
		const asked = [];
		page.on("request", (r) => asked.push(new URL(r.url()).pathname));
		const following = page.waitForResponse((a) => a.url().includes("/tail"));
		await s.open(page, "/search?since=-5m&service=live&live=1");
		await following; // from now on nothing is missed
		const lists = () => asked.filter((p) => p.endsWith("/traces")).length;
		const before = lists();
		const id = await send(s.otlp, "GET /now");
		await page.locator(`a[href*="${id}"]`).first().waitFor();
		check(asked.some((p) => p.endsWith("/tail")), "by the server's tail");
		equal(lists(), before, "the list was not asked for again");
		await page.keyboard.press("Escape");
		await page.getByRole("button", { name: "Live" }).click();
		await becomes(() => param(page, "live"), null, "it can be switched off");
	});

	await s.test("live: conditions that a tail cannot have are asked again and again", async (page) => {
		await s.open(page, `/search?since=-5m&live=1&where=${encodeURIComponent("service.name=~^live$")}`);
		const id = await send(s.otlp, "GET /again");
		await page.locator(`a[href*="${id}"]`).first().waitFor();
	}, { allow: ["400"] });
}
