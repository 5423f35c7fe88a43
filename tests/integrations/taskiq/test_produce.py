"""Sending tasks: which are counted, and with which labels they are sent."""
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from asyncdsm_taskiq import DataStreamsMiddleware
from taskiq import (
    BrokerMessage,
    Context,
    InMemoryBroker,
    TaskiqDepends,
)
from taskiq.exceptions import SendTaskError

from asyncdsm import Pathway
from asyncdsm.core.context import HEADER
from asyncdsm.core.edge import Edge
from asyncdsm.testing import Captured
from tests import by_hand


async def test_task_that_could_not_be_sent_is_not_counted(captured_streams: Captured) -> None:
    class Broken(InMemoryBroker):
        async def kick(self, message: Any) -> None:
            raise ConnectionError

    broker = Broken().with_middlewares(DataStreamsMiddleware())

    @broker.task
    async def task() -> None:
        pass

    with pytest.raises(SendTaskError) as raised:
        await task.kiq()
    assert isinstance(raised.value.__cause__, ConnectionError)
    assert captured_streams.checkpoints == []
    by_hand.produce(Edge("direction:out", "topic:t", "type:kafka"))
    assert len(captured_streams.checkpoints) == 1  # the flow that failed counts on


@pytest.mark.parametrize("twice", [False, True])
async def test_requeued_task_is_counted_each_time(captured_streams: Captured, twice: bool) -> None:
    middlewares = [DataStreamsMiddleware() for _ in range(1 + twice)]
    broker, labels = InMemoryBroker().with_middlewares(*middlewares), list[dict[str, Any]]()

    @broker.task(mine="x")
    async def again(context: Context = TaskiqDepends()) -> None:  # noqa: B008
        labels.append(context.message.labels)
        if len(labels) < 4:
            await context.requeue()

    await broker.startup()
    await again.kiq()
    async with asyncio.timeout(30):
        while len(labels) < 4:
            await asyncio.sleep(0.01)
    await broker.wait_all()
    await broker.shutdown()
    made = captured_streams.checkpoints
    assert len(captured_streams.produced()) == len(captured_streams.consumed()) == 4
    assert all(after.follows(before) for before, after in pairwise(made))
    assert [label["mine"] for label in labels] == ["x"] * 4


async def test_unreadable_task_is_sent_unchanged_and_counted(captured_streams: Captured) -> None:
    sent = list[BrokerMessage]()

    class RecordingBroker(InMemoryBroker):
        async def kick(self, message: BrokerMessage) -> None:
            sent.append(message)

    broker = RecordingBroker().with_middlewares(DataStreamsMiddleware())
    message = BrokerMessage(task_id="1", task_name="another's", message=b"\xff", labels={"a": "b"})
    await broker.kick(message)
    assert sent == [message]
    assert message.labels == {"a": "b"}
    assert len(captured_streams.produced()) == captured_streams.stats().not_propagated == 1


@pytest.mark.parametrize("label", [5, 1.5, True, b"b", "x"], ids=repr)
@pytest.mark.parametrize("times", [1, 2], ids=["sent", "requeued"])
async def test_label_with_the_name_of_the_context_is_replaced(
    captured_streams: Captured, label: Any, times: int
) -> None:
    broker, seen = InMemoryBroker().with_middlewares(DataStreamsMiddleware()), list[Any]()

    @broker.task
    async def task(context: Context = TaskiqDepends()) -> None:  # noqa: B008
        seen.append(context.message.labels[HEADER])
        if len(seen) < times:
            context.message.labels_types = {**(context.message.labels_types or {}), HEADER: 2}  # an int, to taskiq
            await context.requeue()

    sent = await task.kicker().with_labels(**{HEADER: label, "mine": 3}).kiq()
    if times == 1:
        await sent.wait_result(timeout=10)
    async with asyncio.timeout(10):
        while len(seen) < times:
            await asyncio.sleep(0.01)
    await broker.wait_all()
    assert all(isinstance(each, str) and Pathway.decode_base64(each) for each in seen)
    assert len(captured_streams.produced()) == len(captured_streams.consumed()) == times
