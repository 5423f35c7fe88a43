"""The offsets of Kafka over time, by their meaning: where partitions end, and what consumer groups have committed.

Each offset belongs to the ten seconds (the bucket) in which a service saw it. Services report their buckets at
different times, so the newest offset of a producer and the newest commit of a consumer seldom belong to the same
bucket. Lag is the difference of two offsets at one moment: the last bucket that both sides have reported.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from asyncdsm.agent.queries.kafka_clusters import clusters_of_topics, split_tags
from asyncdsm.agent.store.resolutions import BUCKET_SECONDS

Tags = tuple[str, ...]
Offsets = Iterable[tuple[int, int]]
"""Starts of buckets, and the highest offset of each."""
Partition = tuple[str, str, str]
"""Cluster id (empty if unknown), topic and partition."""


class OffsetHistory:
    """The offsets of one backlog by the start of their bucket (seconds since the epoch), in ascending order."""

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.values: list[int] = []
        self.sources: list[Tags] = []
        """The tags of the backlogs that the offsets are from."""

    def extend(self, offsets: Offsets) -> None:
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

    def with_older(self, older: Iterable[tuple[Tags, Offsets]]) -> PartitionEnds:
        """Return these ends with older offsets, as they were reported, by their tags."""
        merged = PartitionEnds(OffsetHistory(), OffsetHistory())
        for history, known, one in ((merged.watermarks, self.watermarks, 0), (merged.produced, self.produced, 1)):
            history.extend(zip(known.starts, known.values, strict=True))
            for tags, offsets in older:
                if tags in known.sources:
                    history.extend((start, value + one) for start, value in offsets)
        return merged

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
    def of(cls, backlogs: Iterable[tuple[Tags, Offsets]]) -> KafkaOffsets:
        """Return the offsets of backlogs: of each its tags, and (start of a bucket, offset) in ascending order.

        Tracers report their first offsets before they know the cluster's id. Offsets without it are of the only
        cluster that is known to have the topic.
        """
        offsets, tagged = cls(), [(split_tags(tags), history, tags) for tags, history in backlogs]
        clusters = clusters_of_topics(tags for tags, _, _ in tagged)
        for tags, history, source in tagged:
            candidates = clusters.get(tags.get("topic", ""), set())
            if "kafka_cluster_id" not in tags and len(candidates) == 1:
                tags["kafka_cluster_id"] = next(iter(candidates))
            known = [each for each in history if each[1] >= 0]  # -1001 is no offset yet
            offsets._add(tags, known, source)
        return offsets

    def _add(self, tags: Mapping[str, str], history: Offsets, source: Tags) -> None:
        partition = tags.get("kafka_cluster_id", ""), tags.get("topic", ""), tags.get("partition", "")
        match tags.get("type"):
            case "kafka_produce":
                produced = self._ends_of(partition).produced
                produced.extend((start, value + 1) for start, value in history)
                produced.sources.append(source)
            case "kafka_high_watermark":
                watermarks = self._ends_of(partition).watermarks
                watermarks.extend(history)
                watermarks.sources.append(source)
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


def group_by_tags(offsets: Iterable[tuple[Tags, int, int]]) -> Iterable[tuple[Tags, list[tuple[int, int]]]]:
    """Return tags and history of each backlog, from (tags, start, offset) in order of time."""
    histories: dict[Tags, list[tuple[int, int]]] = {}
    for tags, start, value in offsets:
        histories.setdefault(tags, []).append((start, value))
    return histories.items()
