"""The integration that the manual shows is run as it stands there."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import asyncdsm
from asyncdsm.integration import registry
from asyncdsm.testing import Captured
from tests.docs.page import read_blocks

PAGE = Path(__file__).parents[2] / "docs" / "develop" / "integrations.md"
MOST_LINES = 42
CLIENT = """
from dataclasses import dataclass, field

__version__ = "1.2.0"
queues = {}


@dataclass
class Message:
    topic: str
    body: bytes
    headers: dict = field(default_factory=dict)


class Loft:
    async def send(self, topic, body, headers=None, priority=0, *, color="grey"):
        queues.setdefault(topic, []).append(Message(topic, body, dict(headers or {})))
        return priority, color

    async def receive(self, topic, timeout=None):
        return queues[topic].pop(0)
"""


def code() -> str:
    found = re.search(r"```python file=asyncdsm_pigeon\.py\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


class EntryPoint:
    def load(self) -> Any:
        return import_module("asyncdsm_pigeon").integration


@pytest.fixture
def pigeon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    tmp_path.joinpath("pigeon.py").write_text(CLIENT)
    tmp_path.joinpath("asyncdsm_pigeon.py").write_text(code())
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(registry, "_entry_points", lambda: {"pigeon": EntryPoint()})
    registry._load.cache_clear()
    yield import_module("pigeon")
    registry._load.cache_clear()
    for name in ("pigeon", "asyncdsm_pigeon"):
        del sys.modules[name]


def test_other_code_of_the_page_announces_the_integration() -> None:
    program, project = read_blocks(PAGE)
    assert program.code == code()
    announced = tomllib.loads(project.code)["project"]["entry-points"]["asyncdsm.integrations"]
    assert announced == {"pigeon": "asyncdsm_pigeon:integration"}


def test_integration_of_the_manual_is_short() -> None:
    assert len([line for line in code().splitlines() if line.strip()]) <= MOST_LINES


@pytest.mark.parametrize("by_class", [False, True])
async def test_integration_of_the_manual_follows_a_message(
    captured_streams: Captured, pigeon: ModuleType, by_class: bool
) -> None:
    loft = pigeon.Loft()
    if by_class:
        asyncdsm.instrument("pigeon")
    else:
        assert asyncdsm.wrap(loft) is loft
    given = {"a": "b"}
    assert await loft.send("orders", b"x", given, 3, color="white") == (3, "white")
    message = await loft.receive("orders", timeout=1)
    consumed, current = captured_streams.consumed("orders"), asyncdsm.current_pathway()
    assert (given, message.body, message.headers["a"]) == ({"a": "b"}, b"x", "b")
    assert consumed[0].follows(captured_streams.produced("orders")[0])
    assert current is not None
    assert current.hash == consumed[0].hash
    with asyncdsm.using(message) as pathway:
        assert pathway == current
    if by_class:
        asyncdsm.uninstrument("pigeon")
        await loft.send("orders", b"x")
        assert len(captured_streams.checkpoints) == 2


async def test_error_in_the_integration_of_the_manual_is_kept_from_the_program(pigeon: ModuleType) -> None:
    loft = asyncdsm.wrap(pigeon.Loft())
    hostile: Any = 3  # has no length
    async with asyncdsm.DataStreams(asyncdsm.Settings(service="s", shutdown_seconds=0.1)) as streams:
        assert await loft.send("orders", hostile) == (0, "grey")
        assert streams.stats.errors == 1


def test_integration_of_the_manual_says_what_it_takes(pigeon: ModuleType) -> None:
    with pytest.raises(asyncdsm.UnknownClientError, match=r"of pigeon it takes a Loft; instrument\('pigeon'\)"):
        asyncdsm.wrap(pigeon.Message("orders", b""))
