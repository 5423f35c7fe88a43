"""An hour in which the OTLP endpoint cannot be reached, in compressed time: nothing is lost, and memory is bounded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

import anyio
import pytest

from asyncdsm import DataStreams
from asyncdsm.core.counters import Stats
from asyncdsm.core.edge import Edge
from asyncdsm.delivery import retry
from asyncdsm.settings import Settings
from tests import by_hand
from tests.brokers.process import free_port
from tests.intake import Intake, running_intake
from tests.otlp.received import otlp_receiver, points_of, requests_of

FLUSHES, EDGES = 360, 5
"""Those of an hour; and how many edges have a message in each."""
SENT = [Edge("direction:out", f"topic:orders-{number}", "type:kafka") for number in range(EDGES)]
CUMULATIVE_BYTES, DELTA_BYTES = 50_000, 1_000_000
"""How many bytes may wait: too few for an hour of cumulative payloads, each of which has all counts; and enough for an
hour of differences, of which each is needed."""


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_DELAY", 0.01)
    monkeypatch.setattr(retry, "LONGEST_DELAY", 0.05)


@pytest.fixture
def agent() -> Iterator[Intake]:
    with running_intake() as intake:
        yield intake


def waiting_bytes(streams: DataStreams) -> int:
    """Return the size of the larger outbox."""
    flusher = streams._flusher
    assert flusher is not None
    return max(each.outbox.size for each in flusher._destinations)


def is_balanced(stats: Stats) -> bool:
    assert stats.otlp is not None
    return all(each.recorded == each.delivered + each.pending + each.dropped for each in (stats, stats.otlp))


def sent_by_topic(receiver: Intake, *, is_cumulative: bool) -> Counter[str]:
    """Return how many messages a receiver was told of, by topic."""
    counted = Counter[str]()
    for request in requests_of(receiver)[-1:] if is_cumulative else requests_of(receiver):
        for attributes, point in points_of(request, "messaging.client.sent.messages"):
            counted[attributes["messaging.destination.name"]] += point.as_int
    return counted


@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
async def test_hour_without_a_receiver_loses_nothing_and_the_agent_gets_everything(
    agent: Intake, temporality: str
) -> None:
    port = free_port()
    is_cumulative = temporality == "cumulative"
    limit = CUMULATIVE_BYTES if is_cumulative else DELTA_BYTES
    settings = Settings(
        service="billing",
        agent_url=agent.url,
        otlp_endpoint=f"http://127.0.0.1:{port}/v1/metrics",
        otlp_temporality=temporality,
        flush_seconds=3600.0,
        shutdown_seconds=30.0,
        max_outbox_bytes=limit,
    )
    with ExitStack() as until_the_end:
        async with DataStreams(settings) as streams:
            for _ in range(FLUSHES):
                for edge in SENT:
                    by_hand.produce(edge, 200)
                await streams.flush()
                assert is_balanced(streams.stats)
                assert waiting_bytes(streams) <= limit
            counted = FLUSHES * EDGES
            assert (streams.stats.delivered, agent.counted()) == (counted, counted)
            assert streams.stats.otlp is not None
            assert (streams.stats.otlp.delivered, streams.stats.otlp.dropped) == (0, 0)
            assert streams.stats.otlp.pending == counted
            receiver = until_the_end.enter_context(otlp_receiver(port))
            with anyio.fail_after(60):
                while streams.stats.otlp.pending:
                    await streams.flush()
    assert is_balanced(streams.stats)
    assert streams.stats.otlp == Stats(counted, counted, 0, {})
    told = sent_by_topic(receiver, is_cumulative=is_cumulative)
    assert told == {f"orders-{number}": FLUSHES for number in range(EDGES)}
    assert receiver.accepted
    assert (len(receiver.accepted) < FLUSHES) == is_cumulative  # else the bound was not reached
