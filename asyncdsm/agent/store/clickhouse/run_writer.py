"""Writes since when versions of services and schemas of edges were in use, and when they were reported last."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from asyncdsm.agent.store.clickhouse.batch import MILLISECONDS, rows_of
from asyncdsm.agent.store.clickhouse.connection import Connection
from asyncdsm.agent.store.registry import EdgeKey
from asyncdsm.agent.store.versions import ServiceKey, VersionRun

RUN_SECONDS = 60
"""The end of a version is written again when it has moved by this much."""
MOST_RUNS = 200_000
"""How many are remembered as written; the others are written again."""
_Owner = ServiceKey | EdgeKey


class RunWriter:
    """Writes to one table, `versions` or `schemas`. One thread at a time may use it."""

    def __init__(self, connection: Connection, table: str) -> None:
        self._connection, self._table = connection, table
        self._written: dict[tuple[_Owner, str, float], float] = {}

    def write_due(self, changed: Iterable[tuple[_Owner, tuple[VersionRun, ...]]]) -> None:
        """Write what changed enough since it was last written. Raises what a Connection raises."""
        due = {
            (owner, run.version, run.since): run.last
            for owner, runs in changed
            for run in runs
            if self._is_due(owner, run)
        }
        rows = [
            (*_names(owner), version, round(since * 1000), round(last * 1000))
            for (owner, version, since), last in due.items()
        ]
        self._connection.insert(self._table, rows_of(_COLUMNS[self._table], rows))
        if len(self._written) + len(due) > MOST_RUNS:
            self._written.clear()
        self._written.update(due)

    def _is_due(self, owner: _Owner, run: VersionRun) -> bool:
        written = self._written.get((owner, run.version, run.since))
        return written is None or run.last - written >= RUN_SECONDS


def _names(owner: _Owner) -> tuple[object, ...]:
    return (owner.service, owner.env, list(owner.tags)) if isinstance(owner, EdgeKey) else owner


_SERVICE: dict[str, pa.DataType] = {"service": pa.string(), "env": pa.string()}
_TIMES: dict[str, pa.DataType] = {"since": MILLISECONDS, "last": MILLISECONDS}
_COLUMNS: dict[str, dict[str, pa.DataType]] = {
    "versions": {**_SERVICE, "version": pa.string(), **_TIMES},
    "schemas": {**_SERVICE, "tags": pa.list_(pa.string()), "schema": pa.string(), **_TIMES},
}
