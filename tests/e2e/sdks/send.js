// SPDX-License-Identifier: Apache-2.0
// Sends spans with OpenTelemetry's SDK for JavaScript and writes down what the SDK was told to send.
//
//     send.js grpc|proto|json URL gzip|none OUT      (SDK: the folder that has node_modules)
//
// OUT: a JSON list, a span each, with values as OTLP/JSON has them.
"use strict";

const from = (name) => require(require.resolve(name, { paths: [process.env.SDK] }));
const { context, trace, SpanKind, SpanStatusCode, createTraceState } = from("@opentelemetry/api");
const { resourceFromAttributes } = from("@opentelemetry/resources");
const { BasicTracerProvider, BatchSpanProcessor, SimpleSpanProcessor } = from("@opentelemetry/sdk-trace-base");
const { writeFileSync } = require("fs");

const [protocol, url, packed, out] = process.argv.slice(2);
const { OTLPTraceExporter } = from("@opentelemetry/exporter-trace-otlp-" + { grpc: "grpc", proto: "proto", json: "http" }[protocol]);
const sent = [];

const hrtime = ([s, ns]) => (BigInt(s) * 1000000000n + BigInt(ns)).toString();

function value(v) {
	if (Array.isArray(v))
		return { arrayValue: { values: v.map(value) } };
	if (v instanceof Uint8Array)
		return { bytesValue: Buffer.from(v).toString("base64") };
	if (typeof v === "boolean")
		return { boolValue: v };
	if (typeof v === "string")
		return { stringValue: v };
	if (typeof v === "number")
		return Number.isInteger(v) ? { intValue: String(v) } : { doubleValue: v };
	if (v && typeof v === "object")
		return { kvlistValue: { values: Object.entries(v).map(([key, x]) => ({ key, value: value(x) })) } };
	return {};
}

const attributes = (of) => Object.fromEntries(Object.entries(of || {}).map(([k, v]) => [k, value(v)]));

const writer = {
	export(spans, done) {
		for (const s of spans)
			sent.push({
				traceId: s.spanContext().traceId, spanId: s.spanContext().spanId,
				parentSpanId: s.parentSpanContext ? s.parentSpanContext.spanId : "", name: s.name, kind: s.kind + 1,
				start: hrtime(s.startTime), end: hrtime(s.endTime), status: s.status.code, message: s.status.message || "",
				state: s.spanContext().traceState ? s.spanContext().traceState.serialize() : "",
				attributes: attributes(s.attributes), resource: attributes(s.resource.attributes),
				scope: s.instrumentationScope.name, version: s.instrumentationScope.version || "",
				dropped: [s.droppedAttributesCount, s.droppedEventsCount, s.droppedLinksCount],
				events: s.events.map((e) => [e.name, hrtime(e.time), attributes(e.attributes)]),
				links: s.links.map((l) => [l.context.traceId, l.context.spanId, attributes(l.attributes)]),
			});
		done({ code: 0 });
	},
	shutdown: () => Promise.resolve(),
};

function provider(name) {
	return new BasicTracerProvider({
		resource: resourceFromAttributes({ "service.name": name, numbers: [1, 2], ratio: 0.25 }),
		spanLimits: { attributeCountLimit: 14, eventCountLimit: 3, linkCountLimit: 2 },
		spanProcessors: [new SimpleSpanProcessor(writer), new BatchSpanProcessor(new OTLPTraceExporter({
			url: protocol === "grpc" ? url : url + "/v1/traces", compression: packed,
		}))],
	});
}

const ODD = { text: "grüße, 世界 🧵", empty: "", yes: true, no: false, most: Number.MAX_SAFE_INTEGER, least: Number.MIN_SAFE_INTEGER,
	one: 1, float: 1.5, small: 5e-324, texts: ["a", "ü", ""], ints: [1, -5], floats: [1.5, 2.5], bytes: new Uint8Array([0, 1, 254, 255]) };

async function main() {
	const providers = [provider("node-one"), provider("node-two")];

	for (const p of providers) {
		const one = p.getTracer("sender", "1.2"), two = p.getTracer("other");
		const root = one.startSpan("GET /ünï", { kind: SpanKind.SERVER, attributes: ODD });
		const inRoot = trace.setSpan(context.active(), root);

		root.setAttribute("map", { a: 1, b: { c: ["d", 2.5, true] } });
		root.setAttribute("fifteenth", 1);
		root.setAttribute("sixteenth", 1);
		root.addEvent("first", { n: 1, flags: [true, false] });
		for (const kind of Object.values(SpanKind).filter((k) => typeof k === "number")) {
			const child = two.startSpan("child " + kind, { kind }, inRoot);

			one.startSpan("grandchild", {}, trace.setSpan(context.active(), child)).end();
			child.setStatus({ code: SpanStatusCode.OK });
			child.end();
		}
		for (let i = 0; i < 4; i++)
			root.addEvent("event " + i);
		root.setStatus({ code: SpanStatusCode.ERROR, message: "it broke: ß" });
		root.recordException(new Error("no such thing"));
		root.end();
		const far = { traceId: "0123456789abcdef0123456789abcdef", spanId: "1122334455667788", traceFlags: 1,
			traceState: createTraceState("vendor=a1,other=b2"), isRemote: true };
		one.startSpan("continued", { kind: SpanKind.CONSUMER, links: [{ context: far, attributes: { why: "batch", n: [1] } }, { context: far },
			{ context: far }] }, trace.setSpanContext(context.active(), far)).end();
	}
	await Promise.all(providers.map((p) => p.shutdown()));
	writeFileSync(out, JSON.stringify(sent));
}

main();
