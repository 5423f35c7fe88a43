"""The ways to follow Kafka's clients, while checkpoints are captured."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import asyncdsm
from asyncdsm.testing import Captured
from tests.integrations.confluent.conftest import way
from tests.integrations.kafka.clients import WAYS, Clients, clients_of

__all__ = ["clients", "way"]


@pytest.fixture(params=WAYS)
def clients(request: pytest.FixtureRequest, captured_streams: Captured) -> Iterator[Clients]:
    """The clients of each library, followed in each way; "instrument" is undone afterwards."""
    library, _, how = request.param.partition(", ")
    if how == "instrument":
        asyncdsm.instrument(library)
    yield clients_of(request.param)
    asyncdsm.uninstrument(library)
