# SPDX-License-Identifier: Apache-2.0
"""The Java agent's change of class files: a VM that verifies everything takes what comes out, and works as before."""

import glob
import os
import re
import subprocess

import pytest

from conftest import BUILD
from test_jvm import HERE, HOMES

TOOL = os.path.join(BUILD, "tests", "capture", "transform_tool")
AGENT = os.path.join(HERE, "..", "..", "agents", "java", "src", "clew", "agent")
CONCURRENT = "java/util/concurrent/"
VIRTUAL = "java/lang/VirtualThread"
HTTP = "jdk/internal/net/http/common/SequentialScheduler"
# {class: how many of its methods are changed, by version}
METHODS = {
    CONCURRENT + "ThreadPoolExecutor": {17: 4, 25: 4},
    CONCURRENT + "FutureTask": {17: 2, 25: 2},
    CONCURRENT + "ForkJoinPool": {17: 4, 25: 4},
    CONCURRENT + "CompletableFuture": {17: 17, 25: 17},
    VIRTUAL: {25: 1},
    HTTP: {17: 2, 25: 1},
}
TOMCAT = "org/apache/tomcat/util/net/SocketProcessorBase"
VERIFY = ["-Xverify:all", "-Xshare:off"]


def java(version, *args):
    return subprocess.run([os.path.join(HOMES[version], "bin", "java"), *args], capture_output=True, text=True, timeout=240)


def transform(name, data, *args):
    r = subprocess.run([TOOL, name, *args], input=data, capture_output=True, timeout=240)
    assert r.returncode == 0, r.stderr
    return r.stdout, r.stderr.decode().strip()


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """The test program, and the agent's classes for the boot loader."""
    out, boot = tmp_path_factory.mktemp("changed"), tmp_path_factory.mktemp("boot")
    compiler = next(h + "/bin/javac" for h in HOMES.values() if os.path.exists(h + "/bin/javac"))
    for where, release, sources in ((out, "17", [os.path.join(HERE, "Changed.java")]),
                                    (boot, "8", glob.glob(os.path.join(AGENT, "*.java")))):
        subprocess.run([compiler, "--release", release, "-nowarn", "-Xlint:-options", "-d", where] + sources, check=True,
                       capture_output=True, timeout=120)
    return str(out), str(boot)


def originals(version, compiled, tmp_path):
    """{class: path of the VM's own file, as DIR/MODULE/CLASS.class}."""
    r = java(version, "-cp", compiled[0], "Changed", "get", str(tmp_path), *METHODS)
    assert r.returncode == 0, r.stderr
    files = glob.glob(str(tmp_path) + "/**/*.class", recursive=True)
    return {name: f for name in METHODS for f in files if f.endswith("/" + name + ".class")}


@pytest.mark.parametrize("version", sorted(HOMES))
def test_the_vm_verifies_it(version, compiled, tmp_path):
    files = originals(version, compiled, tmp_path)
    for name, path in files.items():
        with open(path, "rb") as f:
            before = f.read()
        after, methods = transform(name, before)
        if version in METHODS[name]:
            assert methods == str(METHODS[name][version]), name
        assert int(methods) > 0 and len(after) > len(before), name
        with open(path, "wb") as f:
            f.write(after)
    patches = []
    for module in os.listdir(tmp_path):
        patches += ["--patch-module", "%s=%s" % (module, tmp_path / module), "--add-reads", module + "=ALL-UNNAMED"]
    run = [*VERIFY, *patches, "-Xbootclasspath/a:" + compiled[1], "-Xlog:class+load,verification", "-cp", compiled[0],
           "Changed", "run"]
    r = java(version, *run)
    assert r.returncode == 0 and "all was done" in r.stdout, (r.stdout[-1500:], r.stderr[-1500:])
    for name in files:
        dotted = re.escape(name.replace("/", "."))
        assert re.search(r"\] %s source: .*%s" % (dotted, re.escape(str(tmp_path))), r.stdout), name + ": not ours"
        assert re.search(r"End class verification for: %s|Class %s has|Verifying class %s with new format" %
                         (name, dotted, dotted), r.stdout), name + ": not verified"
    # What does not fit is found, so this proves something.
    path = files[CONCURRENT + "ThreadPoolExecutor"]
    with open(path, "rb") as f:
        data = f.read()
    with open(path, "wb") as f:
        f.write(broken(data))
    r = java(version, *run)
    assert "VerifyError" in r.stdout + r.stderr


def broken(data):
    """aload 1; invokestatic: of a local that there is not."""
    at = re.search(rb"\x19\x01\xb8..\x00\x00\x00", data, re.S)
    assert at
    return data[:at.start() + 1] + b"\x64" + data[at.start() + 2:]


