// SPDX-License-Identifier: Apache-2.0

// Sends spans with OpenTelemetry's SDK for Go and writes down what the SDK was told to send.
//
//	go grpc|http HOST:PORT gzip|none OUT
//
// OUT: a JSON list, a span each, with values as OTLP/JSON has them.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"math"
	"os"
	"strconv"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

type object = map[string]any

type writer struct {
	lock sync.Mutex
	sent []object
}

func list[T any](values []T, one func(T) object) object {
	out := []object{}
	for _, v := range values {
		out = append(out, one(v))
	}
	return object{"arrayValue": object{"values": out}}
}

func text(s string) object    { return object{"stringValue": s} }
func whole(i int64) object    { return object{"intValue": strconv.FormatInt(i, 10)} }
func double(f float64) object { return object{"doubleValue": f} }
func truth(b bool) object     { return object{"boolValue": b} }

func value(v attribute.Value) object {
	switch v.Type() {
	case attribute.BOOL:
		return truth(v.AsBool())
	case attribute.INT64:
		return whole(v.AsInt64())
	case attribute.FLOAT64:
		return double(v.AsFloat64())
	case attribute.STRING:
		return text(v.AsString())
	case attribute.BOOLSLICE:
		return list(v.AsBoolSlice(), truth)
	case attribute.INT64SLICE:
		return list(v.AsInt64Slice(), whole)
	case attribute.FLOAT64SLICE:
		return list(v.AsFloat64Slice(), double)
	case attribute.STRINGSLICE:
		return list(v.AsStringSlice(), text)
	}
	log.Fatalf("a value of type %v", v.Type())
	return nil
}

func attributes(kvs []attribute.KeyValue) object {
	out := object{}
	for _, kv := range kvs {
		out[string(kv.Key)] = value(kv.Value)
	}
	return out
}

func (w *writer) ExportSpans(_ context.Context, spans []sdk.ReadOnlySpan) error {
	w.lock.Lock()
	defer w.lock.Unlock()
	for _, s := range spans {
		parent, events, links := "", [][]any{}, [][]any{}
		if s.Parent().SpanID().IsValid() {
			parent = s.Parent().SpanID().String()
		}
		for _, e := range s.Events() {
			events = append(events, []any{e.Name, strconv.FormatInt(e.Time.UnixNano(), 10), attributes(e.Attributes)})
		}
		for _, l := range s.Links() {
			links = append(links, []any{l.SpanContext.TraceID().String(), l.SpanContext.SpanID().String(), attributes(l.Attributes)})
		}
		status := map[codes.Code]int{codes.Unset: 0, codes.Ok: 1, codes.Error: 2}[s.Status().Code]
		w.sent = append(w.sent, object{
			"traceId": s.SpanContext().TraceID().String(), "spanId": s.SpanContext().SpanID().String(), "parentSpanId": parent,
			"name": s.Name(), "kind": int(s.SpanKind()), "start": strconv.FormatInt(s.StartTime().UnixNano(), 10),
			"end": strconv.FormatInt(s.EndTime().UnixNano(), 10), "status": status, "message": s.Status().Description,
			"state": s.SpanContext().TraceState().String(), "attributes": attributes(s.Attributes()),
			"resource": attributes(s.Resource().Attributes()), "scope": s.InstrumentationScope().Name,
			"version": s.InstrumentationScope().Version,
			"dropped": []int{s.DroppedAttributes(), s.DroppedEvents(), s.DroppedLinks()}, "events": events, "links": links,
		})
	}
	return nil
}

func (w *writer) Shutdown(context.Context) error { return nil }

func exporter(ctx context.Context, protocol, where, packed string) (sdk.SpanExporter, error) {
	if protocol == "grpc" {
		options := []otlptracegrpc.Option{otlptracegrpc.WithEndpoint(where), otlptracegrpc.WithInsecure()}
		if packed == "gzip" {
			options = append(options, otlptracegrpc.WithCompressor("gzip"))
		}
		return otlptracegrpc.New(ctx, options...)
	}
	compression := otlptracehttp.NoCompression
	if packed == "gzip" {
		compression = otlptracehttp.GzipCompression
	}
	return otlptracehttp.New(ctx, otlptracehttp.WithEndpoint(where), otlptracehttp.WithInsecure(),
		otlptracehttp.WithCompression(compression))
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func emit(ctx context.Context, p *sdk.TracerProvider) {
	one, two := p.Tracer("sender", trace.WithInstrumentationVersion("1.2")), p.Tracer("other")
	rootCtx, root := one.Start(ctx, "GET /ünï", trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
		attribute.String("text", "grüße, 世界 🧵"), attribute.String("empty", ""), attribute.Bool("yes", true),
		attribute.Bool("no", false), attribute.Int64("most", math.MaxInt64), attribute.Int64("least", math.MinInt64),
		attribute.Float64("float", 1), attribute.Float64("small", 5e-324), attribute.StringSlice("texts", []string{"a", "ü", ""}),
		attribute.Int64Slice("ints", []int64{1, math.MinInt64}), attribute.Float64Slice("floats", []float64{1, 2.5}),
		attribute.BoolSlice("bools", []bool{true, false})))
	root.SetAttributes(attribute.Int("thirteenth", 1))
	for kind := trace.SpanKindInternal; kind <= trace.SpanKindConsumer; kind++ {
		childCtx, child := two.Start(rootCtx, fmt.Sprintf("child %v", kind), trace.WithSpanKind(kind))
		_, grandchild := one.Start(childCtx, "grandchild")
		grandchild.End()
		child.SetStatus(codes.Ok, "")
		child.End()
	}
	for i := range 5 {
		root.AddEvent(fmt.Sprintf("event %d", i), trace.WithAttributes(attribute.Int("n", i)))
	}
	root.RecordError(errors.New("no such thing"))
	root.SetStatus(codes.Error, "it broke: ß")
	root.End()
	state, err := trace.ParseTraceState("vendor=a1,other=b2")
	must(err)
	traceID, err := trace.TraceIDFromHex("0123456789abcdef0123456789abcdef")
	must(err)
	spanID, err := trace.SpanIDFromHex("1122334455667788")
	must(err)
	far := trace.NewSpanContext(trace.SpanContextConfig{TraceID: traceID, SpanID: spanID, TraceFlags: 1, TraceState: state, Remote: true})
	_, s := one.Start(trace.ContextWithRemoteSpanContext(ctx, far), "continued", trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithLinks(trace.Link{SpanContext: far, Attributes: []attribute.KeyValue{attribute.IntSlice("n", []int{1})}},
			trace.Link{SpanContext: far}, trace.Link{SpanContext: far}))
	s.End()
}

func main() {
	ctx, w := context.Background(), &writer{}
	for _, name := range []string{"go-one", "go-two"} {
		x, err := exporter(ctx, os.Args[1], os.Args[2], os.Args[3])
		must(err)
		limits := sdk.NewSpanLimits()
		limits.AttributeCountLimit, limits.EventCountLimit, limits.LinkCountLimit = 12, 3, 2
		p := sdk.NewTracerProvider(sdk.WithSyncer(w), sdk.WithBatcher(x), sdk.WithRawSpanLimits(limits), sdk.WithResource(
			resource.NewSchemaless(attribute.String("service.name", name), attribute.Int64Slice("numbers", []int64{1, 2}))))
		emit(ctx, p)
		must(p.Shutdown(ctx))
	}
	out, err := json.Marshal(w.sent)
	must(err)
	must(os.WriteFile(os.Args[4], out, 0o600))
}
