"""How far consumer groups are behind at the end of a time range: in messages, in seconds, and whether they catch up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from math import nan
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from asyncdsm.agent.queries.aligned_offsets import AlignedOffsets
from asyncdsm.agent.queries.kafka_offsets import KafkaOffsets, Offsets, Partition, PartitionEnds, Tags, group_by_tags
from asyncdsm.agent.queries.lag_age import Ages
from asyncdsm.agent.queries.lag_trend import (
    FRESH_SECONDS,
    STEADY,
    Velocity,
    find_velocities,
    keeps_up,
    settle,
    was_late,
)
from asyncdsm.agent.queries.time_ranges import settled_until
from asyncdsm.agent.store.histograms import Floats
from asyncdsm.agent.store.offset_search import Crossing, Passing
from asyncdsm.agent.store.offsets import RECENT_SECONDS
from asyncdsm.agent.store.protocol import Store
from asyncdsm.agent.store.resolutions import BUCKET_SECONDS, FOREVER, TimeRange
from asyncdsm.map.topology import PartitionLag

Group = tuple[str, str, str | None]
"""Consumer group, topic and cluster id."""
CHECKED_SECONDS = 30, 60, 90, 120
"""How many seconds before a lag it is looked whether it was much larger."""
FindCrossings = Callable[[Iterable[Passing]], Mapping[Passing, Crossing]]


class Reading(NamedTuple):
    """A lag in the last bucket (`moment`) that both sides have reported."""

    group: str
    partition: Partition
    moment: int
    committed: int
    behind: int

    @property
    def in_topic(self) -> Group:
        """The group, and the topic that it reads."""
        return self.group, self.partition[1], self.partition[0] or None


class GroupLag(NamedTuple):
    """The lag of a group in a topic, over all partitions: the sum of messages, and the oldest of known ages."""

    behind: int
    seconds: float | None
    velocity: Velocity


Lags = Mapping[Group, GroupLag]


class CurrentLags(NamedTuple):
    """Lags of partitions, and of groups in topics."""

    partitions: list[PartitionLag]
    groups: Lags

    def of(self, group: Group) -> list[PartitionLag]:
        """Return the lags of a group in the partitions of a topic."""
        return [each for each in self.partitions if (each.group, each.topic, each.cluster_id) == group]


NO_LAGS = CurrentLags([], {})
_LATEST: WeakKeyDictionary[Store, tuple[tuple[float, ...], CurrentLags]] = WeakKeyDictionary()
# The map, the changes and the charts of hops ask for the lags of one moment.


def current_lags(store: Store, time_range: TimeRange) -> CurrentLags:
    """Return the lags at the end of a time range (now, if it has no end). They are computed once per moment."""
    now = store.now()
    end, settled = FOREVER if time_range.last > now else time_range.last, settled_until(time_range, now)
    moment = end, settled, store.payloads
    known = _LATEST.get(store)
    if known is None or known[0] != moment:
        known = _LATEST[store] = moment, _read_current_lags(store, end, settled)
    return known[1]


def _read_current_lags(store: Store, end: float, settled: int) -> CurrentLags:
    aligned = AlignedOffsets(store)
    if end == FOREVER:
        backlogs: Iterable[tuple[Tags, Offsets]] = aligned.align_recent_offsets()
    else:
        backlogs = group_by_tags(aligned.align_offsets(TimeRange(end - RECENT_SECONDS, end)))
    return lags_of(KafkaOffsets.of(backlogs), settled, aligned.align_crossings)


def lags_of(
    offsets: KafkaOffsets, settled: int, find_crossings: FindCrossings = lambda _: dict[Passing, Crossing]()
) -> CurrentLags:
    """Return the lags; `settled` is the start of the last bucket to which silent services have nothing to add.

    `find_crossings` finds what is older than these offsets.
    """
    readings = list(_read_lags(offsets, settled))
    ages = [_find_sure_age(Ages(offsets.ends[each.partition]), each) for each in readings]
    _find_older(offsets, readings, ages, find_crossings)
    behinds = _behinds_before(offsets, readings, ages)
    return CurrentLags(_partition_lags(readings, ages, behinds), _group_lags(readings, ages, behinds))


def _read_lags(offsets: KafkaOffsets, settled: int) -> Iterator[Reading]:
    for group, partition, moment in offsets.complete_buckets(settled):
        behind = offsets.messages_behind(group, partition, moment)
        committed = offsets.commits[group, partition].at(moment)
        if behind is not None and committed is not None:
            yield Reading(group, partition, moment, committed[1], behind)


def _find_sure_age(ages: Ages, reading: Reading) -> float | None:
    """Return the age of the oldest unread message, or None if what is older may say another one."""
    if reading.behind and not ages.reach_back(reading.committed, reading.moment):
        return None
    return ages.find_age(reading.committed, reading.behind, reading.moment) if reading.behind else 0.0


def _find_older(
    offsets: KafkaOffsets, readings: list[Reading], ages: list[float | None], find_crossings: FindCrossings
) -> None:
    """Find the ages that are None, as far as the file has them, those of the largest lags first."""
    unknown = [index for index, age in enumerate(ages) if age is None]
    unknown.sort(key=lambda index: -readings[index].behind)
    passings = {
        index: list(passings_of(offsets.ends[each.partition], each.committed, each.moment))
        for index in unknown
        for each in [readings[index]]
    }
    found = find_crossings(passing for each in passings.values() for passing in each)
    for index in unknown:
        older, reading = [(each.tags, found[each]) for each in passings[index] if each in found], readings[index]
        ends = offsets.ends[reading.partition].with_older(older)
        ages[index] = Ages(ends).find_age(reading.committed, reading.behind, reading.moment)


def passings_of(ends: PartitionEnds, offset: int, moment: int) -> Iterator[Passing]:
    """Yield what to look for in the file to know when the message with an offset was appended."""
    for history, one in ((ends.produced, 1), (ends.watermarks, 0)):  # `produced` has one more than was reported
        newest = history.at(moment)
        if newest is not None:
            for tags in history.sources:
                yield Passing(tags, offset - one, newest[1] - one, moment)


def _behinds_before(offsets: KafkaOffsets, readings: list[Reading], ages: list[float | None]) -> dict[int, Floats]:
    """Return the lags of the last two minutes by the index of the reading; a lag that is unknown is NaN.

    Only readings of groups in topics in which they do not keep up, or did not, are there.
    """
    slow = {
        each.in_topic
        for each, age in zip(readings, ages, strict=True)
        if not keeps_up(each.behind, age) or was_late(_behinds_at(offsets, each, CHECKED_SECONDS), each.behind, age)
    }
    before = range(RECENT_SECONDS, -1, -BUCKET_SECONDS)
    return {index: _behinds_at(offsets, each, before) for index, each in enumerate(readings) if each.in_topic in slow}


def _behinds_at(offsets: KafkaOffsets, reading: Reading, seconds_before: Iterable[int]) -> Floats:
    behinds = [
        offsets.messages_behind(reading.group, reading.partition, reading.moment - seconds)
        for seconds in seconds_before
    ]
    return np.array([nan if behind is None else float(behind) for behind in behinds])


def _partition_lags(
    readings: list[Reading], ages: list[float | None], behinds: Mapping[int, Floats]
) -> list[PartitionLag]:
    found = zip(behinds, find_velocities(list(behinds.values())), strict=True)
    velocities = {index: settle(velocity, behinds[index], ages[index]) for index, velocity in found}
    return [
        PartitionLag(
            group=each.group,
            topic=each.partition[1],
            partition=each.partition[2],
            cluster_id=each.partition[0] or None,
            behind=each.behind,
            unit="messages",
            seconds=ages[index],
            trend=trend,
            done_in=done_in,
        )
        for index, each in enumerate(readings)
        for trend, done_in in [velocities.get(index, STEADY)]
    ]


def _group_lags(readings: list[Reading], ages: list[float | None], behinds: Mapping[int, Floats]) -> Lags:
    members: dict[Group, list[int]] = {}
    for index, each in enumerate(readings):
        members.setdefault(each.in_topic, []).append(index)
    sums = {group: sum(readings[index].behind for index in each) for group, each in members.items()}
    oldest = {group: _oldest([ages[index] for index in each]) for group, each in members.items()}
    totals = {
        group: _add_up([behinds[index] for index in each]) for group, each in members.items() if each[0] in behinds
    }
    found = zip(totals, find_velocities(list(totals.values())), strict=True)
    velocities = {group: settle(velocity, totals[group], oldest[group]) for group, velocity in found}
    return {group: GroupLag(sums[group], oldest[group], velocities.get(group, STEADY)) for group in members}


def _oldest(ages: list[float | None]) -> float | None:
    """Return the highest age; None if one is unknown, which may be higher, and all others are fresh."""
    oldest = max((age for age in ages if age is not None), default=0.0)
    return None if None in ages and oldest < FRESH_SECONDS else oldest


def _add_up(rows: list[Floats]) -> Floats:
    """Return the sum of rows. A lag that is not known yet counts as the first one that is known."""
    table = np.array(rows)
    known = ~np.isnan(table)
    firsts = table[np.arange(len(table)), known.argmax(axis=1)]
    total: Floats = np.where(known, table, firsts[:, None]).sum(axis=0)
    total[~known.any(axis=0)] = nan
    return total
