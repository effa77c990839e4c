// SPDX-License-Identifier: Apache-2.0

import static io.opentelemetry.api.common.AttributeKey.*;

import io.opentelemetry.api.common.*;
import io.opentelemetry.api.trace.*;
import io.opentelemetry.context.Context;
import io.opentelemetry.exporter.otlp.http.trace.OtlpHttpSpanExporter;
import io.opentelemetry.exporter.otlp.trace.OtlpGrpcSpanExporter;
import io.opentelemetry.sdk.common.CompletableResultCode;
import io.opentelemetry.sdk.resources.Resource;
import io.opentelemetry.sdk.trace.*;
import io.opentelemetry.sdk.trace.data.SpanData;
import io.opentelemetry.sdk.trace.export.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.util.*;
import java.util.concurrent.TimeUnit;
import java.util.stream.*;

/**
 * Sends spans with OpenTelemetry's SDK for Java and writes down what the SDK was told to send.
 *
 *	Sender grpc|http URL gzip|none OUT
 *
 * OUT: a JSON list, a span each, with values as OTLP/JSON has them.
 */
public class Sender {
	static final List<String> sent = new ArrayList<>();

	static String quote(String s) {
		StringBuilder b = new StringBuilder("\"");
		for (char c : s.toCharArray())
			b.append(c < ' ' || c == '"' || c == '\\' ? String.format("\\u%04x", (int) c) : String.valueOf(c));
		return b.append('"').toString();
	}

	static String value(Object v) {
		if (v instanceof Boolean)
			return "{\"boolValue\":" + v + "}";
		if (v instanceof Long)
			return "{\"intValue\":\"" + v + "\"}";
		if (v instanceof Double)
			return "{\"doubleValue\":" + v + "}";
		if (v instanceof List<?> l)
			return "{\"arrayValue\":{\"values\":[" + l.stream().map(Sender::inList).collect(Collectors.joining(",")) + "]}}";
		return "{\"stringValue\":" + quote(v.toString()) + "}";
	}

	/** This SDK sends an empty text in a list as a value that is not set. */
	static String inList(Object v) {
		return v.equals("") ? "{}" : value(v);
	}

	static String attributes(Attributes of) {
		return "{" + of.asMap().entrySet().stream().map(e -> quote(e.getKey().getKey()) + ":" + value(e.getValue()))
				.collect(Collectors.joining(",")) + "}";
	}

	static String span(SpanData s) {
		String parent = s.getParentSpanContext().isValid() ? s.getParentSpanId() : "";
		String state = s.getSpanContext().getTraceState().asMap().entrySet().stream()
				.map(e -> e.getKey() + "=" + e.getValue()).collect(Collectors.joining(","));
		String events = s.getEvents().stream()
				.map(e -> "[" + quote(e.getName()) + "," + e.getEpochNanos() + "," + attributes(e.getAttributes()) + "]")
				.collect(Collectors.joining(","));
		String links = s.getLinks().stream().map(l -> "[\"" + l.getSpanContext().getTraceId() + "\",\""
				+ l.getSpanContext().getSpanId() + "\"," + attributes(l.getAttributes()) + "]").collect(Collectors.joining(","));
		String scope = s.getInstrumentationScopeInfo().getName(), version = s.getInstrumentationScopeInfo().getVersion();
		int status = Map.of(StatusCode.UNSET, 0, StatusCode.OK, 1, StatusCode.ERROR, 2).get(s.getStatus().getStatusCode());
		return "{\"traceId\":\"" + s.getTraceId() + "\",\"spanId\":\"" + s.getSpanId() + "\",\"parentSpanId\":\"" + parent
				+ "\",\"name\":" + quote(s.getName()) + ",\"kind\":" + (s.getKind().ordinal() + 1) + ",\"start\":"
				+ s.getStartEpochNanos() + ",\"end\":" + s.getEndEpochNanos() + ",\"status\":" + status + ",\"message\":"
				+ quote(s.getStatus().getDescription()) + ",\"state\":" + quote(state) + ",\"attributes\":"
				+ attributes(s.getAttributes()) + ",\"resource\":" + attributes(s.getResource().getAttributes())
				+ ",\"scope\":" + quote(scope) + ",\"version\":" + quote(version == null ? "" : version) + ",\"dropped\":["
				+ (s.getTotalAttributeCount() - s.getAttributes().size()) + ","
				+ (s.getTotalRecordedEvents() - s.getEvents().size()) + "," + (s.getTotalRecordedLinks() - s.getLinks().size())
				+ "],\"events\":[" + events + "],\"links\":[" + links + "]}";
	}

