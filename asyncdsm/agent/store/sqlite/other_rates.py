"""How fast the store's file grows by what is not in segments: business transactions, offsets, and facts of messages.

Their rows are counted, and each counts as many bytes as it takes with its indexes.
"""

from __future__ import annotations

import sqlite3

from asyncdsm.agent.store.growth import OtherGrowth
from asyncdsm.agent.store.sqlite.segments import MEASURED_SECONDS
from asyncdsm.agent.store.write_buffer import MAX_AHEAD_SECONDS

TRANSACTION_BYTES, ID_BYTES, STEP_BYTES, OFFSET_BYTES, FACT_BYTES = 77.0, 2.2, 21.0, 30.0, 50.0
"""A transaction without its id, each byte of the id, each checkpoint that it passed; a row of the other tables."""
SAMPLED_TRANSACTIONS = 1_000
_SECOND_NS = 1_000_000_000
_SHORTEST_SECONDS = 10.0


def measure_other_growth(
    connection: sqlite3.Connection, now: float, kept_seconds: int, most_transactions: int
) -> OtherGrowth:
    """Return how fast the file has grown in the last minutes, before `now`, and how much of that is to be kept."""
    offsets = OFFSET_BYTES * _rate(connection, "offsets", "start", now)
    facts = FACT_BYTES * _rate(connection, "facts", "start", now)
    each = _bytes_of_transaction(connection)
    transactions = each * _rate(connection, "transactions", "last", now, _SECOND_NS)
    kept = min(transactions * kept_seconds, each * most_transactions)
    return OtherGrowth(offsets + facts + transactions, (offsets + facts) * kept_seconds + kept)


def _rate(connection: sqlite3.Connection, table: str, column: str, now: float, second: int = 1) -> float:
    """Return how many rows a second a table got, over the time that it has rows of."""
    query = f"SELECT min({column}) FROM {table}"  # noqa: S608  (constants)
    oldest = connection.execute(query).fetchone()[0]
    if oldest is None:
        return 0.0
    query = f"SELECT count(*) FROM {table} WHERE {column} BETWEEN ? AND ?"  # noqa: S608  (constants)
    bounds = int((now - MEASURED_SECONDS) * second), int((now + MAX_AHEAD_SECONDS) * second)
    rows = float(connection.execute(query, bounds).fetchone()[0])
    return rows / min(MEASURED_SECONDS, max(_SHORTEST_SECONDS, now - int(oldest) / second))


def _bytes_of_transaction(connection: sqlite3.Connection) -> float:
    query = (
        "SELECT coalesce(avg(length(CAST(id AS BLOB))), 0), "
        "coalesce(avg((SELECT count(*) FROM steps WHERE steps.key = latest.key)), 0) "
        "FROM (SELECT key, id FROM transactions ORDER BY last DESC LIMIT ?) AS latest"
    )
    id_length, steps = connection.execute(query, (SAMPLED_TRANSACTIONS,)).fetchone()
    return float(TRANSACTION_BYTES + ID_BYTES * id_length + STEP_BYTES * steps)
