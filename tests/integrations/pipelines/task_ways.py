"""The ways from a received message to tasks, workers and threads: one for each row of a table in docs/batches.md."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import anyio.to_thread

import asyncdsm
from asyncdsm.integration.registry import pathway_of

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[], object]
Way = Callable[[Receive, Send], Awaitable[None]]
Expected = list[int | None]
"""For each message sent, the number of the received message that it follows, or None."""

WAYS: dict[str, tuple[Way, Expected]] = {}


def way(row: str, expected: Expected) -> Callable[[Way], Way]:
    """Add a way: what a row of the table says, and what follows which message."""

    def add(function: Way) -> Way:
        assert row not in WAYS
        WAYS[row] = function, expected
        return function

    return add


@way("`await handle(message)`, also under `asyncio.timeout`, `wait_for` or `shield`", [0, 0, 0, 0])
async def _(receive: Receive, send: Send) -> None:
    async def handle(_: Any) -> None:
        await asyncio.sleep(0)
        send()

    message = await receive()
    await handle(message)
    async with asyncio.timeout(5):
        await handle(message)
    await asyncio.wait_for(handle(message), 5)
    await asyncio.shield(handle(message))


@way("`create_task(handle(message))`, `TaskGroup`, anyio's `start_soon`, before the next receive", [0, 1, 2])
async def _(receive: Receive, send: Send) -> None:
    async def handle(_: Any) -> None:
        await received_all.wait()  # the next messages are received before this one is handled
        send()

    received_all = asyncio.Event()
    async with asyncio.TaskGroup() as tasks, anyio.create_task_group() as nursery:
        task = asyncio.create_task(handle(await receive()))
        tasks.create_task(handle(await receive()))
        nursery.start_soon(handle, await receive())
        await asyncio.sleep(0.01)  # all of them wait
        received_all.set()
        await task


@way("`gather(handle(message), audit(message))` before the next receive", [0, 0])
async def _(receive: Receive, send: Send) -> None:
    async def handle(_: Any) -> None:
        send()

    message = await receive()
    await asyncio.gather(handle(message), handle(message))


@way("`gather`, `as_completed` or `TaskGroup` over messages that were received before", [2] * 3)
async def _(receive: Receive, send: Send) -> None:
    async def handle(_: Any) -> None:
        send()

    messages = [await receive() for _ in range(3)]
    await asyncio.gather(*map(handle, messages))


@way("the same, where `handle` begins with `with asyncdsm.using(message):`", [0, 1, 2, 0, 1, 2])
async def _(receive: Receive, send: Send) -> None:
    async def handle(message: Any) -> None:
        with asyncdsm.using(message):
            await asyncio.sleep(0)
            send()

    messages = [await receive() for _ in range(3)]
    await asyncio.gather(*map(handle, messages))
    async with asyncio.TaskGroup() as tasks:
        for message in messages:
            tasks.create_task(handle(message))


@way("`asyncio.Queue`, with workers that were started before", [None, 0])
async def _(receive: Receive, send: Send) -> None:
    queue: asyncio.Queue[Any] = asyncio.Queue()

    async def work() -> None:
        await queue.get()
        send()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(work())
        await receive()
        tasks.create_task(work())
        await asyncio.sleep(0.01)  # both wait
        for _ in range(2):
            await queue.put(await receive())


@way("`asyncio.Queue`, with workers that handle `with asyncdsm.using(message):`", [0, 1, 2])
async def _(receive: Receive, send: Send) -> None:
    queue: asyncio.Queue[Any] = asyncio.Queue()

    async def work() -> None:
        while (message := await queue.get()) is not None:
            with asyncdsm.using(message):
                await asyncio.sleep(0)
                send()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(2):
            tasks.create_task(work())
        for _ in range(3):
            await queue.put(await receive())
        for _ in range(2):
            await queue.put(None)


@way("workers that each receive for themselves", [0, 1, 2])
async def _(receive: Receive, send: Send) -> None:
    async def work() -> None:
        message = await receive()
        assert asyncdsm.current_pathway() == pathway_of(message)
        await asyncio.sleep(0.05)
        assert asyncdsm.current_pathway() == pathway_of(message)
        send()

    await asyncio.gather(work(), work(), work())


@way("an asynchronous generator that receives and yields messages", [0, 1, 2])
async def _(receive: Receive, send: Send) -> None:
    async def messages() -> AsyncIterator[Any]:
        for _ in range(3):
            yield await receive()

    async for _ in messages():
        await asyncio.sleep(0)
        send()


@way("`await asyncio.wait_for(consumer.getone(), 5)`", [0 if sys.version_info >= (3, 12) else None])
async def _(receive: Receive, send: Send) -> None:
    await asyncio.wait_for(receive(), 30)
    send()


@way("`await create_task(consumer.getone())`, `gather` of receives", [None, None])
async def _(receive: Receive, send: Send) -> None:
    async def receive_one() -> Any:
        return await receive()

    await asyncio.create_task(receive_one())
    send()
    await asyncio.gather(receive_one(), receive_one())
    send()


@way("`await asyncio.to_thread(handle, message)`, anyio's `to_thread.run_sync`", [0, 0])
async def _(receive: Receive, send: Send) -> None:
    await receive()
    await asyncio.to_thread(send)
    await anyio.to_thread.run_sync(send)


@way("`loop.run_in_executor(pool, handle, message)`, `pool.submit`, `threading.Thread`", [None] * 3)
async def _(receive: Receive, send: Send) -> None:
    await receive()
    with ThreadPoolExecutor(1) as pool:
        await asyncio.get_running_loop().run_in_executor(pool, send)
        await asyncio.wrap_future(pool.submit(send))
    thread = threading.Thread(target=send)
    thread.start()
    await asyncio.to_thread(thread.join)


@way("the same, where `handle` begins with `with asyncdsm.using(message):` in its thread", [0, 1])
async def _(receive: Receive, send: Send) -> None:
    def handle(message: Any) -> None:
        with asyncdsm.using(message):
            send()

    messages = [await receive(), await receive()]
    with ThreadPoolExecutor(1) as pool:
        for message in messages:
            await asyncio.get_running_loop().run_in_executor(pool, handle, message)


@way("`loop.call_soon(f)`, `loop.call_later(1, f)`, `future.add_done_callback(f)`", [0, 0, 0])
async def _(receive: Receive, send: Send) -> None:
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    await receive()
    loop.call_soon(send)
    loop.call_later(0.01, send)
    future.add_done_callback(lambda _: send())
    await receive()  # the next message changes nothing for them
    await asyncio.sleep(0.05)
    future.set_result(None)
    await asyncio.sleep(0)
