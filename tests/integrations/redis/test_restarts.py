"""The server is killed and started again under load: what it has added counts once, as does each delivery."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

import asyncdsm
from asyncdsm import DataStreams, Settings
from tests.brokers.redis import RedisServer, find_redis, find_valkey, redis_server
from tests.intake import running_intake
from tests.integrations.redis.clients import Package, entries_of
from tests.restarts import check_counted_once, run_over_kills

ENTRIES, KILLS, PRODUCERS = 2_000, 3, 10
STREAM, GROUP = "orders", "workers"


class Load:
    """Adds every number until the server has answered, and consumes until all were seen."""

    def __init__(self, package: Package) -> None:
        self._package, self._numbers = package, iter(range(ENTRIES))
        self.added = self.deliveries = 0
        self.seen = Counter[bytes]()

    async def run(self) -> None:
        client = asyncdsm.wrap(self._package.connect())
        await client.xgroup_create(STREAM, GROUP, "0", mkstream=True)
        async with asyncio.timeout(120), asyncio.TaskGroup() as tasks:
            for number in range(PRODUCERS):
                tasks.create_task(self._add(client, in_pipeline=number % 2 == 1))
            tasks.create_task(self._consume(client))
        await client.aclose()

    async def _add(self, client: Any, *, in_pipeline: bool) -> None:
        for number in self._numbers:
            while True:
                with suppress(OSError, Exception):
                    if in_pipeline:
                        await client.pipeline().xadd(STREAM, {"number": number}).get("a").execute()
                    else:
                        await client.xadd(STREAM, {"number": number})
                    self.added += 1
                    break
                await asyncio.sleep(0.05)

    async def _consume(self, client: Any) -> None:
        while len(self.seen) < ENTRIES:
            try:
                # An answer that a kill has lost is asked for once more: the group has given it to this consumer.
                for after in ("0", ">"):
                    entries = entries_of(await client.xreadgroup(GROUP, "me", {STREAM: after}, count=50))
                    self.deliveries += len(entries)
                    for entry_id, fields in entries:
                        self.seen[fields[b"number"]] += 1
                        await client.xack(STREAM, GROUP, entry_id)
            except Exception:
                await asyncio.sleep(0.05)


@pytest.fixture(params=["redis", "valkey"])
def own_server(request: pytest.FixtureRequest) -> Iterator[tuple[Package, RedisServer]]:
    """A server for this test alone."""
    with redis_server(find_redis() if request.param == "redis" else find_valkey()) as server:
        yield Package(request.param, server.url), server


async def test_each_added_entry_and_each_delivery_count_once_over_kills(
    own_server: tuple[Package, RedisServer], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)  # the client logs lost connections
    package, server = own_server
    with running_intake() as intake:
        async with DataStreams(Settings(service="s", agent_url=intake.url)) as streams:
            load = Load(package)
            await run_over_kills(load, server, messages=ENTRIES, kills=KILLS)
        assert load.added == ENTRIES
        assert load.deliveries >= ENTRIES
        check_counted_once(intake, streams.stats, sent=load.added, received=load.deliveries)
