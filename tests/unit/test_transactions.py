"""Checkpoints of business transactions: what is recorded, sent and dropped, and what extractors find."""

from __future__ import annotations

import gzip
import logging
import os
import threading
from collections.abc import Iterator
from time import monotonic, sleep
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import asyncdsm
from asyncdsm import DataStreams, SettingError, Settings, TransactionExtractor
from asyncdsm._internal import log
from asyncdsm.core.aggregator import Aggregator
from asyncdsm.core.bucket import Bucket
from asyncdsm.core.extractors import KAFKA_CONSUME, extract_from_pairs
from asyncdsm.delivery.exporters.memory import MemoryExporter
from asyncdsm.delivery.payload import Transactions, pack, unpack
from asyncdsm.errors import TemporaryDeliveryError
from asyncdsm.testing import Captured, ManualClock, TransactionCheckpoint, capture
from tests.transactions import Passed, read_transactions

PATIENCE_SECONDS = 20
ORDER_ID = TransactionExtractor("paid", "KAFKA_CONSUME_HEADERS", "order-id")


@pytest.fixture(autouse=True)
def forget_warnings() -> None:
    log.forget_warnings()


def read_sent(exporter: MemoryExporter) -> list[Passed]:
    """Return the checkpoints of all payloads."""
    buckets = [bucket for payload in exporter.payloads for bucket in payload.stats or ()]
    fields = [(bucket.transactions or b"", bucket.transaction_checkpoint_ids or b"") for bucket in buckets]
    return [passed for each in fields for passed in read_transactions(*each)]


def cut(text: str) -> str:
    return text.encode("utf-8", "replace")[:255].decode("utf-8", "replace")


TEXT = st.text(min_size=1, max_size=80)


@given(st.lists(st.tuples(TEXT, st.sampled_from(["ordered", "paid", "ü" * 200]), st.integers(0, 2**62)), max_size=30))
def test_payload_has_each_checkpoint_as_protocol_6_says(recorded: list[tuple[str, str, int]]) -> None:
    clock = ManualClock()
    aggregator = Aggregator("shop", None, now=clock)
    for transaction_id, checkpoint, clock.now_ns in recorded:
        aggregator.record_transaction(transaction_id, checkpoint)
    sent = list[Passed]()
    for batch in aggregator.take_transactions():
        transactions = Transactions(batch, aggregator.transactions.encode_names())
        packed = pack(Bucket(batch.start_ns), aggregator.bucket_ns, Settings(), transactions=transactions)
        (bucket,) = unpack(gzip.decompress(packed.body)).stats or []
        found = read_transactions(bucket.transactions or b"", bucket.transaction_checkpoint_ids or b"")
        assert all(bucket.start <= each.time_ns < bucket.start + bucket.duration for each in found)
        sent += found
    expected = [Passed(cut(checkpoint), time_ns, cut(id_)) for id_, checkpoint, time_ns in recorded]
    assert sorted(sent) == sorted(expected)


def test_tracked_transaction_is_sent_with_its_bucket_and_counted_once() -> None:
    exporter = MemoryExporter()
    with DataStreams(Settings(bucket_seconds=3600), exporter=exporter) as streams:
        asyncdsm.set_produce_checkpoint("kafka", "orders", dict[str, str]().__setitem__)
        asyncdsm.track_transaction("4711", "ordered")
        asyncdsm.track_transaction("4711", "paid")
        assert streams.stats.recorded == streams.stats.pending == 3
    assert [(each.id, each.checkpoint) for each in read_sent(exporter)] == [("4711", "ordered"), ("4711", "paid")]
    assert len(exporter.payloads) == 1
    assert (streams.stats.recorded, streams.stats.delivered, streams.stats.transactions) == (3, 3, 2)


def test_payload_without_transactions_has_none_of_their_fields() -> None:
    exporter = MemoryExporter()
    with DataStreams(exporter=exporter):
        asyncdsm.set_produce_checkpoint("kafka", "orders", dict[str, str]().__setitem__)
    (payload,) = exporter.payloads
    assert [(bucket.transactions, bucket.transaction_checkpoint_ids) for bucket in payload.stats or ()] == [
        (None, None)
    ]


