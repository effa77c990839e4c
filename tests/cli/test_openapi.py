# SPDX-License-Identifier: Apache-2.0
"""What the server really answers is what its own OpenAPI document says, call by call."""
import json
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import jsonschema
import pytest
from conftest import CLEW, Runner

from lib import recording
from lib.lab import PATIENCE

API = "/api/clew/v1"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    path = tmp_path_factory.mktemp("openapi")
    (path / "shop.clew").write_bytes(recording.shop().data())
    runner = Runner(path)
    runner("replay", path / "shop.clew", "-d", path / "db", check=0)
    process = subprocess.Popen([CLEW, "server", "-d", path / "db", "--http-port", "0", "--no-otlp"],
                               env=runner.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        for line in process.stdout:
            found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
            if found:
                break
        yield "http://127.0.0.1:" + found.group(1)
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


def fetch(server, target, status=200, data=None):
    request = urllib.request.Request(server + API + target, data=data)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as r:
            assert r.status == status, target
            return r.headers["Content-Type"].split(";")[0], r.read()
    except urllib.error.HTTPError as e:
        assert e.code == status, (target, e.read())
        return e.headers["Content-Type"].split(";")[0], e.read()


@pytest.fixture(scope="module")
def document(server):
    kind, body = fetch(server, "/openapi.json")
    assert kind == "application/json"
    return json.loads(body)


class Checker:
    def __init__(self, server, document):
        self.server, self.document = server, document
        self.seen = set()

    def validate(self, schema, value):
        whole = {"components": self.document["components"], **schema}
        jsonschema.Draft202012Validator(whole).validate(value)

    def __call__(self, path, method="get", query=(), status=200, data=None, **parts):
        """One call, checked: its parameters are documented, and so is all of its answer."""
        operation = self.document["paths"][path][method]
        known = set()
        for p in operation.get("parameters", []):
            known.add((p if "name" in p else self.document["components"]["parameters"][p["$ref"].split("/")[-1]])["name"])
        assert {k for k, _ in query} <= known, (path, query)
        target = re.sub(r"{(\w+)}", lambda m: urllib.parse.quote(parts[m.group(1)], safe=""), path)
        kind, body = fetch(self.server, target + ("?" + urllib.parse.urlencode(query) if query else ""), status, data)
        answers = operation["responses"].get(str(status), operation["responses"]["default"])["content"]
        assert kind in answers, (path, kind)
        self.seen.add((path, method))
        if kind == "application/vnd.apache.parquet":
            return body
        rows = [json.loads(line) for line in body.splitlines()] if kind == "application/x-ndjson" else [json.loads(body)]
        for row in rows:
            self.validate(answers[kind].get("schema", {}), row)
        return rows if kind == "application/x-ndjson" else rows[0]


def test_every_call(server, document):
    ask = Checker(server, document)
    traces = ask("/traces", query=[("limit", 5), ("paged", 1)])
    assert len(traces) == 6 and "next" in traces[5]
    assert len(ask("/traces", query=[("limit", 20), ("paged", 1), ("cursor", traces[5]["next"])])) == 7
    spans = ask("/spans", query=[("where", "http.response.status_code>=500"), ("kind", "server"), ("kind", "client")])
    assert len(spans) == 4
    trace = traces[0]["trace_id"]
    assert ask("/trace/{id}", id=trace)["resourceSpans"]
    tree = ask("/trace/{id}/tree", id="last", query=[("limit", 1)])
    assert tree["spans_total"] == 2 and tree["folded"] == [1] and len(tree["id"]) == 1
    assert sum(p["to_ns"] - p["from_ns"] for p in ask("/trace/{id}/critical", id=trace)["pieces"]) == \
        traces[0]["duration_ns"]
    whole = ask("/trace/{id}/span/{span}", id=trace, span=tree["id"][0])
    assert whole["why"]["text"] and whole["resource"]["service.name"] == whole["service"]
    assert len(ask("/services")) == 3
    some = ask("/services", query=[("limit", 1), ("sort", "name"), ("prefix", "")])
    assert some[1]["total"] == 3 and some[1]["next"] == some[0]["service"]
    assert len(ask("/services", query=[("after", some[1]["next"]), ("sort", "name")])) == 2
    ask("/services/why")
    overview = ask("/overview", query=[("buckets", 7)])
    assert {s["service"]: s["requests"] for s in overview["services"]} == {"shopd": 12}
    assert ask("/operations", query=[("service", "shopd")])["operations"][0]["requests"] == 12
    assert sum(ask("/red", query=[("service", "shopd"), ("buckets", 3)])["requests"]) == 12
    assert ask("/map")["edges"]
    assert len(ask("/map", query=[("limit", 1)])["edges"]) == 1
    patterns = ask("/patterns")
    assert patterns["traces"] == 12 and sum(p["count"] for p in patterns["patterns"]) == 12
    pattern = patterns["patterns"][0]
    graph = ask("/patterns/{id}", id=pattern["id"])
    assert graph["count"] == pattern["count"] and len(graph["nodes"]) == len(pattern["shape"]) == 2
    assert ask("/histogram", query=[("pattern", pattern["id"])])["n"] == pattern["count"]
    assert ask("/histogram", query=[("spans", 1), ("service", "shopd")])["n"] == 12
    heat = ask("/heat", query=[("columns", 7)])
    assert sum(count for _, _, count, _ in heat["cells"]) == heat["n"] == 12
    ask("/differences", query=[("from_ns", 8000000)])
    ask("/differences", query=[("failed", 1), ("at_least_ns", 1)])
    ask("/compare", query=[("a", trace), ("b", "last")])
    ask("/compare", query=[("from_ns", 8000000), ("any", 1), ("service", "shopd")])
    keys = [k["key"] for k in ask("/attributes", query=[("prefix", "http.")])["keys"]]
    assert "http.response.status_code" in keys
    values = ask("/attributes/{key}/values", key="http.response.status_code")["values"]
    assert {v["value"]: v["spans"] for v in values} == {"200": 20, "503": 4}
    assert len(ask("/download", query=[("error", 1)])) == len(ask("/spans", query=[("error", 1)]))
    assert ask("/download", query=[("format", "parquet")])[:4] == b"PAR1"
    assert ask("/download", query=[("format", "otlp")])[0]["resourceSpans"]
    assert ask("/status")["store"]["spans"] == 24
    assert ask("/stats")["failing"] is False
    assert ask("/sql", "post", data=b"select count(*) from spans")["rows"] == [[24]]
    assert ask("/openapi.json") == document
    missing = {(p, m) for p, ms in document["paths"].items() for m in ms} - ask.seen
    assert missing == {("/tail", "get")}  # server-sent events: tests/e2e


def test_errors_are_as_documented(server, document):
    ask = Checker(server, document)
    ask("/traces", query=[("limit", "x")], status=400)
    ask("/spans", query=[("where", "a!=b")], status=400)
    ask("/trace/{id}/tree", id="f" * 32, status=404)
    ask("/patterns/{id}", id="0" * 16, status=404)
    ask("/operations", status=400)
    ask("/compare", status=400)


def test_document_is_whole(document):
    """All references lead somewhere, and all schemas are used."""
    text = json.dumps(document)
    used = set(re.findall(r'"#/components/(schemas|parameters)/(\w+)"', text))
    for section in ("schemas", "parameters"):
        assert {n for s, n in used if s == section} == set(document["components"][section])
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
