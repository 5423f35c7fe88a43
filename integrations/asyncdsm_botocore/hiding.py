"""The attribute `_datadog` of received messages, hidden from a reader who did not ask for it.

Asking for it is the only way to receive a context. A reader who asked for no attributes would see some all the same,
and the bytes in it, which SNS delivers raw, cannot be written to JSON.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from asyncdsm.integration.formats.aws import KEY

_DIGEST = "MD5OfMessageAttributes"


def hide_contexts(messages: Any) -> None:
    """Take the attribute out of all messages of an answer."""
    if isinstance(messages, list):
        for message in list.copy(messages):
            hide_context(message)


def hide_context(message: Any) -> None:
    """Take the attribute out of a message, and out of the digest of its attributes."""
    attributes = message.get("MessageAttributes") if isinstance(message, dict) else None
    if not isinstance(attributes, dict) or KEY not in attributes:
        return
    others = {name: value for name, value in attributes.items() if name != KEY}
    if not others:
        message.pop("MessageAttributes")
        message.pop(_DIGEST, None)
        return
    if _DIGEST in message and message[_DIGEST] == _digest(attributes):
        message[_DIGEST] = _digest(others)
    message["MessageAttributes"] = others


def _digest(attributes: Mapping[str, Any]) -> str | None:
    """Return the MD5 of attributes as SQS documents it; None for attributes of another shape than SQS has."""
    try:
        content = b"".join(_parts(attributes))
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _parts(attributes: Mapping[str, Any]) -> Iterator[bytes]:
    for name in sorted(attributes):
        attribute = attributes[name]
        is_binary = attribute["DataType"].startswith("Binary")
        value = attribute["BinaryValue"] if is_binary else attribute["StringValue"].encode()
        for text in (name.encode(), attribute["DataType"].encode()):
            yield len(text).to_bytes(4, "big") + text
        yield (b"\x02" if is_binary else b"\x01") + len(value).to_bytes(4, "big") + value