def test_tracking_does_nothing_while_nothing_measures() -> None:
    asyncdsm.track_transaction("4711", "ordered")
    with DataStreams(Settings(enabled=False)) as streams:
        asyncdsm.track_transaction("4711", "ordered")
        assert streams.stats.recorded == 0


@pytest.mark.parametrize("wrong", [None, 4711, b"4711", "", ["4711"], object()], ids=lambda wrong: type(wrong).__name__)
def test_wrong_id_or_checkpoint_is_counted_and_never_raised(wrong: Any) -> None:
    exporter = MemoryExporter()
    with DataStreams(exporter=exporter) as streams:
        asyncdsm.track_transaction(wrong, "ordered")
        asyncdsm.track_transaction("4711", wrong)
    assert (streams.stats.malformed, streams.stats.errors, streams.stats.recorded) == (2, 0, 0)
    assert read_sent(exporter) == []


def test_long_id_is_cut_to_255_bytes_and_what_utf_8_lacks_is_replaced() -> None:
    exporter = MemoryExporter()
    with DataStreams(exporter=exporter):
        asyncdsm.track_transaction("x" * 300, "ordered")
        asyncdsm.track_transaction("a\udcffb", "ordered")
    assert [each.id for each in read_sent(exporter)] == ["x" * 255, "a?b"]


def test_names_beyond_254_are_dropped_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    exporter = MemoryExporter()
    with caplog.at_level(logging.WARNING), DataStreams(exporter=exporter) as streams:
        for number in range(256):
            asyncdsm.track_transaction("4711", f"checkpoint {number}")
        asyncdsm.track_transaction("4711", "checkpoint 0")
    stats = streams.stats
    assert (stats.recorded, stats.delivered, dict(stats.dropped_by)) == (257, 255, {"checkpoint_names": 2})
    assert "dropped 2 checkpoints of business transactions so far, because they have more than 254 names" in caplog.text
    assert len({each.checkpoint for each in read_sent(exporter)}) == 254


def test_records_beyond_the_limit_are_dropped_and_counted() -> None:
    exporter = MemoryExporter()
    with DataStreams(Settings(max_transaction_bytes=28), exporter=exporter) as streams:
        for _ in range(5):
            asyncdsm.track_transaction("4711", "ordered")
    stats = streams.stats
    assert (stats.recorded, stats.delivered, dict(stats.dropped_by)) == (5, 2, {"transactions": 3})
    assert len(read_sent(exporter)) == 2


def test_full_batch_is_sent_before_its_bucket_ends() -> None:
    exporter, count = MemoryExporter(), 10_000
    with DataStreams(Settings(bucket_seconds=3600, flush_seconds=3600), exporter=exporter) as streams:
        for number in range(count):
            asyncdsm.track_transaction(f"{number:050}", "ordered")
        until = monotonic() + PATIENCE_SECONDS
        while not exporter.bodies and monotonic() < until:
            sleep(0.01)
        early = len(read_sent(exporter))
        assert 512 * 1024 <= early * 60 < 512 * 1024 + 60
    assert streams.stats.delivered == len(read_sent(exporter)) == count


class AbsentAgent:
    """An exporter that reaches nobody."""

    async def export(self, payload: bytes) -> None:
        raise TemporaryDeliveryError("nobody is there")

    async def aclose(self) -> None:
        pass


def test_undelivered_transactions_are_dropped_with_their_payload() -> None:
    with DataStreams(Settings(shutdown_seconds=0.2), exporter=AbsentAgent()) as streams:
        asyncdsm.set_produce_checkpoint("kafka", "orders", dict[str, str]().__setitem__)
        asyncdsm.track_transaction("4711", "ordered")
        asyncdsm.track_transaction("4711", "paid")
    stats = streams.stats
    assert (stats.recorded, stats.delivered, stats.pending, dict(stats.dropped_by)) == (3, 0, 0, {"shutdown": 3})


