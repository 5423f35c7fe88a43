"""What each hop is like now: the one rule for color, label and order, on the page and everywhere else.

"Now" is the last minute that a service has reported, or less if the hop changed within that minute; of a service whose
clock is behind, that is a minute of the past. The color is that of the median, or of a tenth of the 99th percentile if
that is more, so that a long tail shows too. `since` says when the hop became slower, faster or idle, if that was within
the last hour, or ten minutes as long as no more is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from asyncdsm.agent.queries.change_begins import LatencyBegins
from asyncdsm.agent.queries.earlier_slots import EarlierSlots
from asyncdsm.agent.queries.late_reports import Delays, came_at, read_delays
from asyncdsm.agent.queries.latency_changes import Change, changed_quantile, last_change, may_have_changed, state_of
from asyncdsm.agent.queries.quantiles import GroupQuantiles
from asyncdsm.agent.queries.recent_slots import RecentSlots, SlotsOfEdges
from asyncdsm.agent.queries.time_ranges import join_neighbors, settled_until
from asyncdsm.agent.queries.usual_slots import Slot
from asyncdsm.agent.store.edge_sums import EdgeSums
from asyncdsm.agent.store.merger import Merger
from asyncdsm.agent.store.protocol import Store
from asyncdsm.agent.store.registry import EdgeKey
from asyncdsm.agent.store.resolutions import BUCKET_SECONDS, TimeRange
from asyncdsm.agent.store.write_buffer import MAX_AHEAD_SECONDS
from asyncdsm.map.levels import TAIL_LEVELS, level_of, slowness_of
from asyncdsm.map.strings import NOTHING, format_duration
from asyncdsm.map.topology import NO_QUANTILES, Present

MINUTE = 60
SECONDS_BEFORE, MINUTES_BEFORE = 600, 50
"""For how many seconds before the last minute changes are looked for, and in how many minutes before those: in as many
as are known already."""

MOST_EARLIER = 20
"""How many windows that are before the last two minutes are read, the newest first: each takes as long as a minute."""


class Window(NamedTuple):
    """The buckets of an edge that are its present: those that start in [first, last]."""

    first: int
    last: int
    began: int
    """The start of the first bucket that was read and has anything of this edge's service."""
    slots: list[Slot]
    change: Change | None


def current_states(store: Store, time_range: TimeRange, *, whole_minute: bool = False) -> dict[EdgeKey, Present]:
    """Return what each edge is like at the end of a time range.

    With `whole_minute`, the numbers are those of a whole minute, also if the edge changed within it. Since when an edge
    is idle is told by the clock of the agent, and not earlier than the last message. Edges that nothing passed for so
    long that it is not known any more are left out: they are `IDLE`.
    """
    before, last = range_of_changes(store, time_range), last_start(store, time_range)
    settled = settled_until(time_range, store.now())
    delays = read_delays(store, settled)
    windows = _windows(store, before, settled, delays)
    if whole_minute:
        windows = {edge: each._replace(first=each.last - MINUTE + BUCKET_SECONDS) for edge, each in windows.items()}
    by_group = _quantiles_in_windows(store, TimeRange(last - 2 * MINUTE, time_range.last), windows)
    found = {edge: by_group[edge] for edge in windows if by_group[edge][0].counts[by_group[edge][1]]}
    idle = {edge: window.slots[-1].start for edge, window in windows.items() if edge not in found}
    ends = RecentSlots.of(store).read_ends(idle) if idle else {}
    return {
        edge: _state(window, *found[edge]) if edge in found else _idle(came_at(ends[edge], delays.get(edge[:2])))
        for edge, window in windows.items()
    }


