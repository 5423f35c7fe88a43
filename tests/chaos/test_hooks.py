"""An error of ours in any of our hooks: the user's program does what it does without us; it is counted and said."""

from __future__ import annotations

import asyncio
import gc
import inspect
import warnings
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from types import CodeType
from typing import Any, NamedTuple

import httpx
import pytest

import asyncdsm
from asyncdsm import DataStreams, Settings
from asyncdsm._internal import log
from asyncdsm.delivery.exporters.memory import MemoryExporter
from asyncdsm.integration.hooks import is_hook
from asyncdsm.streams import running_streams
from asyncdsm.testing import capture
from tests.chaos import planting
from tests.chaos.clients import PROGRAMS, Wrap, bare
from tests.chaos.planting import called_by_hooks, planted

PATIENCE_SECONDS = 30.0
SETTINGS = Settings(service="s")


@pytest.fixture(autouse=True)
def blockbuster() -> None:
    """The clients look things up as they start."""


class User(NamedTuple):
    """Runs the program of one client."""

    name: str
    broker: Any

    def run(self, wrap: Wrap = asyncdsm.wrap, patience: float = PATIENCE_SECONDS) -> Any:
        """Return what the user gets."""
        result = PROGRAMS[self.name].run(self.broker, wrap)
        return asyncio.run(asyncio.wait_for(result, patience)) if inspect.iscoroutine(result) else result


@pytest.fixture(autouse=True)
def tidy() -> Iterator[None]:
    """Clients that fail in the middle leave things to the garbage collector, and so does a broker's own client."""
    log.forget_warnings()
    yield
    log.forget_warnings()
    if (standing := running_streams()) is not None:  # an app's, which stands by for as long as the process lives
        standing.close()
    with warnings.catch_warnings(action="ignore"):
        gc.collect()


@pytest.fixture(params=[pytest.param(name, id=name) for name in PROGRAMS])
def user(request: pytest.FixtureRequest) -> User:
    """The user of each client."""
    fixture = PROGRAMS[request.param].fixture
    return User(request.param, request.getfixturevalue(fixture) if fixture else None)


def hooked_by(user: User) -> dict[str, CodeType]:
    """Return the functions of ours that the hooks of a client call."""
    if user.name not in _hooked:
        with DataStreams(SETTINGS, exporter=MemoryExporter()):
            _hooked[user.name] = called_by_hooks(user.run)
    assert _hooked[user.name]
    return _hooked[user.name]


_hooked: dict[str, dict[str, CodeType]] = {}
"""What was found, by the client's name: it is looked for once."""


def hits_of(user: User, expected: Any, functions: Iterable[CodeType], caplog: pytest.LogCaptureFixture) -> int:
    """Run the program with errors planted: it does what it does without us. Return how many of them were met."""
    log.forget_warnings()
    caplog.clear()
    planting.hits = 0
    with DataStreams(SETTINGS, exporter=MemoryExporter()) as streams, ExitStack() as stack:
        for code in functions:
            stack.enter_context(planted(code))
        assert user.run() == expected
    said = [record.getMessage() for record in caplog.records if "Planted" in record.getMessage()]
    assert said == ["asyncdsm hook failed; the message was not affected: Planted('planted')"]
    assert streams.stats.errors == planting.hits
    return planting.hits


def test_error_planted_in_all_hooks_at_once_is_kept_from_the_program(
    user: User, caplog: pytest.LogCaptureFixture
) -> None:
    assert hits_of(user, user.run(bare), hooked_by(user).values(), caplog) > 0


@pytest.mark.slow
def test_error_planted_in_each_hook_is_kept_from_the_program(user: User, caplog: pytest.LogCaptureFixture) -> None:
    functions, expected = hooked_by(user), user.run(bare)
    met = {name: hits_of(user, expected, [code], caplog) for name, code in functions.items()}
    assert min(met.values()) > 0, met


def test_error_planted_under_capture_is_raised(user: User, caplog: pytest.LogCaptureFixture) -> None:
    """It is raised; where a client keeps what its callbacks raise, it is in that client's log."""
    functions = hooked_by(user)
    with capture(), ExitStack() as stack:
        for code in functions.values():
            stack.enter_context(planted(code))
        try:
            user.run(patience=5)
        except BaseException as error:
            surfaced = planting.is_among(error)
        else:
            surfaced = False
    assert surfaced or "Planted" in caplog.text


def test_failing_integration_returns_the_client(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever it was, the program gets its client, and another's client is followed."""
    import asyncdsm_aio_pika
    import asyncdsm_httpx

    client = httpx.Client()
    with client, DataStreams(SETTINGS, exporter=MemoryExporter()) as streams:
        with planted(asyncdsm_aio_pika.AioPika.is_client.__code__):
            assert is_hook(asyncdsm.wrap(client).send)
        with planted(asyncdsm_httpx.HttpxIntegration.is_client.__code__):
            assert asyncdsm.wrap(client) is client
    assert streams.stats.errors >= 2
