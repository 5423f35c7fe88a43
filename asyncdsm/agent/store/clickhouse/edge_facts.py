"""What the messages of edges said besides their latency: the table `facts`, by edge, minute and payload.

An agent writes facts of some 20,000 edges an hour, and an answer has those of as many. If there are more, each service
has an equal share.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from asyncdsm.agent.store.clickhouse.batch import SECONDS, PayloadFacts, rows_of
from asyncdsm.agent.store.clickhouse.connection import Connection
from asyncdsm.agent.store.clickhouse.row_reader import at
from asyncdsm.agent.store.edge_facts import MINUTE, MOST_EDGES
from asyncdsm.agent.store.registry import EdgeKey
from asyncdsm.agent.store.reports import FactSums
from asyncdsm.agent.store.shares import FairAdmission, equal_share
from asyncdsm.agent.store.versions import ServiceKey

_LARGEST = (1 << 63) - 1
_COUNTERS = ("redelivered", "dead_lettered", "waits", "wait_ns")
# As floats, since integers of ClickHouse begin anew at 0 when a sum is too large.
_SUMS = ", ".join(
    [
        "service, env, tags",
        *(f"sum(toFloat64({name})) AS {name}_sum" for name in _COUNTERS),
        "toFloat64(max(longest_wait_ns)) AS longest",
    ]
)
ADMITTED_SECONDS = 3600
"""After how long edges are admitted anew."""
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


class FactAdmission:
    """Chooses the facts that are written, so that no service fills the table. One thread at a time may use it."""

    def __init__(self) -> None:
        self._admitted = FairAdmission[ServiceKey, EdgeKey](MOST_EDGES)
        self._since = 0.0

    def admit(self, facts: Iterable[PayloadFacts], now: float) -> list[PayloadFacts]:
        """Return those facts that may be written at a time in seconds: the same ones if they are given again."""
        if not 0 <= now - self._since < ADMITTED_SECONDS:
            self._admitted, self._since = FairAdmission(MOST_EDGES), now
        return [each for each in facts if self._admitted.admit((each.edge.service, each.edge.env), each.edge)]


def sum_facts(connection: Connection, database: str, first: int, last: int) -> tuple[dict[EdgeKey, FactSums], int]:
    """Return the facts of each edge in [first, last), in whole minutes, summed up; and how many edges are left out.

    Of too many edges, each service has an equal share: those that had facts last.
    """
    rows = f"FROM {database}.facts FINAL WHERE start >= {at(first // MINUTE * MINUTE)} AND start < {at(last)}"

    def read(share: int) -> list[dict[str, Any]]:
        order = f"ORDER BY max(start) DESC LIMIT {share} BY service, env LIMIT {MOST_EDGES}"
        query = f"SELECT {_SUMS} {rows} GROUP BY service, env, tags {order}"
        return connection.query(query).to_pylist()  # type: ignore[no-any-return]

    found, left_out = read(MOST_EDGES), 0
    if len(found) == MOST_EDGES:
        query = f"SELECT toInt64(uniqExact(tags)) AS n {rows} GROUP BY service, env"
        counts = [row["n"] for row in connection.query(query).to_pylist()]
        found, left_out = read(equal_share(counts, MOST_EDGES)), sum(counts) - MOST_EDGES
    facts = (row.values() for row in found)
    sums = {EdgeKey(service, env, tuple(tags)): FactSums(*map(int, values)) for service, env, tags, *values in facts}
    return sums, max(0, left_out)
