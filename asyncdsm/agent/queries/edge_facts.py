"""Answers what the messages of edges said besides their latency: redelivered, dead-lettered, waits, schemas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from asyncdsm.agent.queries.recent_facts import read_recent_facts
from asyncdsm.agent.store.protocol import Store
from asyncdsm.agent.store.registry import EdgeKey
from asyncdsm.agent.store.reports import FactSums
from asyncdsm.agent.store.resolutions import TimeRange
from asyncdsm.agent.store.schemas import parse_schema
from asyncdsm.agent.store.versions import VersionRun
from asyncdsm.map.topology import EdgeFacts, EdgeSchema, RecentFacts


class FactsOfEdges(NamedTuple):
    """What messages of each edge said in a time range, and the schemas that each edge had up to its end."""

    sums: Mapping[EdgeKey, FactSums]
    schemas: Mapping[EdgeKey, Sequence[VersionRun]]
    until: float
    """The end of the range, in seconds since the epoch."""
    recent: Mapping[EdgeKey, RecentFacts]
    """What messages said in the last minutes."""

    def describe(self, edge: EdgeKey, count: float) -> EdgeFacts | None:
        """Return the facts of an edge that `count` messages passed; None if no message said anything."""
        sums = self.sums.get(edge, FactSums())
        schemas = [
            EdgeSchema(*parse_schema(run.version), run.since)
            for run in self.schemas.get(edge, ())
            if run.since <= self.until
        ]
        recent = self.recent.get(edge)
        if not (any(sums) or schemas or recent):
            return None
        return EdgeFacts(
            redelivered=sums.redelivered,
            redelivered_share=_share(sums.redelivered, count),
            dead_lettered=sums.dead_lettered,
            dead_lettered_share=_share(sums.dead_lettered, count),
            waits=sums.waits,
            mean_wait=sums.wait_ns / sums.waits / 1e9 if sums.waits else None,
            longest_wait=sums.longest_wait_ns / 1e9 if sums.waits else None,
            schemas=schemas,
            recent=recent,
        )


def facts_of_edges(store: Store, time_range: TimeRange) -> FactsOfEdges:
    """Return what messages of each edge said in a time range."""
    recent = read_recent_facts(store, time_range)
    return FactsOfEdges(store.edge_facts(time_range), store.schemas(), time_range.last, recent)


def _share(number: int, count: float) -> float:
    # Facts are kept in minutes, so a range may have more of them than it has messages.
    return min(1.0, number / count) if count else 0.0
