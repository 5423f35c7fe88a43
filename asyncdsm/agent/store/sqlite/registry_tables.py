"""The tables `services` and `points` of the store's file, which keep the numbers of a `PointRegistry`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from msgspec.msgpack import decode, encode

from asyncdsm.agent.store.registry import PointKey, PointRegistry
from asyncdsm.agent.store.sqlite.segments import oldest_starts

# The next numbers are kept among the counters: numbers of deleted points may still be in segments.
_NEXT_SERVICE, _NEXT_POINT = "next_service", "next_point"


def load_registry(connection: sqlite3.Connection, registry: PointRegistry) -> None:
    """Add all services and points of the file to the registry, those that were seen longest ago first."""
    counters = dict[str, int](connection.execute("SELECT name, value FROM counters"))
    registry.next_service, registry.next_point = counters.get(_NEXT_SERVICE, 1), counters.get(_NEXT_POINT, 1)
    names = dict[int, tuple[str, str]]()
    for number, name, env in connection.execute("SELECT id, name, env FROM services ORDER BY last_seen"):
        registry.add_service(number, name, env)
        names[number] = name, env
    query = "SELECT id, service, tags, hash, parent FROM points ORDER BY last, id"
    for number, service, tags, hash_, parent in connection.execute(query):
        if service in names and names[service] in registry.services:
            key = PointKey(*names[service], tuple(decode(tags)), int(hash_), int(parent))
            registry.add_point(number, key, service)


def read_last_seen(connection: sqlite3.Connection) -> dict[tuple[str, str], float]:
    """Return when each (service, env) last reported, in that order."""
    query = "SELECT name, env, last_seen FROM services ORDER BY last_seen"
    return {(name, env): seen for name, env, seen in connection.execute(query)}


def write_services(
    connection: sqlite3.Connection, registry: PointRegistry, last_seen: Iterable[tuple[tuple[str, str], float]]
) -> None:
    """Write when each (service, env) last reported. Services that are not in the registry any more are left out."""
    rows = [(registry.services[service], *service, seen) for service, seen in last_seen if service in registry.services]
    query = "INSERT INTO services VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET last_seen = excluded.last_seen"
    connection.executemany(query, rows)


def write_points(connection: sqlite3.Connection, registry: PointRegistry, last: Iterable[tuple[int, int]]) -> None:
    """Write the start of the last row of each point, by number. Points that were evicted meanwhile are left out."""
    rows = [
        (number, service, encode(key.tags), str(key.hash), str(key.parent), start)
        for number, start in last
        if (service := registry.service_of(number)) is not None
        for key in [registry.keys[number]]
    ]
    query = (
        "INSERT INTO points VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET last = max(last, excluded.last)"
    )
    connection.executemany(query, rows)


def write_next_numbers(connection: sqlite3.Connection, registry: PointRegistry) -> None:
    """Write the numbers that the next new service and the next new point get."""
    rows = [(_NEXT_SERVICE, registry.next_service), (_NEXT_POINT, registry.next_point)]
    connection.executemany("INSERT OR REPLACE INTO counters VALUES (?, ?)", rows)


def delete_unused_names(connection: sqlite3.Connection, oldest: int) -> tuple[list[int], list[tuple[str, str]]]:
    """Delete points without rows, and services without points that last reported before `oldest`.

    Return the numbers of the points, and the (name, env) of the services.
    """
    first = min(oldest_starts(connection).values(), default=oldest)
    query = "DELETE FROM points WHERE last < ? RETURNING id"
    points = [number for (number,) in connection.execute(query, (first,))]
    query = "DELETE FROM services WHERE last_seen < ? AND id NOT IN (SELECT service FROM points) RETURNING name, env"
    return points, list(connection.execute(query, (oldest,)))


def delete_names(connection: sqlite3.Connection, points: Iterable[int], services: Iterable[int]) -> None:
    """Delete points and services by number."""
    connection.executemany("DELETE FROM points WHERE id = ?", [(number,) for number in points])
    connection.executemany("DELETE FROM services WHERE id = ?", [(number,) for number in services])
