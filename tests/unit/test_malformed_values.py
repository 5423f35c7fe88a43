"""Values of the wrong type, by hand and from clients: counted, never raised, and never a loss to anything else."""

from __future__ import annotations

import gzip
import logging
from collections.abc import Iterator
from typing import Any

import pytest

import asyncdsm
from asyncdsm import DataStreams, Lag, Settings, UnknownClientError
from asyncdsm._internal import log
from asyncdsm.core import current, lag
from asyncdsm.core.aggregator import Aggregator
from asyncdsm.core.context import HEADER, LEGACY_HEADER
from asyncdsm.core.edge import Edge
from asyncdsm.core.pathway import Pathway
from asyncdsm.delivery.exporters.memory import MemoryExporter
from asyncdsm.delivery.payload import pack, unpack
from asyncdsm.testing import Captured, ManualClock
from tests import by_hand
from tests.unit.test_aggregator import NO_OFFSETS

Carrier = dict[str, str]
NO_NAMES: list[Any] = [None, 1, 1.0, True, b"orders", [], {}, object()]
NO_PARTITIONS: list[Any] = [None, True, 1.0, "0", -1, 1 << 64, []]
NO_TAGS: list[Any] = ["a:b", 5, [None], [b"a:b"], [1]]
HEADERS: list[Any] = [5, 1.5, True, [1] * 28, {}, object(), b"", "", b"\xff" * 28, "x" * 28, "é" * 28, "x" * 10_000]


def type_of(value: object) -> str:
    return type(value).__name__


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    log.forget_warnings()
    yield
    current.set_current(None)


def ends_well(streams: DataStreams, malformed: int, recorded: int) -> None:
    """Check the counters of a DataStreams that was closed."""
    stats = streams.stats
    assert (stats.malformed, stats.errors) == (malformed, 0)
    assert stats.recorded == stats.delivered == recorded


@pytest.mark.parametrize("offset", NO_OFFSETS, ids=type_of)
def test_manual_offset_of_none_stops_no_delivery(offset: Any) -> None:
    exporter = MemoryExporter()
    with DataStreams(Settings(service="s"), exporter=exporter) as streams:
        asyncdsm.set_produce_checkpoint("kafka", "q", Carrier().__setitem__)
        asyncdsm.track_kafka_commit("g", "t", 0, offset)
        asyncdsm.track_kafka_produce("t", 0, offset)
        asyncdsm.track_kafka_commit("g", "t", 0, 5)
        assert streams.stats.recorded == 1
    ends_well(streams, malformed=2, recorded=1)
    assert [each.value for payload in exporter.payloads for each in (payload.stats or [])[0].backlogs or []] == [5]


@pytest.mark.parametrize("name", NO_NAMES, ids=type_of)
@pytest.mark.parametrize("at", ["group", "topic", "cluster"])
def test_offset_under_a_malformed_name_is_malformed(at: str, name: Any) -> None:
    names: dict[str, Any] = {"group": "g", "topic": "t", "cluster": "c", at: name}
    with DataStreams(Settings(service="s"), exporter=MemoryExporter()) as streams:
        asyncdsm.track_kafka_commit(names["group"], names["topic"], 0, 5, names["cluster"])
    is_none = at == "cluster" and name is None  # a cluster that is not known
    ends_well(streams, malformed=0 if is_none else 1, recorded=0)


@pytest.mark.parametrize("partition", NO_PARTITIONS, ids=type_of)
def test_offset_of_a_malformed_partition_is_malformed(partition: Any) -> None:
    with DataStreams(Settings(service="s"), exporter=MemoryExporter()) as streams:
        asyncdsm.track_kafka_produce("t", partition, 5)
    ends_well(streams, malformed=1, recorded=0)


@pytest.mark.parametrize("name", NO_NAMES, ids=type_of)
@pytest.mark.parametrize("at", ["type", "target"])
def test_manual_checkpoint_under_a_malformed_name_is_malformed(at: str, name: Any) -> None:
    typ, target = (name, "t") if at == "type" else ("nats", name)
    headers: dict[str, str] = {}
    with DataStreams(Settings(service="s"), exporter=MemoryExporter()) as streams:
        assert asyncdsm.set_produce_checkpoint(typ, target, headers.__setitem__) is None
        assert asyncdsm.set_consume_checkpoint(typ, target, headers.get) is None
        assert asyncdsm.current_pathway() is None
        assert asyncdsm.set_produce_checkpoint("nats", "t", Carrier().__setitem__) is not None
    assert headers == {}
    ends_well(streams, malformed=2, recorded=1)


