"""Which points there are: each (service, env, tags, hash, parent) under a number of its own."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from msgspec.msgpack import encode


class PointKey(NamedTuple):
    """Which point of which service."""

    service: str
    env: str
    tags: tuple[str, ...]
    hash: int
    parent: int

    @property
    def edge(self) -> EdgeKey:
        """Where it passes: what it shares with the other pathways at this edge."""
        return EdgeKey(self.service, self.env, self.tags)


class EdgeKey(NamedTuple):
    """Where messages pass."""

    service: str
    env: str
    tags: tuple[str, ...]


@lru_cache(1 << 16)
def edge_id(edge: EdgeKey) -> str:
    """Return the edge's name in addresses: the same in every agent, for ever."""
    return blake2b(encode(edge), digest_size=8).hexdigest()


class Points:
    """Numbers for services and points, and back. Numbers are never used again."""

    def __init__(self) -> None:
        self.services: dict[tuple[str, str], int] = {}
        self.numbers: dict[PointKey, int] = {}
        self.keys: dict[int, PointKey] = {}
        self._next_service = self._next_point = 1

    def service(self, name: str, env: str) -> int:
        """Return the number of a service; a new one for a new service."""
        number = self.services.get((name, env))
        if number is None:
            number = self._next_service
            self.put_service(number, name, env)
        return number

    def point(self, key: PointKey) -> int:
        """Return the number of a point; a new one for a new point."""
        number = self.numbers.get(key)
        if number is None:
            number = self._next_point
            self.put_point(number, key)
        return number

    def put_service(self, number: int, name: str, env: str) -> None:
        """Note a service that has a number."""
        self.services[name, env] = number
        self._next_service = max(self._next_service, number + 1)

    def put_point(self, number: int, key: PointKey) -> None:
        """Note a point that has a number."""
        self.numbers[key], self.keys[number] = number, key
        self._next_point = max(self._next_point, number + 1)

    def forget(self, points: Iterable[int], services: Iterable[tuple[str, str]]) -> None:
        """Let go of points by number, and of services by name and env."""
        for number in points:
            key = self.keys.pop(number, None)
            if key is not None:
                del self.numbers[key]
        for service in services:
            self.services.pop(service, None)
