"""Where a context goes: into a `_datadog` object, alone or inside of JSON data, whose other bytes stay the same."""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from asyncdsm.core.pathway import HEADER, LEGACY_HEADER
from asyncdsm.integration.formats.aws import KEY
from asyncdsm.integration.formats.json_context import decoded, members, object_text

WIRE_BYTES = 28
"""Of a context's base64 text, for today's timestamps."""


class Slot(NamedTuple):
    """What stands before and behind the context's base64 text."""

    before: bytes
    after: bytes
    is_base64: bool = False
    """Whether all of it is base64 in its turn."""

    @property
    def size(self) -> int:
        """The bytes of what is sent, without those of the context."""
        plain = len(self.before) + len(self.after)
        return (plain + WIRE_BYTES + 2) // 3 * 4 - WIRE_BYTES if self.is_base64 else plain

    def filled(self, wire: bytes) -> bytes:
        """Return what is sent."""
        plain = self.before + wire + self.after
        return b2a_base64(plain, newline=False) if self.is_base64 else plain


_ALONE = Slot(b'{"%s":"' % HEADER.encode(), b'"}')


def in_carrier(existing: Any = None) -> Slot:
    """Return the slot in a `_datadog` object; what other tracers have put into the existing one stays."""
    others = existing if isinstance(existing, Mapping) else {}
    others = {name: value for name, value in others.items() if name not in (HEADER, LEGACY_HEADER)}
    if not others:
        return _ALONE
    return Slot(msgspec.json.encode(others)[:-1] + b"," + _ALONE.before[1:], _ALONE.after)


def in_object(data: bytes) -> Slot | None:
    """Return the slot in data that is a JSON object, plainly or in base64; None for other data."""
    text = object_text(data)
    others = members(text)
    if text is None or others is None:
        return None
    content = text.rstrip()
    behind = text[len(content) :]
    existing = others.pop(KEY, None)
    if existing is not None:  # a forwarded one: ours takes its place
        content = msgspec.json.encode(others)
    carrier = in_carrier(decoded(existing))
    before = content[:-1] + (b"," if others else b"") + b'"%s":' % KEY.encode() + carrier.before
    return Slot(before, carrier.after + b"}" + behind, is_base64=text is not data)


def encoded(text: str) -> bytes:
    """Return a text's bytes; none for one that has no bytes in UTF-8, which botocore will refuse."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return b""
