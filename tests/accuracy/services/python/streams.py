# SPDX-License-Identifier: Apache-2.0
"""asyncio's own streams, server and client. MODE says where the work of a request is done.

    await      in the task of the connection (PARALLEL=1: gather)
    to_thread  asyncio.to_thread(): blocking calls, the context goes along
    executor   loop.run_in_executor(): blocking calls in a pool of WORKERS threads, no context goes along
"""

import asyncio
import os
import socket
from concurrent.futures import ThreadPoolExecutor

import blocking
import calls
import flow

MODE = os.environ["MODE"]


class Pool:
    """At most flow.CONNS connections to the back end."""

    def __init__(self):
        self.limit = asyncio.Semaphore(flow.CONNS)
        self.free = []

    async def get(self, path):
        async with self.limit:
            if self.free:
                reader, writer = self.free.pop()
            else:
                reader, writer = await asyncio.open_connection(flow.HOST, flow.BACK_PORT)
                writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            writer.write(b"GET %s HTTP/1.1\r\nHost: back\r\n\r\n" % path.encode())
            await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            self.free.append((reader, writer))
            return int(head.split(b" ", 2)[1])


async def main():
    pool = Pool()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(flow.WORKERS))

    async def work(token):
        if MODE == "to_thread":
            return await asyncio.to_thread(blocking.work, token)
        if MODE == "executor":
            return await loop.run_in_executor(None, blocking.work, token)
        return await calls.work(pool.get, token)

    async def serve(reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                status = await work(flow.token_of(head.split(b" ", 2)[1].decode()))
                writer.write(b"HTTP/1.1 %d %s\r\nContent-Length: %d\r\n\r\n%s" % (
                    status, b"OK" if status == 200 else b"Bad Gateway", len(flow.BODY), flow.BODY))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    calls.start_timer(pool.get)
    server = await asyncio.start_server(serve, "127.0.0.1", flow.PORT, backlog=1024)
    await server.serve_forever()


asyncio.run(main())
