"""Lambda's events as objects of Powertools and pydantic, as lists of EventBridge Pipes, and in unknown shapes."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from copy import deepcopy
from typing import Any
from unittest.mock import MagicMock

import pytest
from aws_lambda_powertools.utilities.data_classes import (
    EventBridgeEvent,
    KinesisStreamEvent,
    S3Event,
    SNSEvent,
    SQSEvent,
)
from aws_lambda_powertools.utilities.data_classes.kinesis_stream_event import KinesisStreamRecord
from aws_lambda_powertools.utilities.data_classes.sns_event import SNSEventRecord
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.parser.models import (
    EventBridgeModel,
    KinesisDataStreamModel,
    KinesisDataStreamRecord,
    SnsModel,
    SnsRecordModel,
    SqsModel,
    SqsRecordModel,
)
from pydantic import BaseModel, ConfigDict, Field

import asyncdsm
from asyncdsm import consume_lambda_event
from asyncdsm._internal import log
from asyncdsm.integration.formats import aws
from asyncdsm.integration.registry import pathway_of
from asyncdsm.testing import Captured
from tests.unit.test_aws import CARRIER, event
from tests.unit.test_lambda_events import EVENT, KINESIS, ORIGIN_NS, SNS, SQS, with_context

# With members that the other tests do not need, but that pydantic's models require.
FULL_SNS = {
    **SNS,
    "Sns": {**SNS["Sns"], "Signature": "s", "SigningCertUrl": "https://a", "UnsubscribeUrl": "https://b"},
}
FULL_KINESIS = {**KINESIS, "awsRegion": "us-east-2", "invokeIdentityArn": "arn:aws:iam::1:role/r"}


class Order(BaseModel):
    model_config = ConfigDict(extra="allow")
    order: int


class OpenEventBridgeModel(EventBridgeModel):
    """A model with a typed detail that keeps members it does not declare."""

    detail: Order = Field()  # pyright: ignore[reportIncompatibleVariableOverride]


CLASSES: list[tuple[dict[str, Any], Callable[[Any], Any], type, str]] = [
    (SQS, SQSEvent, SQSRecord, "sqs"),
    (FULL_KINESIS, KinesisStreamEvent, KinesisStreamRecord, "kinesis"),
    (SNS, SNSEvent, SNSEventRecord, "sns"),
    (EVENT, EventBridgeEvent, EventBridgeEvent, "eventbridge"),
    (SQS, SqsModel.model_validate, SqsRecordModel, "sqs"),
    (FULL_KINESIS, KinesisDataStreamModel.model_validate, KinesisDataStreamRecord, "kinesis"),
    (FULL_SNS, SnsModel.model_validate, SnsRecordModel, "sns"),
    (EVENT, EventBridgeModel.model_validate, EventBridgeModel, "eventbridge"),
    (EVENT, OpenEventBridgeModel.model_validate, OpenEventBridgeModel, "eventbridge"),
]
IDS = [kind.__name__ for _, _, kind, _ in CLASSES]


def in_event(*records: dict[str, Any]) -> dict[str, Any]:
    return records[0] if "detail" in records[0] else {"Records": list(records)}


@pytest.mark.parametrize(("record", "make", "kind", "source"), CLASSES, ids=IDS)
def test_records_of_an_event_class_keep_their_types_and_are_recorded(
    captured_streams: Captured, *, record: dict[str, Any], make: Callable[[Any], Any], kind: type, source: str
) -> None:
    for given, parent in ((record, 0), (with_context(record), 99)):
        captured_streams.clear()
        raw = in_event(given)
        kept = deepcopy(raw)
        (message,) = consume_lambda_event(make(raw))
        assert raw == kept
        assert type(message) is kind
        (made,) = captured_streams.checkpoints
        assert (made.tag("type"), made.parent) == (source, parent)
        current = asyncdsm.current_pathway()
        assert current is not None
        assert current.hash == made.hash
        if not parent:
            assert current.pathway_start_ns == ORIGIN_NS
        with asyncdsm.using(message) as pathway:
            assert pathway is not None
            assert pathway.hash == made.hash
    assert captured_streams.stats().malformed == 0


@pytest.mark.parametrize(("record", "make", "kind", "source"), CLASSES[:3] + CLASSES[4:7], ids=IDS[:3] + IDS[4:7])
def test_several_records_of_a_class_are_current_in_turn(
    captured_streams: Captured, *, record: dict[str, Any], make: Callable[[Any], Any], kind: type, source: str
) -> None:
    messages = consume_lambda_event(make(in_event(record, with_context(record))))
    assert asyncdsm.current_pathway() is None
    found = list[Any]()
    for message in messages:
        assert type(message) is kind
        found.append(asyncdsm.current_pathway())
    assert [pathway.hash for pathway in found] == [made.hash for made in captured_streams.consumed()]
    assert [made.parent for made in captured_streams.consumed()] == [0, 99]
    assert {made.tag("type") for made in captured_streams.consumed()} == {source}


def test_generator_of_records_is_recorded(captured_streams: Captured) -> None:
    messages = consume_lambda_event(SQSEvent(in_event(SQS, SQS)).records)
    assert [message.body for message in messages] == ["Test message."] * 2
    assert len(captured_streams.consumed()) == 2


def pipes_kinesis(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record in the flat form of a Pipe."""
    record = dict(record)
    return {**record, **record.pop("kinesis")}