SOURCES = {
    TOMCAT: """package org.apache.tomcat.util.net;
        public class SocketProcessorBase implements Runnable {
            public static int runs;
            private final java.util.concurrent.locks.Lock lock = new java.util.concurrent.locks.ReentrantLock();
            public final void run() {
                lock.lock();
                try {
                    if (runs++ > 0)
                        throw new IllegalStateException("as it should");
                } finally {
                    lock.unlock();
                }
            }
        }""",
    "clew/agent/Work": """package clew.agent;
        public class Work {
            public static String said = "";
            private static boolean inside;
            public static boolean reads() {
                said += "reads ";
                return inside = !inside;
            }
            public static void done() {
                said += "done ";
            }
        }""",
    "Main": """import clew.agent.Work;
        public class Main {
            public static void main(String[] args) {
                var p = new org.apache.tomcat.util.net.SocketProcessorBase();
                p.run();
                try {
                    p.run();
                } catch (IllegalStateException e) {
                    Work.said += "thrown";
                }
                System.out.println(Work.said + " " + p.runs);
            }
        }""",
}


@pytest.mark.parametrize("version", sorted(HOMES))
def test_what_is_put_around_a_method(version, tmp_path):
    """It is asked, the method runs once, and its end is told, also when it throws."""
    for name, text in SOURCES.items():
        path = tmp_path / (name + ".java")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    compiler = next(h + "/bin/javac" for h in HOMES.values() if os.path.exists(h + "/bin/javac"))
    subprocess.run([compiler, "--release", "17", "-nowarn", "-d", tmp_path] + [tmp_path / (n + ".java") for n in SOURCES],
                   check=True, timeout=120)
    path = tmp_path / (TOMCAT + ".class")
    after, methods = transform(TOMCAT, path.read_bytes())
    assert methods == "1"
    path.write_bytes(after)
    r = java(version, "-Xverify:all", "-cp", str(tmp_path), "Main")
    assert r.stdout == "reads reads done reads reads done thrown 2\n", r.stdout + r.stderr


@pytest.mark.parametrize("version", sorted(HOMES))
def test_bad_files_are_left_alone(version, compiled, tmp_path):
    """Cut off anywhere, or with any byte replaced: no crash, and no beginning of a class is taken for a class."""
    files = originals(version, compiled, tmp_path)
    for name in (CONCURRENT + "FutureTask", HTTP):
        with open(files[name], "rb") as f:
            data = f.read()
        _, said = transform(name, data, "cut")
        refused, n = map(int, said.split(" of "))
        assert refused == n == len(data)
    _, said = transform("java/lang/String", data)
    assert said == "0"


