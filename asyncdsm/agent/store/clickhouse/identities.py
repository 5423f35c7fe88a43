"""Ids of what is in ClickHouse. They follow from what they name, so that they are the same in every agent."""

from __future__ import annotations

from hashlib import blake2b

from msgspec.msgpack import encode

from asyncdsm.agent.store.offsets import Tags
from asyncdsm.agent.store.registry import PointKey


def point_id(key: PointKey) -> int:
    """Return the id of a point, of 64 bits."""
    return _hash(encode(key))


def backlog_id(tags: Tags) -> int:
    """Return the id of a backlog, of 64 bits."""
    return _hash(encode(tags))


def payload_id(body: bytes, encoding: str, repetition: int) -> int:
    """Return the id of a payload, never 0. `repetition` tells apart payloads with the same bytes that all count."""
    return _hash(f"{encoding}\0{repetition}\0".encode() + body) or 1


def _hash(data: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=8).digest())
