"""Celery with real workers: tasks continue the pathway, and every checkpoint is delivered."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import NamedTuple

import pytest

from asyncdsm.delivery.payload import WirePoint
from tests.brokers.rabbitmq import RabbitMQ
from tests.intake import Intake, running_intake

APP = "tests.end_to_end.apps.ledger"
RUN = ["-m", "asyncdsm", "run", "-m"]
QUIET = ["--without-mingle", "--without-gossip", "--without-heartbeat"]
PATIENCE = 90.0


class Ledger(NamedTuple):
    """What the app's own signals wrote to a file, and what came to the intake."""

    file: Path
    intake: Intake
    environ: dict[str, str]

    def entries(self) -> Counter[str]:
        """Return how many tasks were sent, received, and run."""
        return Counter(self.file.read_text().split() if self.file.exists() else [])

    def wait_for(self, ran: int, worker: subprocess.Popen[bytes]) -> None:
        """Wait until `ran` tasks have run."""
        deadline = monotonic() + PATIENCE
        while self.entries()["ran"] < ran:
            assert worker.poll() is None, "the worker ended"
            assert monotonic() < deadline, f"not done: {self.entries()}"
            sleep(0.05)

    def send(self, *what: str) -> None:
        """Send tasks from another process."""
        command = [sys.executable, *self.starter, APP, *what]
        environ = {**self.environ, "DD_SERVICE": "sender"}
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert (done.returncode, done.stderr) == (0, "")

    @contextmanager
    def worker(self, *options: str, log: str = "WARNING") -> Iterator[subprocess.Popen[bytes]]:
        """Run a worker inside the block. Afterwards it gets SIGTERM and must end by itself."""
        command = [sys.executable, *self.starter, "celery", "-A", APP, "worker", "-l", log, "-c", "2", *options]
        environ = {**self.environ, "DD_SERVICE": "worker"}
        with subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, start_new_session=True) as worker:
            try:
                yield worker
                worker.send_signal(signal.SIGTERM)
                assert worker.wait(PATIENCE) == 0
            except BaseException:
                os.killpg(worker.pid, signal.SIGKILL)
                raise

    @property
    def starter(self) -> list[str]:
        """The options of Python: `asyncdsm run`, unless the app calls `wrap`."""
        return ["-m"] if "WRAPPED" in self.environ else RUN

    def points(self, service: str) -> list[WirePoint]:
        """Return the rows of one service."""
        return [
            point
            for payload in self.intake.payloads
            if payload.service == service
            for bucket in payload.stats or ()
            for point in bucket.stats or ()
        ]

    def check(self) -> None:
        """Compare the delivered counts with the ledger, and look for tasks that lost their pathway."""
        entries = self.entries()
        assert self.intake.counted() == entries["in"] + entries["out"]
        worker = self.points("worker")
        ways = {point.hash for point in worker if "direction:in" in (point.edge_tags or ())}
        parents = {point.parent_hash for point in worker if "direction:out" in (point.edge_tags or ())}
        assert parents
        assert parents <= ways


@contextmanager
def ledger_of(broker: str, folder: Path, **more: str) -> Iterator[Ledger]:
    """Return an empty ledger for an app on this broker."""
    with running_intake() as intake:
        environ = {
            **os.environ,
            "BROKER": broker,
            "LEDGER": str(folder / "ledger"),
            "DD_TRACE_AGENT_URL": intake.url,
            "PYTHONWARNINGS": "ignore",
            **more,
        }
        yield Ledger(folder / "ledger", intake, environ)


@pytest.fixture
def on_redis(redis: str, tmp_path: Path) -> Iterator[Ledger]:
    with ledger_of(redis, tmp_path, BACKEND=redis) as ledger:
        yield ledger


@pytest.fixture
def on_rabbitmq(rabbitmq: RabbitMQ, tmp_path: Path) -> Iterator[Ledger]:
    with ledger_of(rabbitmq.url, tmp_path) as ledger:
        yield ledger


def test_chain_of_three_tasks_is_one_pathway(on_rabbitmq: Ledger) -> None:
    """Celery's events, gossip and remote control use the same broker."""
    with on_rabbitmq.worker("-E", "-Q", "first,second,third") as worker:
        on_rabbitmq.send("chain=2")
        on_rabbitmq.wait_for(6, worker)
    assert on_rabbitmq.intake.counted() == 12
    points = [*on_rabbitmq.points("sender"), *on_rabbitmq.points("worker")]
    hops = {point.parent_hash: point for point in points}
    way, parent = list[tuple[str, ...]](), 0
    while parent in hops:
        way.append(tuple((hops[parent].edge_tags or ())[:2]))
        parent = hops[parent].hash
    assert way == [
        (direction, f"topic:{queue}")
        for queue in ("first", "second", "third")
        for direction in ("direction:out", "direction:in")
    ]


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo", "gevent"])
def test_worker_pool_counts_the_tasks_it_ran(on_redis: Ledger, pool: str) -> None:
    with on_redis.worker("-P", pool, "-Q", "celery,first,second,third", *QUIET) as worker:
        on_redis.send("chain=1", "chord=1", "retry=1", "eta=1", "add=2")
        # 3 of the chain, 2 + 1 + 1 of the chord, 3 tries, 2 each of the others
        on_redis.wait_for(3 + 4 + 3 + 2 + 4, worker)
    on_redis.check()


def test_wrapped_app_counts_the_tasks_it_ran(redis: str, tmp_path: Path) -> None:
    with ledger_of(redis, tmp_path, BACKEND=redis, WRAPPED="1") as ledger:
        with ledger.worker(*QUIET) as worker:
            ledger.send("add=3")
            ledger.wait_for(6, worker)
        ledger.check()


@pytest.mark.parametrize("broker", ["on_redis", "on_rabbitmq"])
def test_recycled_workers_lose_nothing(broker: str, request: pytest.FixtureRequest) -> None:
    ledger: Ledger = request.getfixturevalue(broker)
    with ledger.worker("--max-tasks-per-child", "3", *QUIET) as worker:
        ledger.send("add=8")
        ledger.wait_for(16, worker)
    assert len(ledger.intake.payloads) > 4  # from the sender, the parent, and several children
    ledger.check()


def test_sigterm_during_tasks_loses_nothing(on_redis: Ledger) -> None:
    on_redis.send("slow=60")
    with on_redis.worker(*QUIET) as worker:
        on_redis.wait_for(6, worker)
    on_redis.check()
