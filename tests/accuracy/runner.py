# SPDX-License-Identifier: Apache-2.0
"""Runs one case at one load: starts the services, points clew at them, sends the load, scores; or scores again from
what such a run kept, by replay.

A run's directory holds meta.json (all that scoring needs to know), load.tsv, the truth, seen.tsv, spans.jsonl,
score.json, summary.txt (clew's own), worst.txt (the worst trace with its evidence), the services' logs and, when
it is kept, recording.clew.
"""

import collections
import hashlib
import importlib
import json
import os
import pkgutil
import shutil
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

import case  # noqa: E402
import retoken  # noqa: E402
import scenarios  # noqa: E402
import score  # noqa: E402
from lib.lab import PORTS, Lab, find_clew, find_load, parse_lost, port_open, unix_open, wait_for  # noqa: E402

RECORDING = "recording.clew"
LINKS_PER_REQUEST = 1.8  # of case.WORK, a little less than it is


def all_variants():
    """{name: (module, parameters)} of every scenario module."""
    found = {}
    for m in pkgutil.iter_modules(scenarios.__path__):
        module = importlib.import_module("scenarios." + m.name)
        for v in module.VARIANTS:
            assert v["name"] not in found, "two cases are called " + v["name"]
            found[v["name"]] = (module, v)
    return found


def why_skipped(module, variant):
    """What is missing for the case on this machine, or None."""
    check = getattr(module, "check", None)
    return case.lacking(variant) or (check(variant) if check else None)