@pytest.mark.parametrize("tags", NO_TAGS, ids=repr)
def test_tags_that_are_not_a_list_of_strings_are_malformed(tags: Any) -> None:
    with DataStreams(Settings(service="s"), exporter=MemoryExporter()) as streams:
        assert asyncdsm.set_produce_checkpoint("nats", "t", Carrier().__setitem__, tags) is None
        assert asyncdsm.set_consume_checkpoint("nats", "t", Carrier().get, tags=tags) is None
    ends_well(streams, malformed=2, recorded=0)


class Array:
    """Has no truth of its own and equals nothing in whole, as an array of numpy."""

    def __bool__(self) -> bool:
        raise ValueError("the truth value of an array is ambiguous")

    def __len__(self) -> int:
        return 28


@pytest.mark.parametrize("key", [HEADER, LEGACY_HEADER])
def test_context_whose_truth_raises_is_malformed(key: str) -> None:
    headers: dict[str, Any] = {key: Array()}
    with DataStreams(Settings(service="s"), exporter=MemoryExporter()) as streams:
        assert asyncdsm.set_consume_checkpoint("nats", "t", headers.get) is not None
    ends_well(streams, malformed=1, recorded=1)


@pytest.mark.parametrize("carrier", [{}, [], None, 5], ids=type_of)
def test_carrier_that_is_not_a_function_is_malformed_and_logged(carrier: Any, caplog: pytest.LogCaptureFixture) -> None:
    with DataStreams(Settings(service="s"), exporter=MemoryExporter()) as streams:
        assert asyncdsm.set_produce_checkpoint("nats", "t", carrier) is None
        assert asyncdsm.set_consume_checkpoint("nats", "t", Carrier().get) is not None
        assert asyncdsm.set_consume_checkpoint("nats", "t", carrier) is None
        assert asyncdsm.current_pathway() is None
    ends_well(streams, malformed=2, recorded=1)
    assert f"carrier_set must be a function, got {type_of(carrier)}: pass `headers.__setitem__`" in caplog.text


@pytest.mark.parametrize("error", [TypeError, ValueError, KeyError])
def test_error_of_the_users_carrier_reaches_the_user(error: type[Exception]) -> None:
    def carrier(*_: str) -> Any:
        raise error("mine")

    with DataStreams(Settings(service="s"), exporter=MemoryExporter()) as streams:
        with pytest.raises(error, match="mine"):
            asyncdsm.set_produce_checkpoint("nats", "t", carrier)
        with pytest.raises(error, match="mine"):
            asyncdsm.set_consume_checkpoint("nats", "t", carrier)
    ends_well(streams, malformed=0, recorded=0)


def test_malformed_values_are_not_raised_under_test_either(captured_streams: Captured) -> None:
    nothing: Any = None
    asyncdsm.track_kafka_commit("g", "t", 0, nothing)
    asyncdsm.set_produce_checkpoint("nats", nothing, Carrier().__setitem__)
    assert captured_streams.counters.to_stats().malformed == 2
    assert captured_streams.checkpoints == []


@pytest.mark.parametrize("header", HEADERS, ids=type_of)
def test_context_of_any_type_is_read_as_none(header: Any) -> None:
    with DataStreams(Settings(service="s"), exporter=MemoryExporter()) as streams:
        pathway = asyncdsm.set_consume_checkpoint("nats", "t", {HEADER: header}.get)
        assert pathway is not None
        legacy = asyncdsm.set_consume_checkpoint("nats", "t", {LEGACY_HEADER: header}.get)
        assert legacy is not None
        assert legacy.hash == pathway.hash
    ends_well(streams, malformed=2 if header else 0, recorded=2)


@pytest.mark.parametrize("broker_ns", ["1", 1.5, float("nan"), True, b"1", [], object()], ids=type_of)
def test_malformed_broker_time_begins_no_pathway(broker_ns: Any) -> None:
    with DataStreams(Settings(service="s"), exporter=MemoryExporter()) as streams:
        pathway = by_hand.consume(Edge("direction:in", "topic:t"), None, 5, broker_ns)
        assert pathway is not None
        assert pathway.pathway_start_ns == pathway.edge_start_ns
    ends_well(streams, malformed=1, recorded=1)


def test_raw_bytes_under_the_legacy_key_are_read_by_hand(captured_streams: Captured) -> None:
    sent = Pathway(7, 1_700_000_000_000_000_000, 1_700_000_000_000_000_000)
    for value in (sent.encode(), bytearray(sent.encode()), sent.encode_base64(), sent.encode_base64().encode()):
        asyncdsm.set_consume_checkpoint("nats", "t", {LEGACY_HEADER: value}.get)  # type: ignore[arg-type]
    assert [each.parent for each in captured_streams.consumed("t")] == [7, 7, 7, 7]


