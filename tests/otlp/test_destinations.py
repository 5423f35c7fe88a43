"""The agent and an OTLP endpoint, one of them or both: neither waits for the other, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

import anyio
import pytest

import asyncdsm
from asyncdsm import DataStreams, Settings, Stats
from asyncdsm._internal import log, otlp_environment
from asyncdsm.core.edge import Edge
from asyncdsm.delivery import retry
from asyncdsm.delivery.exporters.memory import MemoryExporter
from asyncdsm.delivery.otlp.packer import OtlpPacker
from tests import by_hand
from tests.brokers.process import free_port
from tests.intake import HANG, RESET, Intake, running_intake
from tests.otlp.received import decode_body, otlp_receiver, points_of, requests_of

SENT = Edge("direction:out", "topic:orders", "type:kafka")
READ = Edge("direction:in", "group:billing", "topic:orders", "type:kafka")
PATIENCE_SECONDS = 15.0


@pytest.fixture(autouse=True)
def forget_warnings() -> None:
    log.forget_warnings()


@pytest.fixture
def agent() -> Iterator[Intake]:
    with running_intake() as intake:
        yield intake


@pytest.fixture
def receiver() -> Iterator[Intake]:
    with otlp_receiver() as receiver:
        yield receiver


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_DELAY", 0.01)
    monkeypatch.setattr(retry, "LONGEST_DELAY", 0.05)


def settings_for(otlp: str, agent: Intake | None = None, **more: Any) -> Settings:
    more |= {"agent_url": agent.url} if agent else {}
    return Settings(service="billing", otlp_endpoint=f"{otlp}/v1/metrics", **more)


def sent_messages(receiver: Intake) -> int:
    """Return how many messages the newest request says were written."""
    return sum(point.as_int for _, point in points_of(requests_of(receiver)[-1], "messaging.client.sent.messages"))


def is_balanced(stats: Stats) -> bool:
    both = [stats, stats.otlp] if stats.otlp else [stats]
    return all(each.recorded == each.delivered + each.pending + each.dropped for each in both)


async def wait_until(condition: Callable[[], bool]) -> None:
    deadline = monotonic() + PATIENCE_SECONDS
    while not condition():
        assert monotonic() < deadline
        await anyio.sleep(0.01)


async def test_both_destinations_get_everything_and_have_counters_of_their_own(agent: Intake, receiver: Intake) -> None:
    async with DataStreams(settings_for(receiver.url, agent)) as streams:
        by_hand.produce(SENT)
        by_hand.produce(SENT)
        await streams.flush()
        assert streams.stats.otlp == Stats(2, 2, 0, {})
        by_hand.produce(SENT)
        assert streams.stats == Stats(3, 2, 1, {}, otlp=Stats(3, 2, 1, {}))
    assert agent.counted() == sent_messages(receiver) == 3
    assert streams.stats == Stats(3, 3, 0, {}, otlp=Stats(3, 3, 0, {}))


async def test_otlp_alone_is_used_instead_of_the_agent(receiver: Intake) -> None:
    async with DataStreams(settings_for(receiver.url)) as streams:
        by_hand.produce(SENT)
        asyncdsm.track_transaction("4711", "paid")
    assert sent_messages(receiver) == 1
    stats = streams.stats
    assert (stats.recorded, stats.delivered, stats.dropped_by, stats.transactions) == (2, 1, {"otlp": 1}, 1)
    assert stats.otlp == stats._replace(otlp=None)


async def test_stats_without_otlp_are_as_they_were(agent: Intake) -> None:
    async with DataStreams(Settings(service="s", agent_url=agent.url)) as streams:
        by_hand.produce(SENT)
    assert streams.stats == Stats(1, 1, 0, {})
    assert repr(streams.stats) == "Stats(recorded=1, delivered=1, pending=0)"


async def test_exporter_of_the_programs_own_stands_for_the_agent(receiver: Intake) -> None:
    exporter = MemoryExporter()
    async with DataStreams(settings_for(receiver.url), exporter=exporter) as streams:
        by_hand.produce(SENT)
    assert (len(exporter.payloads), sent_messages(receiver)) == (1, 1)
    assert streams.stats.otlp == Stats(1, 1, 0, {})


async def test_without_the_extra_the_agent_gets_everything(
    agent: Intake, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(otlp_environment, "is_extra_installed", lambda: False)
    caplog.set_level("INFO", "asyncdsm")
    settings = settings_for("http://127.0.0.1:1", agent, destinations=("otlp",))
    async with DataStreams(settings) as streams:
        by_hand.produce(SENT)
    assert (agent.counted(), streams.stats) == (1, Stats(1, 1, 0, {}))
    (record,) = caplog.records
    assert (record.levelname, "pip install 'asyncdsm[otlp]'" in record.getMessage()) == ("INFO", True)


@pytest.mark.parametrize("slow", ["agent", "otlp"])
async def test_destination_that_hangs_does_not_delay_the_other(slow: str, agent: Intake, receiver: Intake) -> None:
    hangs, answers = (agent, receiver) if slow == "agent" else (receiver, agent)
    hangs.answer = HANG
    often = settings_for(receiver.url, agent, bucket_seconds=0.1, flush_seconds=0.05, shutdown_seconds=0.5)
    async with DataStreams(often) as streams:
        for number in range(5):
            by_hand.produce(SENT)
            await wait_until(lambda: _delivered(streams, otlp=slow == "agent") > number)  # noqa: B023
        assert _delivered(streams, otlp=slow == "otlp") == 0
        assert is_balanced(streams.stats)
    assert len(answers.accepted) >= 5
    assert is_balanced(streams.stats)
    lost = streams.stats if slow == "agent" else streams.stats.otlp
    assert lost is not None
    assert lost.dropped_by == {"shutdown": 5}


def _delivered(streams: DataStreams, *, otlp: bool) -> int:
    stats = streams.stats
    return (stats.otlp if otlp else stats).delivered  # type: ignore[union-attr]


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_endpoint_that_is_away_for_sixty_flushes_loses_nothing(agent: Intake) -> None:
    port = free_port()
    settings = settings_for(f"http://127.0.0.1:{port}", agent, bucket_seconds=0.02, flush_seconds=0.02)
    async with DataStreams(settings) as streams:
        for number in range(60):
            by_hand.produce(SENT)
            await wait_until(lambda: streams.stats.delivered > number)  # noqa: B023
            assert is_balanced(streams.stats)
        assert streams.stats.otlp == Stats(60, 0, 60, {})
        with otlp_receiver(port) as receiver:
            await wait_until(lambda: streams.stats.otlp == Stats(60, 60, 0, {}))
            counts = [_messages(body) for body in receiver.accepted]
    assert counts == sorted(counts)  # the oldest payloads came first
    assert (counts[-1], agent.counted()) == (60, 60)
    assert len(counts) >= 60


def _messages(body: bytes) -> int:
    return sum(point.as_int for _, point in points_of(decode_body(body), "messaging.client.sent.messages"))


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_full_outbox_of_cumulative_payloads_loses_no_count() -> None:
    port = free_port()
    settings = settings_for(f"http://127.0.0.1:{port}", bucket_seconds=0.02, flush_seconds=0.02, max_outbox_bytes=3000)
    async with DataStreams(settings) as streams:
        for _ in range(15):
            by_hand.produce(SENT)
            await anyio.sleep(0.03)
        assert streams.stats.dropped_by == {}
        with otlp_receiver(port) as receiver:
            await wait_until(lambda: streams.stats.delivered == 15)
            assert sent_messages(receiver) == 15
            assert len(receiver.accepted) < 12


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
async def test_checkpoints_are_conserved_whatever_both_receivers_do(
    agent: Intake, receiver: Intake, temporality: str
) -> None:
    agent.answers = [503, RESET, 202, 500, 429]
    receiver.answers = [RESET, 429, 503, 200, 502, 504]
    settings = settings_for(receiver.url, agent, bucket_seconds=0.05, flush_seconds=0.02, otlp_temporality=temporality)
    async with DataStreams(settings) as streams:
        for _ in range(40):
            by_hand.produce(SENT)
            by_hand.consume(READ, None, 100)
            assert is_balanced(streams.stats)
            await anyio.sleep(0.01)
    assert streams.stats == Stats(80, 80, 0, {}, otlp=Stats(80, 80, 0, {}))
    assert agent.counted() == 80
    if temporality == "cumulative":
        assert sent_messages(receiver) == 40
    else:
        assert sum(map(_messages, receiver.accepted)) == 40


async def test_refused_payload_is_dropped_for_that_destination_alone(agent: Intake, receiver: Intake) -> None:
    receiver.answer = 400
    async with DataStreams(settings_for(receiver.url, agent)) as streams:
        by_hand.produce(SENT)
    assert streams.stats == Stats(1, 1, 0, {}, otlp=Stats(1, 0, 0, {"rejected": 1}))


async def test_certificate_that_is_missing_stops_no_delivery_to_the_agent(agent: Intake) -> None:
    settings = settings_for("https://127.0.0.1:1", agent, otlp_certificate="/nowhere.pem", shutdown_seconds=0.5)
    async with DataStreams(settings) as streams:
        by_hand.produce(SENT)
        await streams.flush()
        assert streams.stats.delivered == 1
    assert streams.stats.errors >= 1
    assert streams.stats.otlp == Stats(1, 0, 0, {"shutdown": 1})


def test_agent_gets_everything_while_the_encoder_of_otlp_cannot_be_imported(
    agent: Intake, receiver: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as an opentelemetry-proto that does not fit the protobuf of the program."""

    def fail(_: object) -> None:
        raise ImportError("planted")

    monkeypatch.setattr(OtlpPacker, "import_encoder", fail)
    settings = Settings(service="shop", agent_url=agent.url, otlp_endpoint=f"{receiver.url}/v1/metrics")
    with DataStreams(settings) as streams:
        for _ in range(3):
            asyncdsm.set_produce_checkpoint("kafka", "orders", lambda *_: None)
    stats = streams.stats
    assert (agent.counted(), receiver.accepted) == (3, [])
    assert (stats.recorded, stats.delivered, stats.errors) == (3, 3, 1)
    assert stats.otlp is not None
    assert (stats.otlp.recorded, stats.otlp.pending, stats.otlp.dropped_by) == (3, 0, {"encoding": 3})
