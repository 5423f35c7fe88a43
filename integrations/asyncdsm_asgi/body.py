"""A request's body, read before the app reads it, and handed on whole."""

from __future__ import annotations

from collections import deque

from asyncdsm_asgi.protocol import Message, Receive

LARGEST_BODY = 1 << 20
"""More than SNS and EventBridge send. A longer body is not looked into."""


async def read(receive: Receive, announced: int | None) -> tuple[bytes | None, Receive]:
    """Read the body, and return what hands all that was read on to the app, message by message, then the rest.

    None for a body that is too long, as `announced` or as it came, or that was cut off.
    """
    if announced is not None and announced > LARGEST_BODY:
        return None, receive
    messages, parts = deque[Message](), list[bytes]()
    size, more = 0, True
    while more and size <= LARGEST_BODY:
        message = await receive()
        messages.append(message)
        if message["type"] != "http.request":  # the client has gone
            break
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        more = message.get("more_body", False)

    async def handed_on() -> Message:
        return messages.popleft() if messages else await receive()

    is_whole = not more and size <= LARGEST_BODY
    return (b"".join(parts) if is_whole else None), handed_on
