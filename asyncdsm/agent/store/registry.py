"""Numbers for services and points, in memory. A point is a (service, env, tags, hash, parent hash)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from msgspec.msgpack import encode

from asyncdsm.agent.store.shares import FairShares, weigh_names

FIRST_POINT = 1
"""The number of the first point of all."""


class PointKey(NamedTuple):
    """One pathway at one edge of one service."""

    service: str
    env: str
    tags: tuple[str, ...]
    hash: int
    parent: int

    @property
    def edge(self) -> EdgeKey:
        """The edge of the point, which other points have too."""
        return EdgeKey(self.service, self.env, self.tags)


class EdgeKey(NamedTuple):
    """One edge of one service: a queue, topic or route where messages pass in one direction."""

    service: str
    env: str
    tags: tuple[str, ...]


def edge_id(edge: EdgeKey) -> str:
    """Return the id of an edge in URLs. It depends on the edge only, so that it is the same in every agent."""
    # Only ids of light edges are cached: 65,536 heavy ones would take more than a gigabyte.
    return _cached_edge_id(edge) if weigh_names((edge.service, edge.env, *edge.tags)) == 1 else _hash_edge(edge)


def _hash_edge(edge: EdgeKey) -> str:
    return blake2b(encode(edge), digest_size=8).hexdigest()


_cached_edge_id = lru_cache(1 << 16)(_hash_edge)


class PointRegistry:
    """The number of each service and point, and the point of each number. A number is never given out twice.

    Services beyond `max_services` are evicted, least recently used first. So are points whose weights (`weigh_names`)
    exceed `max_points`, but only points of services that have more than an equal share.
    One thread at a time may change the registry; any thread may read it.
    """

    def __init__(self, max_points: int, max_services: int) -> None:
        self.services: OrderedDict[tuple[str, str], int] = OrderedDict()
        """The number of each (service, env), least recently used first."""
        self.numbers: dict[PointKey, int] = {}
        self.keys: dict[int, PointKey] = {}
        self._by_hash: dict[int, int] = {}
        self.next_service: int = 1
        self.next_point: int = FIRST_POINT
        self.evicted_points: list[int] = []
        """Numbers of points that were evicted and may still be in the file."""
        self.evicted_services: list[int] = []
        """Numbers of services that were evicted and may still be in the file."""
        self.forgotten: int = 0
        """How many points were evicted since the start."""
        self._max_services = max_services
        self._shares = FairShares[int, int](max_points)

    def number_service(self, name: str, env: str) -> int:
        """Return the number of a service that reports. A new service gets a new number."""
        number = self.services.get((name, env))
        if number is None:
            number = self.next_service
            self.add_service(number, name, env)
        self.services.move_to_end((name, env))
        return number

    def number_point(self, key: PointKey, service: int) -> int:
        """Return the number of a point that a service, given by its number, reports. A new point gets a new number."""
        number = self.numbers.get(key)
        if number is None:
            number = self.next_point
            self.add_point(number, key, service)
        else:
            self._shares.use(service, number)
        return number

    def add_service(self, number: int, name: str, env: str) -> None:
        """Add a service that has a number."""
        self.services[name, env] = number
        self.next_service = max(self.next_service, number + 1)
        while len(self.services) > self._max_services:
            _, oldest = self.services.popitem(last=False)
            self.evicted_services.append(oldest)
            self._evict(self._shares.remove_owner(oldest))

    def add_point(self, number: int, key: PointKey, service: int) -> None:
        """Add a point that has a number."""
        self.numbers[key], self.keys[number] = number, key
        self._by_hash[key.hash] = number
        self.next_point = max(self.next_point, number + 1)
        self._evict(self._shares.use(service, number, weigh_names((key.service, key.env, *key.tags))))

    def service_of(self, point: int) -> int | None:
        """Return the number of the service of a point, or None for a point that was evicted or removed."""
        key = self.keys.get(point)
        return None if key is None else self.services.get((key.service, key.env))

    def find_hash(self, hash_: int) -> PointKey | None:
        """Return the point that has a hash, the latest one if there are more; None if there is none."""
        number = self._by_hash.get(hash_)
        return None if number is None else self.keys.get(number)

    def remove(self, points: Iterable[int], services: Iterable[tuple[str, str]]) -> None:
        """Remove points by number, and services by name and env."""
        for number in points:
            service = self.service_of(number)
            if service is not None:
                self._shares.remove(service, number)
            self._remove_point(number)
        for key in services:
            service = self.services.pop(key, None)
            for number in self._shares.remove_owner(service) if service is not None else ():
                self._remove_point(number)

    def _evict(self, points: Iterable[int]) -> None:
        for number in points:
            self._remove_point(number)
            self.evicted_points.append(number)
            self.forgotten += 1

    def _remove_point(self, number: int) -> None:
        key = self.keys.pop(number, None)
        if key is not None:
            del self.numbers[key]
            if self._by_hash.get(key.hash) == number:
                del self._by_hash[key.hash]
