"""Offsets by one clock, that of the agent: those of a service whose clock is behind are moved by how late it reports.

A service is taken to have such a clock if its reports are as late all the time, not if some waited for the agent.

Lag compares what one service has committed with what others have produced at the same moment. By the time of their
buckets, a group whose service has a clock that is behind would seem to have stopped reading as long ago.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from asyncdsm.agent.queries.late_reports import read_clocks_behind
from asyncdsm.agent.store.offset_search import Crossing, Passing
from asyncdsm.agent.store.offsets import Backlog, Tags
from asyncdsm.agent.store.protocol import Store
from asyncdsm.agent.store.resolutions import BUCKET_SECONDS, TimeRange


class AlignedOffsets:
    """The offsets of a store: each method answers as that of the store does which has nearly its name.

    How far a clock is behind is known of the present. Its offsets of the past are moved by as much.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._shifts = _read_shifts(store)

    def align_recent_offsets(self) -> list[tuple[Tags, tuple[Backlog, ...]]]:
        """Return the tags of each backlog and its offsets of its last two minutes, in the order of their buckets."""
        recent = self._store.recent_offsets()
        if not self._shifts:
            return recent
        return [(tags, tuple(_move(each, self._shifts.get(tags, 0)) for each in offsets)) for tags, offsets in recent]

    def align_offsets(self, time_range: TimeRange) -> list[tuple[Tags, int, int]]:
        """Return tags, start and value of the offsets in a time range, and of each backlog's last one before it."""
        first, last = time_range
        if not self._shifts:
            return self._store.offsets(time_range)
        before, within = dict[Tags, tuple[Tags, int, int]](), list[tuple[Tags, int, int]]()
        for tags, start, value in self._store.offsets(TimeRange(first - max(self._shifts.values()), last)):
            moved = tags, start + self._shifts.get(tags, 0), value
            if moved[1] < first:
                before[tags] = moved
            elif moved[1] < last:
                within.append(moved)
        return [*before.values(), *sorted(within, key=lambda each: each[1])]

    def align_thinned_offsets(self, tags: Tags, first: int, last: int, step: int) -> list[Backlog]:
        """Return the last offset of a backlog in each `step` seconds of [first, last), as far as they are written."""
        shift = self._shifts.get(tags, 0)
        return [_move(each, shift) for each in self._store.thinned_offsets(tags, first - shift, last - shift, step)]

    def align_crossings(self, wanted: Iterable[Passing]) -> Mapping[Passing, Crossing]:
        """Return when backlogs passed values, as far as that is written and was not deleted."""
        if not self._shifts:
            return self._store.find_crossings(wanted)
        asked = {each: each._replace(last=each.last - self._shifts.get(each.tags, 0)) for each in wanted}
        found = self._store.find_crossings(asked.values())
        return {
            each: Crossing(*(_move(backlog, self._shifts.get(each.tags, 0)) for backlog in found[moved]))
            for each, moved in asked.items()
            if moved in found
        }


def _move(backlog: Backlog, seconds: int) -> Backlog:
    return backlog._replace(start=backlog.start + seconds) if seconds else backlog


def _read_shifts(store: Store) -> dict[Tags, int]:
    """Return by how many seconds the offsets of each backlog are to be moved, if its service's clock is behind.

    A backlog that another service reports in time stays where it is.
    """
    numbers = dict(store.points.services)
    behind = {numbers[service]: late for service, late in read_clocks_behind(store).items() if service in numbers}
    if not behind:
        return {}
    owners, newest = store.backlog_owners(), int(store.now()) // BUCKET_SECONDS * BUCKET_SECONDS - BUCKET_SECONDS
    moved = {
        tags: min(behind.get(owners.get(tags, 0), 0), newest - offsets[-1].start)
        for tags, offsets in store.recent_offsets()
    }
    return {tags: shift for tags, shift in moved.items() if shift > 0}
