"""The messages that requests push: which ones are counted, under which names, with which context."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from asyncdsm_asgi import DataStreamsMiddleware
from asyncdsm_asgi.carriers import MOST_EVENTS
from asyncdsm_asgi.consume import LARGEST_BODY

from asyncdsm.core.context import HEADER
from asyncdsm.testing import Captured
from tests.integrations.asgi.apps import CAME, CONTEXT, Handler, request

SECOND = 1_000_000_000


def sns(**more: Any) -> bytes:
    value = b64encode(json.dumps({HEADER: CONTEXT}).encode()).decode()
    notification = {
        "Type": "Notification",
        "TopicArn": "arn:aws:sns:eu-west-1:1:orders",
        "Message": "{}",
        "Timestamp": "2026-01-02T03:04:05.678Z",
        "MessageAttributes": {"_datadog": {"Type": "Binary", "Value": value}},
    }
    return json.dumps({**notification, **more}).encode()


SNS = {"x-amz-sns-message-type": "Notification", "x-amz-sns-topic-arn": "arn:aws:sns:eu-west-1:1:orders"}


GOOGLE = {"user-agent": "APIs-Google; (+https://developers.google.com/webmasters/APIs-Google.html)"}


BRIDGE = {"user-agent": "Amazon/EventBridge/ApiDestinations"}


EVENT = {"specversion": "1.0", "type": "order.made", "source": "/shop", "id": "1"}


PUBSUB = {
    "message": {"attributes": {HEADER: CONTEXT}, "data": "eA==", "publishTime": "2026-01-02T03:04:05.123456789Z"},
    "subscription": "projects/p/subscriptions/s",
}


BRIDGED = {
    "detail-type": "OrderMade",
    "time": "2026-01-02T03:04:05Z",
    "detail": {"_datadog": {HEADER: CONTEXT}, "number": 1},
}


STRUCTURED = {"content-type": "application/cloudevents+json; charset=UTF-8"}


BINARY = {"ce-specversion": "1.0", "ce-type": "order.made", "ce-time": "2026-01-02T03:04:05Z"}


ARN = "topic:arn:aws:sns:eu-west-1:1:orders"


PUSHED_REQUESTS: dict[str, tuple[dict[str, str], bytes, set[str]]] = {
    "a header": ({HEADER: CONTEXT}, b"x", {"type:http"}),
    "SNS": (SNS, sns(), {"type:sns", ARN}),
    "SNS, from an older tracer": (
        SNS,
        sns(MessageAttributes={"_datadog": {"Type": "String", "Value": json.dumps({HEADER: CONTEXT})}}),
        {"type:sns", ARN},
    ),
    "Pub/Sub": (GOOGLE, json.dumps(PUBSUB).encode(), {"type:google-pubsub", "topic:projects/p/subscriptions/s"}),
    "Pub/Sub, unwrapped": (
        {**GOOGLE, "x-goog-pubsub-subscription-name": "projects/p/subscriptions/s", HEADER: CONTEXT},
        b"x",
        {"type:google-pubsub", "topic:projects/p/subscriptions/s"},
    ),
    "EventBridge": (BRIDGE, json.dumps(BRIDGED).encode(), {"type:eventbridge", "topic:OrderMade"}),
    "a CloudEvent, binary": (
        {**BINARY, "ce-ddpathwayctxbase64": CONTEXT},
        b"x",
        {"type:cloudevents", "topic:order.made"},
    ),
    "a CloudEvent, binary, with a header": (
        {**BINARY, HEADER: CONTEXT},
        b"x",
        {"type:cloudevents", "topic:order.made"},
    ),
    "a CloudEvent of Knative's": (
        {**BINARY, "ce-kafkaheaderddpathwayctxbase64": CONTEXT},
        b"x",
        {"type:cloudevents", "topic:order.made"},
    ),
    "a CloudEvent of newer Knative's": (
        {**BINARY, "ce-kafkaheaderdd-pathway-ctx-base64": CONTEXT},
        b"x",
        {"type:cloudevents", "topic:order.made"},
    ),
    "a CloudEvent, structured": (
        STRUCTURED,
        json.dumps({**EVENT, "ddpathwayctxbase64": CONTEXT}).encode(),
        {"type:cloudevents", "topic:order.made"},
    ),
    "a CloudEvent of Eventarc's": (
        {**GOOGLE, **BINARY},
        json.dumps(PUBSUB).encode(),
        {"type:google-pubsub", "topic:projects/p/subscriptions/s"},
    ),
}


@pytest.mark.parametrize("case", PUSHED_REQUESTS)
async def test_pushed_message_is_consumed_with_its_context_and_topic(case: str, captured_streams: Captured) -> None:
    headers, body, tags = PUSHED_REQUESTS[case]
    handler = Handler()
    parts = [body[:5], b"", body[5:]]
    await request(DataStreamsMiddleware(handler), headers, *parts)
    consumed, produced = captured_streams.checkpoints
    assert set(consumed.tags) == {"direction:in", *tags}
    assert consumed.parent == CAME.hash
    assert produced.follows(consumed)
    assert [message["body"] for message in handler.got] == parts


@pytest.mark.parametrize(
    ("headers", "body", "age"),
    [
        (SNS, sns(MessageAttributes={}), 10),
        (GOOGLE, json.dumps({**PUBSUB, "message": {"publishTime": "2026-01-02T03:04:05.678Z"}}).encode(), 10),
        ({**BINARY, "ce-time": "2026-01-02T03:04:05.678Z"}, b"", 10),
        (BINARY | {"ce-time": "yesterday"}, b"", 0),
        (SNS, sns(MessageAttributes=None), 10),
        (SNS, b"\xff", 0),
        (SNS | {"x-amz-sns-rawdelivery": "true"}, sns(), 0),
    ],
)
async def test_message_without_context_begins_when_it_was_published(
    headers: dict[str, str], body: bytes, age: float, manual_clock: Any, captured_streams: Captured
) -> None:
    manual_clock.now_ns = 1_767_323_045_678_000_000 + 10 * SECOND
    await request(DataStreamsMiddleware(Handler()), headers, body)
    consumed, _ = captured_streams.checkpoints
    assert consumed.parent == 0
    assert consumed.pathway_latency == pytest.approx(age)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (GOOGLE, b"<html>"),
        (BRIDGE, b"[1]"),
        (STRUCTURED, b"{"),
        (STRUCTURED, b""),
        ({"content-type": "application/json"}, json.dumps(PUBSUB).encode()),
        ({"x-amz-sns-message-type": "SubscriptionConfirmation"}, sns()),
        (SNS | {"user-agent": "curl"} | {"x-amz-sns-message-type": "UnsubscribeConfirmation"}, sns()),
    ],
)
async def test_request_that_resembles_a_push_is_not_counted(
    headers: dict[str, str], body: bytes, captured_streams: Captured
) -> None:
    handler = Handler()
    await request(DataStreamsMiddleware(handler), headers, body)
    (produced,) = captured_streams.checkpoints
    assert produced.parent == 0
    assert [message["body"] for message in handler.got] == [body]


async def test_batch_counts_every_event_and_makes_none_current(captured_streams: Captured) -> None:
    events = [{**EVENT, "ddpathwayctxbase64": CONTEXT}, EVENT, {**EVENT, "type": 5}]
    headers = {"content-type": "application/cloudevents-batch+json"}
    await request(DataStreamsMiddleware(Handler()), headers, json.dumps(events).encode())
    *consumed, produced = captured_streams.checkpoints
    assert [made.parent for made in consumed] == [CAME.hash, 0, 0]
    assert produced.parent == 0


async def test_body_of_very_many_events_is_not_decoded(captured_streams: Captured) -> None:
    handler, headers = Handler(), {"content-type": "application/cloudevents-batch+json"}
    for count in (MOST_EVENTS, LARGEST_BODY // 3):
        body = b"[" + b"{}," * (count - 1) + b"{}]"
        await request(DataStreamsMiddleware(handler), headers, body)
        assert handler.got[-1]["body"] == body
    assert len(captured_streams.consumed()) == MOST_EVENTS


@pytest.mark.parametrize("announced", [{}, {"content-length": str(LARGEST_BODY + 1)}])
async def test_body_above_the_limit_is_passed_on_and_not_decoded(
    announced: dict[str, str], captured_streams: Captured
) -> None:
    handler, parts = Handler(), [b"x" * (LARGEST_BODY // 2)] * 5
    await request(DataStreamsMiddleware(handler), {**SNS, **announced}, *parts)
    assert [message["body"] for message in handler.got] == parts
    assert captured_streams.consumed()[0].parent == 0


async def test_disconnect_in_the_middle_of_a_body_reaches_the_app(captured_streams: Captured) -> None:
    handler = Handler()
    await request(DataStreamsMiddleware(handler), SNS, b"{", ends=False)
    assert [message["type"] for message in handler.got] == ["http.request", "http.disconnect"]


async def test_middleware_with_pushed_false_counts_no_request(captured_streams: Captured) -> None:
    await request(DataStreamsMiddleware(Handler(), pushed=False), {HEADER: CONTEXT})
    assert captured_streams.consumed() == []


async def test_topic_from_a_request_is_cut_off_at_256_characters(captured_streams: Captured) -> None:
    await request(DataStreamsMiddleware(Handler()), {**BINARY, "ce-type": "x" * 10_000})
    assert captured_streams.consumed()[0].topic == "x" * 256


async def test_request_is_not_read_while_nothing_measures() -> None:
    handler = Handler()
    app = DataStreamsMiddleware(handler)
    app._is_started = True  # pyright: ignore[reportPrivateUsage]
    await request(app, SNS, sns())
    assert handler.pathways == [None]