def range_of_changes(store: Store, time_range: TimeRange) -> TimeRange:
    """Return in which time before the end of a time range changes are always looked for: whole minutes."""
    begin = last_start(store, time_range) - SECONDS_BEFORE - MINUTE
    return TimeRange(begin // MINUTE * MINUTE, time_range.last)


def last_start(store: Store, time_range: TimeRange) -> int:
    """Return the start of the bucket in which a time range ends, or of the present one."""
    return int(min(time_range.last, store.now())) // BUCKET_SECONDS * BUCKET_SECONDS


def _windows(store: Store, time_range: TimeRange, settled: int, delays: Delays) -> dict[EdgeKey, Window]:
    """Return the window of each edge that anything passed in a time range, and its slots."""
    slots = _drop_slots_ahead(store, RecentSlots.of(store).read_slots(time_range, MINUTES_BEFORE))
    reported = _reported_buckets(slots)
    windows = {
        edge: _window(each, *reported[edge[:2]], settled - delays.get(edge[:2], 0)) for edge, each in slots.items()
    }
    changes = {edge: window.change for edge, window in windows.items() if window.change is not None}
    changes = EarlierSlots.of_store(store).find_returns(changes, slots)
    refined = LatencyBegins.refine(store, changes, MINUTE)
    return windows | {edge: windows[edge]._replace(change=change) for edge, change in refined.items()}


def _drop_slots_ahead(store: Store, slots: SlotsOfEdges) -> SlotsOfEdges:
    """Return slots without those of a time that is still to come, in which the agent's clock was ahead.

    A service that reports such times now has all: its clock is ahead of the agent's.
    """
    latest = store.now() + MAX_AHEAD_SECONDS
    if all(each[-1].start <= latest for each in slots.values()):
        return slots
    found = {edge: [slot for slot in each if slot.start <= latest] for edge, each in slots.items()}
    behind = {edge[:2] for edge, each in found.items() if each}
    behind = {owner for owner in behind if store.facts.lookup(*owner).newest_start <= latest}
    chosen = {edge: found[edge] if edge[:2] in behind else each for edge, each in slots.items()}
    return {edge: each for edge, each in chosen.items() if each}


def _reported_buckets(slots: Mapping[EdgeKey, list[Slot]]) -> dict[tuple[str, str], tuple[int, int]]:
    """Return the first and the last bucket of each service."""
    reported: dict[tuple[str, str], tuple[int, int]] = {}
    for edge, each in slots.items():
        first, last = reported.get((edge.service, edge.env), (each[0].start, each[-1].start))
        reported[edge.service, edge.env] = min(first, each[0].start), max(last, each[-1].start)
    return reported


def _window(slots: list[Slot], began: int, newest: int, settled: int) -> Window:
    last = max(newest, settled)
    first = last - MINUTE + BUCKET_SECONDS
    change = last_change(slots) if may_have_changed(slots) else None
    return Window(max(first, change.level_since) if change else first, last, began, slots, change)


def _quantiles_in_windows(
    store: Store, time_range: TimeRange, windows: Mapping[EdgeKey, Window]
) -> dict[EdgeKey, tuple[GroupQuantiles, int]]:
    """Return the quantiles of each edge in its window, and the edge's group in them."""
    if not windows:
        return {}
    edges = list(windows)
    group_of = {edge: group for group, edge in enumerate(edges)}
    firsts, lasts = (np.array([window[at] for window in windows.values()], np.int64) for at in (0, 1))
    merger = Merger()
    for start, sums in _read_sums(store, time_range, windows):
        groups = np.array([group_of.get(sums.edges[label >> 1], -1) for label in sums.labels.tolist()], np.int64)
        # An edge without a window is newer than the windows.
        wanted = (groups >= 0) & (start >= firsts[groups]) & (start <= lasts[groups])
        if wanted.any():
            chosen = sums.histograms.select_groups(wanted).relabel(np.cumsum(wanted) - 1)
            merger.add((2 * groups + sums.labels % 2)[wanted], chosen)
    labels, histograms = merger.result()
    by_group = GroupQuantiles.of(histograms, len(edges), labels % 2 == 1, labels // 2)
    return {edge: (by_group, group) for group, edge in enumerate(edges)}


def _read_sums(
    store: Store, time_range: TimeRange, windows: Mapping[EdgeKey, Window]
) -> Iterator[tuple[int, EdgeSums]]:
    """Yield the sums of a time range by their starts, and those of windows before it: of services that are late."""
    common = store.sum_edges_by_start(time_range, coarsest=BUCKET_SECONDS)
    yield from common.items()
    earlier = {range(each.first, each.last + 1, BUCKET_SECONDS) for each in windows.values()}
    newest = sorted((each for each in earlier if each and each[0] < time_range.first), key=lambda each: -each[0])
    starts = {start for each in newest[:MOST_EARLIER] for start in each if start < time_range.first}
    for first, last in join_neighbors(sorted(starts), BUCKET_SECONDS):
        found = store.sum_edges_by_start(TimeRange(first, last), coarsest=BUCKET_SECONDS)
        yield from ((start, sums) for start, sums in found.items() if start not in common)


def _state(window: Window, by_group: GroupQuantiles, group: int) -> Present:
    count = float(by_group.counts[group])
    edge_latency, pathway_latency, payload_size = by_group.of_group(group)
    p50, p99 = edge_latency.p50 or 0.0, edge_latency.p99 or 0.0
    slowness = slowness_of(p50, p99)
    change = window.change
    state = "steady" if change is None else state_of(change.choose_latency(slowness, p50), change)
    change = None if state == "steady" else change
    quantile = None if state == "steady" or change is None else changed_quantile(p50, change, state)
    return Present(
        from_=float(window.first),
        count=count,
        rate=count / (window.last + BUCKET_SECONDS - max(window.first, window.began)),
        edge_latency=edge_latency,
        pathway_latency=pathway_latency,
        payload_size=payload_size,
        slowness=slowness,
        level=level_of(slowness),
        label=NOTHING if edge_latency.p50 is None else format_duration(p50),
        tail=format_duration(p99) if level_of(p99) >= level_of(p50) + TAIL_LEVELS else None,
        state=state,
        since=None if change is None else float(change.since),
        before=None if change is None else change.p50 if quantile == "p50" else change.p99,
        quantile=quantile,
    )


def _idle(since: float | None) -> Present:
    return Present(
        from_=None,
        count=0.0,
        rate=0.0,
        edge_latency=NO_QUANTILES,
        pathway_latency=NO_QUANTILES,
        payload_size=NO_QUANTILES,
        slowness=0.0,
        level=0,
        label="idle",
        tail=None,
        state="idle",
        since=since,
        before=None,
        quantile=None,
    )


IDLE = _idle(None)
"""The state of a hop of which it is not known since when nothing passed it: for at least ten minutes."""
