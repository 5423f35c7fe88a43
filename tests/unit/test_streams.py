"""Starting, stopping and flushing, on asyncio, trio and without an event loop."""

from __future__ import annotations

import asyncio
import contextvars
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from types import MappingProxyType
from typing import Any
from weakref import WeakKeyDictionary

import anyio
import pytest

import asyncdsm
import asyncdsm.testing
from asyncdsm import AlreadyRunningError, DataStreams, Lag, Settings
from asyncdsm._internal import log
from asyncdsm.core import current, lag
from asyncdsm.core.counters import Stats
from asyncdsm.core.edge import Edge
from asyncdsm.delivery.exporters.memory import MemoryExporter
from asyncdsm.streams import running_streams
from tests import by_hand
from tests.brokers.process import free_port
from tests.intake import HANG, Intake, running_intake

EDGE = Edge("direction:out", "topic:t", "type:kafka")
SETTINGS = Settings(service="s", flush_seconds=0.05, bucket_seconds=0.1, shutdown_seconds=2)
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="empty")


class Noting(MemoryExporter):
    """Notes in which context it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.contexts: list[tuple[str, object]] = []

    async def export(self, payload: bytes) -> None:
        self.contexts.append((variable.get(), asyncdsm.current_pathway()))
        await super().export(payload)


@pytest.fixture
def intake() -> Iterator[Intake]:
    with running_intake() as intake:
        yield intake


def record(times: int = 1) -> None:
    for _ in range(times):
        by_hand.produce(EDGE)


async def test_recorded_checkpoints_are_delivered_at_the_end() -> None:
    exporter = MemoryExporter()
    async with DataStreams(SETTINGS, exporter=exporter) as streams:
        record(3)
        assert streams.stats.recorded == 3
    assert (streams.stats.delivered, streams.stats.pending) == (3, 0)
    assert running_streams() is None


async def test_finished_buckets_are_delivered_while_it_runs() -> None:
    async with DataStreams(SETTINGS, exporter=MemoryExporter()) as streams:
        record()
        with anyio.fail_after(5):
            while not streams.stats.delivered:
                await anyio.sleep(0.01)


async def test_flush_delivers_unfinished_buckets() -> None:
    slow = Settings(service="s", flush_seconds=60)
    async with DataStreams(slow, exporter=MemoryExporter()) as streams:
        record()
        await streams.flush()
        assert streams.stats.delivered == 1


async def test_flush_runs_in_an_empty_context() -> None:
    exporter = Noting()
    variable.set("the user's")
    current.set_current(asyncdsm.Pathway(1, 1, 1))
    async with DataStreams(SETTINGS, exporter=exporter) as streams:
        record()
        await streams.flush()
        record()
    assert exporter.contexts == [("empty", None)] * 2


async def test_second_data_streams_is_a_clear_error() -> None:
    async with DataStreams(SETTINGS, exporter=MemoryExporter()):
        with pytest.raises(AlreadyRunningError, match="runs in this process already"):
            await DataStreams(SETTINGS).start()
    async with DataStreams(SETTINGS, exporter=MemoryExporter()):
        pass


async def test_start_and_aclose_work_in_different_tasks() -> None:
    streams = DataStreams(SETTINGS, exporter=MemoryExporter())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(streams.start)
    record()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(streams.aclose)
    assert streams.stats.delivered == 1
    await streams.aclose()  # again: nothing more happens


async def test_exception_in_the_block_is_raised_unchanged() -> None:
    with pytest.raises(ZeroDivisionError):
        async with DataStreams(SETTINGS, exporter=MemoryExporter()):
            raise ZeroDivisionError


async def test_cancelled_task_still_delivers() -> None:
    streams = DataStreams(SETTINGS, exporter=MemoryExporter())
    with anyio.move_on_after(0.05):
        async with streams:
            record(2)
            await anyio.sleep_forever()
    assert streams.stats.delivered == 2


async def test_disabled_data_streams_does_nothing() -> None:
    async with DataStreams(Settings(enabled=False), exporter=MemoryExporter()) as streams:
        assert by_hand.produce(EDGE) is None
        await streams.flush()
    assert streams.stats.recorded == 0


async def test_hanging_agent_delays_the_end_until_the_deadline_only(intake: Intake) -> None:
    intake.answer = HANG
    hurried = Settings(service="s", agent_url=intake.url, shutdown_seconds=0.3)
    with anyio.fail_after(3):
        async with DataStreams(hurried) as streams:
            record(4)
    assert (streams.stats.pending, streams.stats.dropped_by) == (0, {"shutdown": 4})


async def test_absent_agent_is_given_up_early() -> None:
    alone = Settings(service="s", agent_url=f"http://127.0.0.1:{free_port()}", shutdown_seconds=30)
    with anyio.fail_after(5):
        async with DataStreams(alone) as streams:
            record()
    assert streams.stats.dropped_by == {"shutdown": 1}


async def test_agent_that_is_back_gets_all_checkpoints(intake: Intake) -> None:
    intake.answers = [503, 503, 500]
    async with DataStreams(Settings(service="s", agent_url=intake.url)) as streams:
        record(5)
        for _ in range(4):
            await streams.flush()
    assert (streams.stats.delivered, intake.counted()) == (5, 5)


async def test_exporter_that_raises_any_error_does_not_end_the_flush() -> None:
    class Odd(MemoryExporter):
        async def export(self, payload: bytes) -> None:
            if not self.bodies:
                self.bodies.append(payload)
                raise LookupError("odd")

    async with DataStreams(SETTINGS, exporter=Odd()) as streams:
        record()
        await streams.flush()
        assert streams.stats.pending == 1
        await streams.flush()
    assert streams.stats.delivered == 1


async def test_exporter_that_cannot_be_made_is_tried_again() -> None:
    made = list[MemoryExporter]()

    def make() -> MemoryExporter:
        made.append(MemoryExporter())
        if len(made) == 1:
            raise OSError("no certificates")
        return made[-1]

    async with DataStreams(SETTINGS, exporter=make) as streams:
        record()
        with anyio.fail_after(5):
            while not streams.stats.delivered:
                await anyio.sleep(0.05)
    assert (len(made), streams.stats.errors) == (2, 1)


class Behind:
    """A client that knows how far behind it is."""

    def lags(self) -> list[Lag]:
        return [
            Lag("g", "orders", 0, 5, cluster_id="c", end=105, type="kafka"),
            Lag("g", "orders", 1, 5, end=200, type="eventhubs"),
            Lag("g", "orders", 2, 5, end=300),
        ]


async def test_lag_is_returned_and_high_watermarks_of_kafka_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lag, "_sources", WeakKeyDictionary())  # clients of other tests may still be there
    source, exporter = Behind(), MemoryExporter()
    lag.add_lag_source(source)
    async with DataStreams(SETTINGS, exporter=exporter) as streams:
        assert streams.lag() == source.lags()
        await streams.flush()
    backlogs = [
        backlog for payload in exporter.payloads for bucket in payload.stats or () for backlog in bucket.backlogs or ()
    ]
    assert {tuple(backlog.tags) for backlog in backlogs} == {
        ("kafka_cluster_id:c", "partition:0", "topic:orders", "type:kafka_high_watermark")
    }
    assert {backlog.value for backlog in backlogs} == {105}


class Growing:
    """A client of a partition that grows by a message each millisecond: its end is the time in milliseconds."""

    def lags(self) -> list[Lag]:
        return [Lag("g", "growing", 0, 5, end=time.time_ns() // 10**6, type="kafka")]


async def test_high_watermark_is_read_at_the_end_of_each_bucket() -> None:
    source, exporter = Growing(), MemoryExporter()
    lag.add_lag_source(source)
    settings = SETTINGS._replace(bucket_seconds=1.0, flush_seconds=100.0)
    async with DataStreams(settings, exporter=exporter) as streams:
        await anyio.sleep(3.2)
        await streams.flush()
    into = [
        backlog.value - bucket.start // 10**6
        for payload in exporter.payloads
        for bucket in payload.stats or ()
        for backlog in bucket.backlogs or ()
        if "topic:growing" in backlog.tags
    ]
    assert len(into) >= 3
    assert any(milliseconds >= 800 for milliseconds in into[:-1]), into


async def test_too_many_pathways_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    log.forget_warnings()
    async with DataStreams(SETTINGS, exporter=MemoryExporter()) as streams:
        for _ in range(2):
            for parent in range(31):
                with current.restored(asyncdsm.Pathway(parent + 1, 1, 1)):
                    record()
            await streams.flush()
    (said,) = [record.getMessage() for record in caplog.records if "distinct pathways" in record.getMessage()]
    assert "31" in said
    assert "topic:t" in said


def test_synchronous_program_delivers_at_the_end() -> None:
    with DataStreams(SETTINGS, exporter=MemoryExporter()) as streams:
        workers = [threading.Thread(target=record, args=(100,)) for _ in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert (streams.stats.recorded, streams.stats.delivered) == (800, 800)


def test_flush_continues_after_its_event_loop_ended() -> None:
    exporter = MemoryExporter()
    streams = DataStreams(SETTINGS, exporter=exporter)

    async def main() -> None:
        await streams.start()
        record()

    asyncio.run(main())
    record(2)
    streams.close()
    assert (streams.stats.recorded, streams.stats.delivered) == (3, 3)


WHILE_TRIO_IS_IMPORTED = """
import sys, threading, time
from importlib.machinery import SourceFileLoader
import asyncdsm
from asyncdsm.delivery.exporters.memory import MemoryExporter

