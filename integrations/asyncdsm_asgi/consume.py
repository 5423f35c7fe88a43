"""Consume checkpoints for the messages that a request pushes. Its body is read before the app reads it."""

from __future__ import annotations

from collections import deque
from typing import Any

from asyncdsm.integration import consume, ensure_recorder, guarded, set_current
from asyncdsm.integration.formats.transactions import HTTP_IN, extract_from_pairs
from asyncdsm_asgi.requests import Headers, is_context_in_body, read_content_length, read_messages
from asyncdsm_asgi.scope import Message, Receive, Scope, read_headers, read_push_headers

LARGEST_BODY = 1 << 20
"""In bytes; SNS and EventBridge send less. A longer body is not decoded."""


async def consume_push(scope: Scope, receive: Receive) -> Receive:
    """Record the messages that a request pushes, if any. Return the `receive` for the app, which gets the whole body.

    Several messages make none of them current: only the app knows which of them it works on.
    """
    push = _read_push(scope)
    if push is None:
        return receive
    headers, length, needs_body = push
    body = None
    if needs_body:
        body, receive = await read_body(receive, length)
    _record_push(headers, length, body)
    return receive


async def read_body(receive: Receive, announced: int | None) -> tuple[bytes | None, Receive]:
    """Read a request's body. Return it, and a `receive` that returns each message that was read, then the rest.

    The body is None if it is longer than `LARGEST_BODY`, as `announced` or as it came, or if it broke off. An exception
    of `receive` is raised where the app receives, at the place where it was raised here.
    """
    if announced is not None and announced > LARGEST_BODY:
        return None, receive
    messages, errors, parts = deque[Message](), deque[Exception](), list[bytes]()
    size, more = 0, True
    while more and size <= LARGEST_BODY:
        try:
            message = await receive()
        except Exception as error:
            errors.append(error)
            break
        messages.append(message)
        part = _read_part(message)
        if part is None:  # the client has disconnected, or this is not a message of ASGI
            break
        parts.append(part)
        size += len(part)
        more = bool(message.get("more_body"))

    async def receive_again() -> Message:
        if messages:
            return messages.popleft()
        if errors:
            raise errors.popleft()
        message: Message = await receive()
        return message

    is_whole = not more and size <= LARGEST_BODY
    return (b"".join(parts) if is_whole else None), receive_again


@guarded
def extract_transactions(scope: Scope) -> None:
    """Record the checkpoints of the business transactions that a request's headers name."""
    extract_from_pairs(HTTP_IN, ((name.lower(), value) for name, value in read_headers(scope).items()))


@guarded
def _read_push(scope: Scope) -> tuple[Headers, int | None, bool] | None:
    """Return the headers, the length, and whether the body is needed. None if no message is pushed or recorded."""
    headers = read_push_headers(scope)
    if headers is None or ensure_recorder() is None:
        return None
    return headers, read_content_length(headers), is_context_in_body(headers)


@guarded
def _record_push(headers: Headers, length: int | None, body: bytes | None) -> None:
    messages = read_messages(headers, body)
    for edge, header, broker_ns in messages:
        consume(edge, header, length if len(messages) == 1 else None, broker_ns)
    if len(messages) != 1:
        set_current(None)


@guarded
def _read_part(message: Any) -> bytes | None:
    """Return the part of the body in a message; None if the message is not one with a body."""
    try:
        return bytes(memoryview(message.get("body") or b"")) if message["type"] == "http.request" else None
    except Exception:
        return None
