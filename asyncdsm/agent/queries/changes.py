"""Lists what changed: which hops are slower, which services are quiet, what is new, each since when.

The rules are in `change_rules` and `latency_changes`. They are applied to the last hour in steps of a minute, and to a
longer time range in coarser steps too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from asyncdsm.agent.queries.answers import Change, ChangeKind, Changes, UsualLatency
from asyncdsm.agent.queries.current_state import current_states
from asyncdsm.agent.queries.edge_changes import find_latency_changes, find_rate_changes
from asyncdsm.agent.queries.history_reader import HistoryReader, read_histories
from asyncdsm.agent.queries.lag import current_lags
from asyncdsm.agent.queries.lag_begin import find_begin_of_lag
from asyncdsm.agent.queries.lag_changes import find_growing_lags
from asyncdsm.agent.queries.late_reports import began_reporting, read_delays
from asyncdsm.agent.queries.new_edges import find_first_slots, find_new_edges
from asyncdsm.agent.queries.schema_changes import find_schema_changes
from asyncdsm.agent.queries.service_changes import find_quiet_services, find_versions
from asyncdsm.agent.queries.usual_levels import HOUR, UsualLevels, read_usual_levels
from asyncdsm.agent.store.registry import EdgeKey, edge_id
from asyncdsm.agent.store.resolutions import BUCKET_SECONDS, TimeRange
from asyncdsm.map.topology import Present

MOST_CHANGES, MOST_USUAL = 200, 50
TROUBLE: tuple[ChangeKind, ...] = "quiet", "slower", "lag grows", "rate fell"
"""The kinds that are listed first."""
LASTING: tuple[ChangeKind, ...] = "quiet", "lag grows"
"""The kinds that are listed as long as they last, however long ago they began."""


def list_changes(reader: HistoryReader, time_range: TimeRange) -> Changes:
    """Return what changed in a time range, and at least in its last hour; nothing of one that is in the future."""
    store = reader.store
    if time_range.first >= store.now():
        return Changes(from_=time_range.first, to=time_range.last, changes=[], usual=[], cut={})
    end = min(time_range.last, store.now())
    begin = end - min(max(end - time_range.first, HOUR), store.kept_seconds)
    oldest = began_reporting(store)
    histories = read_histories(reader, begin, end)
    states = current_states(store, time_range)
    lags = current_lags(store, time_range)
    usual = read_usual_levels(store, time_range.first, end, oldest)
    quiet = find_quiet_services(store, end, histories, is_live=time_range.last > end)
    silent = {(change.service, change.env) for change in quiet}
    new = find_new_edges(store, TimeRange(begin, end), histories[-1], oldest)
    fresh = {change.edge or (change.service, change.env) for change in new}
    delays = read_delays(store, histories[0].settled_at - BUCKET_SECONDS)
    with_firsts = [(history, find_first_slots(store, history)) for history in histories]
    rates = find_rate_changes(store, with_firsts, usual, delays)
    of_edges = [
        *find_latency_changes(store, histories, states, usual),
        *find_growing_lags(states, lags.groups, end, lambda group: find_begin_of_lag(store, lags.of(group), end)),
        *(rate for rate in rates if fresh.isdisjoint({rate.edge, (rate.service, rate.env)})),
    ]
    found = [
        *quiet,
        *(change for change in of_edges if (change.service, change.env) not in silent),
        *find_versions(store, TimeRange(begin, end)),
        *find_schema_changes(store, TimeRange(begin, end)),
        *new,
    ]
    listed = sorted((change for change in found if change.kind in LASTING or change.since >= begin), key=_order)
    left_out = len(listed) - MOST_CHANGES
    return Changes(
        from_=begin,
        to=end,
        changes=listed[:MOST_CHANGES],
        usual=_usual_of_slowest(states, usual, listed),
        cut={"changes": left_out} if left_out > 0 else {},
    )


def _order(change: Change) -> tuple[bool, bool, float, int, str, str]:
    """Return what changes are sorted by: trouble that is not usual, the newest first; then by their names."""
    place = TROUBLE.index(change.kind) if change.kind in TROUBLE else len(TROUBLE)
    return change.is_usual, change.kind not in TROUBLE, -change.since, place, change.service, change.queue


def _usual_of_slowest(
    states: Mapping[EdgeKey, Present], usual: UsualLevels, changes: Iterable[Change]
) -> list[UsualLatency]:
    """Return what is usual of the slowest edges: what they were before they changed, or else their usual level."""
    changed = {change.edge: change for change in changes if change.kind in {"slower", "faster", "back to usual"}}
    slowest: Sequence[EdgeKey] = sorted(states, key=lambda edge: -states[edge].slowness)[:MOST_USUAL]
    levels = {edge_id(edge): usual.edges.get(edge) for edge in slowest}
    medians = [_usual_p50(changed.get(name), level and level.p50) for name, level in levels.items()]
    return [
        UsualLatency(edge=name, p50=p50, rate=level and level.rate)
        for (name, level), p50 in zip(levels.items(), medians, strict=True)
        if p50 is not None
    ]


def _usual_p50(change: Change | None, level: float | None) -> float | None:
    """Return the usual median of a hop that changed like this, and whose level is usually this, both in seconds.

    What is as at this hour of the day before is usual, also if it took longer than what its change is compared with.
    """
    if change is None or change.quantile != "p50" or (change.is_usual and level is not None):
        return level
    if not isinstance(change.before, float):
        return level
    if change.kind == "back to usual":
        return change.now if isinstance(change.now, float) else level
    if level is None or change.kind == "faster":
        return change.before
    # A hop that gets slower and slower was slow already before its last change.
    return min(change.before, level)
