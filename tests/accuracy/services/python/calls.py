# SPDX-License-Identifier: Apache-2.0
"""The work of a request in coroutines. get(path) is the HTTP client that the service uses; it returns a status."""

import asyncio

import flow

tasks = set()  # the loop itself keeps only weak references


async def pause():
    if flow.THINK:
        await asyncio.sleep(flow.pause())


async def call(get, incoming, kind):
    for attempt in range(flow.RETRIES + 1):
        if await get(flow.new_call(incoming, flow.retry(kind) if attempt else kind)) < 400:
            return True
    return False


async def one(get, incoming, kind):
    await pause()
    return await call(get, incoming, kind)


async def background(get, incoming):
    await pause()
    await call(get, incoming, "background")


def spawn(coroutine):
    task = asyncio.get_running_loop().create_task(coroutine)
    tasks.add(task)
    task.add_done_callback(tasks.discard)


async def work(get, incoming):
    """The calls of one request; its status."""
    good = True
    await pause()
    if flow.PARALLEL:
        good = all(await asyncio.gather(*[one(get, incoming, kind) for kind in flow.steps()]))
    else:
        for kind in flow.steps():
            good = await call(get, incoming, kind) and good
            await pause()
    if flow.starts_background():
        spawn(background(get, incoming))
    return 200 if good else 502


async def timer(get):
    while True:
        await asyncio.sleep(flow.period())
        await call(get, "-", "timer")


def start_timer(get):
    if flow.TIMER:
        spawn(timer(get))
