# SPDX-License-Identifier: Apache-2.0
"""OpenTelemetry's own SDKs send to `clew server`; what they were told to send is what each API answers, field by field."""
import json
import os
import subprocess

import pytest

import found
from lib.lab import PATIENCE
from served import Server

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = "/usr/bin/python3"
HOW = [("python", "grpc", "none"), ("python", "grpc", "gzip"), ("python", "http", "none"), ("python", "http", "gzip"),
       ("node", "grpc", "gzip"), ("node", "proto", "none"), ("node", "proto", "gzip"), ("node", "json", "none"),
       ("node", "json", "gzip")]


@pytest.fixture(scope="module")
def server(module_lab):
    return Server(module_lab)


def send(server, sdk, protocol, packed):
    """Runs a sender to its end; what it says it sent, by span id."""
    assert os.path.exists(os.path.join(found.SDKS, "stamp")), "the SDKs are missing: tools/fetch-sdks"
    port = server.ports["otlp_grpc" if protocol == "grpc" else "otlp_http"]
    out = server.lab.path(server.lab.name("sent") + ".json")
    program = [PYTHON, os.path.join(HERE, "send.py")] if sdk == "python" else ["node", os.path.join(HERE, "send.js")]
    url = "http://127.0.0.1:%d" % port
    env = {**os.environ, "PYTHONPATH": os.path.join(found.SDKS, "python"), "SDK": os.path.join(found.SDKS, "node"),
           "OTEL_BSP_SCHEDULE_DELAY": "100"}
    r = subprocess.run([*program, protocol, url, packed, out], env=env, capture_output=True, text=True, timeout=PATIENCE)
    assert r.returncode == 0 and os.path.exists(out), r.stderr[-3000:]
    return read_sent(out)


def read_sent(path):
    """What a sender wrote down, by span id."""
    with open(path) as f:
        spans = json.load(f)
    for s in spans:
        s["start"], s["end"] = int(s["start"]), int(s["end"])
        s["attributes"], s["resource"] = normal(s["attributes"]), normal(s["resource"])
        s["events"] = [[n, int(t), normal(a)] for n, t, a in s["events"]]
        s["links"] = [[t, i, normal(a)] for t, i, a in s["links"]]
    return {s["spanId"]: s for s in spans}


def normal(attributes):
    return {k: found.plain(v) for k, v in attributes.items()}


def differences(sent, there):
    out = ["%s is missing" % sent[i]["name"] for i in sent if i not in there]
    for i, s in sent.items():
        for field in s if i in there else ():
            if s[field] != there[i][field]:
                out.append("%s: %s: sent %r, found %r" % (s["name"], field, s[field], there[i][field]))
    return out


def jaeger_differences(sent, traces):
    """Jaeger's first API has a form of its own: times in microseconds, values as text and type."""
    out, spans = [], {}
    for t in traces:
        for s in t["data"][0]["spans"]:
            spans[s["spanID"]] = (s, t["data"][0]["processes"][s["processID"]])
    for i, s in sent.items():
        j, process = spans[i]
        tags = {t["key"]: (t["type"], t["value"]) for t in j["tags"]}
        want = {k: found.text_of(v) for k, v in s["attributes"].items() if "arrayValue" not in v and
                "kvlistValue" not in v and "bytesValue" not in v}
        out += ["%s: tag %s: sent %r, found %r" % (s["name"], k, v, tags.get(k)) for k, v in want.items() if tags.get(k) != v]
        parents = [r["spanID"] for r in j["references"] if r["refType"] == "CHILD_OF"]
        pairs = [("name", s["name"], j["operationName"]), ("trace", s["traceId"], j["traceID"]),
                 ("start", s["start"] // 1000, j["startTime"]),
                 ("parent", [s["parentSpanId"]] if s["parentSpanId"] else [], parents[:1]),
                 ("events", sorted(t // 1000 for _, t, _ in s["events"]), sorted(e["timestamp"] for e in j["logs"])),
                 ("service", s["resource"]["service.name"]["stringValue"], process["serviceName"])]
        out += ["%s: %s: sent %r, found %r" % (s["name"], f, a, b) for f, a, b in pairs if a != b]
    return out


def native_differences(sent, lines):
    out, spans = [], {s["span_id"]: s for s in lines}
    for i, s in sent.items():
        n = spans[i]
        for field, a, b in [("kind", found.KINDS[s["kind"]], n["kind"]), ("start", s["start"], n["start_ns"]),
                            ("duration", s["end"] - s["start"], n["duration_ns"]), ("name", s["name"], n["name"]),
                            ("parent", s["parentSpanId"] or None, n["parent_span_id"]),
                            ("status", ("unset", "ok", "error")[s["status"]], n["status"]),
                            ("service", s["resource"]["service.name"]["stringValue"], n["service"]),
                            ("links", [x[:2] for x in s["links"]], [[x["trace_id"], x["span_id"]] for x in n["links"]])]:
            if a != b:
                out.append("%s: %s: sent %r, found %r" % (s["name"], field, a, b))
        for k, v in s["attributes"].items():
            kind, x = next(iter(v.items()))
            if kind in ("stringValue", "boolValue", "doubleValue", "intValue"):
                x = int(x) if kind == "intValue" else x
                if n["attributes"].get(k) != x:
                    out.append("%s: %s: sent %r, found %r" % (s["name"], k, x, n["attributes"].get(k)))
    return out


def check_found(server, sent):
    """Each field of what was sent, through every API that gives spans out."""
    ids = sorted({s["traceId"] for s in sent.values()})
    mine = {i: s for i, s in sent.items() if s["traceId"] != "0123456789abcdef0123456789abcdef"}
    v3 = [server.ask("/api/v3/traces/" + t).json["result"] for t in ids]
    assert not differences(sent, found.from_otlp(v3))
    tempo = [server.ask("/tempo/api/traces/" + t).json for t in ids]
    assert not differences(sent, found.from_otlp(tempo, found.hex_of_base64))
    assert not jaeger_differences(mine, [server.ask("/api/traces/" + t).json for t in ids])
    native = [json.loads(x) for x in server.ask("/api/clew/v1/download?format=ndjson&limit=100000").text.splitlines()]
    assert not native_differences(sent, native)
    download = [json.loads(x) for x in server.ask("/api/clew/v1/download?format=otlp&limit=100000").text.splitlines()]
    assert not differences(sent, found.from_otlp(download))


@pytest.mark.parametrize("sdk, protocol, packed", HOW, ids=["-".join(h) for h in HOW])
def test_field_by_field(server, sdk, protocol, packed):
    sent = send(server, sdk, protocol, packed)
    assert len(sent) >= 24
    check_found(server, sent)
