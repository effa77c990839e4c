# SPDX-License-Identifier: Apache-2.0
"""aiohttp, server and client; MODE=uvloop: on that loop."""

import os

import aiohttp
from aiohttp import web

import calls
import flow


async def main():
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=flow.CONNS))

    async def get(path):
        async with session.get("http://%s:%d%s" % (flow.HOST, flow.BACK_PORT, path)) as answer:
            await answer.read()
            return answer.status

    async def handle(request):
        status = await calls.work(get, request.match_info["token"])
        return web.Response(body=flow.BODY, status=status)

    app = web.Application()
    app.router.add_get("/svc/{token}", handle)
    calls.start_timer(get)
    return app


if os.environ["MODE"] == "uvloop":
    import uvloop
    uvloop.install()
web.run_app(main(), host="127.0.0.1", port=flow.PORT, access_log=None, backlog=1024)
