"""What belongs together in a table of edges: those of an environment or, if there is only one, those of a cluster."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from asyncdsm.map.descriptions import NO_CLUSTER, NO_ENV, SHORTEST_ID
from asyncdsm.map.strings import NOTHING, plain_text
from asyncdsm.map.topology import Edge


class Section(NamedTuple):
    """Some edges, and what they have in common; the title is empty if those are all."""

    title: str
    by: Literal["env", "cluster", ""]
    edges: list[Edge]


def list_sections(edges: Sequence[Edge]) -> list[Section]:
    """Return the edges of each environment; of each cluster if there are several; or all. Titles are in order."""
    envs = {edge.env for edge in edges}
    if len(envs) > 1:
        return [
            Section(f"env {env}" if env else NO_ENV, "env", [edge for edge in edges if edge.env == env])
            for env in sorted(envs)
        ]
    clusters = {edge.cluster or "" for edge in edges}
    if len(clusters - {""}) > 1:
        shortened = shorten_clusters(clusters)
        return [
            Section(
                f"cluster {shortened[cluster]}" if cluster else NO_CLUSTER,
                "cluster",
                [edge for edge in edges if (edge.cluster or "") == cluster],
            )
            for cluster in sorted(clusters)
        ]
    return [Section("", "", list(edges))] if edges else []


def shorten_clusters(clusters: Iterable[str]) -> dict[str, str]:
    """Return the ids of clusters by id, cut to the shortest beginnings that tell them apart; `–` for an empty one."""
    ids = {cluster for cluster in clusters if cluster}
    length = SHORTEST_ID
    while len({cluster[:length] for cluster in ids}) < len(ids):
        length += 1
    return {"": NOTHING, **{cluster: plain_text(cluster, length) for cluster in ids}}
