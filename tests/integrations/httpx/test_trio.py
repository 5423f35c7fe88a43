"""httpx2 and httpx on trio as on asyncio: requests at the same time, each with a context that is its own task's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anyio
import httpx
import httpx2
import pytest

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core import current
from asyncdsm.core.pathway import HEADER
from asyncdsm.testing import Captured
from tests.intake import Intake, running_intake

REQUESTS = 20


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def server() -> Iterator[Intake]:
    with running_intake() as server:
        yield server


@pytest.mark.parametrize("library", [httpx2, httpx])
async def test_each_request_has_its_own_tasks_context(library: Any, server: Intake, captured_streams: Captured) -> None:
    async with asyncdsm.wrap(library.AsyncClient(base_url=server.url, timeout=30, trust_env=False)) as client:

        async def ask(number: int) -> None:
            current.set_current(Pathway(number, 1, 1))
            await anyio.sleep(0.001)
            (await client.post(f"/{number}")).raise_for_status()

        async with anyio.create_task_group() as tasks:
            for number in range(1, REQUESTS + 1):
                tasks.start_soon(ask, number)
    parents = {made.hash: made.parent for made in captured_streams.produced()}
    sent = dict[int, int]()
    for _, path, headers, _ in server.requests:
        pathway = Pathway.decode_base64(headers[HEADER])
        assert pathway is not None
        sent[int(path[1:])] = parents[pathway.hash]
    assert sent == {number: number for number in range(1, REQUESTS + 1)}
