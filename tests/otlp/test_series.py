"""Series of processes: what is added up, from when on, and what a restart, a fork and a full table do to them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from asyncdsm import DataStreams, Settings
from asyncdsm.core.aggregator import Aggregator
from asyncdsm.core.counters import Counters
from asyncdsm.core.edge import Edge
from asyncdsm.core.lag import Lag
from asyncdsm.core.spans import Exemplars
from asyncdsm.delivery.otlp import packer, series
from asyncdsm.delivery.otlp.packer import OtlpPacker
from asyncdsm.delivery.outbox import Outbox
from tests import by_hand
from tests.intake import Intake
from tests.otlp.received import decode_body, otlp_receiver, points_of, requests_of

SECOND = 1_000_000_000
START = 1_800_000_000 * SECOND
SENT = "messaging.client.sent.messages"


class Process:
    """A process with a clock of its own, whose payloads stay in its outbox."""

    def __init__(self, **settings: Any) -> None:
        self.now, self.counters = START, Counters()
        self.aggregator = Aggregator("s", None, now=lambda: self.now, counters=self.counters)
        self.outbox = Outbox(1 << 20, self.counters)
        self.packer = OtlpPacker(self.aggregator, Settings(**settings), self.outbox, self.counters, Exemplars())
        self.packer.import_encoder()

    def record(self, topic: str, times: int = 1, parent: int = 0, tags: tuple[str, ...] = ()) -> None:
        edge = Edge("direction:out", f"topic:{topic}", "type:kafka", *tags)
        for _ in range(times):
            self.aggregator.record(self.aggregator.point(edge, parent), self.now, SECOND, SECOND, 100)

    def flush(self, lags: list[Lag] | None = None) -> Any:
        """Return the request that is sent after ten seconds; None if none is."""
        self.now += 10 * SECOND
        for bucket in self.aggregator.take():
            self.packer.add_bucket(bucket, None, None)
        self.packer.finish(lags or [])
        parcel = self.outbox.dequeue()
        return None if parcel is None else decode_body(parcel.payload)


def sums(request: Any, name: str = SENT) -> dict[str, int]:
    return {attributes["messaging.destination.name"]: point.as_int for attributes, point in points_of(request, name)}


def spans(request: Any) -> dict[str, tuple[int, int]]:
    """Return from when to when the counts are, in seconds since the process began."""
    return {
        attributes["messaging.destination.name"]: (
            (point.start_time_unix_nano - START) // SECOND,
            (point.time_unix_nano - START) // SECOND,
        )
        for attributes, point in points_of(request, SENT)
    }


def test_cumulative_counts_grow_from_the_first_bucket_of_each_series() -> None:
    process = Process()
    process.record("a", 2)
    first = process.flush()
    process.record("a")
    process.record("b")
    second, third = process.flush(), process.flush()
    assert [sums(each) for each in (first, second, third)] == [{"a": 2}, {"a": 3, "b": 1}, {"a": 3, "b": 1}]
    assert [spans(each) for each in (first, second, third)] == [
        {"a": (0, 10)},
        {"a": (0, 20), "b": (10, 20)},
        {"a": (0, 30), "b": (10, 30)},
    ]


@pytest.mark.parametrize("temporality", ["delta", "lowmemory"])
def test_delta_counts_are_those_since_the_payload_before(temporality: str) -> None:
    process = Process(otlp_temporality=temporality)
    process.record("a", 2)
    first = process.flush()
    process.record("a")
    second = process.flush()
    assert (sums(first), sums(second)) == ({"a": 2}, {"a": 1})
    assert (spans(first), spans(second)) == ({"a": (0, 10)}, {"a": (10, 20)})
    assert process.flush() is None


def test_time_never_goes_back_where_the_clock_is_set_back() -> None:
    process = Process()
    process.record("a")
    process.flush()
    process.now -= 3600 * SECOND
    process.record("b")
    (_, before), (_, point) = points_of(process.flush(), SENT)
    assert point.start_time_unix_nano <= point.time_unix_nano
    assert before.time_unix_nano == START + 10 * SECOND + 1


def test_edges_with_the_same_attributes_are_one_series() -> None:
    process = Process()
    process.record("a", tags=("exchange:x", "has_routing_key:true"))
    process.record("a", tags=("exchange:y",))
    assert sums(process.flush()) == {"a": 2}


def test_beginning_of_a_pathway_has_no_time_in_the_service() -> None:
    process = Process()
    process.record("a", 2)
    process.record("a", 3, parent=7)
    ((_, point),) = points_of(process.flush(), "asyncdsm.process.duration")
    assert point.count == 3


def test_edge_beyond_the_bound_is_counted_as_dropped_until_another_is_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series, "MOST_SERIES", 2)
    process = Process()
    for topic in ("a", "b", "c", "c"):
        process.record(topic)
    assert sums(process.flush()) == {"a": 1, "b": 1}
    stats = process.aggregator.stats()
    assert (stats.dropped_by, stats.pending) == ({"series": 2}, 2)
    process.record("b")
    process.now += 3600 * SECOND
    process.record("b")
    process.record("c", 5)
    assert sums(process.flush()) == {"b": 3, "c": 5}


def test_lag_is_sent_as_gauges_of_the_partitions_with_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packer, "MOST_LAGS", 3)
    lags = [
        Lag("billing", "orders", 0, 12, seconds=1.5, cluster_id="c1", type="kafka"),
        Lag(None, "mail", None, 7, unit="ready"),
        Lag(None, "stream", 3, 900, unit="milliseconds", seconds=0.9),
        Lag("billing", "orders", 1, 2),
    ]
    request = Process().flush(lags)
    found = {
        name: [
            ({key: value for key, value in attributes.items() if key.startswith("messaging")}, point)
            for attributes, point in points_of(request, f"asyncdsm.consumer.{name}")
        ]
        for name in ("lag", "lag.time")
    }
    orders = {
        "messaging.consumer.group.name": "billing",
        "messaging.destination.name": "orders",
        "messaging.destination.partition.id": "0",
        "messaging.kafka.cluster.id": "c1",
        "messaging.system": "kafka",
    }
    assert [(attributes, point.as_int) for attributes, point in found["lag"]] == [
        (orders, 12),
        ({"messaging.destination.name": "mail"}, 7),
    ]
    stream = {"messaging.destination.name": "stream", "messaging.destination.partition.id": "3"}
    assert [(attributes, point.as_double) for attributes, point in found["lag.time"]] == [(stream, 0.9), (orders, 1.5)]


def test_payload_of_thousands_of_points_is_one_request() -> None:
    process = Process()
    for number in range(300):
        process.record(f"topic-{number}", parent=number + 1)
    request = process.flush()
    assert len(sums(request)) == len(points_of(request, "asyncdsm.process.duration")) == 300


@pytest.fixture
def receiver() -> Iterator[Intake]:
    with otlp_receiver() as receiver:
        yield receiver


def identify(request: Any) -> tuple[str, str, int, int]:
    ((attributes, point),) = points_of(request, SENT)
    return (
        attributes["service.instance.id"],
        attributes["process.pid"],
        point.start_time_unix_nano,
        point.as_int,
    )


def test_restart_begins_the_counts_again_with_a_later_start(receiver: Intake) -> None:
    edge = Edge("direction:out", "topic:orders", "type:kafka")
    for _ in range(2):
        with DataStreams(Settings(otlp_endpoint=f"{receiver.url}/v1/metrics")):
            by_hand.produce(edge)
    (first, _, began, one), (second, _, began_again, another) = map(identify, requests_of(receiver))
    assert (first, one, another) == (second, 1, 1)
    assert began_again > began
    ended = points_of(requests_of(receiver)[0], SENT)[0][1].time_unix_nano
    assert began_again > ended


def test_forked_child_has_an_identity_and_counts_of_its_own(receiver: Intake) -> None:
    edge = Edge("direction:out", "topic:orders", "type:kafka")
    with DataStreams(Settings(otlp_endpoint=f"{receiver.url}/v1/metrics")) as streams:
        by_hand.produce(edge)
        by_hand.produce(edge)
        child = os.fork()
        if child == 0:
            try:
                by_hand.produce(edge)
                streams.close()
            finally:
                os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    (theirs, pid, _, one), (ours, own_pid, _, two) = map(identify, requests_of(receiver))
    assert theirs != ours
    assert (int(pid), int(own_pid)) == (child, os.getpid())
    assert (one, two) == (1, 2)


def test_instance_id_of_the_programs_own_gets_the_process_id(receiver: Intake) -> None:
    edge = Edge("direction:out", "topic:orders", "type:kafka")
    given = (("service.instance.id", "pod-7"), ("team", "payments"))
    with DataStreams(Settings(otlp_endpoint=f"{receiver.url}/v1/metrics", resource_attributes=given)):
        by_hand.produce(edge)
    ((attributes, _),) = points_of(requests_of(receiver)[0], SENT)
    assert (attributes["service.instance.id"], attributes["team"]) == (f"pod-7-{os.getpid()}", "payments")


def test_process_id_of_the_environment_is_not_believed(receiver: Intake) -> None:
    given = (("process.pid", "none"), ("host.name", "pod-7"))
    with DataStreams(Settings(otlp_endpoint=f"{receiver.url}/v1/metrics", resource_attributes=given)):
        by_hand.produce(Edge("direction:out", "topic:orders", "type:kafka"))
    ((attributes, _),) = points_of(requests_of(receiver)[0], SENT)
    assert (attributes["process.pid"], attributes["host.name"]) == (str(os.getpid()), "pod-7")