def params_of(variant, load, args):
    """What build() gets: the variant, and the sizes that go with the load. Pools are smaller than the load."""
    return {"workers": max(2, min(load * 2 // 5, 64)), "conns": max(2, min(load // 2, 64)), **variant,
            "load": load, "concurrency": load, "parallel": args.parallel,
            "think_ms": variant.get("think_ms", 4) if args.think_ms is None else args.think_ms}


def request_count(variant, args):
    fixed = args.requests or (args.quick and variant.get("quick", {}).get("requests"))
    return fixed or max(1, int(args.links / variant.get("links", LINKS_PER_REQUEST)))


# ---- services and clew ----

def clew_options(lab, variant, args):
    out = list(args.clew_option)
    for name in args.with_option:
        out += variant.get("with", {}).get(name, [])
    if args.records:
        out += ["-o", lab.path(RECORDING)]
    return out


def start_services(lab, plan, variant, args):
    """Starts the supervisor, under clew with --attach run; returns (supervisor's process, clew or None, pids)."""
    spec = lab.write("services.json", json.dumps(plan["services"]))
    pid_file = lab.path("pids.json")
    command = ["/usr/bin/python3", os.path.join(HERE, "services", "supervise.py"), spec, pid_file]
    recording = None
    if args.attach == "run" and not args.no_clew:
        recording = lab.run(*clew_options(lab, variant, args), db=lab.path("store"), command=command)
        supervisor = recording
    else:
        supervisor = lab.spawn(command, "supervise")

    def up():
        if not supervisor.alive():
            raise AssertionError("%s ended:\n%s" % (supervisor.name, supervisor.err()[-3000:]))
        return os.path.exists(pid_file)
    wait_for(up, what="the supervisor to start its services")
    with open(pid_file) as f:
        pids = json.load(f)
    for kind, where in plan["wait"]:
        def listens(kind=kind, where=where):
            if not supervisor.alive():
                raise AssertionError("a service ended; logs are in %s:\n%s" % (lab.dir, supervisor.err()[-3000:]))
            return port_open(where) if kind == "port" else unix_open(where)
        wait_for(listens, what=lambda w=where: "a listener on %s; logs are in %s" % (w, lab.dir))
    return supervisor, recording, pids


def stop_services(supervisor, recording, pids):
    """Services first where clew runs them (it ends when they have), else clew first; clew's summary."""
    if recording is supervisor:
        os.kill(pids["supervisor"], signal.SIGTERM)
        status = recording.wait()
        assert status == 0, "clew run ended with %d:\n%s" % (status, recording.err()[-3000:])
        return recording.err()
    summary = recording.finish() if recording else ""
    supervisor.stop()
    return summary


def run_load(lab, plan, requests, load, args, log):
    cmd = lab.load_args(plan["url"], requests=requests, conns=load, log=log,
                        args=["--think-ms", args.client_think_ms] if args.client_think_ms else [])
    r = subprocess.run(cmd, capture_output=True, text=True, timeout=args.limit)
    assert r.returncode == 0, r.stderr
    return json.loads(r.stdout)


# ---- truth ----

def calls_to_back_ends(plan):
    """The tokens that were sent to those who note what they see."""
    rows = score.read_truth([t for t in plan["truth"] if os.path.exists(t)])
    return {row[2] for r in rows.values() for row in r if row[1] in plan.get("back_names", ("leaf",))}


def seen_by_back_ends(plan):
    out = set()
    for path in plan.get("seen", ()):
        with open(path) as f:
            out.update(line.strip() for line in f)
    return out


def wait_for_jobs(plan):
    """Background jobs may go on after the last answer: until every call of which there is truth has arrived."""
    if plan.get("seen"):
        said = calls_to_back_ends(plan)
        wait_for(lambda: said <= seen_by_back_ends(plan), what="calls of which there is truth to arrive", every=0.1)


def check_truth(plan, load_log):
    """A truth that lost lines proves nothing: each call that arrived must be in it, each request that went well
    must have its whole tree of hops where the tree is a fixed one."""
    load = score.read_load(load_log)
    rows = score.read_truth(plan["truth"])
    hops, _ = score.build_hops(rows, load, plan["root"])
    if plan.get("hops"):
        per = collections.Counter(hop.request for hop in hops.values())
        short = [t for t, status, done in load if done and status < 400 and per[t] != plan["hops"]]
        assert not short, "%d of %d requests do not have %d hops in the truth, e.g. %s" % (len(short), len(load),
                                                                                         plan["hops"], short[0])
    lost = seen_by_back_ends(plan) - {row[2] for r in rows.values() for row in r}
    assert not lost, "%d calls arrived that are not in the truth, e.g. %s" % (len(lost), sorted(lost)[0])
    calls = sum(h.via is not None or bool(h.causes) for h in hops.values())
    assert calls, "no request made a call: the truth's incoming tokens are not the load's"
    return {"requests": len(load), "calls": calls}


# ---- one run ----

def run_one(name, module, variant, load, directory, args, ports=PORTS):
    """Runs the case; returns its result, also in directory/score.json. ports: (first, last) of those it may take."""
    shutil.rmtree(directory, ignore_errors=True)
    params = params_of(variant, load, args)
    with Lab(directory, ports=ports) as lab:
        if args.clew:
            lab.clew_path = os.path.abspath(args.clew)
        plan = module.build(lab, params)
        supervisor, recording, pids = start_services(lab, plan, variant, args)
        if variant.get("warmup"):
            run_load(lab, plan, variant["warmup"], load, args, lab.path("warmup.tsv"))
        if not recording and not args.no_clew:
            targets = ["--pid", str(pids["supervisor"])]
            if args.trace_client:
                targets += ["--exe", os.path.realpath(find_load(lab.dir))]
            recording = lab.record(*targets, *clew_options(lab, variant, args), db=lab.path("store"))
        report = run_load(lab, plan, request_count(variant, args), load, args, lab.path("load.tsv"))
        wait_for_jobs(plan)
        summary = stop_services(supervisor, recording, pids)
        truth = check_truth(plan, lab.path("load.tsv"))
        meta = {"case": name, "load": load, "runtime": variant.get("runtime", ""), "ask": variant.get("ask", {}),
                "root": plan["root"], "truth": [os.path.relpath(t, lab.dir) for t in plan["truth"]],
                "between": bool(plan.get("between")), "client_traced": args.trace_client,
                "workers": params["workers"], "conns": params["conns"], "think_ms": params["think_ms"],
                "options": options_of(variant, args), "clew": identity_of(lab.clew_path), "client": report, "asked": request_count(variant, args)}
        with open(lab.path("meta.json"), "w") as f:
            json.dump(meta, f, indent=1)
        if args.no_clew:
            return {**meta, "checked": truth}
        with open(lab.path("summary.txt"), "w") as f:
            f.write(summary)
        result = score_store(directory, lab.clew_path, lab.path("store"), meta)
        result["lost"] = parse_lost(summary)
        if args.proofs:
            result["proofs"] = prove(directory, lab.clew_path, args)
        if args.ablate:
            result["without"] = {s: ablate(directory, lab.clew_path, s, args) for s in args.ablate}
    if not args.keep:
        for left in ("store", RECORDING):
            path = os.path.join(directory, left)
            shutil.rmtree(path) if os.path.isdir(path) else os.path.exists(path) and os.unlink(path)
    write_whole(os.path.join(directory, "score.json"), result)
    return result


def write_whole(path, result):
    """At once, or not at all: what is there is a result."""
    with open(path + ".new", "w") as f:
        json.dump(result, f, indent=1)
    os.rename(path + ".new", path)


def identity_of(clew):
    """What tells one build of clew from another, so that a table can say when it was made with several."""
    with open(clew, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()[:12]


def options_of(variant, args):
    """What tells one run of the same case from another, beside the load."""
    return args.clew_option + [o for n in args.with_option for o in variant.get("with", {}).get(n, [])]


def score_store(directory, clew, store, meta):
    """Reads all spans of the store and scores them; keeps spans.jsonl and worst.txt."""
    spans = os.path.join(directory, "spans.jsonl")
    read_spans(clew, store, spans)
    result = {**meta, **score.score_files(spans, os.path.join(directory, "load.tsv"),
                                          [os.path.join(directory, t) for t in meta["truth"]], meta["root"],
                                          meta["client_traced"], meta["between"])}
    with open(os.path.join(directory, "worst.txt"), "w") as f:
        f.write(explain_worst(clew, store, result["worst"]))
    return result


def read_spans(clew, store, out):
    with open(out, "w") as f:
        subprocess.run([clew, "spans", "-d", store], stdout=f, check=True, timeout=600)


def explain_worst(clew, store, worst):
    if not worst:
        return "no request has a link that is wrong, missing or an orphan\n"
    out = ["request %s\n%s\n" % (worst["request"], "".join("  %s\n" % f for f in worst["faults"]))]
    for trace in worst["traces"][:4]:
        r = subprocess.run([clew, "trace", trace, "--why", "-d", store], capture_output=True, text=True, timeout=60)
        out.append(r.stdout or r.stderr)
    return "\n".join(out)


# ---- replay ----

def replay(directory, clew, options=(), recording=RECORDING, name="replay"):
    """The spans of a replay of what a run recorded: the path of a JSON lines file, and of the store."""
    store = os.path.join(directory, "store-" + name)
    out = os.path.join(directory, "spans-%s.jsonl" % name)
    shutil.rmtree(store, ignore_errors=True)
    path = os.path.join(directory, recording)
    r = subprocess.run([clew, "replay", path, "-d", store, *options], capture_output=True, text=True, timeout=1200)
    if r.returncode:
        raise RuntimeError("clew replay %s: status %d\n%s" % (path, r.returncode, r.stderr[-2000:]))
    read_spans(clew, store, out)
    return out, store, r.stderr


def rescore(directory, clew, options=()):
    """Scores a kept run again, by replay: no services, no privilege. Leaves the run's own score.json as it is."""
    with open(os.path.join(directory, "meta.json")) as f:
        meta = json.load(f)
    if not os.path.exists(os.path.join(directory, RECORDING)):
        raise SystemExit("%s: no recording here; make runs with --keep" % directory)
    spans, store, summary = replay(directory, clew, options)
    result = {**meta, "options": meta["options"] + list(options), "clew": identity_of(clew), "lost": parse_lost(summary),
              **score.score_files(spans, os.path.join(directory, "load.tsv"),
                                  [os.path.join(directory, t) for t in meta["truth"]], meta["root"],
                                  meta["client_traced"], meta["between"])}
    with open(os.path.join(directory, "worst-replay.txt"), "w") as f:
        f.write(explain_worst(clew, store, result["worst"]))
    shutil.rmtree(store, ignore_errors=True)
    return result


def replay_one(directory, args):
    """The result of a kept run with the clew of today, also in directory/replay.json."""
    result = rescore(directory, clew_path(args), args.clew_option)
    if args.ablate:
        result["without"] = {s: ablate(directory, clew_path(args), s, args) for s in args.ablate}
    if args.proofs:
        result["proofs"] = prove(directory, clew_path(args), args)
    write_whole(os.path.join(directory, "replay.json"), result)
    return result


def ablate(directory, clew, source, args):
    """What is left of the result when clew does without a source of evidence."""
    result = rescore(directory, clew, ["--without", source])
    return {k: result[k] for k in ("links", "all_links", "crossed", "requests")}


def prove(directory, clew, args):
    """Replays must agree with each other, also when every token is another one."""
    first, store, _ = replay(directory, clew, name="first")
    again, store2, _ = replay(directory, clew, name="again")
    with open(os.path.join(directory, RECORDING), "rb") as f:
        data, count, _ = retoken.retoken(f.read())
    other = os.path.join(directory, "retokened.clew")
    with open(other, "wb") as f:
        f.write(data)
    swapped, store3, _ = replay(directory, clew, recording="retokened.clew", name="retokened")
    out = {"tokens_replaced": count, "same_twice": retoken.shape(first, True) == retoken.shape(again, True),
           "same_with_other_tokens": bool(count) and retoken.shape(first) == retoken.shape(swapped)}
    for path in (first, again, swapped, other):
        os.unlink(path)
    for path in (store, store2, store3):
        shutil.rmtree(path, ignore_errors=True)
    return out


def finished(directory, variant, args):
    """The result of an earlier run that asked for the same, or None."""
    try:
        with open(os.path.join(directory, "score.json")) as f:
            result = json.load(f)
    except (OSError, ValueError):
        return None
    same = result["asked"] == request_count(variant, args) and result["options"] == options_of(variant, args)
    has = set(args.ablate) <= set(result.get("without", ())) and (not args.proofs or result.get("proofs"))
    return result if same and has else None


def must_start(args):
    """A clew that cannot run at all is found before any service is started."""
    try:
        r = subprocess.run([clew_path(args), "version"], capture_output=True, text=True, timeout=30)
    except OSError as e:
        raise SystemExit("run.py: %s: %s; build it, or name it with --clew" % (clew_path(args), e.strerror)) from None
    if r.returncode:
        raise SystemExit("run.py: %s does not run: %s" % (clew_path(args), r.stderr.strip()))


def clew_path(args):
    return os.path.abspath(args.clew or find_clew())
