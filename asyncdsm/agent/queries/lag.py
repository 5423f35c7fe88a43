"""How many messages consumer groups are behind, now and over time.

Each offset belongs to the ten seconds (the bucket) in which a service saw it. Services report their buckets at
different times, so the newest offset of a producer and the newest commit of a consumer seldom belong to the same
bucket. Lag is the difference of two offsets at one moment: the last bucket that both sides have reported.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from asyncdsm.agent.queries.answer_limits import MOST_LAG_SERIES, AnswerLimits
from asyncdsm.agent.queries.answers import LagOverTime, LagPoint, LagSeries
from asyncdsm.agent.queries.kafka_clusters import clusters_of_topics, split_tags
from asyncdsm.agent.queries.time_ranges import settled_until, step_for
from asyncdsm.agent.store.offsets import RECENT_SECONDS
from asyncdsm.agent.store.resolutions import BUCKET_SECONDS, TimeRange
from asyncdsm.agent.store.store import Store
from asyncdsm.map.topology import PartitionLag

Tags = tuple[str, ...]
Partition = tuple[str, str, str]
"""Cluster id (empty if unknown), topic and partition."""


class OffsetHistory:
    """The offsets of one backlog by the start of their bucket (seconds since the epoch), in ascending order."""

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.values: list[int] = []

    def extend(self, offsets: Iterable[tuple[int, int]]) -> None:
        """Add (start, offset) of buckets; of two for one bucket, the highest is kept."""
        merged = dict(zip(self.starts, self.values, strict=True))
        for start, value in offsets:
            merged[start] = max(value, merged.get(start, value))
        self.starts = sorted(merged)
        self.values = [merged[start] for start in self.starts]

    def at(self, moment: int) -> tuple[int, int] | None:
        """Return (start, offset) of the last bucket that starts at or before a moment; None if there is none."""
        index = bisect_right(self.starts, moment) - 1
        return (self.starts[index], self.values[index]) if index >= 0 else None

    def complete_until(self, settled: int) -> int:
        """Return the last bucket that is complete: a service that is silent until `settled` has nothing to add."""
        return max(self.starts[-1], settled) if self.starts else settled


class PartitionEnds(NamedTuple):
    """What is known of the end of a partition, where the next message will be written."""

    watermarks: OffsetHistory
    """High watermarks, as consumers saw them."""
    produced: OffsetHistory
    """One more than the highest acknowledged offset."""

    def complete_until(self, settled: int) -> int:
        """Return the last bucket for which one of the two sources is complete."""
        return max((history.complete_until(settled) for history in self if history.starts), default=settled)

    def at(self, moment: int) -> int | None:
        """Return the end in a bucket: the consumer's own watermark, unless it is older than what producers reported.

        A watermark is from the consumer's last fetch: a consumer that is paused or slow repeats an old one. So the
        end is never below what had been produced by the bucket before.
        """
        watermark, produced = self.watermarks.at(moment), self.produced.at(moment)
        if watermark is None or produced is None:
            return (watermark or produced or (0, None))[1]
        if produced[0] > watermark[0] + BUCKET_SECONDS:
            return produced[1]
        earlier = self.produced.at(moment - BUCKET_SECONDS)
        return max(watermark[1], earlier[1]) if earlier else watermark[1]


class KafkaOffsets:
    """Offsets by their meaning: where partitions end, and what consumer groups have committed."""

    def __init__(self) -> None:
        self.ends: dict[Partition, PartitionEnds] = {}
        self.commits: dict[tuple[str, Partition], OffsetHistory] = {}

    @classmethod
    def of(cls, backlogs: Iterable[tuple[Tags, Iterable[tuple[int, int]]]]) -> KafkaOffsets:
        """Return the offsets of backlogs: of each its tags, and (start of a bucket, offset) in ascending order.

        Tracers report their first offsets before they know the cluster's id. Offsets without it are of the only
        cluster that is known to have the topic.
        """
        offsets, tagged = cls(), [(split_tags(tags), history) for tags, history in backlogs]
        clusters = clusters_of_topics(tags for tags, _ in tagged)
        for tags, history in tagged:
            candidates = clusters.get(tags.get("topic", ""), set())
            if "kafka_cluster_id" not in tags and len(candidates) == 1:
                tags["kafka_cluster_id"] = next(iter(candidates))
            offsets._add(tags, [each for each in history if each[1] >= 0])  # -1001 is no offset yet
        return offsets

    def _add(self, tags: Mapping[str, str], history: Iterable[tuple[int, int]]) -> None:
        partition = tags.get("kafka_cluster_id", ""), tags.get("topic", ""), tags.get("partition", "")
        match tags.get("type"):
            case "kafka_produce":
                self._ends_of(partition).produced.extend((start, value + 1) for start, value in history)
            case "kafka_high_watermark":
                self._ends_of(partition).watermarks.extend(history)
            case "kafka_commit":
                self.commits.setdefault((tags.get("consumer_group", ""), partition), OffsetHistory()).extend(history)
            case _:
                pass

    def _ends_of(self, partition: Partition) -> PartitionEnds:
        return self.ends.setdefault(partition, PartitionEnds(OffsetHistory(), OffsetHistory()))

    def complete_buckets(self, settled: int) -> Iterator[tuple[str, Partition, int]]:
        """Yield group, partition, and the last bucket for which both its commit and its end are complete."""
        for (group, partition), commits in sorted(self.commits.items()):
            if partition in self.ends:
                moment = min(commits.complete_until(settled), self.ends[partition].complete_until(settled))
                yield group, partition, moment

    def messages_behind(self, group: str, partition: Partition, moment: int) -> int | None:
        """Return how many messages a group is behind in a bucket; None if the end or the commit is unknown."""
        end, committed = self.ends[partition].at(moment), self.commits[group, partition].at(moment)
        return None if end is None or committed is None else max(0, end - committed[1])


def current_lags(store: Store, time_range: TimeRange) -> list[PartitionLag]:
    """Return the lag per group, topic and partition at the end of a time range (now, if it has no end)."""
    if time_range.last > store.now():
        backlogs: Iterable[tuple[Tags, Iterable[tuple[int, int]]]] = store.recent_offsets()
    else:
        backlogs = _group_by_tags(store.offsets(TimeRange(time_range.last - RECENT_SECONDS, time_range.last)))
    return lags_of(KafkaOffsets.of(backlogs), settled_until(time_range, store.now()))


def _group_by_tags(offsets: Iterable[tuple[Tags, int, int]]) -> Iterable[tuple[Tags, list[tuple[int, int]]]]:
    histories: dict[Tags, list[tuple[int, int]]] = {}
    for tags, start, value in offsets:
        histories.setdefault(tags, []).append((start, value))
    return histories.items()


def lags_of(offsets: KafkaOffsets, settled: int) -> list[PartitionLag]:
    """Return the lags; `settled` is the start of the last bucket to which silent services have nothing to add."""
    found = [(*bucket[:2], offsets.messages_behind(*bucket)) for bucket in offsets.complete_buckets(settled)]
    return [
        PartitionLag(
            group=group, topic=topic, partition=number, cluster_id=cluster or None, behind=behind, unit="messages"
        )
        for group, (cluster, topic, number), behind in found
        if behind is not None
    ]


def lag_over_time(
    store: Store, time_range: TimeRange, topic: str, group: str | None, cluster: str | None = None
) -> LagOverTime:
    """Return the lag at each step of a time range, per group and partition of a topic.

    If a group or a cluster is given, only theirs. A series ends where one side has not reported yet.
    """
    step = step_for(time_range, store.now())
    offsets = [each for each in store.offsets(time_range) if split_tags(each[0]).get("topic") == topic]
    steps = sorted({start // step * step for _, start, _ in offsets if start >= time_range.first})
    histories = KafkaOffsets.of(_group_by_tags(offsets))
    series = [
        LagSeries(
            group=name,
            topic=partition[1],
            partition=partition[2],
            cluster_id=partition[0] or None,
            points=_points(histories, name, partition, _last_buckets(steps, step, until)),
        )
        for name, partition, until in histories.complete_buckets(settled_until(time_range, store.now()))
        if group in {None, name} and cluster in {None, partition[0]}
    ]
    not_empty, limits = [each for each in series if each.points], AnswerLimits()
    largest = limits.keep_largest("series", not_empty, MOST_LAG_SERIES, lambda each: each.points[-1].behind)
    return LagOverTime(series=largest, cut=limits.left_out)


def _last_buckets(steps: Iterable[int], step: int, until: int) -> Iterator[tuple[int, int]]:
    """Yield each step's start, and the last of its buckets that is complete."""
    return ((start, min(start + step - BUCKET_SECONDS, until)) for start in steps if start <= until)


def _points(
    histories: KafkaOffsets, group: str, partition: Partition, steps: Iterable[tuple[int, int]]
) -> list[LagPoint]:
    found = [(start, histories.messages_behind(group, partition, moment)) for start, moment in steps]
    return [LagPoint(start=float(start), behind=behind) for start, behind in found if behind is not None]
