"""The lag of consumer groups: what the servers say, one server or each of a cluster, while they say it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from typing import Any

import pytest

import asyncdsm
from asyncdsm.core import current
from asyncdsm.core.lag import current_lags, largest_lags
from asyncdsm.testing import Captured
from tests.brokers.redis import find_redis
from tests.brokers.redis_cluster import RedisCluster, redis_cluster
from tests.integrations.redis.clients import Name, Package, entries_of
from tests.integrations.redis.test_consume import OPTIONS

pytestmark = pytest.mark.usefixtures("often")


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let servers be asked about lag all the time."""
    monkeypatch.setattr("asyncdsm_redis.group_lag.ASK_EVERY", 0.0)


async def find_lags(stream: str, expected: list[int]) -> None:
    """Return when the lags of a stream's groups are these. Asking for them has the server asked."""
    async with asyncio.timeout(20):
        while [lag.behind for lag in current_lags() if lag.topic == stream] != expected:
            await asyncio.sleep(0.05)
    await wait_for_answers()


async def wait_for_answers() -> None:
    """Wait until no server is asked any more: a task that ends with its event loop leaves a connection open."""
    await asyncio.sleep(0)  # a task that was asked for starts with the next turn of the loop
    async with asyncio.timeout(20):
        while asking := [task for task in asyncio.all_tasks() if is_asking(task)]:
            await asyncio.wait(asking)


def is_asking(task: asyncio.Task[Any]) -> bool:
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and "asyncdsm_redis" in code.co_filename


@pytest.mark.parametrize("options", OPTIONS[:3])
async def test_lag_of_a_group_is_what_the_server_says(
    package: Package, captured_streams: Captured, name: Name, options: dict[str, Any]
) -> None:
    stream, client = name(), asyncdsm.wrap(package.connect(**options))
    for number in range(10):
        await client.xadd(stream, {"a": number})
    await client.xgroup_create(stream, "workers", "0")
    await client.xreadgroup("workers", "me", {stream: ">"}, count=3)
    await find_lags(stream, [7])
    (lag,) = [lag for lag in current_lags() if lag.topic == stream]
    assert (lag.group, lag.partition, lag.unit) == ("workers", None, "messages")
    while entries_of(await client.xreadgroup("workers", "me", {stream: ">"}, count=3)):
        pass
    await find_lags(stream, [0])
    await client.xdel(stream, (await client.xrange(stream))[3][0])  # now the server cannot tell any more
    await client.xgroup_create(stream, "late", (await client.xrange(stream))[1][0])
    await client.xreadgroup("late", "me", {stream: ">"}, count=1)
    await client.delete(stream)
    await find_lags(stream, [])
    await client.aclose()
    del client
    gc.collect()
    assert captured_streams.stats().errors == 0


async def test_lag_that_trimming_makes_unknown_is_not_reported(client: Any, name: Name) -> None:
    stream = name()
    ids = [await client.xadd(stream, {"a": number}) for number in range(10)]
    await client.xgroup_create(stream, "workers", ids[2])
    await client.xreadgroup("workers", "me", {stream: ">"}, count=1)
    await client.xdel(stream, ids[6])
    groups = await client.xinfo_groups(stream)
    assert groups[0]["lag"] is None
    for _ in range(2):
        await asyncio.sleep(0.2)
        assert [lag for lag in current_lags() if lag.topic == stream] == []
    await wait_for_answers()


async def test_lag_of_two_clients_of_one_group_is_told_once(client: Any, package: Package, name: Name) -> None:
    stream = name()
    await client.xgroup_create(stream, "workers", mkstream=True)
    for number in range(5):
        await client.xadd(stream, {"number": number})
    other = asyncdsm.wrap(package.connect_pooled())
    for each in (client, other):
        await each.xreadgroup("workers", "one", {stream: ">"}, count=1)
    await find_lags(stream, [3, 3])
    assert [(lag.behind, lag.type) for lag in largest_lags() if lag.topic == stream] == [(3, "redis")]
    await wait_for_answers()
    await other.aclose(close_connection_pool=True)


def test_lag_of_a_blocking_client_is_asked_for_in_a_thread(blocking: Any, name: Name) -> None:
    stream = name()
    for number in range(5):
        blocking.xadd(stream, {"a": number})
    blocking.xgroup_create(stream, "workers", "0")
    blocking.xreadgroup("workers", "me", {stream: ">"}, count=3)
    asyncio.run(find_lags(stream, [2]))


