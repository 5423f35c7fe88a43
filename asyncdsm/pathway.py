"""What travels with a message: where it has been, as one number, and since when.

Pure values and arithmetic. No clock, no environment, no I/O.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from functools import lru_cache
from typing import NamedTuple

HEADER = "dd-pathway-ctx-base64"
LEGACY_HEADER = "dd-pathway-ctx"

_MASK = 0xFFFFFFFFFFFFFFFF
_MAX_VARINT_BYTES = 9
_NS_PER_MS = 1_000_000

# Timestamps in ms repeat at the rates where time matters: remembered, a context is read in 0.5 µs and written in 0.5,
# against 1.0 and 0.8 computed anew.
_REMEMBERED = 4096
_COMMON_SIZE = 20
"""Bytes of a context whose timestamps lie between 1987 and 2039: a varint of each has six."""


class Pathway(NamedTuple):
    """The chain of checkpoints behind a message.

    `hash` is an unsigned 64-bit number that names the chain; `pathway_start_ns` is when its first
    checkpoint was made, `edge_start_ns` when its last one was, both in nanoseconds since the epoch.
    The wire carries milliseconds (protocol §3).
    """

    hash: int
    pathway_start_ns: int
    edge_start_ns: int

    def encode(self) -> bytes:
        """Return the context as it is put on the wire: 20 bytes for today's timestamps."""
        return (
            self.hash.to_bytes(8, "little")
            + _wire_time(self.pathway_start_ns // _NS_PER_MS)
            + _wire_time(self.edge_start_ns // _NS_PER_MS)
        )

    def encode_base64(self) -> str:
        """Return the text that goes under the key `dd-pathway-ctx-base64`."""
        return self.wire().decode("ascii")

    def wire(self) -> bytes:
        """Return that text as ASCII bytes, as Kafka carries it."""
        return b2a_base64(self.encode(), newline=False)

    @classmethod
    def decode(cls, data: bytes) -> Pathway | None:
        """Read a context from its bytes; None for anything malformed, never an exception."""
        if len(data) == _COMMON_SIZE:
            origin, edge = _time_of(data[8:14]), _time_of(data[14:])
            if origin is not None and edge is not None:
                return _new(cls, (int.from_bytes(data[:8], "little"), origin, edge))
        return _decode_any(data)

    @classmethod
    def decode_base64(cls, text: str | bytes) -> Pathway | None:
        """Read a context from its base64 text; None for anything malformed, never an exception."""
        try:
            return cls.decode(a2b_base64(text, strict_mode=True))
        except (ValueError, TypeError):
            return None


_new = tuple.__new__


def legacy_text(value: str | bytes) -> str | bytes:
    """Return the base64 text of what stands under the legacy key: that text already, or raw bytes (protocol §3)."""
    if isinstance(value, str) or Pathway.decode_base64(value) is not None:
        return value
    return b2a_base64(value, newline=False)


@lru_cache(_REMEMBERED)
def _wire_time(milliseconds: int) -> bytes:
    return encode_varint(milliseconds * 2)


@lru_cache(_REMEMBERED)
def _time_of(varint: bytes) -> int | None:
    """Return the nanoseconds of a varint of exactly these bytes; None for any other."""
    try:
        zigzag, end = decode_varint(varint, 0)
    except IndexError:
        return None
    return None if end != len(varint) or zigzag & 1 else zigzag // 2 * _NS_PER_MS


def _decode_any(data: bytes) -> Pathway | None:
    try:
        origin, at = decode_varint(data, 8)
        edge, _ = decode_varint(data, at)
    except (IndexError, TypeError):
        return None
    if origin & 1 or edge & 1:  # odd is negative in zig-zag: before 1970 there were no messages
        return None
    return Pathway(int.from_bytes(data[:8], "little"), origin // 2 * _NS_PER_MS, edge // 2 * _NS_PER_MS)


def encode_varint(value: int) -> bytes:
    """Encode an unsigned number; the ninth byte, if there is one, carries eight bits (protocol §3)."""
    encoded = bytearray()
    while value > 127 and len(encoded) < _MAX_VARINT_BYTES - 1:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value & 255)
    return bytes(encoded)


def decode_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the unsigned number that starts at `at`, and where the next one starts.

    Raises IndexError when the data ends inside the number.
    """
    value = 0
    for position in range(_MAX_VARINT_BYTES - 1):
        byte = data[at + position]
        value |= (byte & 127) << 7 * position
        if byte < 128:
            return value, at + position + 1
    return value | data[at + 8] << 56, at + _MAX_VARINT_BYTES


def fnv1(data: bytes) -> int:
    """FNV-1 (multiply first, not 1a), 64 bit."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = value * 0x100000001B3 & _MASK ^ byte
    return value


def node_hash(service: str, env: str | None, tags: tuple[str, ...]) -> int:
    """Name an edge of one service: its tags sorted as text. No env counts as the text `none` (protocol §2)."""
    return fnv1("".join((service, env or "none", *sorted(tags))).encode())


def pathway_hash(node: int, parent: int) -> int:
    """Name the pathway that `parent` (0 at the start) becomes at `node` (protocol §2)."""
    return fnv1(node.to_bytes(8, "little") + parent.to_bytes(8, "little"))