	static class Writer implements SpanExporter {
		public synchronized CompletableResultCode export(Collection<SpanData> spans) {
			for (SpanData s : spans)
				sent.add(span(s));
			return CompletableResultCode.ofSuccess();
		}

		public CompletableResultCode flush() {
			return CompletableResultCode.ofSuccess();
		}

		public CompletableResultCode shutdown() {
			return CompletableResultCode.ofSuccess();
		}
	}

	static SpanExporter exporter(String protocol, String url, String packed) {
		if (protocol.equals("grpc"))
			return OtlpGrpcSpanExporter.builder().setEndpoint(url).setCompression(packed).build();
		return OtlpHttpSpanExporter.builder().setEndpoint(url + "/v1/traces").setCompression(packed).build();
	}

	static void emit(SdkTracerProvider p) {
		Tracer one = p.tracerBuilder("sender").setInstrumentationVersion("1.2").build(), two = p.get("other");
		Span root = one.spanBuilder("GET /ünï").setSpanKind(SpanKind.SERVER).setAttribute("text", "grüße, 世界 🧵")
				.setAttribute("empty", "").setAttribute("yes", true).setAttribute("no", false)
				.setAttribute("most", Long.MAX_VALUE).setAttribute("least", Long.MIN_VALUE).setAttribute("float", 1.0)
				.setAttribute("small", Double.MIN_VALUE).setAttribute(stringArrayKey("texts"), List.of("a", "ü", ""))
				.setAttribute(longArrayKey("ints"), List.of(1L, Long.MIN_VALUE))
				.setAttribute(doubleArrayKey("floats"), List.of(1.0, 2.5))
				.setAttribute(booleanArrayKey("bools"), List.of(true, false)).startSpan();
		Context in = Context.root().with(root);

		root.setAttribute("thirteenth", 1);
		for (SpanKind kind : SpanKind.values()) {
			Span child = two.spanBuilder("child " + kind).setSpanKind(kind).setParent(in).startSpan();

			one.spanBuilder("grandchild").setParent(in.with(child)).startSpan().end();
			child.setStatus(StatusCode.OK);
			child.end();
		}
		for (long i = 0; i < 5; i++)
			root.addEvent("event " + i, Attributes.of(longKey("n"), i));
		root.setStatus(StatusCode.ERROR, "it broke: ß");
		root.end();
		SpanContext far = SpanContext.createFromRemoteParent("0123456789abcdef0123456789abcdef", "1122334455667788",
				TraceFlags.getSampled(), TraceState.builder().put("other", "b2").put("vendor", "a1").build());
		one.spanBuilder("continued").setSpanKind(SpanKind.CONSUMER).setParent(Context.root().with(Span.wrap(far)))
				.addLink(far, Attributes.of(longArrayKey("n"), List.of(1L))).addLink(far).addLink(far).startSpan().end();
	}

	public static void main(String[] args) throws Exception {
		for (String name : List.of("java-one", "java-two")) {
			SdkTracerProvider p = SdkTracerProvider.builder()
					.setResource(Resource.create(Attributes.of(stringKey("service.name"), name, longArrayKey("numbers"), List.of(1L, 2L))))
					.setSpanLimits(SpanLimits.builder().setMaxNumberOfAttributes(12).setMaxNumberOfEvents(3).setMaxNumberOfLinks(2).build())
					.addSpanProcessor(SimpleSpanProcessor.create(new Writer()))
					.addSpanProcessor(BatchSpanProcessor.builder(exporter(args[0], args[1], args[2])).build()).build();

			emit(p);
			p.shutdown().join(30, TimeUnit.SECONDS);
		}
		Files.write(Path.of(args[3]), ("[" + String.join(",\n", sent) + "]").getBytes(StandardCharsets.UTF_8));
	}
}