async def test_stream_or_group_that_is_gone_hides_no_other_lag(client: Any, name: Name) -> None:
    gone, stream = sorted([name(), name()])
    for each in (gone, stream):
        await client.xadd(each, {"a": 1})
        await client.xadd(each, {"a": 2})
        for group in ("early", "late"):
            await client.xgroup_create(each, group, "0")
            await client.xreadgroup(group, "me", {each: ">"}, count=1)
    await find_lags(gone, [1, 1])
    await client.delete(gone)
    await client.xgroup_destroy(stream, "late")
    await find_lags(gone, [])
    await find_lags(stream, [1])
    await client.xadd(stream, {"a": 3})
    await find_lags(stream, [2])


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisCluster]:
    """A cluster of three servers."""
    with redis_cluster(find_redis()) as cluster:
        yield cluster


def name_streams(cluster: RedisCluster, client: Any, name: Name) -> list[str]:
    """Return the names of streams of which each server of a cluster has one, in the order of the servers."""
    streams = list[str]()
    for server in cluster.servers:
        while cluster.server_of(client.keyslot(stream := name())) is not server:
            pass
        streams.append(stream)
    return streams


async def test_lag_in_a_cluster_is_what_each_server_says_of_its_streams(
    cluster: RedisCluster, package: Package, captured_streams: Captured, name: Name
) -> None:
    client = asyncdsm.wrap(package.connect_cluster(cluster.url))
    streams = name_streams(cluster, client, name)
    for number, stream in enumerate(streams):
        for _ in range(number + 2):
            await client.xadd(stream, {"a": 1})
        await client.xgroup_create(stream, "workers", "0")
    for stream in streams[:2]:
        await client.xreadgroup("workers", "me", {stream: ">"}, count=1)
    await client.pipeline().xreadgroup("workers", "me", {streams[2]: ">"}, count=1).execute()
    for number, stream in enumerate(streams):
        await find_lags(stream, [number + 1])
    client.nodes_manager.slots_cache.clear()  # as while it learns anew who has which slots
    for stream in streams:
        await find_lags(stream, [])
    await client.aclose()
    assert captured_streams.stats().errors == 0


def test_lag_in_a_cluster_is_asked_for_by_a_client_that_blocks(
    cluster: RedisCluster, package: Package, captured_streams: Captured, name: Name
) -> None:
    client = asyncdsm.wrap(package.connect_cluster_blocking(cluster.url))
    streams = name_streams(cluster, client, name)
    for stream in streams:
        for _ in range(3):
            client.xadd(stream, {"a": 1})
        client.xgroup_create(stream, "workers", "0")
        client.xreadgroup("workers", "me", {stream: ">"}, count=1)
        asyncio.run(find_lags(stream, [2]))
    client.close()
    current.set_current(None)
    assert captured_streams.stats().errors == 0


async def test_lag_follows_a_stream_to_another_server(
    cluster: RedisCluster, package: Package, captured_streams: Captured, name: Name
) -> None:
    client = asyncdsm.wrap(package.connect_cluster(cluster.url))
    stream = name_streams(cluster, client, name)[0]
    for _ in range(3):
        await client.xadd(stream, {"a": 1})
    await client.xgroup_create(stream, "workers", "0")
    await client.xreadgroup("workers", "me", {stream: ">"}, count=1)
    await find_lags(stream, [2])
    await asyncio.to_thread(cluster.move_slot, client.keyslot(stream), stream, to=1)
    await find_lags(stream, [])  # the client has not learned it yet
    await client.xreadgroup("workers", "me", {stream: ">"}, count=1)
    await find_lags(stream, [1])
    await asyncio.to_thread(cluster.move_slot, client.keyslot(stream), stream, to=0)
    await client.aclose()


@pytest.fixture
def own_cluster() -> Iterator[RedisCluster]:
    """A cluster for one test alone."""
    with redis_cluster(find_redis()) as cluster:
        yield cluster


async def test_server_of_a_cluster_that_is_gone_takes_only_its_own_lag_along(
    own_cluster: RedisCluster, package: Package, captured_streams: Captured, name: Name
) -> None:
    client = asyncdsm.wrap(package.connect_cluster(own_cluster.url))
    streams = name_streams(own_cluster, client, name)
    for stream in streams:
        await client.xadd(stream, {"a": 1})
        await client.xadd(stream, {"a": 2})
        await client.xgroup_create(stream, "workers", "0")
        await client.xreadgroup("workers", "me", {stream: ">"}, count=1)
        await find_lags(stream, [1])
    await asyncio.to_thread(own_cluster.servers[1].kill)
    await find_lags(streams[1], [])
    await client.xadd(streams[2], {"a": 3})
    await find_lags(streams[2], [2])
    await find_lags(streams[0], [1])
    await client.aclose()
    assert captured_streams.stats().errors == 0
