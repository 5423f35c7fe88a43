"""SNS, Kinesis and EventBridge: what stands there after a wrapped client's call, and what is counted."""

from __future__ import annotations

import gc
import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from copy import deepcopy
from types import SimpleNamespace
from typing import Any

import pytest
from asyncdsm_botocore import kinesis_reader
from asyncdsm_botocore.produce import STATE_KEY
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError

import asyncdsm
from asyncdsm.core.lag import current_lags
from asyncdsm.core.pathway import HEADER
from asyncdsm.integration.formats.json_context import KEY
from asyncdsm.testing import Captured
from tests.brokers.aws import Aws
from tests.integrations.botocore.clients import wrapped_client

KIB, MIB = 1 << 10, 1 << 20
WIRE = 28
OURS = len(KEY) + len(json.dumps({HEADER: ""}, separators=(",", ":"))) + WIRE


@pytest.fixture(scope="session")
def stream(ministack: Aws) -> str:
    return ministack.stream()[0]


ENTRY = {"Source": "s", "DetailType": "t", "Detail": "{}"}
ANSWERS: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    (
        "sns",
        "PublishBatch",
        {"TopicArn": "arn:t", "PublishBatchRequestEntries": [{"Id": each, "Message": each} for each in ("a", "bb")]},
        {"Successful": [{"Id": "bb"}], "Failed": [{"Id": "a", "Code": "InternalError", "SenderFault": False}]},
    ),
    (
        "kinesis",
        "PutRecords",
        {"StreamName": "s", "Records": [{"Data": data, "PartitionKey": "p"} for data in (b"{}", b'{"a":1}')]},
        {"FailedRecordCount": 1, "Records": [{"ErrorCode": "InternalFailure"}, {"SequenceNumber": "1"}]},
    ),
    (
        "events",
        "PutEvents",
        {"Entries": [ENTRY, {**ENTRY, "Detail": '{"a":1}'}]},
        {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "ThrottlingException"}, {"EventId": "1"}]},
    ),
]


@pytest.mark.parametrize(("service", "operation", "params", "answer"), ANSWERS, ids=[each[0] for each in ANSWERS])
def test_only_what_the_answer_says_was_taken_is_counted(
    ministack: Aws,
    captured_streams: Captured,
    *,
    service: str,
    operation: str,
    params: dict[str, Any],
    answer: dict[str, Any],
) -> None:
    """The fault is forced: no AWS of the tests fails so."""
    failing, alone = wrapped_client(ministack, service), wrapped_client(ministack, service)
    method = "_".join(re.findall("[A-Z][a-z]+", operation)).lower()
    for each, forced in ((failing, answer), (alone, {})):
        event = f"before-call.{each.meta.service_model.service_id.hyphenize()}.{operation}"
        response = (AWSResponse("", 200, {}, None), forced)
        each.meta.events.register(event, lambda response=response, **_: response)
    getattr(alone, method)(**params)
    first, second = captured_streams.checkpoints
    captured_streams.clear()
    getattr(failing, method)(**params)
    assert [made.size for made in captured_streams.checkpoints] == [second.size] != [first.size]


def test_topics_of_sns(moto: Aws, captured_streams: Captured) -> None:
    """A topic under either name is followed; a telephone and a device are not: nobody reads a context there."""
    sns, topic = wrapped_client(moto, "sns"), moto.topic()
    application = sns.create_platform_application(Name="a", Platform="GCM", Attributes={})["PlatformApplicationArn"]
    device = sns.create_platform_endpoint(PlatformApplicationArn=application, Token="t")["EndpointArn"]  # noqa: S106
    sns.publish(TopicArn=topic, Message="m")
    sns.publish(TargetArn=topic, Message="m")
    sns.publish(TargetArn=device, Message="m")
    sns.publish(PhoneNumber="+15005550006", Message="m")
    assert [made.topic for made in captured_streams.checkpoints] == [topic] * 2
    assert captured_streams.stats().not_propagated == 0


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
"""What is put on a stream, and what then stands there, with our object at `%s`; None for the same."""


FORMS: dict[str, Callable[[bytes], Any]] = {
    "bytes": bytes,
    "bytearray": bytearray,
    "text": lambda data: data.decode("utf-8", "ignore"),
    "base64": b64encode,
    "base64 text": lambda data: b64encode(data).decode(),
}


