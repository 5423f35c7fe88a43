"""taskiq: in memory, and with a worker process on a real RabbitMQ."""
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from asyncdsm_taskiq import DataStreamsMiddleware
from taskiq import (
    BrokerMessage,
    Context,
    InMemoryBroker,
    SimpleRetryMiddleware,
    TaskiqDepends,
    TaskiqMessage,
    TaskiqMiddleware,
)
from taskiq.exceptions import SendTaskError

import asyncdsm
from asyncdsm import Pathway
from asyncdsm._internal import log
from asyncdsm.core import current
from asyncdsm.core.edge import Edge
from asyncdsm.core.pathway import HEADER
from asyncdsm.streams import running_streams
from asyncdsm.testing import Captured
from tests import by_hand
from tests.brokers.rabbitmq import RabbitMQ
from tests.intake import running_intake

ROOT = Path(__file__).parents[3]


class Keeps(TaskiqMiddleware):
    """Keeps what is sent and what arrives."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[TaskiqMessage] = []
        self.taken: list[TaskiqMessage] = []

    def post_send(self, message: TaskiqMessage) -> None:
        self.sent.append(message)

    def pre_execute(self, message: TaskiqMessage) -> TaskiqMessage:
        self.taken.append(message)
        return message


@pytest.mark.parametrize("in_place", [True, False])
async def test_sent_and_executed(in_place: bool, captured_streams: Captured) -> None:
    keeps = Keeps()
    broker = InMemoryBroker(await_inplace=in_place).with_middlewares(DataStreamsMiddleware(), keeps)
    seen = list[Pathway | None]()

    @broker.task
    async def second() -> None:
        seen.append(asyncdsm.current_pathway())

    @broker.task(mine="x")
    async def first() -> None:
        await second.kiq()
        seen.append(asyncdsm.current_pathway())

    await broker.startup()
    for _ in range(2):
        await first.kiq()
        await broker.wait_all()
        assert asyncdsm.current_pathway() is None
    await broker.shutdown()
    assert HEADER not in first.labels
    assert all({"mine", HEADER} >= set(message.labels) >= {HEADER} for message in keeps.sent)
    made = captured_streams.checkpoints
    assert {(checkpoint.topic, checkpoint.tag("type")) for checkpoint in made} == {("taskiq", "taskiq")}
    assert len(captured_streams.produced()) == len(captured_streams.consumed()) == 4
    following = {made.parent: made for made in made}
    out = following[0]
    into = following[out.hash]
    ended = following[following[into.hash].hash]
    assert sorted(pathway.hash for pathway in seen if pathway) == sorted([into.hash, ended.hash] * 2)
    with asyncdsm.using(keeps.taken[0]) as pathway:
        assert pathway is not None
        assert pathway.hash == into.hash


async def test_each_of_many_at_once_has_its_own_pathway(captured_streams: Captured) -> None:
    broker = InMemoryBroker().with_middlewares(DataStreamsMiddleware())
    seen = dict[int, Pathway | None]()

    @broker.task
    async def task(number: int) -> None:
        await asyncio.sleep(0.001 * (number % 5))
        seen[number] = asyncdsm.current_pathway()

    @broker.task
    def in_a_thread(number: int) -> None:
        seen[number] = asyncdsm.current_pathway()

    await broker.startup()
    for number in range(100):
        with current.restored(Pathway(1000 + number, 1, 1)):
            await (task if number % 2 else in_a_thread).kiq(number)
    await broker.wait_all()
    await broker.shutdown()
    sent = {made.parent - 1000: made.hash for made in captured_streams.produced()}
    taken = {made.parent: made.hash for made in captured_streams.consumed()}
    assert {number: pathway and pathway.hash for number, pathway in seen.items()} == {
        number: taken[sent[number]] for number in range(100)
    }


async def test_what_could_not_be_sent_does_not_count(captured_streams: Captured) -> None:
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
async def test_a_task_that_is_requeued_counts_each_time(captured_streams: Captured, twice: bool) -> None:
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


async def test_a_task_that_is_tried_again_follows_the_try_before(captured_streams: Captured) -> None:
    broker = InMemoryBroker().with_middlewares(SimpleRetryMiddleware(default_retry_count=3), DataStreamsMiddleware())
    tries = list[int]()

    @broker.task(retry_on_error=True)
    async def fail() -> None:
        tries.append(1)
        raise ZeroDivisionError

    await broker.startup()
    await fail.kiq()
    async with asyncio.timeout(30):
        while len(tries) < 3:
            await asyncio.sleep(0.01)
    await broker.wait_all()
    await broker.shutdown()
    made = captured_streams.checkpoints
    assert len(captured_streams.produced()) == len(captured_streams.consumed()) == 3
    assert all(after.follows(before) for before, after in pairwise(made))


async def test_what_this_brokers_formatter_cannot_read_is_sent_as_it_is(captured_streams: Captured) -> None:
    sent = list[BrokerMessage]()

    class Keeps(InMemoryBroker):
        async def kick(self, message: BrokerMessage) -> None:
            sent.append(message)

    broker = Keeps().with_middlewares(DataStreamsMiddleware())
    message = BrokerMessage(task_id="1", task_name="another's", message=b"\xff", labels={"a": "b"})
    await broker.kick(message)
    assert sent == [message]
    assert message.labels == {"a": "b"}
    assert len(captured_streams.produced()) == captured_streams.stats().not_propagated == 1


@pytest.mark.parametrize("label", [5, 1.5, True, b"b", "x"], ids=repr)
@pytest.mark.parametrize("times", [1, 2], ids=["sent", "requeued"])
async def test_label_of_the_contexts_name_of_any_type_is_replaced(
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


async def test_a_failing_task_leaves_nothing_behind(captured_streams: Captured) -> None:
    broker = InMemoryBroker(await_inplace=True).with_middlewares(DataStreamsMiddleware())

    @broker.task
    async def task() -> None:
        raise ZeroDivisionError

    came = Pathway(5, 1, 1)
    current.set_current(came)
    await task.kiq()
    assert asyncdsm.current_pathway() == came


async def test_wrapped_and_instrumented(captured_streams: Captured) -> None:
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


async def test_a_worker_on_rabbitmq(rabbitmq: RabbitMQ, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    done = tmp_path / "done"
    with running_intake() as intake:
        environ = {
            "AMQP": rabbitmq.url,
            "QUEUE": f"tasks-{uuid4().hex[:8]}",
            "DD_SERVICE": "s",
            "DD_TRACE_AGENT_URL": intake.url,
            "DONE": str(done),
            "PYTHONPATH": str(ROOT),
        }
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        from tests.integrations.taskiq import app as taskiq_app

        worker = subprocess.Popen(  # noqa: ASYNC220
            [sys.executable, "-m", "taskiq", "worker", "tests.integrations.taskiq.app:broker", "--workers", "1"],
            cwd=ROOT,
            env={**os.environ, **environ},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        broker = taskiq_app.broker
        try:
            await broker.startup()
            for number in range(20):
                await taskiq_app.first.kiq(number)
            async with asyncio.timeout(30):
                while not done.exists() or done.stat().st_size < 20:
                    await asyncio.sleep(0.05)
            await broker.shutdown()
        finally:
            worker.send_signal(signal.SIGTERM)
            worker.wait(20)
        points = {
            (str((point.edge_tags or ["?"])[0]), point.parent_hash): point.hash
            for payload in intake.payloads
            for bucket in payload.stats or ()
            for point in bucket.stats or ()
        }
        assert intake.counted() == 20 * 4
        sent = points["direction:out", 0]
        passed = points["direction:out", points["direction:in", sent]]
        assert ("direction:in", passed) in points
        assert len(points) == 4
        assert running_streams() is None


async def test_a_wrong_setting_is_logged_and_the_broker_runs(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("DD_AGENT_HOST", "http://agent:8126")
    monkeypatch.delenv("DD_TRACE_AGENT_URL", raising=False)
    log.forget_warnings()
    broker = InMemoryBroker(await_inplace=True).with_middlewares(DataStreamsMiddleware())

    @broker.task
    async def answer() -> int:
        return 42

    await broker.startup()
    assert (await (await answer.kiq()).wait_result()).return_value == 42
    await broker.shutdown()
    (said,) = [record for record in caplog.records if record.name == "asyncdsm"]
    assert said.levelname == "ERROR"
    assert "DD_AGENT_HOST must be a host name or an IP address" in said.getMessage()
    assert "got 'http://agent:8126'" in said.getMessage()
