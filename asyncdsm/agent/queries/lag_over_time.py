"""How far consumer groups were behind over time, in messages and in seconds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from asyncdsm.agent.queries.aligned_offsets import AlignedOffsets
from asyncdsm.agent.queries.answer_limits import MOST_LAG_SERIES, AnswerLimits
from asyncdsm.agent.queries.answers import LagOverTime, LagPoint, LagSeries
from asyncdsm.agent.queries.kafka_clusters import split_tags
from asyncdsm.agent.queries.kafka_offsets import KafkaOffsets, Partition, Tags, group_by_tags
from asyncdsm.agent.queries.lag import passings_of
from asyncdsm.agent.queries.lag_age import Ages
from asyncdsm.agent.queries.time_ranges import settled_until, step_for
from asyncdsm.agent.store.offsets import Backlog
from asyncdsm.agent.store.protocol import Store
from asyncdsm.agent.store.resolutions import BUCKET_SECONDS, TimeRange

MOST_AGED_SERIES = 50
"""How many series look into the time before the range for the age of their messages, the largest lags first."""
MOST_OLDER_OFFSETS = 200
"""How many offsets of a backlog before the range are used: messages that are a day old are told to 7 minutes."""


class _Moment(NamedTuple):
    """A step of a range: its start, its last bucket that is complete, and the lag in that bucket."""

    start: int
    bucket: int
    committed: int
    behind: int


class _Line(NamedTuple):
    """The lag of a group in a partition, over time."""

    group: str
    partition: Partition
    moments: list[_Moment]


def lag_over_time(
    store: Store, time_range: TimeRange, topic: str, group: str | None, cluster: str | None = None
) -> LagOverTime:
    """Return the lag at each step of a time range, per group and partition of a topic.

    If a group or a cluster is given, only theirs. A series ends where one side has not reported yet.
    """
    step = step_for(time_range, store.now())
    aligned = AlignedOffsets(store)
    offsets = [each for each in aligned.align_offsets(time_range) if split_tags(each[0]).get("topic") == topic]
    starts = sorted({start // step * step for _, start, _ in offsets if start >= time_range.first})
    histories = KafkaOffsets.of(group_by_tags(offsets))
    lines = [
        _Line(name, partition, moments)
        for name, partition, until in histories.complete_buckets(settled_until(time_range, store.now()))
        if group in {None, name} and cluster in {None, partition[0]}
        for moments in [list(_read_moments(histories, name, partition, _last_buckets(starts, step, until)))]
        if moments
    ]
    by_size = sorted(range(len(lines)), key=lambda index: -lines[index].moments[-1].behind)
    older = {index: _older_offsets(aligned, histories, lines[index]) for index in by_size[:MOST_AGED_SERIES]}
    series = [_build_series(line, histories, older.get(index, [])) for index, line in enumerate(lines)]
    limits = AnswerLimits()
    largest = limits.keep_largest("series", series, MOST_LAG_SERIES, lambda each: each.points[-1].behind)
    return LagOverTime(series=largest, cut=limits.left_out)


def _last_buckets(starts: Iterable[int], step: int, until: int) -> Iterator[tuple[int, int]]:
    """Yield each step's start, and the last of its buckets that is complete."""
    return ((start, min(start + step - BUCKET_SECONDS, until)) for start in starts if start <= until)


def _read_moments(
    histories: KafkaOffsets, group: str, partition: Partition, steps: Iterable[tuple[int, int]]
) -> Iterator[_Moment]:
    commits = histories.commits[group, partition]
    for start, bucket in steps:
        behind, committed = histories.messages_behind(group, partition, bucket), commits.at(bucket)
        if behind is not None and committed is not None:
            yield _Moment(start, bucket, committed[1], behind)


def _older_offsets(aligned: AlignedOffsets, histories: KafkaOffsets, line: _Line) -> list[tuple[Tags, list[Backlog]]]:
    """Return offsets from before the range, back to when the oldest message that was unread in it was appended."""
    ends, found = histories.ends[line.partition], list[tuple[Tags, list[Backlog]]]()
    oldest = min((each.committed for each in line.moments if each.behind), default=None)
    if oldest is None:
        return found
    for passing, crossing in aligned.align_crossings(passings_of(ends, oldest, line.moments[-1].bucket)).items():
        first, last = crossing.above.start, line.moments[0].start
        step = max(BUCKET_SECONDS, (last - first) // MOST_OLDER_OFFSETS)
        found.append((passing.tags, [*crossing, *aligned.align_thinned_offsets(passing.tags, first, last, step)]))
    return found


def _build_series(line: _Line, histories: KafkaOffsets, older: Iterable[tuple[Tags, Iterable[Backlog]]]) -> LagSeries:
    ages = Ages(histories.ends[line.partition].with_older(older))
    cluster, topic, number = line.partition
    return LagSeries(
        group=line.group,
        topic=topic,
        partition=number,
        cluster_id=cluster or None,
        points=[
            LagPoint(
                start=float(each.start),
                behind=each.behind,
                seconds=ages.find_age(each.committed, each.behind, each.bucket) if each.behind else 0.0,
            )
            for each in line.moments
        ],
    )