@pytest.mark.parametrize("record", [SQS, pipes_kinesis(KINESIS)], ids=["sqs", "kinesis"])
def test_list_of_an_eventbridge_pipe_is_recorded(captured_streams: Captured, record: dict[str, Any]) -> None:
    carrying = with_context(SQS) if record is SQS else pipes_kinesis(with_context(KINESIS))
    given = [record, carrying]
    kept = deepcopy(given)
    messages = consume_lambda_event(given)
    assert given == kept == messages
    assert [made.parent for made in captured_streams.consumed()] == [0, 99]
    assert captured_streams.consumed()[0].pathway_latency > 1e6
    consume_lambda_event([record])
    assert asyncdsm.current_pathway() is not None
    (alone,) = captured_streams.consumed()[2:]
    assert alone.tags == captured_streams.consumed()[0].tags


@pytest.mark.parametrize("other", [[], [1, 2], [{"a": 1}], [None], ([],)])
def test_list_without_records_is_returned_as_one_event(captured_streams: Captured, other: Any) -> None:
    assert consume_lambda_event(other) == [other]
    assert captured_streams.checkpoints == []


DETAIL = {"order": 1, "_dsm": json.loads(CARRIER)}


def test_context_under_either_documented_key_is_read(captured_streams: Captured) -> None:
    consume_lambda_event({**EVENT, "detail": DETAIL})
    consume_lambda_event({**EVENT, "detail": {**DETAIL, "_datadog": {"x-datadog-trace-id": "1"}}})
    consume_lambda_event({**EVENT, "detail": {**DETAIL, "_datadog": 3}})
    body = json.dumps({**event({}), "detail": DETAIL})
    consume_lambda_event(in_event({**SQS, "body": body}))
    notification = {**SNS["Sns"], "Message": body, "MessageAttributes": {}}
    consume_lambda_event(in_event({**SNS, "Sns": notification}))
    assert [made.parent for made in captured_streams.consumed()] == [99] * 5
    assert aws.read_sqs_message(None, body).header == json.loads(CARRIER)["dd-pathway-ctx-base64"]
    assert captured_streams.stats().malformed == 0


@pytest.mark.parametrize("odd", [3, "text", [], {"dd-pathway-ctx-base64": 3}, {"dd-pathway-ctx-base64": "x"}])
def test_context_that_cannot_be_read_under_either_key_is_malformed(captured_streams: Captured, odd: Any) -> None:
    consume_lambda_event({**EVENT, "detail": {"_dsm": odd}})
    assert [made.parent for made in captured_streams.consumed()] == [0]
    assert captured_streams.stats().malformed == 1