@pytest.mark.parametrize(("data", "sent"), DATA, ids=range(len(DATA)))
@pytest.mark.parametrize("form", FORMS)
def test_data_on_kinesis_is_what_it_was(
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
        ours = b'"_datadog":{"dd-pathway-ctx-base64":"%s"}' % context_on(got, form)
        expected = sent.replace(b"%s", ours)
        assert got == (b64encode(expected) if form.startswith("base64") else expected)
        assert read.follows(made)


def context_on(data: bytes, form: str) -> bytes:
    text = b64decode(data) if form.startswith("base64") else data
    return text.partition(b'"dd-pathway-ctx-base64":"')[2].partition(b'"')[0]


def test_a_record_near_the_limit_goes_as_it_is(stream: str, ministack: Aws, captured_streams: Captured) -> None:
    kinesis = wrapped_client(ministack, "kinesis")
    for size, not_propagated in [(MIB - 200, 0), (MIB - 40, 1), (MIB, 2)]:
        data = b'{"a":"%s"}' % (b"x" * (size - 8))
        kinesis.put_record(StreamName=stream, Data=data, PartitionKey="p")
        assert captured_streams.stats().not_propagated == not_propagated
    assert len(captured_streams.produced()) == 3


def test_records_of_an_iterator_that_nobody_saw_go_on_as_they_came(ministack: Aws, captured_streams: Captured) -> None:
    name, arn = ministack.stream()
    kinesis, bare = wrapped_client(ministack, "kinesis"), ministack.bare("kinesis")
    shard = kinesis.put_record(StreamName=name, Data=b"{}", PartitionKey="p")["ShardId"]
    place = {"StreamName": name, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
    (record,) = kinesis.get_records(ShardIterator=bare.get_shard_iterator(**place)["ShardIterator"])["Records"]
    (put,) = captured_streams.checkpoints
    with asyncdsm.using(record) as pathway:
        assert pathway is not None
        assert pathway.hash == put.hash
    kinesis.get_records(ShardIterator=bare.get_shard_iterator(**place)["ShardIterator"], StreamARN=arn)
    assert [made.topic for made in captured_streams.consumed()] == [arn]


def test_lag_of_a_shard_for_as_long_as_its_client_lives(moto: Aws, captured_streams: Captured) -> None:
    name, _ = moto.stream()
    kinesis = wrapped_client(moto, "kinesis")
    (shard,) = {kinesis.put_record(StreamName=name, Data=b"x", PartitionKey="p")["ShardId"] for _ in range(3)}
    iterator = kinesis.get_shard_iterator(
        StreamName=name, ShardId=shard, ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]  # fmt: skip
    for _ in range(2):
        answer = kinesis.get_records(ShardIterator=iterator, Limit=1)
        iterator = answer["NextShardIterator"]
        (lag,) = [lag for lag in current_lags() if lag.topic == name]
        assert (lag.partition, lag.unit) == (0, "milliseconds")
        assert lag.behind == answer["MillisBehindLatest"]
    del kinesis
    gc.collect()
    assert [lag for lag in current_lags() if lag.topic == name] == []


def test_details_of_events_that_are_no_objects(ministack: Aws, captured_streams: Captured) -> None:
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


def test_a_throttled_read_says_nothing_of_the_lag(ministack: Aws, captured_streams: Captured) -> None:
    name, _ = ministack.stream()
    kinesis = wrapped_client(ministack, "kinesis")
    shard = kinesis.put_record(StreamName=name, Data=b"x", PartitionKey="p")["ShardId"]
    place = {"StreamName": name, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
    iterator = kinesis.get_shard_iterator(**place)["ShardIterator"]
    answer = kinesis.get_records(ShardIterator=iterator)
    before = [lag for lag in current_lags() if lag.topic == name]
    assert len(before) == 1
    refusal = {"Error": {"Code": "ProvisionedThroughputExceededException", "Message": "slow"}}
    response = (AWSResponse("", 400, {}, None), refusal)
    kinesis.meta.events.register("before-call.kinesis.GetRecords", lambda **_: response)
    with pytest.raises(ClientError, match="slow"):
        kinesis.get_records(ShardIterator=answer["NextShardIterator"])
    assert [lag for lag in current_lags() if lag.topic == name] == before


def test_a_shard_that_is_read_no_more_is_not_behind(
    captured_streams: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was closed gives no next iterator; one that nobody reads lets its iterator grow old."""
    reader, answer = kinesis_reader.KinesisReader(), SimpleNamespace(status_code=200)

    def read(name: str, **parsed: Any) -> None:
        context = {STATE_KEY: kinesis_reader.Shard("stream", name)}
        reader.after_get_records(
            parsed={"Records": [], "MillisBehindLatest": 5, **parsed}, http_response=answer, context=context
        )

    for name in ("shardId-000000000001", "shardId-000000000002"):
        read(name, NextShardIterator=f"next of {name}")
    assert [(lag.partition, lag.behind, lag.unit) for lag in reader.lags()] == [
        (1, 5, "milliseconds"),
        (2, 5, "milliseconds"),
    ]
    read("shardId-000000000001")
    assert [lag.partition for lag in reader.lags()] == [2]
    monkeypatch.setattr(kinesis_reader, "ITERATOR_SECONDS", -1.0)
    assert list(reader.lags()) == []
