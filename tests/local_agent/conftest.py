"""The agent is served by uvicorn, on asyncio; its tests too."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import msgspec
import pytest

from asyncdsm.agent.serve import RunningAgent, running_agent
from asyncdsm.bins import bin_of
from asyncdsm.sketch import encode


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def agent() -> AsyncIterator[RunningAgent]:
    async with running_agent() as agent:
        yield agent


@pytest.fixture
async def client(agent: RunningAgent) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=agent.url, timeout=30) as client:
        yield client


def sketch_of(*values: float) -> bytes:
    """Return the protobuf of a sketch of these values."""
    counts: dict[int, float] = {}
    for value in values:
        counts[bin_of(value)] = counts.get(bin_of(value), 0) + 1
    return encode(counts)


def point_of(*seconds: float, **changes: Any) -> dict[str, Any]:
    """Return a point as it is on the wire."""
    point = {
        "EdgeTags": ["direction:in", "group:g", "topic:orders", "type:kafka"],
        "Hash": 2**64 - 1,
        "ParentHash": 7,
        "PathwayLatency": sketch_of(*seconds),
        "EdgeLatency": sketch_of(*seconds),
        "PayloadSize": sketch_of(100),
    }
    return {**point, **changes}


def payload_of(*points: dict[str, Any], start: int, bucket: dict[str, Any] | None = None, **changes: Any) -> bytes:
    """Return a payload, not compressed."""
    whole = {"Start": start, "Duration": 10**10, "Stats": list(points), **(bucket or {})}
    return msgspec.msgpack.encode({"Service": "billing", "Lang": "java", "Stats": [whole], **changes})


async def post(client: httpx2.AsyncClient, body: bytes, encoding: str = "gzip", **headers: str) -> httpx2.Response:
    """Send a body as a tracer does."""
    content = gzip.compress(body, 1) if encoding == "gzip" else body
    given = {"Content-Type": "application/msgpack", **headers}
    if encoding:
        given["Content-Encoding"] = encoding
    return await client.post("/v0.1/pipeline_stats", content=content, headers=given)
