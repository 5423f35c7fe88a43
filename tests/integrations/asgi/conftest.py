"""ASGI apps run on asyncio and on trio, and so do their tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from asyncdsm.streams import running_streams
from tests.intake import Intake, running_intake


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run the async tests of this folder on both event loops."""
    return str(request.param)


@pytest.fixture
def intake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Intake]:
    """An Agent's intake, to which a DataStreams that stands by delivers."""
    with running_intake() as intake:
        monkeypatch.setenv("DD_TRACE_AGENT_URL", intake.url)
        yield intake
        if streams := running_streams():
            streams.close()
