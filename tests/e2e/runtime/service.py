# SPDX-License-Identifier: Apache-2.0
"""A service on asyncio: each request makes two calls with random pauses around them, each with a fresh token.

    service.py KIND MODE PORT NEXT TRUTH

KIND: streams (asyncio's own), aiohttp, uvicorn (FastAPI and httpx); KIND-uvloop runs it on uvloop; gevent.
MODE: sequential; gather (both calls at once); child (the calls in a task of their own); thread (in
asyncio.to_thread); pool (in run_in_executor, which copies no context); own-thread (a thread that tells the loop); pool-dict (as pool; futures have a dict
each, as when many are made at once before the first one is complete).
"""

import asyncio
import concurrent.futures
import http.client
import os
import random
import secrets
import sys
import threading

KIND, MODE, PORT, NEXT, TRUTH = sys.argv[1:6]
PORT, NEXT = int(PORT), int(NEXT)
KIND, _, LOOP = KIND.partition("-")
truth = os.open(TRUTH, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


def pause():
    return random.uniform(0.001, 0.02)


def fresh(token):
    out = secrets.token_hex(16)
    os.write(truth, ("%s\t%s\n" % (token, out)).encode())
    return out


def blocking_calls(token):
    import time
    for _ in range(2):
        time.sleep(pause())
        conn = http.client.HTTPConnection("127.0.0.1", NEXT)
        conn.request("GET", "/leaf/" + fresh(token))
        conn.getresponse().read()
        conn.close()


async def sequential(token, fetch):
    for _ in range(2):
        await asyncio.sleep(pause())
        await fetch("/leaf/" + fresh(token))
    await asyncio.sleep(pause())


async def work(token, fetch):
    if MODE == "sequential":
        await sequential(token, fetch)
    elif MODE == "gather":
        async def one():
            await asyncio.sleep(pause())
            await fetch("/leaf/" + fresh(token))
        await asyncio.gather(one(), one())
        await asyncio.sleep(pause())
    elif MODE == "child":
        await asyncio.sleep(pause())
        await asyncio.create_task(sequential(token, fetch))
    elif MODE == "thread":
        await asyncio.to_thread(blocking_calls, token)
    elif MODE == "own-thread":
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def run():
            blocking_calls(token)
            loop.call_soon_threadsafe(done.set)
        threading.Thread(target=run).start()
        await done.wait()
    else:
        await asyncio.get_running_loop().run_in_executor(None, blocking_calls, token)


async def plain_fetch(path):
    reader, writer = await asyncio.open_connection("127.0.0.1", NEXT)
    writer.write(("GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path).encode())
    await writer.drain()
    await reader.read()
    writer.close()


async def streams():
    alive = set()  # before 3.12 nobody else holds on to the handlers' tasks

    async def client(reader, writer):
        alive.add(asyncio.current_task())
        try:
            while True:
                try:
                    head = await reader.readuntil(b"\r\n\r\n")
                except (asyncio.IncompleteReadError, ConnectionError):
                    return
                token = head.split(b" ")[1].rsplit(b"/", 1)[-1].decode()
                await work(token, plain_fetch)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n")
                await writer.drain()
        finally:
            alive.discard(asyncio.current_task())
            writer.close()
    server = await asyncio.start_server(client, "127.0.0.1", PORT, backlog=1024)
    async with server:
        await server.serve_forever()


async def aiohttp_main():
    import aiohttp
    from aiohttp import web
    session = aiohttp.ClientSession()

    async def fetch(path):
        async with session.get("http://127.0.0.1:%d%s" % (NEXT, path)) as answer:
            await answer.read()

    async def handle(request):
        await work(request.match_info["token"], fetch)
        return web.Response(text="ok\n")

    app = web.Application()
    app.router.add_get("/front/{token}", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", PORT, backlog=1024).start()
    await asyncio.Event().wait()


def uvicorn_main():
    import fastapi
    import httpx
    import uvicorn
    app = fastapi.FastAPI()
    client = httpx.AsyncClient(limits=httpx.Limits(max_connections=200))

    async def fetch(path):
        (await client.get("http://127.0.0.1:%d%s" % (NEXT, path), timeout=60)).read()

    @app.get("/front/{token}")
    async def front(token: str):
        await work(token, fetch)
        return "ok"

    uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="warning", loop=LOOP or "asyncio", backlog=1024)


def gevent_main():
    from gevent import monkey
    monkey.patch_all()
    from gevent.server import StreamServer

    def client(sock, address):
        data = b""
        while True:
            while b"\r\n\r\n" not in data:
                more = sock.recv(4096)
                if not more:
                    return
                data += more
            token = data.split(b" ")[1].rsplit(b"/", 1)[-1].decode()
            data = b""
            blocking_calls(token)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n")

    StreamServer(("127.0.0.1", PORT), client, backlog=1024).serve_forever()


def spoil_shared_keys():
    """Instances that never get their attributes: the class gives up the place where it keeps the others'."""
    import concurrent.futures.thread as pool
    for cls in (pool._WorkItem, concurrent.futures.Future, threading.Condition):
        for _ in range(40):
            cls.__new__(cls)


def main():
    if MODE == "pool-dict":
        spoil_shared_keys()
    if KIND == "gevent":
        return gevent_main()
    if KIND == "uvicorn":
        return uvicorn_main()
    if LOOP == "uvloop":
        import uvloop
        uvloop.install()
    asyncio.run({"streams": streams, "aiohttp": aiohttp_main}[KIND]())


main()