def test_threads_lose_no_checkpoint() -> None:
    exporter = MemoryExporter()

    def track(thread: int) -> None:
        for number in range(1000):
            asyncdsm.track_transaction(f"{thread}-{number}", f"checkpoint {number % 10}")

    with DataStreams(exporter=exporter):
        threads = [threading.Thread(target=track, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len({(each.id, each.checkpoint) for each in read_sent(exporter)}) == 4000


def test_forked_child_begins_without_its_parents_transactions() -> None:
    with DataStreams(exporter=MemoryExporter) as streams:
        asyncdsm.track_transaction("4711", "ordered")
        if (child := os.fork()) == 0:
            asyncdsm.track_transaction("4711", "paid")
            os._exit(0 if (streams.stats.recorded, streams.stats.transactions) == (1, 1) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert streams.stats.recorded == 1


def test_capture_keeps_transactions_for_a_test() -> None:
    clock = ManualClock()
    with capture(now=clock) as captured:
        asyncdsm.track_transaction("4711", "ordered")
        assert captured.transactions == [TransactionCheckpoint("4711", "ordered", clock.now_ns)]
        captured.clear()
        assert captured.transactions == []


EXTRACTORS = '[{"name": "paid", "type": "KAFKA_CONSUME_HEADERS", "value": "order-id"}]'


def test_extractors_are_read_as_the_tracers_write_them() -> None:
    settings = Settings.from_environ({"DD_DATA_STREAMS_TRANSACTION_EXTRACTORS": EXTRACTORS})
    assert settings.transaction_extractors == (ORDER_ID,)


@pytest.mark.parametrize(
    "text",
    [
        "paid",
        "{}x",
        "[1]",
        "5",
        '[{"name": "paid"}]',
        EXTRACTORS.replace("KAFKA_CONSUME", "KAFKA"),
        EXTRACTORS.replace("paid", ""),
        EXTRACTORS.replace('"order-id"', "5"),
        "[" * 100_000,
    ],
)
def test_wrong_extractors_raise_an_error_that_says_what_is_allowed(text: str) -> None:
    with pytest.raises(
        SettingError, match=r"^DD_DATA_STREAMS_TRANSACTION_EXTRACTORS must be a JSON list .*types KAFKA"
    ):
        Settings.from_environ({"DD_DATA_STREAMS_TRANSACTION_EXTRACTORS": text})


def test_wrong_extractors_in_code_raise_an_error() -> None:
    with pytest.raises(SettingError, match=r"^transaction_extractors must be a tuple of TransactionExtractor"):
        Settings(transaction_extractors=[ORDER_ID])  # type: ignore[arg-type]
    with pytest.raises(SettingError, match=r"^transaction_extractors must be"):
        Settings(transaction_extractors=(ORDER_ID._replace(type="KAFKA"),))


def test_extractors_are_in_force_while_their_data_streams_runs() -> None:
    exporter = MemoryExporter()
    with DataStreams(Settings(transaction_extractors=(ORDER_ID,)), exporter=exporter):
        extract_from_pairs(KAFKA_CONSUME, [("order-id", b"4711"), ("other", b"1")])
    assert KAFKA_CONSUME == {}
    assert [(each.id, each.checkpoint) for each in read_sent(exporter)] == [("4711", "paid")]


@pytest.fixture
def extracting() -> Iterator[Captured]:
    """Capture, with one extractor for the header `order-id`."""
    with capture() as captured:
        KAFKA_CONSUME["order-id"] = ["paid"]
        yield captured


def test_last_header_of_a_name_counts(extracting: Captured) -> None:
    extract_from_pairs(KAFKA_CONSUME, [("order-id", b"1"), ("order-id", b"2")])
    assert [made.id for made in extracting.transactions] == ["2"]


@pytest.mark.parametrize("headers", [None, [], [("order-id", None)], [("ORDER-ID", b"1")]])
def test_missing_header_records_nothing(extracting: Captured, headers: Any) -> None:
    extract_from_pairs(KAFKA_CONSUME, headers)
    assert (extracting.transactions, extracting.stats().malformed) == ([], 0)


@pytest.mark.parametrize("headers", [5, [5], [("order-id", object())], [("order-id", b"")], [([], b"1")]])
def test_malformed_header_is_counted(extracting: Captured, headers: Any) -> None:
    extract_from_pairs(KAFKA_CONSUME, headers)
    assert (extracting.transactions, extracting.stats().malformed) == ([], 1)
