# SPDX-License-Identifier: Apache-2.0
"""OTLP over gRPC, with the real client library."""
import socket
import threading
import time

import grpc
import pytest

import otlp
from lib.lab import PATIENCE, wait_for
from otlp import Request, Response, add_scope, add_span, batch, ids
from test_serving import TOKEN, certificate
from test_otlp_http import stored

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
OPTIONS = [("grpc.max_send_message_length", -1), ("grpc.enable_retries", 0)]


def raw(data):
    return data


class Client:
    def __init__(self, server, credentials=None, compression=None):
        target = "127.0.0.1:%d" % server.ports["otlp_grpc"]
        self.channel = (grpc.secure_channel(target, credentials, OPTIONS + [("grpc.ssl_target_name_override", "localhost")])
                        if credentials else grpc.insecure_channel(target, OPTIONS, compression=compression))

    def send(self, request, timeout=PATIENCE, metadata=None, path=EXPORT):
        data = request if isinstance(request, bytes) else request.SerializeToString()
        call = self.channel.unary_unary(path, raw, Response.FromString)
        return call(data, timeout=timeout, metadata=metadata)

    def fails(self, *args, **kw):
        with pytest.raises(grpc.RpcError) as e:
            self.send(*args, **kw)
        return e.value.code(), e.value.details()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.channel.close()


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_export(serve, compression):
    s = serve()
    with Client(s, compression=compression) as c:
        sent = set()
        for n in (1, 10, 300):
            request = batch(n, attrs={"a": "text", "b": 1})
            answer = c.send(request)
            assert not answer.HasField("partial_success")
            sent.update(ids(request))
            assert stored(s) == sent  # on disk when it is answered
        assert not c.send(Request()).HasField("partial_success")
        assert not c.send(b"").HasField("partial_success")


def test_partial_success(serve):
    s = serve()
    r = Request()
    scope = add_scope(r)
    add_span(scope)
    add_span(scope, span=b"short")
    with Client(s) as c:
        answer = c.send(r).partial_success
        assert answer.rejected_spans == 1 and b"1 spans were kept, 1 were not" in answer.error_message
    assert len(stored(s)) == 1


def test_refusals(serve):
    s = serve()
    with Client(s) as c:
        code, text = c.fails(b"\xff" * 50)
        assert code == grpc.StatusCode.INVALID_ARGUMENT and "nothing was kept" in text
        code, text = c.fails(batch(2, span=b""))
        assert code == grpc.StatusCode.INVALID_ARGUMENT and "none of 2 spans" in text
        code, _ = c.fails(batch(), path="/opentelemetry.proto.collector.metrics.v1.MetricsService/Export")
        assert code == grpc.StatusCode.UNIMPLEMENTED
        assert c.send(batch()) is not None  # the connection goes on
    assert len(stored(s)) == 1


def test_sizes(serve):
    s = serve()
    with Client(s) as c:
        big = batch(3, attrs={"a": "x" * (1 << 20)})
        c.send(big)
        code, text = c.fails(batch(5, attrs={"a": "x" * (1 << 20)}))
        assert code == grpc.StatusCode.RESOURCE_EXHAUSTED and "4 MiB" in text
        c.send(batch())
    with Client(s, compression=grpc.Compression.Gzip) as c:
        code, text = c.fails(batch(5, attrs={"a": "x" * (1 << 20)}))
        assert code == grpc.StatusCode.RESOURCE_EXHAUSTED and "decompressed" in text
        c.send(batch())
    assert len(stored(s)) == 5


def test_many_at_once_on_one_connection(serve):
    s = serve()
    sent = []
    with Client(s) as c:
        call = c.channel.unary_unary(EXPORT, raw, Response.FromString)

        def commits():
            """Of 200 more."""
            requests, before = [batch(20) for _ in range(200)], s.stats()["batches"]
            futures = [call.future(r.SerializeToString(), timeout=PATIENCE) for r in requests]
            for f in futures:
                f.result()
            sent.extend(i for r in requests for i in ids(r))
            assert stored(s) == set(sent)
            return s.stats()["batches"] - before
        # Those that come at the same time share one; where the machine has much else to do they may not at once.
        wait_for(lambda: commits() < 150, what="requests that share commits")


def test_token(serve, lab):
    s = serve("--token-file", lab.write("token", TOKEN))
    with Client(s) as c:
        code, text = c.fails(batch())
        assert code == grpc.StatusCode.UNAUTHENTICATED and "token" in text
        code, _ = c.fails(batch(), metadata=(("authorization", "Bearer " + TOKEN[:-1]),))
        assert code == grpc.StatusCode.UNAUTHENTICATED
        c.send(batch(), metadata=(("authorization", "Bearer " + TOKEN),))
    with Client(serve()) as c:  # wants none: one that is sent does not matter
        c.send(batch(), metadata=(("authorization", "Bearer " + TOKEN),))


