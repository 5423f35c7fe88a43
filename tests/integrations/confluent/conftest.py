"""The ways to follow confluent-kafka's clients, while checkpoints are captured."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import asyncdsm
from asyncdsm.testing import Captured
from tests.integrations.confluent.clients import WAYS


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, captured_streams: Captured) -> Iterator[str]:
    """Run a test once for each way; "instrument" is undone afterwards."""
    if request.param == "instrument":
        asyncdsm.instrument("confluent_kafka")
    yield request.param
    asyncdsm.uninstrument("confluent_kafka")
