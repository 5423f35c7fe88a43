"""Lambda's events, in the shapes that AWS documents."""

from __future__ import annotations

import json
from base64 import b64encode
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import asyncdsm
from asyncdsm import Pathway, consume_lambda_event
from asyncdsm.testing import Captured, ManualClock, capture
from tests.unit.test_aws import ANYTHING, CARRIER, CONTEXT, IN_BASE64, event, notification

SQS: dict[str, Any] = {
    "messageId": "059f36b4-87a3-44ab-83d2-661975830a7d",
    "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a",
    "body": "Test message.",
    "attributes": {
        "ApproximateReceiveCount": "1",
        "SentTimestamp": "1699999999000",
        "SenderId": "AIDAIENQZJOLO23YVJ4VO",
        "ApproximateFirstReceiveTimestamp": "1699999999500",
    },
    "messageAttributes": {},
    "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
    "eventSource": "aws:sqs",
    "eventSourceARN": "arn:aws:sqs:us-east-2:123456789012:my-queue",
    "awsRegion": "us-east-2",
}
SNS: dict[str, Any] = {
    "EventVersion": "1.0",
    "EventSubscriptionArn": "arn:aws:sns:us-east-1:123456789012:sns-lambda:21be56ed",
    "EventSource": "aws:sns",
    "Sns": {
        "SignatureVersion": "1",
        "Timestamp": "2023-11-14T22:13:19.000Z",
        "MessageId": "95df01b4-ee98-5cb9-9903-4c221d41eb5e",
        "Message": "Hello from SNS!",
        "MessageAttributes": {"Test": {"Type": "String", "Value": "TestString"}},
        "Type": "Notification",
        "TopicArn": "arn:aws:sns:us-east-1:123456789012:sns-lambda",
        "Subject": "TestInvoke",
    },
}
KINESIS: dict[str, Any] = {
    "kinesis": {
        "kinesisSchemaVersion": "1.0",
        "partitionKey": "1",
        "sequenceNumber": "49590338271490256608559692538361571095921575989136588898",
        "data": b64encode(b"Hello, this is a test.").decode(),
        "approximateArrivalTimestamp": 1699999999.0,
    },
    "eventSource": "aws:kinesis",
    "eventVersion": "1.0",
    "eventID": "shardId-000000000006:49590338271490256608559692538361571095921575989136588898",
    "eventName": "aws:kinesis:record",
    "eventSourceARN": "arn:aws:kinesis:us-east-2:123456789012:stream/lambda-stream",
}
EVENT: dict[str, Any] = {
    "version": "0",
    "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
    "detail-type": "order.created",
    "source": "shop",
    "account": "123456789012",
    "time": "2023-11-14T22:13:19Z",
    "region": "us-east-1",
    "resources": [],
    "detail": {"order": 1},
}
ORIGIN_NS = 1_699_999_999_000_000_000
"""When each of these was sent."""