def test_wrong_entry_in_a_bucket_is_lost_alone(manual_clock: ManualClock) -> None:
    """Nothing should bring one there: forced."""
    aggregator = Aggregator("s", None, now=manual_clock)
    good, wrong = Edge("a:good"), Edge("a:wrong")
    for edge in (good, wrong, wrong):
        aggregator.record(aggregator.point(edge, 0), manual_clock.now_ns, 5, 5, 7)
    wrong.tags = ("topic:\ud800",)  # no bytes in UTF-8
    aggregator.record_offset(("type:kafka_commit",), 5)
    (bucket,) = aggregator.take()
    bucket.backlogs["type:kafka_produce",] = 1 << 70
    packed = pack(bucket, aggregator.bucket_ns, Settings(service="s"))
    assert (packed.lost, len(packed.errors)) == (2, 2)
    (sent,) = unpack(gzip.decompress(packed.body)).stats or []
    assert [point.edge_tags for point in sent.stats or []] == [["a:good"]]
    assert [backlog.value for backlog in sent.backlogs or []] == [5]


def test_point_that_cannot_be_encoded_is_counted_as_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = Edge("a:wrong")
    with DataStreams(Settings(service="s"), exporter=MemoryExporter()) as streams:
        by_hand.consume(Edge("a:good"))
        by_hand.consume(wrong)
        monkeypatch.setattr(wrong, "tags", ("topic:\ud800",))
    stats = streams.stats
    assert (stats.recorded, stats.delivered, dict(stats.dropped_by)) == (2, 1, {"encoding": 1})


def test_client_that_fails_to_return_its_lag_affects_no_other() -> None:
    class Source:
        def __init__(self, *lags: Lag) -> None:
            self._lags = lags

        def lags(self) -> Iterator[Lag]:
            yield from self._lags
            if not self._lags:
                raise RuntimeError("closed")

    nothing: Any = None
    sources = (
        Source(),
        Source(Lag(None, nothing, 0, 1, end=5, type="kafka"), Lag(None, "odd", 0, 1, end=nothing, type="kafka")),
        Source(known := Lag("g", "t", 0, 3, end=9, type="kafka")),
    )
    exporter = MemoryExporter()
    with DataStreams(Settings(service="s"), exporter=exporter) as streams:
        for source in sources:
            lag.add_lag_source(source)
        assert known in streams.lag()
    assert streams.stats.errors >= 1
    values = [each.value for payload in exporter.payloads for each in (payload.stats or [])[0].backlogs or []]
    assert set(values) == {9}  # of one bucket or of two


@pytest.mark.parametrize("message", [3, None, "text", object(), {"Body": "3"}], ids=type_of)
def test_using_of_an_unknown_object_is_logged_once_and_counted(message: Any, caplog: pytest.LogCaptureFixture) -> None:
    with asyncdsm.using(message) as pathway:  # nothing runs
        assert pathway is None
    with DataStreams(Settings(service="s"), exporter=MemoryExporter()) as streams:
        asyncdsm.set_consume_checkpoint("nats", "t", Carrier().get)
        before = asyncdsm.current_pathway()
        for _ in range(2):
            with asyncdsm.using(message) as pathway:
                assert pathway is None
                assert asyncdsm.current_pathway() is None
            assert asyncdsm.current_pathway() == before
    ends_well(streams, malformed=2, recorded=1)
    said = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [f"not a consumed message: builtins.{type_of(message)}" in each.getMessage() for each in said] == [True]


def test_using_of_an_unknown_object_raises_under_test(captured_streams: Captured) -> None:
    with pytest.raises(UnknownClientError, match=r"not a consumed message: builtins\.int"), asyncdsm.using(3):
        pass


async def test_wrap_of_a_coroutine_says_that_it_must_be_awaited() -> None:
    async def connect() -> object:
        return object()

    coroutine = connect()
    with pytest.raises(UnknownClientError, match=r"await it first, as in asyncdsm\.wrap\(await"):
        _ = asyncdsm.wrap(coroutine)
    coroutine.close()


def test_wrap_of_an_unknown_object_says_what_is_taken() -> None:
    import aiokafka
    from kombu.connection import Connection
    from kombu.messaging import Producer

    with pytest.raises(UnknownClientError, match=r"got the class aiokafka\.\S+AIOKafkaProducer, not an object"):
        asyncdsm.wrap(aiokafka.AIOKafkaProducer)
    with Connection("memory://") as connection:
        producer = Producer(connection)
        with pytest.raises(UnknownClientError, match=r"got kombu\.messaging\.Producer: of kombu it takes "):
            asyncdsm.wrap(producer)
