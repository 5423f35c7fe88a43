"""Conservation: eight threads and two hundred tasks record while the agent fails in every way it can."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from time import monotonic

import pytest

from asyncdsm import DataStreams, Settings, Stats
from asyncdsm.core.edge import Edge
from tests import by_hand
from tests.brokers.process import free_port
from tests.intake import HANG, RESET, Intake, running_intake

AWAY_SECONDS = 30.0
EDGES = [Edge("direction:out", f"topic:{number}", "type:kafka") for number in range(20)]


class Load:
    """Records from threads and tasks until it is told to stop, and counts by itself."""

    def __init__(self) -> None:
        self.made = [0] * 8
        self.by_tasks = 0
        self.stop = False

    @property
    def total(self) -> int:
        return sum(self.made) + self.by_tasks

    def in_a_thread(self, number: int) -> None:
        while not self.stop:
            by_hand.produce(EDGES[self.made[number] % 20], 100)
            self.made[number] += 1
            if self.made[number] % 50 == 0:
                threading.Event().wait(0.01)

    async def in_a_task(self, number: int) -> None:
        while not self.stop:
            by_hand.consume(EDGES[number % 20], None, 100)
            self.by_tasks += 1
            await asyncio.sleep(0.02)


def balanced(stats: Stats) -> bool:
    return stats.recorded == stats.delivered + stats.pending + stats.dropped


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_checkpoints_are_conserved_whatever_the_agent_does() -> None:
    intake, load, port = Intake(), Load(), free_port()
    back = running_intake(port=port, intake=intake)
    settings = Settings(
        service="s",
        agent_url=f"http://127.0.0.1:{port}",
        bucket_seconds=0.5,
        flush_seconds=0.3,
        request_seconds=1,
    )
    async with DataStreams(settings) as streams:
        threads = [threading.Thread(target=load.in_a_thread, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        tasks = [asyncio.create_task(load.in_a_task(number)) for number in range(200)]
        watcher = asyncio.create_task(watch(streams, load))
        await asyncio.to_thread(misbehave, intake, port)
        await asyncio.to_thread(back.__enter__)
        load.stop = True
        await asyncio.gather(*tasks)
        for thread in threads:
            await asyncio.to_thread(thread.join)
        watcher.cancel()
        checks = (await asyncio.gather(watcher, return_exceptions=True))[0]
        assert isinstance(checks, asyncio.CancelledError), checks
        async with asyncio.timeout(60):
            while streams.stats.pending:
                await streams.flush()
    await asyncio.to_thread(back.__exit__, None, None, None)
    stats = streams.stats
    assert stats.recorded == load.total > 100_000
    assert (stats.delivered, stats.pending, stats.dropped) == (load.total, 0, 0)
    assert intake.counted() == load.total


async def watch(streams: DataStreams, load: Load) -> None:
    """Look at the counters all the time: the balance holds, and nothing that was made is missing."""
    while True:
        made_before = load.total
        stats = streams.stats
        assert balanced(stats)
        assert made_before <= stats.recorded
        await asyncio.sleep(0.01)


def misbehave(intake: Intake, port: int) -> None:
    """Answer well, then 503, resets and hangs; then be gone for half a minute."""
    with running_intake(port=port, intake=intake):
        wait_until(lambda: len(intake.accepted) >= 2)
        for answers in ([503] * 3, [RESET] * 3, [HANG], [429, 500, 408]):
            seen = len(intake.accepted)
            intake.answers = list(answers)
            wait_until(lambda: not intake.answers and len(intake.accepted) > seen)  # noqa: B023
    threading.Event().wait(AWAY_SECONDS)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = monotonic() + 60
    while not condition():
        assert monotonic() < deadline
        threading.Event().wait(0.02)