class Odd:
    """An object of the program, with any attributes."""

    def __init__(self, **members: Any) -> None:
        self.__dict__.update(members)


class Raising:
    @property
    def Records(self) -> Any:  # noqa: N802
        raise RuntimeError("no records")

    def model_dump(self, **_: Any) -> Any:
        raise RuntimeError("no dump")


@pytest.mark.parametrize(
    "unknown", [None, 3, "text", b"x", object(), Odd(), Odd(Records=3), Odd(model_dump=lambda **_: 3), MagicMock()]
)
def test_object_in_an_unknown_shape_is_returned_counted_and_logged_once(
    captured_streams: Captured, caplog: pytest.LogCaptureFixture, unknown: Any
) -> None:
    log.forget_warnings()
    for _ in range(2):
        (message,) = consume_lambda_event(unknown)
        assert message is unknown
        assert asyncdsm.current_pathway() is None
    assert captured_streams.checkpoints == []
    assert captured_streams.stats().malformed == 2
    assert sum(type(unknown).__qualname__ in record.getMessage() for record in caplog.records) == 1


def test_object_whose_members_raise_is_returned(captured_streams: Captured) -> None:
    captured_streams.strict = False
    unknown = Raising()
    assert consume_lambda_event(unknown) == [unknown]
    assert captured_streams.checkpoints == []


@pytest.mark.parametrize(
    "other", [{"httpMethod": "GET"}, {"Records": [{"eventSource": "aws:s3"}]}, S3Event({"Records": [{"s3": {}}]})]
)
def test_event_of_another_source_is_not_malformed(
    captured_streams: Captured, caplog: pytest.LogCaptureFixture, other: Any
) -> None:
    log.forget_warnings()
    assert len(consume_lambda_event(other)) == 1
    assert captured_streams.stats().malformed == 0
    assert caplog.records == []


TIMES: list[Any] = ["soon", -1, True, float("nan"), 1e300, [], {}]


@pytest.mark.parametrize("time", TIMES)
def test_message_with_a_malformed_time_is_recorded_and_counted_as_malformed(
    captured_streams: Captured, time: Any
) -> None:
    for record in (
        {**SQS, "attributes": {"SentTimestamp": time}},
        {**KINESIS, "kinesis": {**KINESIS["kinesis"], "approximateArrivalTimestamp": time}},
        {**SNS, "Sns": {**SNS["Sns"], "Timestamp": time}},
        {**EVENT, "time": time},
    ):
        captured_streams.clear()
        before = captured_streams.stats().malformed
        (message,) = consume_lambda_event(in_event(record))
        assert len(captured_streams.consumed()) == 1
        assert captured_streams.stats().malformed == before + 1
        assert pathway_of(message) is not None
    assert captured_streams.stats().errors == 0


@pytest.mark.parametrize("name", ["body", "messageAttributes", "attributes"])
@pytest.mark.parametrize("odd", [3, 1.5, True, b"x", ["a"]])
def test_message_with_a_member_of_a_wrong_type_is_recorded_and_counted_as_malformed(
    captured_streams: Captured, name: str, odd: Any
) -> None:
    consume_lambda_event(in_event({**SQS, name: odd}))
    assert len(captured_streams.consumed()) == 1
    assert captured_streams.stats().malformed == 1


def test_context_in_kinesis_data_is_read_from_bytes_and_base64(captured_streams: Captured) -> None:
    data = b'{"_datadog":%s}' % CARRIER.encode()
    for content in (data, b64encode(data), b64encode(b64encode(data)).decode()):
        record = {**KINESIS, "kinesis": {**KINESIS["kinesis"], "data": content}}
        consume_lambda_event(in_event(record))
    assert [made.parent for made in captured_streams.consumed()] == [99, 99, 99]
