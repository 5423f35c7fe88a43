"""The ways to take messages out of a batch of three: one for each row of the table in docs/batches.md."""

from __future__ import annotations

import asyncio
import copy
import itertools
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import asyncdsm

Send = Callable[[], None]
Way = Callable[[Any, Send], Awaitable[None]]
Expected = list[int | None]
"""For each message sent, the number of the received message that it follows, or None."""

WAYS: dict[str, tuple[Way, Expected]] = {}


def way(row: str, expected: Expected) -> Callable[[Way], Way]:
    def add(function: Way) -> Way:
        assert row not in WAYS
        WAYS[row] = function, expected
        return function

    return add


@way("`for message in batch:`", [0, 1, 2, None])
async def _(batch: Any, send: Send) -> None:
    for _ in batch:
        send()
    send()


@way("`for message in batch:` with `break`, `return` or an exception", [0, None, 0, None, 0, None])
async def _(batch: Any, send: Send) -> None:
    for _ in batch:
        send()
        break
    send()

    def first() -> None:
        for _ in batch:
            send()
            return

    first()
    send()
    try:
        for _ in batch:
            send()
            raise ValueError("no")
    except ValueError:
        send()


@way("`enumerate(batch)`, `zip(batch, others)`, `map`, `filter`, `itertools.chain`", [0, 1, 2] * 5)
async def _(batch: Any, send: Send) -> None:
    for _ in enumerate(batch):
        send()
    for _ in zip(batch, range(3), strict=True):
        send()
    for _ in map(str, batch):
        send()
    for _ in filter(lambda _: True, batch):
        send()
    for _ in itertools.chain(batch):
        send()


@way("`batch[0]`, `batch[-1]`, `batch[i]`", [0, 2, 0, 1, 2])
async def _(batch: Any, send: Send) -> None:
    for index in (0, -1, *range(len(batch))):
        assert batch[index] is not None
        send()


@way("`batch[i - 1]` or `next(iter(batch))` inside a loop over the batch", [0, 1, 2, 0, 1, 2])
async def _(batch: Any, send: Send) -> None:
    for index, _ in enumerate(batch):
        assert batch[index - 1] is not None
        send()
    for _ in batch:
        assert next(iter(batch)) is not None
        send()


@way(
    "`while chunk := list(islice(it, 2)):`, `zip(it, it)` with `it = iter(batch)`; `itertools.batched`", [1, 1, None, 1]
)
async def _(batch: Any, send: Send) -> None:
    iterator = iter(batch)
    while chunk := list(itertools.islice(iterator, 2)):
        for _ in chunk:
            send()
    iterator = iter(batch)
    for _ in zip(iterator, iterator, strict=False):
        send()


@way("`batch.pop()`, `while batch: batch.pop(0)`", [2, 0, 1])
async def _(batch: Any, send: Send) -> None:
    batch = batch.copy()
    batch.pop()
    send()
    while batch:
        batch.pop(0)
        send()


@way("`first, *rest = batch`", [0])
async def _(batch: Any, send: Send) -> None:
    _first, *rest = batch
    assert type(rest) is list
    send()


@way("`next(iter(batch))`", [0])
async def _(batch: Any, send: Send) -> None:
    next(iter(batch))
    send()


@way("`batch[1:]`, `batch[:]`, `batch[::-1]`", [1, 2, None, 0, 1, 2, 2, 1, 0])
async def _(batch: Any, send: Send) -> None:
    for _ in batch[1:]:
        send()
    send()
    for part in (batch[:], batch[::-1]):
        for _ in part:
            send()


@way("`batch.copy()`, `copy.copy(batch)`", [0, 1, 2, 1])
async def _(batch: Any, send: Send) -> None:
    for _ in batch.copy():
        send()
    assert copy.copy(batch)[1] is not None
    send()


@way("`reversed(batch)`, `batch.reverse()`, `batch.sort(key=…)`", [2, 1, 0, 2, 1, 0, 0, 1, 2])
async def _(batch: Any, send: Send) -> None:
    order = {id(message): number for number, message in enumerate(batch.copy())}
    for _ in reversed(batch):
        send()
    batch.reverse()
    for _ in batch:
        send()
    batch.sort(key=lambda message: order[id(message)])
    for _ in batch:
        send()


@way("`batch + other`, `batch += other`", [0, 1, 2, 1, 0, 1, 2, 0])
async def _(batch: Any, send: Send) -> None:
    for _ in batch + batch[1:2]:
        send()
    batch = batch.copy()
    batch += batch[:1]
    for _ in batch:
        send()


@way("a generator or `async for` over one that yields from the batch", [0, 1, 2, 0, 1, 2])
async def _(batch: Any, send: Send) -> None:
    def messages() -> Iterator[Any]:
        yield from batch

    async def messages_later() -> AsyncIterator[Any]:
        for message in batch:
            await asyncio.sleep(0)
            yield message

    for _ in messages():
        send()
    async for _ in messages_later():
        send()


@way("`create_task(handle(message))` or `to_thread(handle, message)` in the loop", [0, 1, 2, 0, 1, 2])
async def _(batch: Any, send: Send) -> None:
    async def handle(_: Any) -> None:
        send()

    async with asyncio.TaskGroup() as tasks:
        for message in batch:
            tasks.create_task(handle(message))
    for _ in batch:
        await asyncio.to_thread(send)


@way("`gather(*[handle(message) for message in batch])`", [None] * 3)
async def _(batch: Any, send: Send) -> None:
    async def handle(_: Any) -> None:
        send()

    await asyncio.gather(*[handle(message) for message in batch])


@way("`gather`, queues and pools whose workers begin with `with asyncdsm.using(message):`", [0, 1, 2, 0, 1, 2])
async def _(batch: Any, send: Send) -> None:
    async def handle(message: Any) -> None:
        with asyncdsm.using(message):
            await asyncio.sleep(0)
            send()

    await asyncio.gather(*[handle(message) for message in batch])
    queue = deque(batch)
    while queue:
        await handle(queue.popleft())


@way("`list(batch)`, `tuple(batch)`, `sorted(batch)`, a comprehension, `plain + batch`, `plain += batch`", [None] * 13)
async def _(batch: Any, send: Send) -> None:
    extended = list[Any]()
    extended += batch
    made = (list(batch), tuple(batch), sorted(batch, key=id), [message for message in batch])  # noqa: C416
    for plain in (*made, [] + batch, extended):  # noqa: RUF005
        assert type(plain) in {list, tuple}
        for _ in plain[:2]:
            send()
    send()


@way("`one, two, three = batch`, `*rest, last = batch`", [None, None])
async def _(batch: Any, send: Send) -> None:
    _one, _two, _three = batch
    send()
    *_rest, _last = batch
    send()


@way("`next(message for message in batch if …)`, `max(batch, key=…)`, `any(… for message in batch)`", [None] * 3)
async def _(batch: Any, send: Send) -> None:
    assert next(message for message in batch if message is not None)
    send()
    assert max(batch, key=id) is not None
    send()
    assert any(message is not None for message in batch)
    send()
