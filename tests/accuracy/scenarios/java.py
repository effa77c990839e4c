# SPDX-License-Identifier: Apache-2.0
"""Java: the JDK's own server with pools, futures, its HTTP client and virtual threads; Tomcat, Spring Boot, Netty."""

import hashlib
import os

import case

TOP = os.path.join(case.SERVICES, "java")
COPY_JARS = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
WORK = {"PARALLEL": 0.2, "BACKGROUND": 0.03, "TIMER_MS": 100}
IN_TURN = {"BACKGROUND": 0.03, "TIMER_MS": 100}
POOL = {"right": {50: 0.97, 200: 0.97}}
THREAD = {"right": {50: 0.995, 200: 0.99}}
FUTURES = {"right": {50: 0.9, 200: 0.9}}

VARIANTS = [
    {"name": "java-pool", "main": "Plain", "mode": "pool", "work": IN_TURN, "ask": POOL, "quick": {"load": 50}},
    {"name": "java-pool-parallel", "main": "Plain", "mode": "pool", "work": {**WORK, "PARALLEL": 1}, "ask": FUTURES},
    {"name": "java-completable", "main": "Plain", "mode": "completable", "work": WORK, "ask": FUTURES},
    {"name": "java-pool-g1", "main": "Plain", "mode": "pool", "work": IN_TURN, "ask": POOL, "gc": "G1"},
    {"name": "java-completable-g1", "main": "Plain", "mode": "completable", "work": WORK, "ask": FUTURES, "gc": "G1"},
    {"name": "java-completable-g1-25", "main": "Plain", "mode": "completable", "work": WORK, "ask": FUTURES, "gc": "G1",
     "release": 25},
    {"name": "java-httpclient", "main": "Plain", "mode": "jdkclient", "work": IN_TURN},
    {"name": "java-httpclient-25", "main": "Plain", "mode": "jdkclient", "work": IN_TURN, "release": 25},
    {"name": "java-virtual", "main": "Plain", "mode": "virtual", "work": IN_TURN, "ask": THREAD, "release": 25},
    {"name": "java-virtual-parallel", "main": "Plain", "mode": "virtual", "work": {**WORK, "PARALLEL": 1},
     "release": 25},
    {"name": "java-tomcat", "main": "Tomcat", "mode": "blocking", "work": IN_TURN, "ask": THREAD, "jars": True},
    {"name": "java-tomcat-async", "main": "Tomcat", "mode": "async", "work": IN_TURN, "ask": POOL, "jars": True},
    {"name": "java-spring", "main": "Spring", "mode": "blocking", "work": WORK, "ask": POOL, "jars": True},
    {"name": "java-netty", "main": "Netty", "mode": "loop", "work": WORK, "jars": True},
    {"name": "java-netty-pool", "main": "Netty", "mode": "pool", "work": IN_TURN, "ask": POOL, "jars": True},
]
for v in VARIANTS:
    v.update(runtime="java", needs=["mvn"] if v.get("jars") else [], warmup=2000,
             **{"with": {"agent": ["--agent", "java"]}})


def home(release):
    """The folder of that release's java and javac, or None."""
    base = "/usr/lib/jvm"
    for name in sorted(os.listdir(base)) if os.path.isdir(base) else ():
        try:
            with open(os.path.join(base, name, "release")) as f:
                if 'JAVA_VERSION="%d' % release in f.read():
                    return os.path.join(base, name, "bin")
        except OSError:
            pass
    return None


def check(params):
    """Why the case cannot run here, or None."""
    for release in (17, params.get("release", 17)):
        if not home(release) or not os.path.exists(os.path.join(home(release), "javac")):
            return "no JDK %d in /usr/lib/jvm" % release
    return None


def fetched(out):
    """The jars that pom.xml names, and what they need: exactly those of jars.sha256."""
    case.command([case.find("mvn"), "-q", "-B", "-f", os.path.join(TOP, "pom.xml"), COPY_JARS,
                  "-DoutputDirectory=" + out], "the folder of jars")
    with open(os.path.join(TOP, "jars.sha256")) as f:
        want = {name: digest for digest, name in map(str.split, f)}
    have = {}
    for name in os.listdir(out):
        with open(os.path.join(out, name), "rb") as f:
            have[name] = hashlib.sha256(f.read()).hexdigest()
    wrong = sorted(n for n in want.keys() | have.keys() if want.get(n) != have.get(n))
    if wrong:
        raise RuntimeError("not the jars of jars.sha256: " + ", ".join(wrong))


def class_path(main, with_jars):
    """Compiled for 17, whatever runs it."""
    jars = case.built("jars", ["java/pom.xml", "java/jars.sha256"], fetched) + "/*" if with_jars else ""
    args = [os.path.join(home(17), "javac"), "--release", "17", "-parameters", "-d", "{out}"]
    args += ["-cp", jars] if jars else []
    names = ["java/Mix.java", "java/%s.java" % main]
    out = case.built("java-" + main.lower(), names, args + ["{src}/" + n for n in names])
    return out + ":" + jars if jars else out


def build(lab, params):
    args = [os.path.join(home(params.get("release", 17)), "java"), "-Xmx512m", "-XX:+Use%sGC" % params.get("gc", "Serial"), "-cp",
            class_path(params["main"], params.get("jars")), params["main"]]
    return case.chain(lab, params, args, env={"MODE": params["mode"], "SERVER_THREADS": 2 * params["workers"]})
