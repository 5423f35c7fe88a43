"""Kinesis and EventBridge: what is there after a wrapped client's call, and what is counted."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from asyncdsm.core.context import HEADER
from asyncdsm.integration.formats.json_context import KEY
from asyncdsm.testing import Captured
from tests.brokers.aws import Aws
from tests.integrations.botocore.clients import KIB, MIB, wrapped_client

DATA: list[tuple[bytes, bytes | None]] = [
    (b'{"a": 1.0, "b":"\\u00fc\xc3\xbc", "a": 2}', b'{"a": 1.0, "b":"\\u00fc\xc3\xbc", "a": 2,%s}'),
    (b"{}", b"{%s}"),
    (b' \n{ "a":[{}] } \n', b' \n{ "a":[{}] ,%s} \n'),
    (b'{"a":1e400,"n":123456789012345678901234567890}', b'{"a":1e400,"n":123456789012345678901234567890,%s}'),
    (b'{"a": 1, "_datadog": {"dd-pathway-ctx-base64": "x"}}\n', b'{"a":1,%s}\n'),
    (b'{"a": "_datadog"}', b'{"a": "_datadog",%s}'),
    (b"", None),
    (b"text", None),
    (b"[1]", None),
    (b'{"a": 1} {"b": 2}', None),
    (b'{"a": NaN}', None),
    (b"{" * 5000, None),
    (b"\xef\xbb\xbf{}", None),
    (b"\xff\xfe{\x00}\x00", None),
    (b"\xf3\x89\x9a\xc2\n\x01p\x1a\x0b\x08\x00\x1a\x07{}", None),
]
"""The data of a record, and what is then on the stream, with asyncdsm's object at `%s`; None for the same data."""


FORMS: dict[str, Callable[[bytes], Any]] = {
    "bytes": bytes,
    "bytearray": bytearray,
    "text": lambda data: data.decode("utf-8", "ignore"),
    "base64": b64encode,
    "base64 text": lambda data: b64encode(data).decode(),
}


@pytest.mark.parametrize(("data", "sent"), DATA, ids=range(len(DATA)))
@pytest.mark.parametrize("form", FORMS)
def test_kinesis_data_keeps_its_bytes_around_the_context(
    stream: str, ministack: Aws, captured_streams: Captured, *, data: bytes, sent: bytes | None, form: str
) -> None:
    given = FORMS[form](data)
    kinesis = wrapped_client(ministack, "kinesis")
    params: Any = {"StreamName": stream, "Records": [{"Data": given, "PartitionKey": "p"}]}
    kept = deepcopy(params)
    put = kinesis.put_records(**params)["Records"][0]
    assert params == kept
    (made,) = captured_streams.produced()
    shard = kinesis.get_shard_iterator(
        StreamName=stream,
        ShardId=put["ShardId"],
        ShardIteratorType="AT_SEQUENCE_NUMBER",
        StartingSequenceNumber=put["SequenceNumber"],
    )
    (record, *_) = kinesis.get_records(ShardIterator=shard["ShardIterator"])["Records"]
    read, got = captured_streams.consumed()[0], record["Data"]
    assert made.size == read.size == len(got) + 1
    if sent is None:
        assert got == (given.encode() if isinstance(given, str) else bytes(given))
        assert read.parent == 0
        assert captured_streams.stats().not_propagated == 1
    else:
        carrier = b'"_datadog":{"dd-pathway-ctx-base64":"%s"}' % context_on(got, form)
        expected = sent.replace(b"%s", carrier)
        assert got == (b64encode(expected) if form.startswith("base64") else expected)
        assert read.follows(made)


def context_on(data: bytes, form: str) -> bytes:
    text = b64decode(data) if form.startswith("base64") else data
    return text.partition(b'"dd-pathway-ctx-base64":"')[2].partition(b'"')[0]


def test_kinesis_record_near_the_limit_carries_no_context(
    stream: str, ministack: Aws, captured_streams: Captured
) -> None:
    kinesis = wrapped_client(ministack, "kinesis")
    for size, not_propagated in [(MIB - 200, 0), (MIB - 40, 1), (MIB, 2)]:
        data = b'{"a":"%s"}' % (b"x" * (size - 8))
        kinesis.put_record(StreamName=stream, Data=data, PartitionKey="p")
        assert captured_streams.stats().not_propagated == not_propagated
    assert len(captured_streams.produced()) == 3


@pytest.mark.parametrize("is_base64", [False, True])
@pytest.mark.parametrize("kept", [b"", b'"other":1,'])
def test_forwarded_context_is_removed_from_a_record_that_has_no_room_for_another(
    stream: str, ministack: Aws, captured_streams: Captured, is_base64: bool, kept: bytes
) -> None:
    size, old = (MIB // 4 * 3 - 6 if is_base64 else MIB - 4), b'"_datadog":{%s"dd-pathway-ctx":"x"}' % kept
    filled = b'{"a":"%s",' % (b"x" * (size - len(old) - 9))
    data, rest = filled + old + b"}", filled + b'"_datadog":{%s}}' % kept[:-1] if kept else filled[:-1] + b"}"
    assert len(data) == size
    record = {"Data": b64encode(data) if is_base64 else data, "PartitionKey": "p"}
    kinesis = wrapped_client(ministack, "kinesis")
    put = kinesis.put_record(StreamName=stream, **record)
    position = {"ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": put["SequenceNumber"]}
    shard = kinesis.get_shard_iterator(StreamName=stream, ShardId=put["ShardId"], **position)["ShardIterator"]
    (got, *_) = kinesis.get_records(ShardIterator=shard)["Records"]
    assert (b64decode(got["Data"]) if is_base64 else got["Data"]) == rest
    assert captured_streams.stats().not_propagated == 1
    assert captured_streams.consumed()[0].parent == 0


def test_event_detail_that_is_not_an_object_carries_no_context(ministack: Aws, captured_streams: Captured) -> None:
    queue = ministack.queue()
    source, events = ministack.rule(queue), wrapped_client(ministack, "events")
    large = '{"a":"%s"}' % ("x" * (256 * KIB - 60))
    arrived = 0
    for details, with_context in [(['{"a": 1}', "[1]", '"text"', "{}"], 2), ([large], 0)]:
        entries = [{"Source": source, "DetailType": "t", "Detail": detail} for detail in details]
        kept = deepcopy(entries)
        answer = events.put_events(Entries=entries)
        assert entries == kept
        assert answer["FailedEntryCount"] == 0
        messages = ministack.on_queue(queue, len(details))
        assert len(messages) == len(details)
        assert sum(KEY in message["Body"] for message in messages) == with_context
        arrived += len(details)
        assert len(captured_streams.produced("t")) == arrived
    assert captured_streams.stats().not_propagated == 3


def test_keys_of_the_context_are_those_of_the_protocol() -> None:
    assert (KEY, HEADER) == ("_datadog", "dd-pathway-ctx-base64")
