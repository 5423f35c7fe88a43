"""When a rate fell or rose, in slots that are too short for a rule: the step that fits their counts best.

The counts of ten seconds are noisy, so no single one of them says that the rate is another one. All of them together
do: of all moments at which the rate may have changed from one level to another, the most likely one is taken, for
messages that come at random (Poisson) with the means before and after that moment. Messages that come in batches vary
more, all of them alike, and the same moment is the most likely one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from asyncdsm.agent.queries.change_begins import Begins
from asyncdsm.agent.store.edge_sums import count_by_edge
from asyncdsm.agent.store.histograms import Floats, Ints
from asyncdsm.agent.store.protocol import Store
from asyncdsm.agent.store.registry import EdgeKey
from asyncdsm.agent.store.resolutions import TimeRange

RateKind = Literal["rate fell", "rate rose"]
DIRECTIONS: dict[RateKind, float] = {"rate fell": -1.0, "rate rose": 1.0}


class RateBegins:
    """Finds when rates fell or rose.

    A rate left its level in the slot in which its change was found, or at the end of the slot before. One more slot at
    either side says what the levels are.
    """

    what: str = "rate"
    reach: int = 2

    def __init__(self, kinds: Mapping[EdgeKey, RateKind]) -> None:
        self._kinds = kinds

    def find_begins(self, store: Store, around: TimeRange, finer: int, edges: Collection[EdgeKey]) -> Begins:
        """Return when rates changed, as `BeginFinder` says."""
        sums = store.sum_edges_by_start(around, coarsest=finer)
        starts, width = np.array([*sums], np.int64), int(around.last - around.first) // (2 * self.reach)
        if not _are_fine(starts, width):
            return {}
        listed = list(edges)
        by_edge = [count_by_edge(each) for each in sums.values()]
        counts = np.array([[each.get(edge, 0.0) for each in by_edge] for edge in listed])
        directions = np.array([DIRECTIONS[self._kinds[edge]] for edge in listed])
        may_begin = (starts >= around.first + width) & (starts <= around.last - width)
        steps = find_steps(counts, directions, may_begin)
        return {edge: int(starts[step]) for edge, step in zip(listed, steps, strict=True) if step is not None}


def find_steps(counts: Floats, directions: Floats, may_begin: NDArray[np.bool_]) -> list[int | None]:
    """Return for each row of counts the column from which on its level is another one; None if there is none.

    `directions` has 1 for each row that rises, and -1 for one that falls, and `may_begin` which columns may be the
    first one with the new level.
    """
    columns = np.flatnonzero(may_begin)
    columns = columns[columns > 0]
    if not columns.size:
        return [None] * len(counts)
    sums = counts.cumsum(axis=1)
    before, total = sums[:, columns - 1], sums[:, -1:]
    after = total - before
    mean_before, mean_after = before / columns, after / (counts.shape[1] - columns)
    likelihoods = _likelihood(before, mean_before) + _likelihood(after, mean_after)
    is_step = (mean_after - mean_before) * directions[:, None] > 0
    best = np.where(is_step, likelihoods, -np.inf).argmax(axis=1)
    found = zip(columns[best].tolist(), is_step.any(axis=1).tolist(), strict=True)
    return [column if is_found else None for column, is_found in found]


def _likelihood(counts: Floats, means: Floats) -> Floats:
    """Return the logarithm of how likely counts are of which the mean is known, but for what is the same for all."""
    likelihood: Floats = counts * np.log(np.where(means > 0, means, 1.0))
    return likelihood


def _are_fine(starts: Ints, width: int) -> bool:
    """Return whether slots are finer than `width` seconds: if rows are deleted already, coarser ones come instead."""
    coarse = np.unique(starts[starts % width == 0] // width)
    fine = np.unique(starts[starts % width != 0] // width)
    return bool(starts.size) and bool(np.isin(coarse, fine).all())
