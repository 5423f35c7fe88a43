"""Brokers that are wrapped or instrumented: each task counts once."""
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from typing import Any

from asyncdsm_taskiq import DataStreamsMiddleware
from taskiq import (
    InMemoryBroker,
)

import asyncdsm
from asyncdsm.testing import Captured


async def test_task_counts_once_on_wrapped_and_instrumented_brokers(captured_streams: Captured) -> None:
    async def once(broker: Any) -> None:
        captured_streams.clear()

        @broker.task
        async def task() -> None:
            pass

        await broker.startup()
        await task.kiq()
        await broker.wait_all()
        await broker.shutdown()
        assert (len(captured_streams.produced()), len(captured_streams.consumed())) == (1, 1)

    await once(asyncdsm.wrap(asyncdsm.wrap(InMemoryBroker())))
    asyncdsm.instrument("taskiq")
    try:
        await once(InMemoryBroker())
        await once(asyncdsm.wrap(InMemoryBroker()))
        await once(InMemoryBroker().with_middlewares(DataStreamsMiddleware()))
    finally:
        asyncdsm.uninstrument("taskiq")