def with_context(record: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of the record with a context in the place that its service has for it."""
    record = deepcopy(record)
    if record.get("EventSource") == "aws:sns":
        record["Sns"]["MessageAttributes"]["_datadog"] = {"Type": "Binary", "Value": IN_BASE64}
    elif "kinesis" in record:
        record["kinesis"]["data"] = b64encode(b'{"a":1,"_datadog":%s}' % CARRIER.encode()).decode()
    elif "detail" in record:
        record["detail"]["_datadog"] = json.loads(CARRIER)
    else:
        record["messageAttributes"]["_datadog"] = {"dataType": "String", "stringValue": CARRIER}
    return record


def in_event(*records: dict[str, Any]) -> dict[str, Any]:
    return records[0] if "detail" in records[0] else {"Records": list(records)}


RECORDS = {
    "sqs": (SQS, ("direction:in", "topic:my-queue", "type:sqs")),
    "sns": (SNS, ("direction:in", "topic:arn:aws:sns:us-east-1:123456789012:sns-lambda", "type:sns")),
    "kinesis": (
        KINESIS,
        ("direction:in", "topic:arn:aws:kinesis:us-east-2:123456789012:stream/lambda-stream", "type:kinesis"),
    ),
    "eventbridge": (EVENT, ("direction:in", "topic:order.created", "type:eventbridge")),
}


@pytest.mark.parametrize("name", RECORDS)
def test_message_of_each_service_is_recorded_and_current(
    name: str, captured_streams: Captured, manual_clock: ManualClock
) -> None:
    bare, tags = RECORDS[name]
    for record, parent, origin in ((bare, 0, ORIGIN_NS), (with_context(bare), 99, CONTEXT.pathway_start_ns)):
        captured_streams.clear()
        manual_clock.now_ns = CONTEXT.edge_start_ns + 10**9
        given = in_event(record)
        kept = deepcopy(given)
        messages = consume_lambda_event(given)
        assert given == kept
        assert messages == [record]
        (made,) = captured_streams.checkpoints
        assert (made.tags, made.parent) == (tags, parent)
        assert made.pathway_latency == (manual_clock() - origin) / 1e9
        current = asyncdsm.current_pathway()
        assert current == Pathway(made.hash, origin, manual_clock())
        with asyncdsm.using(messages[0]) as pathway:
            assert pathway == current
    assert captured_streams.stats().malformed == 0


def test_context_that_sns_or_eventbridge_put_into_sqs_is_read(captured_streams: Captured) -> None:
    bodies = [notification({"Type": "Binary", "Value": IN_BASE64}), json.dumps(event(json.loads(CARRIER)))]
    consume_lambda_event({"Records": [{**SQS, "body": body} for body in bodies]})
    assert [made.parent for made in captured_streams.checkpoints] == [99, 99]


def test_several_records_are_current_in_turn(captured_streams: Captured) -> None:
    records = [SQS, with_context(SQS), SQS]
    messages = consume_lambda_event({"Records": records})
    assert asyncdsm.current_pathway() is None
    hashes = []
    for message in messages:
        current = asyncdsm.current_pathway()
        assert current is not None
        hashes.append(current.hash)
        assert message["body"] == "Test message."
    assert hashes == [made.hash for made in captured_streams.checkpoints]
    assert hashes[0] == hashes[2] != hashes[1]
    assert asyncdsm.current_pathway() is None


@pytest.mark.parametrize(
    "other",
    [
        None, 3, {}, [], {"Records": None}, {"Records": [None]}, {"httpMethod": "GET", "headers": {}},
        {"Records": [{"eventSource": "aws:s3", "s3": {}}]}, {"Records": [{"eventSource": "aws:dynamodb"}]},
        {"Records": [{"EventSource": "aws:sns"}]}, {"Records": [{"eventSource": "aws:kinesis"}]},
        {"Records": [{"eventSource": "aws:kinesis", "kinesis": {"data": 3}}]},
        {"Records": [{"eventSource": "aws:sqs"}]},
    ],
)  # fmt: skip
def test_event_of_another_source_is_returned_and_ends_the_previous_pathway(
    captured_streams: Captured, other: Any
) -> None:
    consume_lambda_event(in_event(EVENT))
    captured_streams.clear()
    messages = consume_lambda_event(other)
    assert messages == (other["Records"] if isinstance(other, dict) and other.get("Records") else [other])
    assert captured_streams.checkpoints == []
    assert asyncdsm.current_pathway() is None


def test_records_are_a_plain_list_while_nothing_measures() -> None:
    assert consume_lambda_event({"Records": [SQS]}) == [SQS]
    assert type(consume_lambda_event({"Records": [SQS]})) is list


def test_malformed_context_in_a_record_is_counted(captured_streams: Captured) -> None:
    consume_lambda_event({"Records": [{**SQS, "body": None, "messageAttributes": {"_datadog": 1}}]})
    assert captured_streams.stats().malformed == 1


RECORD = st.fixed_dictionaries(
    {"eventSource": st.sampled_from(["aws:sqs", "aws:kinesis", "aws:s3"])},
    optional=dict.fromkeys(
        ("body", "messageAttributes", "attributes", "kinesis", "eventSourceARN", "EventSource", "Sns"), ANYTHING
    ),
)


@settings(max_examples=300)
@given(records=st.lists(RECORD | ANYTHING, max_size=3), detail=ANYTHING)
def test_consuming_any_event_never_raises(records: list[Any], detail: Any) -> None:
    with capture():
        assert consume_lambda_event({"Records": records}) == records
        consume_lambda_event({"detail-type": detail, "detail": detail, "time": detail})
