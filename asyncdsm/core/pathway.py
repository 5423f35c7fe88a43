"""The pathway of a message, as it travels in the message's header: one hash, and two times.

Pure values and arithmetic: no clock, no environment, no I/O.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from struct import Struct
from struct import error as StructError  # noqa: N812
from typing import NamedTuple

HEADER = "dd-pathway-ctx-base64"
LEGACY_HEADER = "dd-pathway-ctx"

_MASK = 0xFFFFFFFFFFFFFFFF
_MAX_VARINT_BYTES = 9
_NS_PER_MS = 1_000_000

# A context whose timestamps lie between 1987 and 2039, as all of today's do: the varint of each has six bytes.
# Unpacked in one step it takes 55 ns, by slices 190.
_COMMON = Struct("<Q6s6s")
_COMMON_TEXT = 28
_COMMON_ZIGZAG = range(1 << 35, 1 << 42)
_MOST_CACHED = 4096

Context = tuple[int, int, int]
"""A pathway's fields as a plain tuple: made in 17 ns, where a Pathway takes 80."""


class _Times(dict[bytes, int]):
    """Nanoseconds by the six bytes of their varint.

    At rates where time matters, many messages share a millisecond: a cached timestamp is read in 18 ns, and computed in
    400.
    """

    def __missing__(self, varint: bytes) -> int:
        a, b, c, d, e, f = varint
        if not a & b & c & d & e & 128 or f & 128 or a & 1:  # not six bytes, or before 1970 (odd is negative)
            raise ValueError(varint)
        zigzag = a & 127 | (b & 127) << 7 | (c & 127) << 14 | (d & 127) << 21 | (e & 127) << 28 | f << 35
        if len(self) >= _MOST_CACHED:
            self.clear()
        ns = self[varint] = zigzag // 2 * _NS_PER_MS
        return ns


class _WireTimes(dict[int, bytes]):
    """The six bytes of a varint by its milliseconds."""

    def __missing__(self, milliseconds: int) -> bytes:
        z = milliseconds * 2
        if z not in _COMMON_ZIGZAG:
            raise ValueError(milliseconds)
        if len(self) >= _MOST_CACHED:
            self.clear()
        varint = bytes(
            (z & 127 | 128, z >> 7 & 127 | 128, z >> 14 & 127 | 128, z >> 21 & 127 | 128, z >> 28 & 127 | 128, z >> 35)
        )
        self[milliseconds] = varint
        return varint


_times, _wire_times = _Times(), _WireTimes()
_unpack, _pack = _COMMON.unpack, _COMMON.pack


def read_context(text: str | bytes, most_bytes: int = 1 << 30) -> Context | None:
    """Read a context from its base64 text of at most `most_bytes`; None for anything malformed. **Hot**."""
    try:
        if len(text) == _COMMON_TEXT:
            hash_, origin, edge = _unpack(a2b_base64(text))
            return hash_, _times[origin], _times[edge]
    except (ValueError, TypeError, StructError):
        pass  # malformed, or with timestamps far from today
    return _read_any_context(text, most_bytes)


def encode_header(hash_: int, pathway_start_ns: int, edge_start_ns: int) -> bytes:
    """Return the base64 text of a context, as ASCII bytes. **Hot**."""
    try:
        data = _pack(hash_, _wire_times[pathway_start_ns // _NS_PER_MS], _wire_times[edge_start_ns // _NS_PER_MS])
    except ValueError:
        data = _encode_any(hash_, pathway_start_ns, edge_start_ns)
    return b2a_base64(data, newline=False)


class Pathway(NamedTuple):
    """The chain of checkpoints that a message has passed. A message carries its times in milliseconds (protocol §3)."""

    hash: int
    """The name of the chain: an unsigned 64-bit number."""
    pathway_start_ns: int
    """When its first checkpoint was made, in nanoseconds since the epoch."""
    edge_start_ns: int
    """When its last checkpoint was made, in nanoseconds since the epoch."""

    def encode(self) -> bytes:
        """Return the context as bytes: 20 for today's timestamps."""
        return _encode_any(*self)

    def encode_base64(self) -> str:
        """Return the base64 text that a message carries under the key `dd-pathway-ctx-base64`."""
        return self.wire().decode("ascii")

    def wire(self) -> bytes:
        """Return that text as ASCII bytes, as Kafka carries it."""
        return encode_header(*self)

    @classmethod
    def decode(cls, data: bytes) -> Pathway | None:
        """Read a context from its bytes; None for anything malformed, never an exception."""
        context = _decode_any(data)
        return None if context is None else cls(*context)

    @classmethod
    def decode_base64(cls, text: str | bytes) -> Pathway | None:
        """Read a context from its base64 text; None for anything malformed, never an exception."""
        context = read_context(text)
        return None if context is None else cls(*context)


def legacy_text(value: str | bytes) -> str | bytes:
    """Return the base64 text of a value of the legacy key, which is such a text or raw bytes (protocol §3).

    A value of another type is returned unchanged: `read_context` does not read it.
    """
    if not isinstance(value, bytes | bytearray | memoryview) or Pathway.decode_base64(value) is not None:
        return value
    return b2a_base64(value, newline=False)


def _read_any_context(text: str | bytes, most_bytes: int) -> Context | None:
    try:
        return None if len(text) > most_bytes else _decode_any(a2b_base64(text, strict_mode=True))
    except (ValueError, TypeError):
        return None


def _encode_any(hash_: int, pathway_start_ns: int, edge_start_ns: int) -> bytes:
    times = (encode_varint(ns // _NS_PER_MS * 2) for ns in (pathway_start_ns, edge_start_ns))
    return b"".join((hash_.to_bytes(8, "little"), *times))


def _decode_any(data: bytes) -> Context | None:
    try:
        origin, at = decode_varint(data, 8)
        edge, _ = decode_varint(data, at)
    except (IndexError, TypeError):
        return None
    if origin & 1 or edge & 1:  # odd is negative in zig-zag: before 1970 there were no messages
        return None
    return int.from_bytes(data[:8], "little"), origin // 2 * _NS_PER_MS, edge // 2 * _NS_PER_MS


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
    """Return the hash of an edge of one service: its tags sorted as strings. No env counts as `none` (protocol §2)."""
    return fnv1("".join((service, env or "none", *sorted(tags))).encode())


def pathway_hash(node: int, parent: int) -> int:
    """Return the hash of the pathway that `parent` (0 at the start) becomes at `node` (protocol §2)."""
    return fnv1(node.to_bytes(8, "little") + parent.to_bytes(8, "little"))
