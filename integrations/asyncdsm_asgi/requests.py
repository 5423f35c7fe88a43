"""Which requests push a message, and which message. Their headers decide. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import msgspec

from asyncdsm.integration import HEADER
from asyncdsm_asgi.carriers import BODY_READERS, PushedMessage, make_message, read_cloud_event

Headers = Mapping[bytes, bytes]

_PLAIN = HEADER.encode()
_GOOGLE = (b"APIs-Google", b"CloudPubSub-Google")
_SUBSCRIPTION = b"x-goog-pubsub-subscription-name"
_EVENTBRIDGE = b"Amazon/EventBridge/ApiDestinations"
_STRUCTURED, _BATCH = b"application/cloudevents+json", b"application/cloudevents-batch+json"

PUSH_HEADERS: dict[bytes, bytes | tuple[bytes, ...]] = {
    _PLAIN: b"",
    b"ce-specversion": b"",
    b"content-type": (_STRUCTURED, _BATCH),
    b"user-agent": (*_GOOGLE, _EVENTBRIDGE),
    b"x-amz-sns-message-type": b"Notification",
    _SUBSCRIPTION: b"",
}
"""The headers by which a pushed message is recognized, and how their values begin."""


def is_context_in_body(headers: Headers) -> bool:
    """Say whether a pushed message has its context and its names in the body."""
    return _body_format(headers) in BODY_READERS


def read_content_length(headers: Headers) -> int | None:
    """Return the length of the body in bytes, if it is announced."""
    length = headers.get(b"content-length", b"")
    return int(length) if length.isdigit() and len(length) < 16 else None


def read_messages(headers: Headers, body: bytes | None) -> list[PushedMessage]:
    """Return the messages of a request. The list is empty if the request only looked as if it pushed one.

    `body` is None if it is not needed, or could not be read.
    """
    read_body = BODY_READERS.get(_body_format(headers))
    messages = list[PushedMessage]()
    if read_body is not None and body is not None:
        with suppress(msgspec.MsgspecError, UnicodeDecodeError):  # the app decides what to do with such a body
            messages = read_body(body)
    messages = messages or _read_from_headers(headers)
    plain = headers.get(_PLAIN)
    return [messages[0]._replace(header=plain)] if plain is not None and len(messages) == 1 else messages


def _body_format(headers: Headers) -> str:
    """Return the name of the body's format in `BODY_READERS`; an empty string if the headers say everything."""
    if b"x-amz-sns-message-type" in headers:
        return "" if headers.get(b"x-amz-sns-rawdelivery") == b"true" else "sns"
    content_type, agent = headers.get(b"content-type", b""), headers.get(b"user-agent", b"")
    if content_type.startswith((_STRUCTURED, _BATCH)):
        return "batch" if content_type.startswith(_BATCH) else "structured"
    if agent.startswith(_GOOGLE):
        return "" if _SUBSCRIPTION in headers else "pubsub"
    return "eventbridge" if agent.startswith(_EVENTBRIDGE) else ""


def _read_from_headers(headers: Headers) -> list[PushedMessage]:
    if b"ce-specversion" in headers:
        attributes = {_decode(name[3:]): _decode(headers[name]) for name in headers if name.startswith(b"ce-")}
        return [read_cloud_event(attributes)]
    if b"x-amz-sns-message-type" in headers:
        return [make_message("sns", _decode(headers.get(b"x-amz-sns-topic-arn", b"")))]
    if _SUBSCRIPTION in headers:  # delivered unwrapped: the message's attributes are headers too
        return [make_message("google-pubsub", _decode(headers[_SUBSCRIPTION]))]
    return [make_message("http")] if _PLAIN in headers else []


def _decode(value: bytes) -> str:
    return value.decode("latin-1")  # the encoding of HTTP
