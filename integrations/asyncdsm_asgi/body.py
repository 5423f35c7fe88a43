"""A request's body, read before the app reads it, and handed on whole."""

from __future__ import annotations

from collections import deque
from typing import Any

from asyncdsm_asgi.protocol import Message, Receive

LARGEST_BODY = 1 << 20
"""More than SNS and EventBridge send. A longer body is not looked into."""


async def read(receive: Receive, announced: int | None) -> tuple[bytes | None, Receive]:
    """Read the body, and return what hands all that was read on to the app, message by message, then the rest.

    None for a body that is too long, as `announced` or as it came, or that was cut off. An exception of `receive` is
    raised where the app receives, at the place where it was raised here.
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
        part = _part_of(message)
        if part is None:  # the client has gone, or this is no message of ASGI
            break
        parts.append(part)
        size += len(part)
        more = bool(message.get("more_body"))

    async def handed_on() -> Message:
        if messages:
            return messages.popleft()
        if errors:
            raise errors.popleft()
        message: Message = await receive()
        return message

    is_whole = not more and size <= LARGEST_BODY
    return (b"".join(parts) if is_whole else None), handed_on


def _part_of(message: Any) -> bytes | None:
    """Return the part of the body that a message brings; None for a message that brings none."""
    try:
        return bytes(memoryview(message.get("body") or b"")) if message["type"] == "http.request" else None
    except Exception:
        return None
