"""Contexts in messages of AWS: every shape that a service delivers, and every way in which one can be malformed."""

from __future__ import annotations

import json
from base64 import b64encode
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncdsm import Pathway
from asyncdsm.core.context import HEADER, LEGACY_HEADER
from asyncdsm.integration.formats import aws
from asyncdsm.integration.formats.aws import MALFORMED
from asyncdsm.integration.formats.json_context import KEY
from asyncdsm.testing import Captured
from tests import by_hand

CONTEXT = Pathway(99, 1_700_000_000_000_000_000, 1_700_000_001_000_000_000)
TEXT = CONTEXT.encode_base64()
CARRIER = json.dumps({"x-datadog-trace-id": "1", HEADER: TEXT})
IN_BASE64 = b64encode(CARRIER.encode()).decode()


def notification(attribute: Any, message: str = "hey") -> str:
    return json.dumps({"Type": "Notification", "Message": message, "MessageAttributes": {KEY: attribute}})


def event(carrier: Any) -> dict[str, Any]:
    return {"version": "0", "detail-type": "order", "source": "shop", "detail": {"order": 1, KEY: carrier}}


ATTRIBUTES: list[dict[str, Any]] = [
    {"DataType": "String", "StringValue": CARRIER},
    {"DataType": "Binary", "BinaryValue": CARRIER.encode()},
    {"DataType": "Binary", "BinaryValue": IN_BASE64},
    {"DataType": "Binary", "BinaryValue": IN_BASE64.encode()},
    {"Type": "Binary", "Value": IN_BASE64},
    {"Type": "String", "Value": CARRIER},
    {"dataType": "String", "stringValue": CARRIER, "stringListValues": [], "binaryListValues": []},
    {"dataType": "Binary", "binaryValue": IN_BASE64, "stringListValues": [], "binaryListValues": []},
]


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_context_is_found_in_every_shape_of_an_attribute(attribute: dict[str, Any]) -> None:
    assert aws.read_sqs_message({KEY: attribute}, "body").header == TEXT
    if "Type" in attribute:
        assert aws.read_sqs_message({}, notification(attribute)).header == TEXT
        assert aws.read_sns_notification(json.loads(notification(attribute))).header == TEXT


def test_context_of_an_event_is_found_in_the_body_of_a_message() -> None:
    body = json.dumps(event(json.loads(CARRIER)))
    assert aws.read_sqs_message(None, body).header == TEXT
    assert aws.read_eventbridge_event(json.loads(body)).header == TEXT
    by_sns = json.dumps({"Type": "Notification", "Message": body})
    assert aws.read_sqs_message(None, by_sns).header == TEXT


def test_numbers_too_large_for_a_float_do_not_hide_a_context() -> None:
    body = '{"m": 1e999, "detail": {"n": 1e999, "_datadog": ' + CARRIER + "}}"
    assert aws.read_sqs_message(None, body).header == TEXT
    assert aws.find_in_data(b'{"n": 1e999, "_datadog": %s}' % CARRIER.encode()) == TEXT


def test_attribute_takes_precedence_over_the_body_and_its_legacy_key_is_read() -> None:
    other = notification({"Type": "Binary", "Value": b64encode(b'{"dd-pathway-ctx-base64":"other"}').decode()})
    assert aws.read_sqs_message({KEY: ATTRIBUTES[0]}, other).header == TEXT
    assert aws.read_sqs_message({KEY: {"StringValue": json.dumps({LEGACY_HEADER: TEXT})}}, "").header == TEXT


@pytest.mark.parametrize(
    "body",
    ["", "text", "[1]", "null", '"_datadog"', '{"_datadog": {}}', '{"Type": "Notification"}', '{"detail": "_datadog"}',
     '{"Type": "Notification", "MessageAttributes": ["_datadog"]}', '{"detail": ["_datadog"]}', "{" * 9999 + KEY],
)  # fmt: skip
def test_body_without_a_context_has_no_header(body: str) -> None:
    assert aws.read_sqs_message(None, body).header is None


def test_object_of_another_tracer_is_not_malformed() -> None:
    assert aws.read_sqs_message({KEY: {"StringValue": '{"x-datadog-trace-id": "1"}'}}, "").header is None


