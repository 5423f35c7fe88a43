"""SQS and SNS: what is on a real queue after a wrapped client's call, what is counted, what remains the caller's."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError

from asyncdsm import Pathway
from asyncdsm.core.context import HEADER
from asyncdsm.integration.formats.aws import queue_name
from asyncdsm.integration.formats.json_context import KEY
from asyncdsm.testing import Captured
from tests.brokers.aws import Aws
from tests.integrations.botocore.clients import CONTEXT_BYTES, KIB, MIB, wrapped_client


def attributes(count: int) -> dict[str, Any]:
    return {f"name{number}": {"DataType": "String", "StringValue": "välue"} for number in range(count)}


def context_of(message: dict[str, Any]) -> Pathway | None:
    attribute = message.get("MessageAttributes", {}).get(KEY)
    return None if attribute is None else Pathway.decode_base64(json.loads(attribute["StringValue"])[HEADER])


@pytest.mark.parametrize("count", [0, 1, 9, 10])
@pytest.mark.parametrize("body", ["v", "ünï☃\U0001f600 \t\n", '{"order": 1}', "x" * (256 * KIB - 600)])
def test_callers_attributes_stay_when_a_context_is_added(
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
        assert sum("adds no context" in record.getMessage() for record in caplog.records) == 1
        assert [each.size for each in made] == [size] * 2
    else:
        assert [context.hash for context in map(context_of, messages) if context] == [each.hash for each in made]
        assert captured_streams.stats().not_propagated == 0
        assert [each.size for each in made] == [size + CONTEXT_BYTES] * 2


def test_batch_entries_without_room_carry_no_context(ministack: Aws, sqs: Any, captured_streams: Captured) -> None:
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


def test_failed_batch_entries_are_not_counted(ministack: Aws, sqs: Any, captured_streams: Captured) -> None:
    queue = ministack.queue()
    entries = [
        {"Id": "good", "MessageBody": "x"},
        {"Id": "bad", "MessageBody": "\x01"},
        {"Id": "full", "MessageBody": "\x01", "MessageAttributes": attributes(10)},
    ]
    answer = sqs.send_message_batch(QueueUrl=queue, Entries=entries)
    assert [failed["Id"] for failed in answer["Failed"]] == ["bad", "full"]
    assert [made.size for made in captured_streams.produced()] == [1 + CONTEXT_BYTES]
    assert captured_streams.stats().not_propagated == 0


def test_failed_call_is_not_counted(sqs: Any, captured_streams: Captured) -> None:
    with pytest.raises(ClientError):
        sqs.send_message(QueueUrl="http://127.0.0.1/0/none", MessageBody="x", MessageAttributes=attributes(10))
    assert captured_streams.checkpoints == []
    assert captured_streams.stats().not_propagated == 0


@pytest.mark.parametrize(
    ("size", "has_context"),
    [
        (256 * KIB, False),  # would be too large for a queue with the limit that was
        (256 * KIB - CONTEXT_BYTES, False),
        (256 * KIB - 2 * CONTEXT_BYTES, True),
        (256 * KIB + 1, True),  # this queue takes 1 MiB, then
        (MIB - CONTEXT_BYTES, False),
        (MIB, False),
    ],
)
def test_context_is_left_out_when_it_would_make_a_message_too_large(
    moto: Aws, captured_streams: Captured, size: int, has_context: bool
) -> None:
    queue, body = moto.queue(), "x" * size
    wrapped_client(moto, "sqs").send_message(QueueUrl=queue, MessageBody=body)
    (message,) = moto.on_queue(queue)
    assert message["Body"] == body
    assert (context_of(message) is not None) is has_context
    assert captured_streams.stats().not_propagated == (not has_context)


STALE = Pathway(1, 2, 3).encode_base64().ljust(28, "=")
LEGACY = {"dd-pathway-ctx": STALE}  # a shorter key, so that the context in its place is 7 bytes longer


@pytest.mark.parametrize("limit", [256 * KIB, MIB])
@pytest.mark.parametrize(
    ("carrier", "left", "kept"),
    [
        ({HEADER: STALE}, 0, [HEADER]),
        (LEGACY, 7, [HEADER]),
        (LEGACY, 6, []),
        ({"x-datadog-trace-id": "7", **LEGACY}, 7, [HEADER, "x-datadog-trace-id"]),
        ({"x-datadog-trace-id": "7", **LEGACY}, 6, ["x-datadog-trace-id"]),
        ({"x-datadog-trace-id": "7"}, 0, ["x-datadog-trace-id"]),
    ],
)
def test_forwarded_context_never_stays_in_a_message_that_has_no_room_for_another(  # noqa: PLR0917
    moto: Aws, captured_streams: Captured, limit: int, carrier: dict[str, str], left: int, kept: list[str]
) -> None:
    queue, text = moto.queue(), json.dumps(carrier, separators=(",", ":"))
    given = {KEY: {"DataType": "String", "StringValue": text}}
    body = "x" * (limit - left - len(KEY) - len("String") - len(text))
    unchanged = deepcopy(given)
    wrapped_client(moto, "sqs").send_message(QueueUrl=queue, MessageBody=body, MessageAttributes=given)
    assert given == unchanged
    (message,), (sent,) = moto.on_queue(queue), captured_streams.produced()
    carried = json.loads(message.get("MessageAttributes", {}).get(KEY, {"StringValue": "{}"})["StringValue"])
    assert sorted(carried) == kept
    is_replaced = HEADER in kept
    assert captured_streams.stats().not_propagated == (not is_replaced)
    context = context_of(message) if is_replaced else None
    assert (context and context.hash) == (sent.hash if is_replaced else None)


def test_contexts_are_left_out_when_they_would_make_a_batch_too_large(moto: Aws, captured_streams: Captured) -> None:
    queue = moto.queue()
    entries = [{"Id": str(number), "MessageBody": "x" * (64 * KIB - 40)} for number in range(4)]
    wrapped_client(moto, "sqs").send_message_batch(QueueUrl=queue, Entries=entries)
    with_context = [message for message in moto.on_queue(queue, 4) if context_of(message)]
    assert len(with_context) == 2  # 160 bytes are left, and a context takes 70
    assert captured_streams.stats().not_propagated == 2


def test_forwarded_context_is_replaced_and_parts_of_other_tracers_stay(
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
        1 + 9 * 11 + CONTEXT_BYTES,
        1 + 9 * 11 + CONTEXT_BYTES + len('"x-datadog-trace-id":"77",'),
    }


def test_presigned_url_has_no_context_and_is_not_counted(sqs: Any, captured_streams: Captured) -> None:
    params = {"QueueUrl": "http://127.0.0.1/0/queue", "MessageBody": "x"}
    assert KEY not in sqs.generate_presigned_url("send_message", Params=params)
    assert captured_streams.checkpoints == []


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
def test_entries_that_the_response_reports_as_failed_are_not_counted(
    ministack: Aws,
    captured_streams: Captured,
    *,
    service: str,
    operation: str,
    params: dict[str, Any],
    answer: dict[str, Any],
) -> None:
    """The failure is forced: no AWS of the tests fails in this way."""
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


def test_sns_topics_are_followed_but_phones_and_devices_are_not(moto: Aws, captured_streams: Captured) -> None:
    """A topic may be given by either parameter. Nobody reads a context on a phone or a device."""
    sns, topic = wrapped_client(moto, "sns"), moto.topic()
    application = sns.create_platform_application(Name="a", Platform="GCM", Attributes={})["PlatformApplicationArn"]
    device = sns.create_platform_endpoint(PlatformApplicationArn=application, Token="t")["EndpointArn"]  # noqa: S106
    sns.publish(TopicArn=topic, Message="m")
    sns.publish(TargetArn=topic, Message="m")
    sns.publish(TargetArn=device, Message="m")
    sns.publish(PhoneNumber="+15005550006", Message="m")
    assert [made.topic for made in captured_streams.checkpoints] == [topic] * 2
    assert captured_streams.stats().not_propagated == 0