# Netty's classes as far as they are changed, in a package of somebody else's.
MOVED = "org/other/shaded/io/netty/"
LOOPS = {
    MOVED + "util/concurrent/EventExecutor": "public interface EventExecutor { boolean inEventLoop(); }",
    MOVED + "util/concurrent/Future": "public interface Future<V> { }",
    MOVED + "util/concurrent/GenericFutureListener":
        "public interface GenericFutureListener<F extends Future<?>> { void operationComplete(F f) throws Exception; }",
    MOVED + "util/concurrent/DefaultPromise": """public class DefaultPromise<V> implements Future<V> {
            private final java.util.List<GenericFutureListener> listeners = new java.util.ArrayList<>();
            private void addListener0(GenericFutureListener<? extends Future<? super V>> l) {
                listeners.add(l);
            }
            public void addListener(GenericFutureListener<? extends Future<? super V>> l) {
                addListener0(l);
            }
            public static void notifyListener(EventExecutor e, final Future<?> f, final GenericFutureListener<?> l) {
                if (e == null || e.inEventLoop())
                    notifyListener0(f, l);
            }
            private static void notifyListener0(Future future, GenericFutureListener l) {
                try {
                    l.operationComplete(future);
                } catch (Throwable t) {
                    if (t instanceof Error)
                        throw (Error) t;
                    clew.agent.Work.said += "caught ";
                }
            }
            public void done() {
                for (GenericFutureListener l : listeners)
                    notifyListener0(this, l);
            }
        }""",
    MOVED + "util/concurrent/PromiseTask": """public class PromiseTask<V> extends DefaultPromise<V> {
            private final Object task;
            public PromiseTask(EventExecutor e, Runnable r, V result) {
                task = result == null ? r : r.toString();
            }
            public PromiseTask(EventExecutor e, java.util.concurrent.Callable<V> c) {
                task = c;
            }
            public void run() throws Exception {
                if (task instanceof Runnable)
                    ((Runnable) task).run();
                else
                    ((java.util.concurrent.Callable<?>) task).call();
            }
        }""",
    MOVED + "util/concurrent/SingleThreadEventExecutor": """public class SingleThreadEventExecutor {
            public void execute(Runnable r) {
                execute(r, true);
            }
            private void execute(Runnable r, boolean now) {
                r.run();
            }
            public void lazyExecute(Runnable r) {
                execute(r, false);
            }
        }""",
    MOVED + "channel/nio/AbstractNioByteChannel": """public class AbstractNioByteChannel {
            public int reads;
            public class NioByteUnsafe {
                public final void read() {
                    for (int i = 0; i < 3; i++)
                        reads++;
                }
            }
        }""",
    "clew/agent/Work": """public class Work {
            public static String said = "";
            private static boolean inside;
            public static Runnable carry(Runnable r) {
                return () -> { said += "runnable "; r.run(); };
            }
            public static java.util.concurrent.Callable<?> carry(java.util.concurrent.Callable<?> c) {
                return () -> { said += "callable "; return c.call(); };
            }
            public static void listening(Object f, Object l) {
                said += "listens:" + f.getClass().getSimpleName() + ":" + l + " ";
            }
            public static boolean tells(Object f, Object l) {
                if (inside)
                    return inside = false;
                said += "tells:" + l + " ";
                return inside = true;
            }
            public static void told() {
                said += "told ";
            }
            public static boolean reads() {
                return inside = !inside;
            }
            public static void done() {
                said += "read ";
            }
        }""",
    "Main": """import org.other.shaded.io.netty.util.concurrent.*;
        import org.other.shaded.io.netty.channel.nio.AbstractNioByteChannel;
        import clew.agent.Work;
        public class Main {
            static class Listener implements GenericFutureListener<Future<Object>> {
                public void operationComplete(Future<Object> f) throws Exception {
                    Work.said += "called ";
                    throw new Exception();
                }
                public String toString() {
                    return "L";
                }
            }
            public static void main(String[] args) throws Exception {
                DefaultPromise<Object> p = new DefaultPromise<>();
                p.addListener(new Listener());
                p.done();
                DefaultPromise.notifyListener(null, p, new Listener());
                new PromiseTask<Object>(null, () -> Work.said += "ran ", null).run();
                new PromiseTask<Object>(null, () -> Work.said += "called ").run();
                new SingleThreadEventExecutor().execute(() -> Work.said += "1 ");
                new SingleThreadEventExecutor().lazyExecute(() -> Work.said += "2 ");
                AbstractNioByteChannel c = new AbstractNioByteChannel();
                c.new NioByteUnsafe().read();
                DefaultPromise<Object> q = new DefaultPromise<>();
                q.addListener(f -> { throw new StackOverflowError(); });
                try {
                    q.done();
                } catch (StackOverflowError e) {
                    Work.said += "thrown ";
                }
                System.out.println(Work.said.replaceAll("Main[^ ]*", "M") + c.reads);
            }
        }""",
}
# {class: how many of its methods}
LOOPS_METHODS = {"util/concurrent/DefaultPromise": 3, "util/concurrent/PromiseTask": 2,
                 "util/concurrent/SingleThreadEventExecutor": 2, "channel/nio/AbstractNioByteChannel$NioByteUnsafe": 1}


@pytest.mark.parametrize("version", sorted(HOMES))
def test_netty_in_another_package(version, tmp_path):
    paths = []
    for name, text in LOOPS.items():
        path = tmp_path / (name + ".java")
        path.parent.mkdir(parents=True, exist_ok=True)
        package = os.path.dirname(name).replace("/", ".")
        path.write_text(("package %s; " % package if package else "") + text)
        paths.append(path)
    compiler = next(h + "/bin/javac" for h in HOMES.values() if os.path.exists(h + "/bin/javac"))
    subprocess.run([compiler, "--release", "17", "-nowarn", "-d", tmp_path] + paths, check=True, timeout=120)
    for name, n in LOOPS_METHODS.items():
        path = tmp_path / (MOVED + name + ".class")
        before = path.read_bytes()
        after, methods = transform(MOVED + name, before)
        assert methods == str(n), name
        path.write_bytes(after)
        for other in ("x" + name, "io/nettyx/" + name, MOVED[:-1] + "x/" + name):
            assert transform(other, before)[1] == "0"
    r = java(version, "-Xverify:all", "-cp", str(tmp_path), "Main")
    assert r.stdout == ("listens:DefaultPromise:L tells:L called caught told "
                        "listens:DefaultPromise:L tells:L called caught told "
                        "runnable ran callable called runnable 1 runnable 2 read "
                        "listens:DefaultPromise:M tells:M told thrown 3\n"), r.stdout + r.stderr
