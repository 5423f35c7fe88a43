"""What stands on a real AWS after a call of a wrapped client, what is counted, and what stays the caller's."""

from __future__ import annotations

import gc
import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from boto3.session import Session
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError, ParamValidationError

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.aws import KEY, queue_name
from asyncdsm.lag import current_lags
from asyncdsm.pathway import HEADER
from asyncdsm.testing import Captured
from tests.brokers.aws import Aws

KIB, MIB = 1 << 10, 1 << 20
WIRE = 28
OURS = len(KEY) + len(json.dumps({HEADER: ""}, separators=(",", ":"))) + WIRE


def client(aws: Aws, service: str) -> Any:
    session: Any = Session()
    return asyncdsm.wrap(session.client(service, **aws.options))


@pytest.fixture
def sqs(ministack: Aws, captured_streams: Captured) -> Any:
    return client(ministack, "sqs")


@pytest.fixture(scope="session")
def stream(ministack: Aws) -> str:
    return ministack.stream()[0]


def attributes(count: int) -> dict[str, Any]:
    return {f"name{number}": {"DataType": "String", "StringValue": "välue"} for number in range(count)}


def context_of(message: dict[str, Any]) -> Pathway | None:
    attribute = message.get("MessageAttributes", {}).get(KEY)
    return None if attribute is None else Pathway.decode_base64(json.loads(attribute["StringValue"])[HEADER])


@pytest.mark.parametrize("count", [0, 1, 9, 10])
@pytest.mark.parametrize("body", ["v", "ünï☃\U0001f600 \t\n", '{"order": 1}', "x" * (256 * KIB - 600)])
def test_attributes_of_the_callers_stay(
    ministack: Aws,
    sqs: Any,
    captured_streams: Captured,
    caplog: pytest.LogCaptureFixture,
    *,
    count: int,
    body: str,
) -> None:
    queue = ministack.queue()
    given = {"QueueUrl": queue, "MessageBody": body, "MessageAttributes": attributes(count)}
    kept = deepcopy(given)
    for _ in range(2):
        sqs.send_message(**given)
    assert given == kept
    messages = ministack.on_queue(queue, 2)
    for message in messages:
        assert message["Body"] == body
        others = {name: value for name, value in message.get("MessageAttributes", {}).items() if name != KEY}
        assert others == attributes(count)
    size = len(body.encode()) + count * (len("name0") + len("välue".encode()))
    made = captured_streams.produced(queue_name(queue))
    if count == 10:
        assert [context_of(message) for message in messages] == [None, None]
        assert captured_streams.stats().not_propagated == 2
        assert sum("carries no context" in record.getMessage() for record in caplog.records) == 1
        assert [each.size for each in made] == [size] * 2
    else:
        assert [context.hash for context in map(context_of, messages) if context] == [each.hash for each in made]
        assert captured_streams.stats().not_propagated == 0
        assert [each.size for each in made] == [size + OURS] * 2


def test_a_batch_of_ten_with_mixed_room(ministack: Aws, sqs: Any, captured_streams: Captured) -> None:
    queue, counts = ministack.queue(), [0, 10, 1, 9, 10, 0, 3, 10, 9, 1]
    given = {count: attributes(count) for count in counts}  # some entries share theirs
    entries = [
        {
            "Id": str(number),
            "MessageBody": f"{number}",
            "MessageAttributes": given[count],
        }
        for number, count in enumerate(counts)
    ]
    kept = deepcopy(entries)
    answer = sqs.send_message_batch(QueueUrl=queue, Entries=tuple(entries))
    assert len(answer["Successful"]) == 10
    assert entries == kept
    messages = {int(message["Body"]): message for message in ministack.on_queue(queue, 10)}
    assert {number for number, message in messages.items() if context_of(message) is None} == {1, 4, 7}
    assert len(captured_streams.produced(queue_name(queue))) == 10
    assert captured_streams.stats().not_propagated == 3


