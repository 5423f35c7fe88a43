"""A task is executed with its own pathway, in memory and in a worker process on a real RabbitMQ."""
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

import pytest
from asyncdsm_taskiq import DataStreamsMiddleware
from taskiq import (
    InMemoryBroker,
    SimpleRetryMiddleware,
    TaskiqMessage,
    TaskiqMiddleware,
)

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core import current
from asyncdsm.core.context import HEADER
from asyncdsm.streams import running_streams
from asyncdsm.testing import Captured
from tests.brokers.rabbitmq import RabbitMQ
from tests.intake import running_intake

ROOT = Path(__file__).parents[3]


class RecordingMiddleware(TaskiqMiddleware):
    """Records the tasks that are sent and those that are executed."""

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
async def test_sent_tasks_are_counted_and_executed_with_their_pathway(
    in_place: bool, captured_streams: Captured
) -> None:
    keeps = RecordingMiddleware()
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


async def test_concurrent_tasks_each_have_their_own_pathway(captured_streams: Captured) -> None:
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


async def test_retried_task_follows_the_try_before(captured_streams: Captured) -> None:
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


async def test_worker_on_rabbitmq_delivers_one_pathway(
    rabbitmq: RabbitMQ, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
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
