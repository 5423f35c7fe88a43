"""The schemas of an edge's messages, and since when each was in use: for markers on charts, and to say what changed.

They are kept like the versions of services, in the table `schemas`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from msgspec.msgpack import decode, encode

from asyncdsm.agent.store.edge_facts import write_edges
from asyncdsm.agent.store.registry import EdgeKey
from asyncdsm.agent.store.reports import Report
from asyncdsm.agent.store.versions import VersionHistory, VersionRun

DAY = 86_400
MOST_SCHEMA_EDGES = 10_000
"""How many edges with schemas are kept: those that reported last."""
LONGEST_SUBJECT = 300
SCHEMA_TABLE = "CREATE TABLE IF NOT EXISTS schemas (edge INTEGER, schema TEXT, since REAL, last REAL)"


class Schema(NamedTuple):
    """A schema: its id in a registry, and its subject there, empty if that is not known."""

    id: int
    subject: str


class SchemaHistory(VersionHistory[EdgeKey]):
    """The schemas of edges, each as the string that `parse_schema` reads. Not safe for threads."""

    def __init__(self, most: int = MOST_SCHEMA_EDGES) -> None:
        super().__init__(LONGEST_SUBJECT)
        self._most = most

    def record(self, report: Report, received: float) -> None:
        """Take the schemas from a payload that was received at a time in seconds since the epoch."""
        for bucket in report.buckets:
            moment = max(received - DAY, min(received, bucket.start_ns / 1e9))
            for facts in bucket.facts:
                for number, subject in facts.schemas:
                    self.add_version(EdgeKey(report.service, report.env, facts.tags), f"{number} {subject}", moment)

    def add_version(self, owner: EdgeKey, version: str, moment: float, last: float | None = None) -> None:
        """Record that messages of an edge had a schema. Beyond the bound, the edge seen longest ago is forgotten."""
        super().add_version(owner, version, moment, last)
        self._keep_newest(owner)

    def combine(self, owner: EdgeKey, runs: Iterable[VersionRun]) -> None:
        """Add what another agent recorded of an edge, with the same bound."""
        super().combine(owner, runs)
        self._keep_newest(owner)

    def _keep_newest(self, newest: EdgeKey) -> None:
        self._runs[newest] = self._runs.pop(newest, ())  # the newest comes last
        while len(self._runs) > self._most:
            oldest = next(iter(self._runs))
            del self._runs[oldest]
            self._changed.add(oldest)  # so that the file forgets it, too


def parse_schema(version: str) -> Schema:
    """Return the schema of a string in a `SchemaHistory`."""
    number, _, subject = version.partition(" ")
    return Schema(int(number), subject)


def read_schemas(connection: sqlite3.Connection) -> Iterator[tuple[EdgeKey, VersionRun]]:
    """Yield the schemas of the file in the order of time, each with its edge."""
    query = (
        "SELECT service, env, tags, schema, since, schemas.last FROM schemas JOIN fact_edges ON id = edge "
        "ORDER BY since"
    )
    for service, env, tags, *run in connection.execute(query):
        yield EdgeKey(service, env, tuple(decode(tags))), VersionRun(*run)


def write_schemas(connection: sqlite3.Connection, schemas: Iterable[tuple[EdgeKey, tuple[VersionRun, ...]]]) -> None:
    """Replace the schemas of edges. Raises sqlite3.Error."""
    named = [((edge.service, edge.env, encode(edge.tags)), runs) for edge, runs in schemas]
    write_edges(connection, ((*names, int(runs[-1].last)) for names, runs in named if runs))
    connection.executemany(
        "DELETE FROM schemas WHERE edge = (SELECT id FROM fact_edges WHERE service = ? AND env = ? AND tags = ?)",
        [names for names, _ in named],
    )
    rows = [(*run, *names) for names, runs in named for run in runs]
    connection.executemany(
        "INSERT INTO schemas (schema, since, last, edge) "
        "SELECT ?, ?, ?, id FROM fact_edges WHERE service = ? AND env = ? AND tags = ?",
        rows,
    )


def delete_unused_schemas(connection: sqlite3.Connection) -> None:
    """Delete the schemas of edges that are not in the file any more."""
    connection.execute("DELETE FROM schemas WHERE edge NOT IN (SELECT id FROM fact_edges)")