def test_entries_that_failed_are_not_counted(ministack: Aws, sqs: Any, captured_streams: Captured) -> None:
    queue = ministack.queue()
    entries = [
        {"Id": "good", "MessageBody": "x"},
        {"Id": "bad", "MessageBody": "\x01"},
        {"Id": "full", "MessageBody": "\x01", "MessageAttributes": attributes(10)},
    ]
    answer = sqs.send_message_batch(QueueUrl=queue, Entries=entries)
    assert [failed["Id"] for failed in answer["Failed"]] == ["bad", "full"]
    assert [made.size for made in captured_streams.produced()] == [1 + OURS]
    assert captured_streams.stats().not_propagated == 0


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
    failing, alone = client(ministack, service), client(ministack, service)
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


def test_a_throttled_read_says_nothing_of_the_lag(ministack: Aws, captured_streams: Captured) -> None:
    name, _ = ministack.stream()
    kinesis = client(ministack, "kinesis")
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


def test_a_call_that_failed_is_not_counted(sqs: Any, captured_streams: Captured) -> None:
    with pytest.raises(ClientError):
        sqs.send_message(QueueUrl="http://127.0.0.1/0/none", MessageBody="x", MessageAttributes=attributes(10))
    assert captured_streams.checkpoints == []
    assert captured_streams.stats().not_propagated == 0


@pytest.mark.parametrize(
    ("size", "has_context"),
    [
        (256 * KIB, False),  # would be too large for a queue with the limit that was
        (256 * KIB - OURS, False),
        (256 * KIB - 2 * OURS, True),
        (256 * KIB + 1, True),  # this queue takes 1 MiB, then
        (MIB - OURS, False),
        (MIB, False),
    ],
)
def test_a_context_makes_no_message_too_large(
    moto: Aws, captured_streams: Captured, size: int, has_context: bool
) -> None:
    queue, body = moto.queue(), "x" * size
    client(moto, "sqs").send_message(QueueUrl=queue, MessageBody=body)
    (message,) = moto.on_queue(queue)
    assert message["Body"] == body
    assert (context_of(message) is not None) is has_context
    assert captured_streams.stats().not_propagated == (not has_context)


def test_a_context_makes_no_batch_too_large(moto: Aws, captured_streams: Captured) -> None:
    queue = moto.queue()
    entries = [{"Id": str(number), "MessageBody": "x" * (64 * KIB - 40)} for number in range(4)]
    client(moto, "sqs").send_message_batch(QueueUrl=queue, Entries=entries)
    with_context = [message for message in moto.on_queue(queue, 4) if context_of(message)]
    assert len(with_context) == 2  # 160 bytes are left, and a context takes 70
    assert captured_streams.stats().not_propagated == 2


def test_a_forwarded_context_is_replaced_and_other_tracers_parts_stay(
    ministack: Aws, sqs: Any, captured_streams: Captured
) -> None:
    queue, stale = ministack.queue(), Pathway(1, 2, 3).encode_base64()
    carrier = {"x-datadog-trace-id": "77", HEADER: stale, "dd-pathway-ctx": stale}
    others = attributes(9)
    for text in (json.dumps(carrier), "no JSON", '"text"'):
        forwarded = {**others, KEY: {"DataType": "String", "StringValue": text}}
        sqs.send_message(QueueUrl=queue, MessageBody="v", MessageAttributes=forwarded)
    messages = ministack.on_queue(queue, 3)
    carriers = [json.loads(message["MessageAttributes"][KEY]["StringValue"]) for message in messages]
    assert sorted(map(sorted, carriers)) == [[HEADER], [HEADER], [HEADER, "x-datadog-trace-id"]]
    (hash_,) = {made.hash for made in captured_streams.produced()}
    assert {context.hash for context in map(context_of, messages) if context} == {hash_}
    assert {made.size for made in captured_streams.produced()} == {
        1 + 9 * 11 + OURS,
        1 + 9 * 11 + OURS + len('"x-datadog-trace-id":"77",'),
    }


