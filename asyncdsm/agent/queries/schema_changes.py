"""Which edges have messages with another schema than before."""

from __future__ import annotations

from collections.abc import Iterator

from asyncdsm.agent.queries.answers import Change
from asyncdsm.agent.queries.change_rules import find_version_changes
from asyncdsm.agent.queries.edge_changes import change_of_edge
from asyncdsm.agent.store.protocol import Store
from asyncdsm.agent.store.resolutions import TimeRange
from asyncdsm.agent.store.schemas import parse_schema


def find_schema_changes(store: Store, time_range: TimeRange) -> Iterator[Change]:
    """Yield the changes of schemas in a time range. The first known schema of an edge is no change."""
    for edge, runs in store.schemas().items():
        for change in find_version_changes(runs, *time_range):
            levels = _name_schema(change.before), _name_schema(change.now)
            yield change_of_edge(edge, "schema", change.since, levels)


def _name_schema(version: str) -> str:
    """Return a schema as the page shows it: "17 (orders-value)"."""
    schema = parse_schema(version)
    return f"{schema.id} ({schema.subject})" if schema.subject else str(schema.id)
