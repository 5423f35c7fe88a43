"""Latencies of messages at edges, each after the point that the message comes from."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asyncdsm.agent.metrics.edge_names import EdgeName
from asyncdsm.agent.store.histograms import Floats, Ints

IN_QUEUE, IN_SERVICE = 0, 1
"""The histograms of a link: the time in the queue between two services; and the time in the second service, of messages
that it wrote because of one that it read from the first."""


class HopLatencies(NamedTuple):
    """Latencies at edges: `values[i]`, `counts[i]` times, at `edges[groups[i]]` after the hash `parents[groups[i]]`.

    One group is one point of a payload, which came at `since`, in seconds.
    """

    edges: list[EdgeName]
    parents: list[int]
    since: list[float]
    groups: Ints
    values: Floats
    counts: Floats

    @property
    def kinds(self) -> Ints:
        """Which histogram of a link each latency belongs to."""
        of_group = [IN_SERVICE if edge.direction == "out" else IN_QUEUE for edge in self.edges]
        return np.array(of_group, np.int64)[self.groups]

    @property
    def messages(self) -> float:
        """How many messages were read."""
        return float(self.counts[self.kinds == IN_QUEUE].sum())

    def select(self, chosen: NDArray[np.bool_]) -> HopLatencies:
        """Return the latencies of the groups that are chosen."""
        kept, numbers = chosen[self.groups], np.cumsum(chosen) - 1
        return HopLatencies(
            list(compress(self.edges, chosen)),
            list(compress(self.parents, chosen)),
            list(compress(self.since, chosen)),
            numbers[self.groups[kept]],
            self.values[kept],
            self.counts[kept],
        )


def concat_latencies(parts: Sequence[HopLatencies]) -> HopLatencies:
    """Return the latencies of all parts."""
    first = np.cumsum([0, *(len(part.edges) for part in parts)])[:-1]
    return HopLatencies(
        [edge for part in parts for edge in part.edges],
        [parent for part in parts for parent in part.parents],
        [since for part in parts for since in part.since],
        np.concatenate([part.groups + begin for part, begin in zip(parts, first.tolist(), strict=True)]),
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.counts for part in parts]),
    )