MALFORMED_VALUES: list[Any] = [
    None, 1, "", "{", "[]", "null", "text", "\ud800", b"\xff", ["{}"], {}, '{"a":' * 5000,
    json.dumps({HEADER: 5}), json.dumps({HEADER: []}), json.dumps({LEGACY_HEADER: 5}),
]  # fmt: skip


@pytest.mark.parametrize("value", MALFORMED_VALUES, ids=repr)
@pytest.mark.parametrize("name", ["StringValue", "BinaryValue", "Value", "stringValue"])
def test_malformed_attribute_is_counted_and_starts_a_pathway(captured_streams: Captured, name: str, value: Any) -> None:
    attributes = {KEY: {name: value}}
    kept = deepcopy(attributes)
    info = aws.read_sqs_message(attributes, "body")
    assert info.header == MALFORMED
    pathway = by_hand.consume(aws.edges["in", "sqs", "q"], *info)
    assert pathway is not None
    assert captured_streams.checkpoints[0].parent == 0
    assert captured_streams.stats().malformed == 1
    assert attributes == kept


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.binary(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    KEY,
                    HEADER,
                    "MessageAttributes",
                    "Type",
                    "Value",
                    "StringValue",
                    "BinaryValue",
                    "detail",
                    "Message",
                    "a",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
LIKE_JSON = st.one_of(
    st.text(max_size=60),
    ANYTHING.map(lambda value: json.dumps(value, default=str)),
    st.builds(lambda at, what: CARRIER[:at] + what + CARRIER[at + 1 :], st.integers(0, len(CARRIER)), st.characters()),
)


@settings(max_examples=300)
@given(attributes=ANYTHING, body=ANYTHING | LIKE_JSON, system=ANYTHING)
def test_reading_any_sqs_message_never_raises(attributes: Any, body: Any, system: Any) -> None:
    header, size, broker_ns = aws.read_sqs_message(attributes, body, system)
    assert header is None or isinstance(header, str | bytes)
    assert size is not None
    assert size >= 0
    assert broker_ns is None


@settings(max_examples=300)
@given(
    value=ANYTHING | LIKE_JSON,
    data=st.binary(max_size=80) | LIKE_JSON.map(lambda text: text.encode("utf-8", "replace")),
)
def test_reading_any_attribute_or_data_never_raises(value: Any, data: bytes) -> None:
    for name in ("StringValue", "Value"):
        for each in ({KEY: value}, {KEY: {name: value}}):
            assert aws.find_in_attributes(each) is None or isinstance(aws.find_in_attributes(each), str | bytes)
    aws.read_sns_notification({"MessageAttributes": value, "Message": value, "Timestamp": value})
    aws.read_eventbridge_event({"detail": value, "time": value})
    aws.read_kinesis_record(data, value, None)
    aws.read_kinesis_record(b64encode(data), value, 1.5)


def test_sizes_and_times_are_read_and_bad_times_left_out() -> None:
    attributes = {"ü": {"DataType": "String", "StringValue": "☃"}, "b": {"DataType": "Binary", "BinaryValue": b"12345"}}
    info = aws.read_sqs_message(attributes, "ß", {"SentTimestamp": "1700000000123"})
    assert info == (None, 2 + 2 + 3 + 1 + 5, 1_700_000_000_123_000_000)
    for text in ("soon", "²", "1" * 5000, "", 5):
        assert aws.read_sqs_message(None, "", {"SentTimestamp": text}).broker_ns is None
    for arrived in (None, "soon", float("nan"), float("inf")):
        assert aws.read_kinesis_record(b"data", "key", arrived).broker_ns is None
    assert aws.read_kinesis_record(b"data", "key", 1.5) == (None, 7, 1_500_000_000)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("https://sqs.eu-west-1.amazonaws.com/123456789012/orders", "orders"),
        ("http://localhost:4566/000000000000/orders.fifo", "orders.fifo"),
        ("arn:aws:sqs:eu-west-1:123456789012:orders", "orders"),
        ("orders", "orders"),
    ],
)
def test_queue_name_is_the_last_part_of_its_url_or_arn(address: str, name: str) -> None:
    assert aws.queue_name(address) == name
