// SPDX-License-Identifier: Apache-2.0
// Service c of the joins: Node's http, instrumented by OpenTelemetry's own library; a span of its own inside.
//
//     PORT, THINK_MS, OTLP (URL of the receiver), SDK (the folder that has node_modules)
"use strict";

const from = (name) => require(require.resolve(name, { paths: [process.env.SDK] }));
const { NodeTracerProvider } = from("@opentelemetry/sdk-trace-node");
const { BatchSpanProcessor } = from("@opentelemetry/sdk-trace-base");
const { OTLPTraceExporter } = from("@opentelemetry/exporter-trace-otlp-proto");
const { resourceFromAttributes } = from("@opentelemetry/resources");
const { registerInstrumentations } = from("@opentelemetry/instrumentation");
const { HttpInstrumentation } = from("@opentelemetry/instrumentation-http");
const { trace } = from("@opentelemetry/api");

const provider = new NodeTracerProvider({
	resource: resourceFromAttributes({ "service.name": "last" }),
	spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter({ url: process.env.OTLP + "/v1/traces" }),
		{ maxQueueSize: 65536 })],
});
provider.register();
registerInstrumentations({ instrumentations: [new HttpInstrumentation()] });

const http = require("http");
const tracer = trace.getTracer("last");
const think = Number(process.env.THINK_MS);

http.createServer((req, res) => {
	tracer.startActiveSpan("work", (span) => {
		span.setAttribute("token", req.url.split("/").pop());
		setTimeout(() => {
			span.end();
			res.end("done\n");
		}, Math.random() * 2 * think);
	});
}).listen(Number(process.env.PORT), "127.0.0.1");

process.on("SIGTERM", () => provider.shutdown().finally(() => process.exit(0)));
