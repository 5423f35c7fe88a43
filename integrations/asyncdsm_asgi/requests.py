"""Which requests push a message, and which message: told by their headers. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import msgspec

from asyncdsm.core.pathway import HEADER
from asyncdsm_asgi.carriers import READERS, Pushed, cloud_event, edge

Headers = Mapping[bytes, bytes]

_PLAIN = HEADER.encode()
_GOOGLE = (b"APIs-Google", b"CloudPubSub-Google")
_SUBSCRIPTION = b"x-goog-pubsub-subscription-name"
_EVENTBRIDGE = b"Amazon/EventBridge/ApiDestinations"
_STRUCTURED, _BATCH = b"application/cloudevents+json", b"application/cloudevents-batch+json"

TELLING: dict[bytes, bytes | tuple[bytes, ...]] = {
    _PLAIN: b"",
    b"ce-specversion": b"",
    b"content-type": (_STRUCTURED, _BATCH),
    b"user-agent": (*_GOOGLE, _EVENTBRIDGE),
    b"x-amz-sns-message-type": b"Notification",
    _SUBSCRIPTION: b"",
}
"""The headers that tell of a pushed message, and how their values begin."""


def is_in_body(headers: Headers) -> bool:
    """Say whether a pushed message carries its context and its names in the body."""
    return _sender(headers) in READERS


def size_of(headers: Headers) -> int | None:
    """Return the length of the body in bytes, if it is announced."""
    length = headers.get(b"content-length", b"")
    return int(length) if length.isdigit() and len(length) < 16 else None


def pushed(headers: Headers, body: bytes | None) -> list[Pushed]:
    """Return the messages of a request: none where it only looked like one.

    `body` is None where it is not needed, or could not be had.
    """
    read = READERS.get(_sender(headers))
    found = list[Pushed]()
    if read is not None and body is not None:
        with suppress(msgspec.MsgspecError, UnicodeDecodeError):  # what the app makes of it is the app's affair
            found = read(body)
    found = found or _from_headers(headers)
    plain = headers.get(_PLAIN)
    return [found[0]._replace(header=plain)] if plain is not None and len(found) == 1 else found


def _sender(headers: Headers) -> str:
    """Say who pushes, as far as the body is concerned."""
    if b"x-amz-sns-message-type" in headers:
        return "" if headers.get(b"x-amz-sns-rawdelivery") == b"true" else "sns"
    kind, agent = headers.get(b"content-type", b""), headers.get(b"user-agent", b"")
    if kind.startswith((_STRUCTURED, _BATCH)):
        return "batch" if kind.startswith(_BATCH) else "structured"
    if agent.startswith(_GOOGLE):
        return "" if _SUBSCRIPTION in headers else "pubsub"
    return "eventbridge" if agent.startswith(_EVENTBRIDGE) else ""


def _from_headers(headers: Headers) -> list[Pushed]:
    if b"ce-specversion" in headers:
        return [cloud_event({_text(name[3:]): _text(headers[name]) for name in headers if name.startswith(b"ce-")})]
    if b"x-amz-sns-message-type" in headers:
        return [Pushed(edge("sns", _text(headers.get(b"x-amz-sns-topic-arn", b""))))]
    if _SUBSCRIPTION in headers:  # delivered unwrapped: the message's attributes are headers too
        return [Pushed(edge("google-pubsub", _text(headers[_SUBSCRIPTION])))]
    return [Pushed(edge("http"))] if _PLAIN in headers else []


def _text(value: bytes) -> str:
    return value.decode("latin-1")  # as HTTP has it
