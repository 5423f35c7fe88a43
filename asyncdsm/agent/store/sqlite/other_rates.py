"""How fast the store's file grows by what is not in segments: business transactions, offsets, and facts of messages.

Their rows are counted, and each counts as many bytes as it takes with its indexes.
"""

from __future__ import annotations

import sqlite3

from asyncdsm.agent.store.growth import OtherGrowth
from asyncdsm.agent.store.sqlite.reported_time import Column, measure_reported_time
from asyncdsm.agent.store.write_buffer import MAX_AHEAD_SECONDS

TRANSACTION_BYTES, ID_BYTES, STEP_BYTES, OFFSET_BYTES, FACT_BYTES = 77.0, 2.2, 21.0, 30.0, 50.0
"""A transaction without its id, each byte of the id, each checkpoint that it passed; a row of the other tables."""
SAMPLED_TRANSACTIONS = 1_000
_OFFSETS, _FACTS = Column("offsets", "start"), Column("facts", "start", width=60)
_TRANSACTIONS = Column("transactions", "last", a_second=1_000_000_000)


def measure_other_growth(
    connection: sqlite3.Connection, now: float, kept_seconds: int, most_transactions: int
) -> OtherGrowth:
    """Return how fast the file has grown in the last minutes, before `now`, and how much of that is to be kept."""
    offsets = OFFSET_BYTES * _rate(connection, _OFFSETS, now)
    facts = FACT_BYTES * _rate(connection, _FACTS, now)
    each = _bytes_of_transaction(connection)
    transactions = each * _rate(connection, _TRANSACTIONS, now)
    kept = min(transactions * kept_seconds, each * most_transactions)
    return OtherGrowth(offsets + facts + transactions, (offsets + facts) * kept_seconds + kept)


def _rate(connection: sqlite3.Connection, column: Column, now: float) -> float:
    """Return how many rows a second a table got in the last minutes that it has rows of."""
    newest = now + MAX_AHEAD_SECONDS
    since, seconds = measure_reported_time(connection, column, now, newest)
    query = f"SELECT count(*) FROM {column.table} WHERE {column.name} BETWEEN ? AND ?"  # noqa: S608  (constants)
    bounds = since * column.a_second, int(newest * column.a_second)
    return float(connection.execute(query, bounds).fetchone()[0]) / max(seconds, column.width)


def _bytes_of_transaction(connection: sqlite3.Connection) -> float:
    query = (
        "SELECT coalesce(avg(length(CAST(id AS BLOB))), 0), "
        "coalesce(avg((SELECT count(*) FROM steps WHERE steps.key = latest.key)), 0) "
        "FROM (SELECT key, id FROM transactions ORDER BY last DESC LIMIT ?) AS latest"
    )
    id_length, steps = connection.execute(query, (SAMPLED_TRANSACTIONS,)).fetchone()
    return float(TRANSACTION_BYTES + ID_BYTES * id_length + STEP_BYTES * steps)
