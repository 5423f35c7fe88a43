"""redis-py and valkey-py: every entry gets the right parent under concurrency, checked on the server."""

from __future__ import annotations

import asyncio
import random
from time import time_ns
from typing import Any

import pytest

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core.context import node_hash, pathway_hash
from tests.integrations.redis.clients import FIELD, Name, entries_of

COUNTS = [1, 2, 10, 100, 1000]


class Line:
    """A pipeline with one context for each entry, so that a wrong parent cannot look right."""

    def __init__(self, client: Any, bare: Any, name: Name) -> None:
        self.client, self.bare, self.source, self.target = client, bare, name(), name()

    async def fill(self, count: int) -> None:
        """Add entries to the source, number n with the pathway hash n + 1."""
        await self.bare.xgroup_create(self.source, "workers", "0", mkstream=True)
        pipeline = self.bare.pipeline(transaction=False)
        for number in range(count):
            header = Pathway(number + 1, time_ns(), time_ns()).encode_base64()
            pipeline.xadd(self.source, {"number": number, FIELD: header})
        await pipeline.execute()

    async def read(self, at_once: int) -> list[Any]:
        """Return the next entries."""
        return entries_of(await self.client.xreadgroup("workers", "me", {self.source: ">"}, count=at_once))

    async def forward(self, entry: Any) -> None:
        """Do some work, then add an entry with the same number."""
        for _ in range(random.randrange(3)):
            await asyncio.sleep(random.random() / 100)
        await self.client.xadd(self.target, entry[1])

    async def check(self, count: int) -> None:
        """Compare the parent of each forwarded entry with the one that it must have."""
        consumed = node_hash("test", None, ("direction:in", "group:workers", f"topic:{self.source}", "type:redis"))
        added = node_hash("test", None, ("direction:out", f"topic:{self.target}", "type:redis"))
        found = dict[int, int]()
        for _, fields in await self.bare.xrange(self.target):
            pathway = Pathway.decode_base64(fields[FIELD.encode()].decode())
            assert pathway is not None
            found[int(fields[b"number"])] = pathway.hash
        assert found == {number: pathway_hash(added, pathway_hash(consumed, number + 1)) for number in range(count)}


@pytest.mark.parametrize("at_once", [1, 100])
@pytest.mark.parametrize("count", COUNTS)
async def test_tasks_of_entries_add_with_their_own_parent(
    client: Any, bare: Any, name: Name, count: int, at_once: int
) -> None:
    line = Line(client, bare, name)
    await line.fill(count)
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        while entries := await line.read(at_once):
            for entry in entries:
                tasks.create_task(line.forward(entry))
    await line.check(count)


@pytest.mark.parametrize("count", COUNTS)
async def test_pipeline_of_a_batch_has_the_parent_of_each_command(
    client: Any, bare: Any, name: Name, count: int
) -> None:
    line = Line(client, bare, name)
    await line.fill(count)
    while entries := await line.read(100):
        async with client.pipeline() as pipeline:
            for entry in entries:
                pipeline.xadd(line.target, entry[1])
                pipeline.xack(line.source, "workers", entry[0])
            await pipeline.execute()
    await line.check(count)


async def test_consumers_side_by_side_add_with_their_own_parent(client: Any, bare: Any, name: Name) -> None:
    line = Line(client, bare, name)
    await line.fill(300)

    async def work() -> None:
        while entries := await line.read(random.choice([1, 7])):
            for entry in entries:
                await line.forward(entry)

    await asyncio.gather(*[work() for _ in range(10)])
    await line.check(300)


async def test_entries_handed_to_workers_keep_their_parent_by_using(client: Any, bare: Any, name: Name) -> None:
    line, queue = Line(client, bare, name), asyncio.Queue[Any]()
    await line.fill(200)

    async def work() -> None:
        while (entry := await queue.get()) is not None:
            with asyncdsm.using(entry):
                await line.forward(entry)

    workers = [asyncio.create_task(work()) for _ in range(10)]
    while entries := await line.read(20):
        for entry in entries:
            queue.put_nowait(entry)
    for _ in workers:
        queue.put_nowait(None)
    await asyncio.gather(*workers)
    await line.check(200)


async def test_no_pathway_is_left_after_an_entry(client: Any, name: Name) -> None:
    stream = name()
    await client.xadd(stream, {"a": 1})
    (entry,) = entries_of(await client.xread({stream: "0"}))
    assert asyncdsm.current_pathway() is not None
    assert not await client.xread({stream: entry[0]})
    assert asyncdsm.current_pathway() is None


async def test_no_pathway_is_left_after_wait_for(client: Any, name: Name) -> None:
    stream = name()
    await client.xadd(stream, {"a": 1})
    await client.xread({stream: "0"})
    assert asyncdsm.current_pathway() is not None
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.xread({stream: "$"}, block=10_000), 0.05)
    assert asyncdsm.current_pathway() is None
