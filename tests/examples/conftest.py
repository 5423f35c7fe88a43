"""The agent that the examples report to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from asyncdsm.agent.http.server import RunningAgent
from tests.agent.running import agent as run_agent


@pytest.fixture
def agent() -> Iterator[RunningAgent]:
    """A running agent, which has seen nothing."""
    with run_agent() as running:
        yield running