reached, go_on = threading.Event(), threading.Event()

def exec_module(loader, module, exec_module=SourceFileLoader.exec_module):
    if module.__name__ == sys.argv[1]:
        reached.set()
        go_on.wait(60)
    exec_module(loader, module)

SourceFileLoader.exec_module = exec_module
importing = threading.Thread(target=__import__, args=("trio",))
exporter = MemoryExporter()
settings = asyncdsm.Settings(flush_seconds=0.05, bucket_seconds=0.1)
importing.start()
reached.wait(60)
with asyncdsm.DataStreams(settings, exporter=exporter) as streams:
    asyncdsm.set_produce_checkpoint("kafka", "orders", {}.__setitem__)
    deadline = time.monotonic() + 20
    while not streams.stats.delivered and time.monotonic() < deadline:
        time.sleep(0.01)
    print(streams.stats.delivered)
    go_on.set()
importing.join()
"""


@pytest.mark.parametrize("module", ["trio._core", "trio.lowlevel"])
def test_thread_starts_while_another_thread_imports_trio(module: str) -> None:
    command = [sys.executable, "-c", WHILE_TRIO_IS_IMPORTED, module]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "1\n", "")


def test_flush_keeps_a_bucket_that_is_not_over() -> None:
    exporter = MemoryExporter()
    long = Settings(service="s", flush_seconds=0.02, bucket_seconds=3600)
    with DataStreams(long, exporter=exporter):
        record()
        threading.Event().wait(0.2)
        assert exporter.bodies == []
    assert len(exporter.bodies) == 1


async def test_standby_starts_at_the_first_checkpoint_and_delivers_at_the_end() -> None:
    exporter = MemoryExporter()
    streams = DataStreams(SETTINGS, exporter=exporter)
    threads = set(threading.enumerate())
    streams.stand_by()
    assert set(threading.enumerate()) == threads
    record(3)
    await streams.aclose()
    assert (streams.stats.delivered, running_streams()) == (3, None)


async def test_standby_pauses_while_another_data_streams_runs() -> None:
    standing, started = (DataStreams(SETTINGS, exporter=MemoryExporter()) for _ in range(2))
    standing.stand_by()
    record()
    async with started:
        record(2)
        DataStreams(SETTINGS).stand_by()  # one stands by already
    record(4)
    await standing.aclose()
    record(8)
    assert (standing.stats.delivered, started.stats.delivered) == (5, 2)


async def test_standby_can_be_repeated_after_close() -> None:
    streams = DataStreams(SETTINGS, exporter=MemoryExporter())
    for lives in (1, 2):
        streams.stand_by()
        record(3)
        await streams.aclose()
        assert (streams.stats.delivered, streams.stats.pending) == (3, 0), lives


async def test_start_during_standby_is_a_clear_error() -> None:
    streams = DataStreams(SETTINGS, exporter=MemoryExporter())
    streams.stand_by()
    record(3)
    with pytest.raises(AlreadyRunningError):
        await streams.start()
    await streams.aclose()
    assert streams.stats.delivered == 3


async def test_disabled_data_streams_does_not_stand_by() -> None:
    DataStreams(Settings(enabled=False)).stand_by()
    assert running_streams() is None


async def test_data_streams_started_during_capture_does_nothing() -> None:
    with asyncdsm.testing.capture() as captured:
        async with DataStreams(SETTINGS) as streams, asyncdsm.lifespan():
            record()
        record()
        with pytest.raises(AlreadyRunningError), asyncdsm.testing.capture():
            pass
    assert (len(captured.produced()), streams.stats.recorded) == (2, 0)


async def test_lifespan_delivers_what_another_data_streams_measures(intake: Intake) -> None:
    slow = Settings(service="s", flush_seconds=60, agent_url=intake.url)
    async with DataStreams(slow):
        async with asyncdsm.lifespan():
            record()
        assert intake.counted() == 1


@pytest.mark.parametrize("ending", ["with", "close", "aclose"])
def test_close_leaves_no_thread(ending: str) -> None:
    before = threading.enumerate()
    streams = DataStreams(Settings(service="s"), exporter=MemoryExporter())
    if ending == "with":
        with streams:
            asyncdsm.set_consume_checkpoint("nats", "t", dict[str, str]().get)
    else:
        streams.stand_by()
        asyncdsm.set_consume_checkpoint("nats", "t", dict[str, str]().get)
        if ending == "close":
            streams.close()
        else:
            anyio.run(streams.aclose)
    current.set_current(None)
    assert [thread for thread in threading.enumerate() if thread not in before and thread.name == "asyncdsm"] == []
    assert streams.stats.delivered == 1


def test_settings_of_a_wrong_type_are_a_clear_error() -> None:
    wrong: Any = "shop"
    with pytest.raises(TypeError, match=r"settings must be an asyncdsm\.Settings, got str"):
        DataStreams(wrong)


@pytest.mark.parametrize(
    ("stats", "shown"),
    [
        (Stats(3, 2, 1, {}), "Stats(recorded=3, delivered=2, pending=1)"),
        (Stats(0, 0, 0, {}), "Stats(recorded=0, delivered=0, pending=0)"),
        (
            Stats(9, 2, 4, MappingProxyType({"outbox": 2, "points": 1}), not_propagated=5),
            "Stats(recorded=9, delivered=2, pending=4, dropped_by={'outbox': 2, 'points': 1}, not_propagated=5)",
        ),
        (
            Stats(1, 1, 0, {}, 2, 3, 4),
            "Stats(recorded=1, delivered=1, pending=0, malformed=2, not_propagated=3, errors=4)",
        ),
    ],
)
def test_stats_are_shown_without_what_did_not_happen(stats: Stats, shown: str) -> None:
    assert (repr(stats), str(stats), f"{stats}") == (shown, shown, shown)
