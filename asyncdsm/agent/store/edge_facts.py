"""What the messages of edges said besides their latency, per edge and minute, in the tables `facts` and `fact_edges`.

After a day, minutes are merged into ten minutes. If there is too much, the edges that had facts longest ago are
deleted, but only those of services that have more than an equal share. Whoever uses these functions holds the store's
lock.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping

from msgspec.msgpack import decode, encode

from asyncdsm.agent.store.registry import EdgeKey
from asyncdsm.agent.store.reports import FactReport, FactSums
from asyncdsm.agent.store.shares import equal_share

MINUTE, TEN_MINUTES = 60, 600
MOST_ROWS, MOST_EDGES = 1_000_000, 20_000
"""How many minutes of edges, and how many edges, the file keeps at most."""
EDGE_BYTES = 16_384
"""How many bytes of the store's limit allow one edge with facts."""
_ROWS_OF_EDGE = MOST_ROWS // MOST_EDGES
_MAX_INT64 = (1 << 63) - 1
FACT_TABLES = (
    "CREATE TABLE IF NOT EXISTS fact_edges ("
    "id INTEGER PRIMARY KEY, service TEXT, env TEXT, tags BLOB, last INTEGER, UNIQUE (service, env, tags))",
    "CREATE TABLE IF NOT EXISTS facts (edge INTEGER, start INTEGER, redelivered INTEGER, dead_lettered INTEGER, "
    "waits INTEGER, wait_ns INTEGER, longest_wait_ns INTEGER, PRIMARY KEY (edge, start)) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS facts_by_time ON facts (start)",
)
_WRITE = (
    "INSERT INTO facts SELECT id, ?, ?, ?, ?, ?, ? FROM fact_edges WHERE service = ? AND env = ? AND tags = ? "
    "ON CONFLICT (edge, start) DO UPDATE SET redelivered = redelivered + excluded.redelivered, "
    "dead_lettered = dead_lettered + excluded.dead_lettered, waits = waits + excluded.waits, "
    "wait_ns = wait_ns + excluded.wait_ns, longest_wait_ns = max(longest_wait_ns, excluded.longest_wait_ns)"
)
_READ = (
    "SELECT service, env, tags, total(redelivered), total(dead_lettered), total(waits), total(wait_ns), "
    "max(longest_wait_ns) FROM facts JOIN fact_edges ON id = edge WHERE start >= ? AND start < ? GROUP BY edge"
)
_MERGE = (
    "SELECT edge, start / 600 * 600, total(redelivered), total(dead_lettered), total(waits), total(wait_ns), "
    "max(longest_wait_ns) FROM facts WHERE start >= ? AND start < ? GROUP BY 1, 2"
)

Facts = dict[tuple[EdgeKey, int], FactSums]
"""By edge and start of the minute, in seconds since the epoch."""


def add_facts(facts: Facts, edge: EdgeKey, start: int, report: FactReport) -> bool:
    """Add the facts of a bucket to those of its minute. Return whether these are the first of their edge and minute."""
    sums, key = report.sums, (edge, start // MINUTE * MINUTE)
    before = facts.get(key)
    if any(sums):
        facts[key] = sums if before is None else before.merge(sums)
    return before is None and key in facts


def write_facts(connection: sqlite3.Connection, facts: Iterable[tuple[tuple[EdgeKey, int], FactSums]]) -> None:
    """Add facts to those in the file. Raises sqlite3.Error."""
    rows = [(edge.service, edge.env, encode(edge.tags), start, sums) for (edge, start), sums in facts]
    write_edges(connection, (row[:4] for row in rows))
    bounded = ((names, start, (min(value, _MAX_INT64) for value in sums)) for *names, start, sums in rows)
    connection.executemany(_WRITE, [(start, *sums, *names) for names, start, sums in bounded])


def write_edges(connection: sqlite3.Connection, edges: Iterable[tuple[str, str, bytes, int]]) -> None:
    """Write edges, each as service, environment, encoded tags and the time of its last facts. Raises sqlite3.Error."""
    connection.executemany(
        "INSERT INTO fact_edges (service, env, tags, last) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (service, env, tags) DO UPDATE SET last = max(last, excluded.last)",
        edges,
    )


def read_facts(connection: sqlite3.Connection, first: int, last: int) -> Iterator[tuple[EdgeKey, FactSums]]:
    """Yield the facts of each edge in [first, last), summed up."""
    for service, env, tags, *sums in connection.execute(_READ, (first, last)):
        yield EdgeKey(service, env, tuple(decode(tags))), FactSums(*map(int, sums))


def delete_old_facts(connection: sqlite3.Connection, oldest: int) -> None:
    """Delete facts that are older than `oldest`, and edges that had none since."""
    connection.execute("DELETE FROM facts WHERE start < ?", (oldest - TEN_MINUTES,))
    connection.execute("DELETE FROM fact_edges WHERE last < ?", (oldest - TEN_MINUTES,))


def thin_facts(connection: sqlite3.Connection, first: int, last: int) -> None:
    """Merge the minutes in [first, last), whole periods of ten minutes, into ten minutes."""
    merged = connection.execute(_MERGE, (first, last)).fetchall()
    connection.execute("DELETE FROM facts WHERE start >= ? AND start < ?", (first, last))
    rows = [tuple(min(int(value), _MAX_INT64) for value in row) for row in merged]
    connection.executemany("INSERT INTO facts VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


def make_room_for_facts(connection: sqlite3.Connection, most_edges: int) -> int:
    """Delete edges with their facts if there are too many; return how many were deleted."""
    edges = _count_rows(connection, "fact_edges")
    if edges <= most_edges and _count_rows(connection, "facts") <= most_edges * _ROWS_OF_EDGE:
        return 0
    query = "SELECT service, env, count(*) FROM fact_edges GROUP BY service, env"
    owners: Mapping[tuple[str, str], int] = {(name, env): count for name, env, count in connection.execute(query)}
    # A hundredth more than necessary, so that not every new edge needs a deletion.
    keep = min(most_edges, edges) - max(1, most_edges // 100)
    share, (owner, count) = equal_share(owners.values(), keep), max(owners.items(), key=lambda item: item[1])
    query = "SELECT id FROM fact_edges WHERE service = ? AND env = ? ORDER BY last LIMIT ?"
    numbers = connection.execute(query, (*owner, max(1, count - share))).fetchall()
    for statement in ("DELETE FROM facts WHERE edge = ?", "DELETE FROM fact_edges WHERE id = ?"):
        connection.executemany(statement, numbers)
    return len(numbers)


def _count_rows(connection: sqlite3.Connection, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 (a name from above)