@pytest.mark.parametrize(
    ("names", "asked"),
    [
        (None, [KEY]),
        ([], [KEY]),
        (["a"], ["a", KEY]),
        ([KEY], [KEY]),
        (["All"], ["All"]),
        ([".*"], [".*"]),
        (["_data.*"], ["_data.*"]),
        (["other.*"], ["other.*", KEY]),
        ([str(number) for number in range(10)], [str(number) for number in range(10)]),
    ],
)
def test_the_context_is_asked_for(ministack: Aws, sqs: Any, names: list[str] | None, asked: list[str]) -> None:
    queue, seen = ministack.queue(), list[Any]()
    event = "before-parameter-build.sqs.ReceiveMessage"
    sqs.meta.events.register_last(event, lambda params, **_: seen.append(params["MessageAttributeNames"]))
    given = {"QueueUrl": queue} if names is None else {"QueueUrl": queue, "MessageAttributeNames": names}
    kept = deepcopy(given)
    sqs.receive_message(**given)
    assert seen == [asked]
    assert given == kept


def test_what_botocore_refuses_it_refuses_as_before(sqs: Any, moto: Aws) -> None:
    wrong: list[tuple[Any, str, dict[str, Any]]] = [
        (sqs, "send_message", {}),
        (sqs, "send_message", {"QueueUrl": 1, "MessageBody": "x"}),
        (sqs, "send_message", {"QueueUrl": "q", "MessageBody": None}),
        (sqs, "send_message", {"QueueUrl": "q", "MessageBody": "x", "MessageAttributes": "x"}),
        (sqs, "send_message", {"QueueUrl": "q", "MessageBody": "x", "MessageAttributes": {"a": 1}}),
        (sqs, "send_message_batch", {"QueueUrl": "q", "Entries": None}),
        (sqs, "send_message_batch", {"QueueUrl": "q", "Entries": [None, 1, {"MessageAttributes": 3}]}),
        (sqs, "receive_message", {"QueueUrl": "q", "MessageAttributeNames": "All"}),
        (client(moto, "sns"), "publish_batch", {"TopicArn": "t", "PublishBatchRequestEntries": [3]}),
        (client(moto, "kinesis"), "put_record", {"StreamName": "s", "Data": 3}),
        (client(moto, "kinesis"), "put_records", {"StreamName": "s", "Records": [3, {"Data": None}]}),
        (client(moto, "events"), "put_events", {"Entries": [3, {"Detail": 3}]}),
    ]
    for each, operation, params in wrong:
        with pytest.raises(ParamValidationError):
            getattr(each, operation)(**params)


def test_a_signed_url_is_for_nobody(sqs: Any, captured_streams: Captured) -> None:
    params = {"QueueUrl": "http://127.0.0.1/0/queue", "MessageBody": "x"}
    assert KEY not in sqs.generate_presigned_url("send_message", Params=params)
    assert captured_streams.checkpoints == []


def test_topics_of_sns(moto: Aws, captured_streams: Captured) -> None:
    """A topic under either name is followed; a telephone and a device are not: nobody reads a context there."""
    sns, topic = client(moto, "sns"), moto.topic()
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
    kinesis = client(ministack, "kinesis")
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
    kinesis = client(ministack, "kinesis")
    for size, not_propagated in [(MIB - 200, 0), (MIB - 40, 1), (MIB, 2)]:
        data = b'{"a":"%s"}' % (b"x" * (size - 8))
        kinesis.put_record(StreamName=stream, Data=data, PartitionKey="p")
        assert captured_streams.stats().not_propagated == not_propagated
    assert len(captured_streams.produced()) == 3


def test_records_of_an_iterator_that_nobody_saw_go_on_as_they_came(ministack: Aws, captured_streams: Captured) -> None:
    name, arn = ministack.stream()
    kinesis, bare = client(ministack, "kinesis"), ministack.bare("kinesis")
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
    kinesis = client(moto, "kinesis")
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
    source, events = ministack.rule(queue), client(ministack, "events")
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
