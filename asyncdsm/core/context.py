"""The context that a message carries in its header: one hash, and two times (protocol §3); and the hashes (§2).

Pure functions: no clock, no environment, no I/O.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from functools import lru_cache

HEADER = "dd-pathway-ctx-base64"
LEGACY_HEADER = "dd-pathway-ctx"

MAX_TIME_NS = (1 << 63) - 1
"""The latest time that a context may have: in the year 2262."""

LATEST_AHEAD_NS = 60_000_000_000
"""How far in the future a context may be. .NET ignores one beyond that (protocol §3): its latencies would make no sense
to anybody."""
HEADER_FRAME = 8
"""Bytes. What Kafka writes beside the name and the value of a header is less."""

_MASK = 0xFFFFFFFFFFFFFFFF
_HASH_BYTES = 8
_MAX_VARINT_BYTES = 9
_NS_PER_MS = 1_000_000


def decode_context(data: bytes) -> tuple[int, int, int] | None:
    """Return hash, pathway start and edge start (ns since the epoch) from bytes; None for anything malformed."""
    try:
        times = _decode_times(bytes(data[_HASH_BYTES:]))
    except (IndexError, TypeError):
        return None
    return None if times is None else (int.from_bytes(data[:_HASH_BYTES], "little"), *times)


def decode_header(text: str | bytes, most_bytes: int = 1 << 30) -> tuple[int, int, int] | None:
    """Read a context from its base64 text of at most `most_bytes`, as `decode_context` does."""
    try:
        return None if len(text) > most_bytes else decode_context(a2b_base64(text, strict_mode=True))
    except (ValueError, TypeError):
        return None


def encode_context(hash_: int, pathway_start_ns: int, edge_start_ns: int) -> bytes:
    """Return a context as bytes: 20 for today's times."""
    hash_bytes = hash_.to_bytes(_HASH_BYTES, "little")
    return b"".join((hash_bytes, _encode_time(pathway_start_ns), _encode_time(edge_start_ns)))


def encode_header(hash_: int, pathway_start_ns: int, edge_start_ns: int) -> bytes:
    """Return the base64 text of a context, as ASCII bytes."""
    return b2a_base64(encode_context(hash_, pathway_start_ns, edge_start_ns), newline=False)


def legacy_text(value: str | bytes) -> str | bytes:
    """Return a value of the legacy key as base64: the key carries base64, or the raw bytes of a context (protocol §3).

    A value of another type is returned unchanged: a checkpoint counts it as malformed.
    """
    if not isinstance(value, bytes | bytearray | memoryview) or decode_header(bytes(value)) is not None:
        return value
    return b2a_base64(value, newline=False)


@lru_cache(4096)
def _decode_times(data: bytes) -> tuple[int, int] | None:
    """Return both times in ns. Many messages share them: at rates where it matters, they are in the cache."""
    pathway_start, at = decode_varint(data, 0)
    edge_start, _ = decode_varint(data, at)
    if pathway_start & 1 or edge_start & 1:  # odd is negative in zig-zag: before 1970 there were no messages
        return None
    if max(pathway_start, edge_start) // 2 * _NS_PER_MS > MAX_TIME_NS:
        return None
    return pathway_start // 2 * _NS_PER_MS, edge_start // 2 * _NS_PER_MS


def _encode_time(ns: int) -> bytes:
    return encode_varint(ns // _NS_PER_MS * 2)


@lru_cache(4096)
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
    value = shift = 0
    for byte in data[at : at + _MAX_VARINT_BYTES - 1]:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at + shift // 7
    return value | data[at + _MAX_VARINT_BYTES - 1] << shift, at + _MAX_VARINT_BYTES


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
