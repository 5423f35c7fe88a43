"""A context inside JSON: how it is read from what others have written, and where it is put into a JSON object.

Data that is not JSON, or not base64, is never an error here. What is written keeps every other byte of the data.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from asyncdsm.core.context import HEADER, LEGACY_HEADER

KEY = "_datadog"
"""The name of the JSON object, or of the message attribute, that holds a context (protocol §3)."""
WIRE_BYTES = 28
"""The length of a context's base64 text, with the timestamps of today."""

JsonText = str | bytes | msgspec.Raw | None
Members = dict[str, msgspec.Raw]

_UNREADABLE = (msgspec.DecodeError, ValueError, RecursionError)
# How base64 begins whose content begins with `{`, or with white space.
_BASE64_STARTS = b"eICD"


def parse_json(text: JsonText) -> Any:
    """Return the value of a JSON text; None if it is not JSON."""
    try:
        return None if text is None else msgspec.json.decode(text)
    except _UNREADABLE:
        return None


def parse_members(text: JsonText) -> Members | None:
    """Return the members of a JSON object, with their values unparsed; None if the text is not a JSON object."""
    try:
        return None if text is None else msgspec.json.decode(text, type=Members)
    except _UNREADABLE:
        return None


def parse_base64(text: str | bytes) -> bytes | None:
    """Return the bytes that a base64 text stands for; None if it is not base64."""
    try:
        return a2b_base64(text, strict_mode=True)
    except ValueError:
        return None


def find_object_text(data: bytes) -> bytes | None:
    """Return the JSON object in `data`, which may be encoded in base64; None if `data` does not begin like one.

    Only the beginning is looked at: the text may still be malformed.
    """
    start = data[:64].lstrip()[:1]
    if start == b"{":
        return data
    text = parse_base64(data) if start and start in _BASE64_STARTS else None
    return text if text is not None and text[:64].lstrip().startswith(b"{") else None


class Slot(NamedTuple):
    """A place for a context: the bytes before and after the context's base64 text."""

    before: bytes
    after: bytes
    is_base64: bool = False
    """Whether the whole is encoded in base64."""

    @property
    def size(self) -> int:
        """The length of the result without the context, in bytes."""
        plain = len(self.before) + len(self.after)
        return (plain + WIRE_BYTES + 2) // 3 * 4 - WIRE_BYTES if self.is_base64 else plain

    def fill(self, wire: bytes) -> bytes:
        """Return the data with a context in it, given as base64 text."""
        plain = self.before + wire + self.after
        return b2a_base64(plain, newline=False) if self.is_base64 else plain


_EMPTY_CARRIER = Slot(b'{"%s":"' % HEADER.encode(), b'"}')


def make_carrier_slot(existing: Any = None) -> Slot:
    """Return the slot in a new `_datadog` object, which keeps what other tracers have put into the existing one."""
    others = encode_others(existing)
    if others is None:
        return _EMPTY_CARRIER
    return Slot(others[:-1] + b"," + _EMPTY_CARRIER.before[1:], _EMPTY_CARRIER.after)


def has_context(carrier: Any) -> bool:
    """Say whether a `_datadog` object has a context in it."""
    return isinstance(carrier, Mapping) and (HEADER in carrier or LEGACY_HEADER in carrier)


def encode_others(carrier: Any) -> bytes | None:
    """Return a `_datadog` object as JSON, without a context; None if there is nothing else in it."""
    others = carrier if isinstance(carrier, Mapping) else {}
    others = {name: value for name, value in others.items() if name not in (HEADER, LEGACY_HEADER)}
    return msgspec.json.encode(others) if others else None


def make_object_slot(data: bytes) -> Slot | None:
    """Return the slot in data that is a JSON object, plain or in base64; None for other data.

    The `_datadog` object becomes the last member. One that is there already, as in a forwarded message, is replaced.
    """
    text = find_object_text(data)
    others = parse_members(text)
    if text is None or others is None:
        return None
    content = text.rstrip()
    trailing = text[len(content) :]
    existing = others.pop(KEY, None)
    if existing is not None:
        content = msgspec.json.encode(others)
    carrier = make_carrier_slot(parse_json(existing))
    before = content[:-1] + (b"," if others else b"") + b'"%s":' % KEY.encode() + carrier.before
    return Slot(before, carrier.after + b"}" + trailing, is_base64=text is not data)


def remove_context(data: bytes) -> bytes | None:
    """Return data that is a JSON object, plain or in base64, without the context in it; None if there is none."""
    text = find_object_text(data)
    others = parse_members(text)
    carrier = parse_json(others.pop(KEY, None)) if others is not None else None
    if others is None or not has_context(carrier):
        return None
    kept = encode_others(carrier)
    content = msgspec.json.encode(others if kept is None else {**others, KEY: msgspec.Raw(kept)})
    return content if text is data else b2a_base64(content, newline=False)
