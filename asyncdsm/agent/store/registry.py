"""Which points there are: each (service, env, tags, hash, parent) under a number of its own."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from msgspec.msgpack import encode

from asyncdsm.agent.store.shares import FairShares
from asyncdsm.agent.store.weights import weight_of


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


def edge_id(edge: EdgeKey) -> str:
    """Return the edge's name in addresses: the same in every agent, for ever."""
    # Only light edges are kept: 65,536 heavy ones would take more than a gigabyte.
    return _kept_edge_id(edge) if weight_of((edge.service, edge.env, *edge.tags)) == 1 else _edge_id(edge)


def _edge_id(edge: EdgeKey) -> str:
    return blake2b(encode(edge), digest_size=8).hexdigest()


_kept_edge_id = lru_cache(1 << 16)(_edge_id)


class PointRegistry:
    """Numbers for services and points, and back. Numbers are never used again.

    Beyond `max_points` and `max_services` those used longest ago are forgotten; of points, only those of services that
    have more than an equal share of the room. A point with long names counts as several (`weight_of`).
    One thread at a time changes it; any thread may look names up.
    """

    def __init__(self, max_points: int, max_services: int) -> None:
        self.services: OrderedDict[tuple[str, str], int] = OrderedDict()
        self.numbers: dict[PointKey, int] = {}
        self.keys: dict[int, PointKey] = {}
        self.next_service: int = 1
        self.next_point: int = 1
        self.evicted_points: list[int] = []
        self.evicted_services: list[int] = []
        """Numbers that were forgotten for want of room, and that the file may still have."""
        self.forgotten: int = 0
        """How many points were forgotten for want of room since the start."""
        self._max_services = max_services
        self._shares = FairShares[int, int](max_points)

    def service(self, name: str, env: str) -> int:
        """Return the number of a service that reports; a new one for a new service."""
        number = self.services.get((name, env))
        if number is None:
            number = self.next_service
            self.put_service(number, name, env)
        self.services.move_to_end((name, env))
        return number

    def point(self, key: PointKey, service: int) -> int:
        """Return the number of a point that a service, named by its number, reports; a new one for a new point."""
        number = self.numbers.get(key)
        if number is None:
            number = self.next_point
            self.put_point(number, key, service)
        else:
            self._shares.use(service, number)
        return number

    def put_service(self, number: int, name: str, env: str) -> None:
        """Note a service that has a number."""
        self.services[name, env] = number
        self.next_service = max(self.next_service, number + 1)
        while len(self.services) > self._max_services:
            _, oldest = self.services.popitem(last=False)
            self.evicted_services.append(oldest)
            self._evict(self._shares.drop_owner(oldest))

    def put_point(self, number: int, key: PointKey, service: int) -> None:
        """Note a point that has a number."""
        self.numbers[key], self.keys[number] = number, key
        self.next_point = max(self.next_point, number + 1)
        self._evict(self._shares.use(service, number, weight_of((key.service, key.env, *key.tags))))

    def service_of(self, point: int) -> int | None:
        """Return the number of a point's service; None for a point that was forgotten."""
        key = self.keys.get(point)
        return None if key is None else self.services.get((key.service, key.env))

    def forget(self, points: Iterable[int], services: Iterable[tuple[str, str]]) -> None:
        """Let go of points by number, and of services by name and env."""
        for number in points:
            service = self.service_of(number)
            if service is not None:
                self._shares.drop(service, number)
            self._forget(number)
        for key in services:
            service = self.services.pop(key, None)
            for number in self._shares.drop_owner(service) if service is not None else ():
                self._forget(number)

    def _evict(self, points: Iterable[int]) -> None:
        for number in points:
            self._forget(number)
            self.evicted_points.append(number)
            self.forgotten += 1

    def _forget(self, number: int) -> None:
        key = self.keys.pop(number, None)
        if key is not None:
            del self.numbers[key]
