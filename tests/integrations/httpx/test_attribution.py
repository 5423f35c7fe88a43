"""Requests sent at the same time, on asyncio and trio, each continue the pathway of their own task."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anyio
import pytest

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core import current
from asyncdsm.core.context import HEADER
from asyncdsm.testing import Captured
from tests.intake import Intake, running_intake
from tests.integrations.httpx.clients import (
    NOWHERE,
    each_library,
    make_client,
)

pytestmark = each_library


REQUESTS = 20


@pytest.fixture
def server() -> Iterator[Intake]:
    with running_intake() as server:
        yield server


async def test_concurrent_requests_continue_their_tasks_pathways(
    library: Any, server: Intake, captured_streams: Captured
) -> None:
    async with asyncdsm.wrap(library.AsyncClient(base_url=server.url, timeout=30, trust_env=False)) as client:

        async def ask(number: int) -> None:
            current.set_current(Pathway(number, 1, 1))
            await anyio.sleep(0.001)
            (await client.post(f"/{number}")).raise_for_status()

        async with anyio.create_task_group() as tasks:
            for number in range(1, REQUESTS + 1):
                tasks.start_soon(ask, number)
    parents = {made.hash: made.parent for made in captured_streams.produced()}
    call = dict[int, int]()
    for _, path, headers, _ in server.requests:
        pathway = Pathway.decode_base64(headers[HEADER])
        assert pathway is not None
        call[int(path[1:])] = parents[pathway.hash]
    assert call == {number: number for number in range(1, REQUESTS + 1)}


async def test_request_sent_many_times_at_once_stays_unchanged(library: Any, captured_streams: Captured) -> None:
    seen = list[Any]()

    async def answer(request: Any) -> Any:
        seen.append(request)
        await anyio.sleep(0.01 * len(seen))
        return library.Response(200)

    client = asyncdsm.wrap(make_client(library, True, answer))
    request = client.build_request("GET", NOWHERE)
    before = request.headers.multi_items()

    async def send(number: int) -> None:
        current.set_current(Pathway(number, 1, 1))
        assert (await client.send(request)).request is request

    async with anyio.create_task_group() as tasks:
        for number in range(1, 6):
            tasks.start_soon(send, number)
    assert request.headers.multi_items() == before
    by_hash = {made.hash: made.parent for made in captured_streams.produced()}
    pathways = [Pathway.decode_base64(one.headers[HEADER]) for one in seen]
    assert sorted(by_hash[pathway.hash] for pathway in pathways if pathway) == [1, 2, 3, 4, 5]
