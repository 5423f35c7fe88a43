"""JSON and base64 as others have written them: read where they can be read, and never an exception."""

from __future__ import annotations

from binascii import a2b_base64
from typing import Any

import msgspec

Text = str | bytes | msgspec.Raw | None
Members = dict[str, msgspec.Raw]

_UNREADABLE = (msgspec.DecodeError, ValueError, RecursionError)
_HOW_OBJECTS_BEGIN_IN_BASE64 = b"eICD"
"""With `{`, or with white space before it."""


def decoded(text: Text) -> Any:
    """Read JSON; None where it is none."""
    try:
        return None if text is None else msgspec.json.decode(text)
    except _UNREADABLE:
        return None


def members(text: Text) -> Members | None:
    """Read the members of a JSON object, each left as it stands; None where it is none."""
    try:
        return None if text is None else msgspec.json.decode(text, type=Members)
    except _UNREADABLE:
        return None


def from_base64(text: str | bytes) -> bytes | None:
    """Read base64; None where it is none."""
    try:
        return a2b_base64(text, strict_mode=True)
    except ValueError:
        return None


def object_text(data: bytes) -> bytes | None:
    """Return the JSON that data may be, plainly or in base64, if it begins like an object; else None."""
    start = data[:64].lstrip()[:1]
    if start == b"{":
        return data
    text = from_base64(data) if start and start in _HOW_OBJECTS_BEGIN_IN_BASE64 else None
    return text if text is not None and text[:64].lstrip().startswith(b"{") else None
