"""What each hop is like now: the one rule for colour, label and order, on the page and everywhere else.

The present is the last minute that a service has reported, or less where the hop changed within that minute. The
colour is that of the median, or of a tenth of the 99th percentile if that is more: a long tail shows too. `since` says
when the hop became slower, faster or idle, if that was within the last ten minutes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from asyncdsm.agent.queries.changes import Change, Slot, last_change, level_of, slowness_of, state_of
from asyncdsm.agent.queries.figures import NOTHING, SKETCHES, Figures
from asyncdsm.agent.queries.time_ranges import settled_until
from asyncdsm.agent.store.histograms import EDGE, Ints, quantiles
from asyncdsm.agent.store.merger import Rows
from asyncdsm.agent.store.registry import EdgeKey
from asyncdsm.agent.store.resolutions import RESOLUTIONS, TimeRange
from asyncdsm.agent.store.store import Store
from asyncdsm.map.words import duration_text

WIDTH = RESOLUTIONS[0]
MINUTE = 60
TAIL_LEVELS = 2
"""So many levels above the median, the 99th percentile is shown beside it."""
LOOKED_BACK = 600
"""Seconds in which a change is looked for."""
_SLOTS = 1 << 10
"""More than there are stretches of ten seconds in what is looked at."""

IDLE: dict[str, Any] = {
    "from": None,
    "count": 0.0,
    "rate": 0.0,
    **dict.fromkeys(SKETCHES, NOTHING),
    "slowness": 0.0,
    "level": 0,
    "label": "idle",
    "tail": None,
    "state": "idle",
    "since": None,
    "before": None,
}
"""What is said of a hop that nothing passed for at least ten minutes."""


class Window(NamedTuple):
    """Which buckets of an edge are the present: those that start in [first, last]."""

    first: int
    last: int
    began: int
    """When the first bucket starts that was looked at and has anything of this edge's service."""
    slots: list[Slot]
    change: Change | None


def present_of(store: Store, span: TimeRange) -> dict[EdgeKey, dict[str, Any]]:
    """Return what each edge is like at the end of a span; edges that nothing passed in ten minutes are left out."""
    last = int(min(span.last, store.now())) // WIDTH * WIDTH
    edges = _EdgeNumbers(store)
    windows = _windows(
        store, TimeRange(last - LOOKED_BACK - MINUTE, span.last), edges, settled_until(span, store.now())
    )
    figures = _figures(store, TimeRange(last - 2 * MINUTE, span.last), edges, windows)
    return {edge: _shown(window, figures.get(edge)) for edge, window in windows.items()}


class _EdgeNumbers:
    """Numbers the edges that are met, from 0 on."""

    def __init__(self, store: Store) -> None:
        self._keys = store.points.keys
        self._of_point: dict[int, int] = {}
        self.edges: dict[EdgeKey, int] = {}

    def of(self, points: Ints) -> Ints:
        """Return the edge of each point; -1 for a point that is forgotten meanwhile."""
        found, place = np.unique(points, return_inverse=True)
        return np.array([self._number(point) for point in found.tolist()], np.int64)[place.reshape(-1)]

    def _number(self, point: int) -> int:
        number = self._of_point.get(point)
        if number is None:
            key = self._keys.get(point)
            number = -1 if key is None else self.edges.setdefault(key.edge, len(self.edges))
            self._of_point[point] = number
        return number


def _windows(store: Store, span: TimeRange, edges: _EdgeNumbers, settled: int) -> dict[EdgeKey, Window]:
    """Return the window of each edge that anything passed in a span, and its slots."""
    origin = int(span.first) // MINUTE * MINUTE

    def label(rows: Rows) -> Ints:
        slots = np.clip((rows.starts - origin) // WIDTH, 0, _SLOTS - 1)
        numbers = edges.of(rows.points)
        return np.where(numbers >= 0, numbers * _SLOTS + slots, -1)

    labels, cells = store.merge_rows(span, label, coarsest=MINUTE, sketch=EDGE)
    latencies = quantiles(cells, len(labels), EDGE)
    named = list(edges.edges)
    slots: dict[EdgeKey, list[Slot]] = {}
    for group in np.flatnonzero(latencies.counts).tolist():
        number = int(labels[group])
        p50, p99 = float(latencies.p50[group]), float(latencies.p99[group])
        start = origin + number % _SLOTS * WIDTH
        slots.setdefault(named[number // _SLOTS], []).append(Slot(start, slowness_of(p50, p99), p50))
    reported = _reported(slots)
    return {edge: _window(each, *reported[edge.service, edge.env], settled) for edge, each in slots.items()}


def _reported(slots: Mapping[EdgeKey, list[Slot]]) -> dict[tuple[str, str], tuple[int, int]]:
    """Return the first and the last bucket of each service."""
    reported: dict[tuple[str, str], tuple[int, int]] = {}
    for edge, each in slots.items():
        first, last = reported.get((edge.service, edge.env), (each[0].start, each[-1].start))
        reported[edge.service, edge.env] = min(first, each[0].start), max(last, each[-1].start)
    return reported


def _window(slots: list[Slot], began: int, newest: int, settled: int) -> Window:
    last = max(newest, settled)
    first = last - MINUTE + WIDTH
    change = last_change(slots)
    return Window(max(first, change.since) if change else first, last, began, slots, change)


def _figures(
    store: Store, span: TimeRange, edges: _EdgeNumbers, windows: Mapping[EdgeKey, Window]
) -> dict[EdgeKey, tuple[Figures, int]]:
    """Return the figures of each edge in its window, and the place of the edge in them."""
    never = 1 << 60
    firsts = np.full(len(edges.edges) + 1, never)
    lasts = np.full(len(edges.edges) + 1, -never)
    for edge, window in windows.items():
        firsts[edges.edges[edge]], lasts[edges.edges[edge]] = window.first, window.last

    def label(rows: Rows) -> Ints:
        numbers = edges.of(rows.points)
        numbers[numbers >= len(firsts) - 1] = -1  # an edge that was first met after the windows were made
        return np.where((rows.starts >= firsts[numbers]) & (rows.starts <= lasts[numbers]), numbers, -1)

    labels, cells = store.merge_rows(span, label, coarsest=WIDTH)
    figures, named = Figures.of(cells, len(labels)), list(edges.edges)
    return {named[number]: (figures, place) for place, number in enumerate(labels.tolist())}


def _shown(window: Window, found: tuple[Figures, int] | None) -> dict[str, Any]:
    if found is None or not found[0].edge.counts[found[1]]:
        return {**IDLE, "since": window.slots[-1].start + WIDTH}
    figures, place = found
    count, latency = float(figures.edge.counts[place]), figures.edge.stats(place)
    p50, p99 = latency["p50"] or 0.0, latency["p99"] or 0.0
    slowness = slowness_of(p50, p99)
    state = state_of(slowness, window.change)
    change = None if state == "steady" else window.change
    return {
        "from": float(window.first),
        "count": count,
        "rate": count / (window.last + WIDTH - max(window.first, window.began)),
        **figures.stats(place),
        "slowness": slowness,
        "level": level_of(slowness),
        "label": duration_text(p50),
        "tail": duration_text(p99) if level_of(p99) >= level_of(p50) + TAIL_LEVELS else None,
        "state": state,
        "since": None if change is None else float(change.since),
        "before": None if change is None else change.p50,
    }
