"""Two followed libraries, one standing on the other: each message is counted once, with the right parent."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from typing import Any

import pytest

import asyncdsm
from asyncdsm import Pathway, checkpoint
from asyncdsm.testing import Captured
from tests.integrations.kombu_clients import tidy
from tests.integrations.layers import COUNT, ROWS, SENDER, Follow, Row

WAYS = ("wrap", "wrap, on an instrumented one", "instrument from above", "instrument from below", "instrument all")


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    way: str = request.param
    return way


@pytest.fixture
def follow(row: Row, way: str) -> Iterator[Follow]:
    """Follow both libraries in one of the ways; afterwards none."""
    ways: dict[str, list[str | None]] = {
        "wrap": [],
        "wrap, on an instrumented one": [row.lower],
        "instrument from above": [row.upper, row.lower],
        "instrument from below": [row.lower, row.upper],
        "instrument all": [None],
    }
    for name in ways[way]:
        if name is not None or way == "instrument all":
            asyncdsm.instrument(name)
    yield asyncdsm.wrap if way.startswith("wrap") else lambda client: client
    asyncdsm.uninstrument()
    tidy()


@pytest.fixture(autouse=True)
def blockbuster() -> None:
    """The clients read files as they start."""


@pytest.mark.filterwarnings("ignore:.* is deprecated; use:DeprecationWarning")  # PycURL, of what Kombu calls
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.program.__name__)
def test_layers_count_each_message_once(
    row: Row, follow: Follow, captured_streams: Captured, request: pytest.FixtureRequest
) -> None:
    broker = request.getfixturevalue(row.fixture) if row.fixture else None
    seen: Any = row.program(broker, follow)
    if inspect.iscoroutine(seen):
        seen = asyncio.run(seen)
    made = captured_streams.checkpoints
    sent, received = captured_streams.produced(), captured_streams.consumed()
    assert (len(sent), len(received)) == (COUNT, COUNT), made
    assert {point.parent for point in sent} == {SENDER.hash}
    (hash_sent,), (hash_received,) = {point.hash for point in sent}, {point.hash for point in received}
    assert {point.parent for point in received} == {hash_sent}
    assert [decoded(context) for _, context in seen] == [hash_sent] * COUNT
    assert [current and current.hash for current, _ in seen] == [hash_received] * COUNT
    assert checkpoint.standing() is None or checkpoint.standing() == seen[-1].current


def decoded(context: str) -> int | None:
    pathway = Pathway.decode_base64(context)
    return None if pathway is None else pathway.hash
