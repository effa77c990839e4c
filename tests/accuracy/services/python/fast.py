# SPDX-License-Identifier: Apache-2.0
"""FastAPI under uvicorn, calling with httpx. /svc is async, /sync is a plain function: anyio's threads run it."""

import os

import httpx
from fastapi import BackgroundTasks, FastAPI, Response

import blocking
import calls
import flow

app = FastAPI()
client = None


async def get(path):
    return (await client.get("http://%s:%d%s" % (flow.HOST, flow.BACK_PORT, path))).status_code


@app.on_event("startup")
async def startup():
    global client
    client = httpx.AsyncClient(limits=httpx.Limits(max_connections=flow.CONNS), timeout=None)
    calls.start_timer(get)


async def asynchronous(token: str):
    return Response(flow.BODY, status_code=await calls.work(get, token))


def synchronous(token: str, jobs: BackgroundTasks):
    status = blocking.work(token)
    if flow.starts_background():
        jobs.add_task(blocking.background, token)
    return Response(flow.BODY, status_code=status)


app.get("/svc/{token}")(synchronous if os.environ["MODE"] == "sync" else asynchronous)