def test_tls(serve, lab):
    cert, key = certificate(lab)
    s = serve("--tls-cert", cert, "--tls-key", key)
    with open(cert, "rb") as f:
        credentials = grpc.ssl_channel_credentials(f.read())
    with Client(s, credentials) as c:
        for n in (1, 2000):
            c.send(batch(n))
    with Client(s) as c:  # without TLS: no answer, no harm
        assert c.fails(batch(), timeout=5)[0] in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    with Client(s, credentials) as c:
        c.send(batch())


def test_what_is_no_http2_is_closed(serve):
    s = serve()
    for text in (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\0" * 100, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 64):
        with socket.create_connection(("127.0.0.1", s.ports["otlp_grpc"]), PATIENCE) as c:
            c.sendall(text)
            try:
                while c.recv(4096):
                    pass
            except ConnectionResetError:
                pass
    with Client(s) as c:
        c.send(batch())


def half_a_call():
    """The bytes of a client that begins a call and does not end it."""
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
    headers = (b"\x83\x86\x41\x09localhost\x04" + bytes([len(EXPORT)]) + EXPORT.encode() +
               b"\x00\x0ccontent-type\x10application/grpc")
    frame = len(headers).to_bytes(3, "big") + b"\x01\x04\0\0\0\1" + headers
    data = (16000).to_bytes(3, "big") + b"\0\0\0\0\0\1" + b"\0\0\x10\0\0" + b"x" * 15995
    return preface + frame + data


def frames(c):
    """(type, stream) of each frame that comes."""
    data = b""
    while (more := c.recv(65536)):
        data += more
        while len(data) >= 9 and len(data) >= 9 + int.from_bytes(data[:3], "big"):
            yield data[3], int.from_bytes(data[5:9], "big")
            data = data[9 + int.from_bytes(data[:3], "big"):]


def test_clients_that_vanish_in_the_middle(serve):
    """Half a call, then nothing: its memory comes back and the others are served."""
    s = serve()
    for _ in range(50):
        with socket.create_connection(("127.0.0.1", s.ports["otlp_grpc"]), PATIENCE) as c:
            c.sendall(half_a_call())
    with Client(s) as c:
        c.send(batch())
    assert s.stop() == 0


def test_a_client_that_never_greets_is_closed(serve):
    """It does not have the ten minutes of one that has nothing to send."""
    s = serve()
    with socket.create_connection(("127.0.0.1", s.ports["otlp_grpc"]), PATIENCE) as slow:
        slow.sendall(b"PRI * HT")
        while slow.recv(4096):
            pass


def test_a_call_that_never_ends_is_reset(serve):
    s = serve()
    with socket.create_connection(("127.0.0.1", s.ports["otlp_grpc"]), PATIENCE) as c:
        begin = time.monotonic()
        c.sendall(half_a_call())
        assert (3, 1) in frames(c)  # RST_STREAM
        assert time.monotonic() - begin > 25
        with Client(s) as other:
            other.send(batch())


def test_kill_9_under_load_loses_nothing_acknowledged(serve):
    s = serve()
    acknowledged, lock = set(), threading.Lock()

    def sender(number):
        with Client(s) as c:
            while True:
                request = batch(100, service="g%d" % number)
                try:
                    c.send(request)
                except grpc.RpcError:
                    return
                with lock:
                    acknowledged.update(ids(request))
    threads = [threading.Thread(target=sender, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    wait_for(lambda: len(acknowledged) > 4000, what="some thousand acknowledged spans")
    s.proc.popen.kill()
    for t in threads:
        t.join()
    again = serve(db=s.db)
    assert acknowledged <= stored(again)


def test_the_end_lets_calls_finish(serve):
    s = serve()
    results = []

    def sender():
        with Client(s) as c:
            while True:
                request = batch(50)
                try:
                    c.send(request)
                except grpc.RpcError as e:
                    results.append(e.code())
                    return
                results.append(ids(request))
    t = threading.Thread(target=sender)
    t.start()
    wait_for(lambda: len(results) > 5, what="some calls")
    assert s.stop() == 0
    t.join()
    assert results[-1] == grpc.StatusCode.UNAVAILABLE
    again = serve(db=s.db)
    assert {i for r in results[:-1] for i in r} <= stored(again)
