"""What the messages of edges said besides their latency: the table `facts`, by edge, minute and payload."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from asyncdsm.agent.store.clickhouse.batch import SECONDS, PayloadFacts, rows_of
from asyncdsm.agent.store.clickhouse.connection import Connection
from asyncdsm.agent.store.clickhouse.reader import at
from asyncdsm.agent.store.edge_facts import MINUTE, MOST_EDGES
from asyncdsm.agent.store.registry import EdgeKey
from asyncdsm.agent.store.reports import FactSums

_LARGEST = (1 << 63) - 1
_COUNTERS = ("redelivered", "dead_lettered", "waits", "wait_ns")
_COLUMNS: dict[str, pa.DataType] = {
    "start": SECONDS,
    "service": pa.string(),
    "env": pa.string(),
    "tags": pa.list_(pa.string()),
    "payload": pa.uint64(),
    **dict.fromkeys((*_COUNTERS, "longest_wait_ns"), pa.uint64()),
}


def fact_rows(facts: Iterable[PayloadFacts]) -> pa.Table:
    """Return the rows of the table `facts`."""
    return rows_of(
        _COLUMNS,
        (
            (start, edge.service, edge.env, list(edge.tags), payload, *(min(value, _LARGEST) for value in sums))
            for payload, edge, start, sums in facts
        ),
    )


def sum_facts(connection: Connection, database: str, first: int, last: int) -> tuple[dict[EdgeKey, FactSums], int]:
    """Return the facts of each edge in [first, last), in whole minutes, summed up; and how many edges are left out.

    Of too many edges, those are left out that had facts longest ago.
    """
    # As floats, since integers of ClickHouse begin anew at 0 when a sum is too large.
    sums = ", ".join(f"sum(toFloat64({name})) AS {name}_sum" for name in _COUNTERS)
    longest = "toFloat64(max(longest_wait_ns)) AS longest"
    rows = connection.query(
        f"SELECT service, env, tags, {sums}, {longest}, toInt64(count() OVER ()) AS n "
        f"FROM {database}.facts FINAL WHERE start >= {at(first // MINUTE * MINUTE)} AND start < {at(last)} "
        f"GROUP BY service, env, tags ORDER BY max(start) DESC LIMIT {MOST_EDGES}"
    ).to_pylist()
    found = dict[EdgeKey, FactSums]()
    for service, env, tags, *values, _ in (row.values() for row in rows):
        found[EdgeKey(service, env, tuple(tags))] = FactSums(*map(int, values))
    return found, rows[0]["n"] - len(found) if rows else 0
