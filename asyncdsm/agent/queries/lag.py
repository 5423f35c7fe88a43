"""How many messages consumer groups are behind, now and over time.

Each offset belongs to the ten seconds (the bucket) in which a service saw it. Services report their buckets at
different times, so the newest offset of a producer and the newest commit of a consumer seldom belong to the same
bucket. Lag is the difference of two offsets at one moment: the last bucket that both sides have reported.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from asyncdsm.agent.queries.clusters import named_tags
from asyncdsm.agent.queries.limits import MOST_LAG_SERIES, Cut
from asyncdsm.agent.queries.time_ranges import settled_until, step_for
from asyncdsm.agent.store.offsets import RECENT_SECONDS
from asyncdsm.agent.store.resolutions import BUCKET_SECONDS, TimeRange
from asyncdsm.agent.store.store import Store

Tags = tuple[str, ...]
Partition = tuple[str, str, str]
"""Cluster id (empty if unknown), topic and partition."""


class History:
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
        place = bisect_right(self.starts, moment) - 1
        return (self.starts[place], self.values[place]) if place >= 0 else None

    def known_until(self, settled: int) -> int:
        """Return the last bucket about which everything is known: a silent service has nothing to add by `settled`."""
        return max(self.starts[-1], settled) if self.starts else settled


class Ends(NamedTuple):
    """What is known of the end of a partition, where the next message will be written."""

    watermarks: History
    """High watermarks, as consumers saw them."""
    produced: History
    """One more than the highest acknowledged offset."""

    def known_until(self, settled: int) -> int:
        """Return the last bucket for which one of the two sources is complete."""
        return max((history.known_until(settled) for history in self if history.starts), default=settled)

    def at(self, moment: int) -> int | None:
        """Return the end in a bucket. The consumer's own watermark counts, unless it is older than what producers say.

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


class Offsets:
    """Offsets by what they say: where partitions end, and what groups have committed."""

    def __init__(self) -> None:
        self.ends: dict[Partition, Ends] = {}
        self.commits: dict[tuple[str, Partition], History] = {}

    @classmethod
    def of(cls, backlogs: Iterable[tuple[Tags, Iterable[tuple[int, int]]]]) -> Offsets:
        """Return the offsets of backlogs: of each its tags, and (start of a bucket, offset) in ascending order."""
        offsets = cls()
        for tags, history in backlogs:
            offsets._add(named_tags(tags), [each for each in history if each[1] >= 0])  # -1001 is no offset yet
        return offsets

    def _add(self, named: Mapping[str, str], history: Iterable[tuple[int, int]]) -> None:
        partition = named.get("kafka_cluster_id", ""), named.get("topic", ""), named.get("partition", "")
        match named.get("type"):
            case "kafka_produce":
                self._ends(partition).produced.extend((start, value + 1) for start, value in history)
            case "kafka_high_watermark":
                self._ends(partition).watermarks.extend(history)
            case "kafka_commit":
                self.commits.setdefault((named.get("consumer_group", ""), partition), History()).extend(history)
            case _:
                pass

    def _ends(self, partition: Partition) -> Ends:
        return self.ends.setdefault(partition, Ends(History(), History()))

    def known(self, settled: int) -> Iterator[tuple[str, Partition, int]]:
        """Yield group, partition, and the last bucket for which both its commit and its end are known."""
        for (group, partition), commits in sorted(self.commits.items()):
            if partition in self.ends:
                moment = min(commits.known_until(settled), self.ends[partition].known_until(settled))
                yield group, partition, moment

    def behind(self, group: str, partition: Partition, moment: int) -> int | None:
        """Return how many messages a group is behind in a bucket; None if the end or the commit is unknown."""
        end, committed = self.ends[partition].at(moment), self.commits[group, partition].at(moment)
        return None if end is None or committed is None else max(0, end - committed[1])


def current_lags(store: Store, span: TimeRange) -> list[dict[str, Any]]:
    """Return the messages behind, per group, topic and partition, at the end of a span (now, if it has no end)."""
    if span.last > store.now():
        backlogs: Iterable[tuple[Tags, Iterable[tuple[int, int]]]] = store.recent_offsets()
    else:
        backlogs = _by_tags(store.offsets(TimeRange(span.last - RECENT_SECONDS, span.last)))
    return lags_of(Offsets.of(backlogs), settled_until(span, store.now()))


def _by_tags(offsets: Iterable[tuple[Tags, int, int]]) -> Iterable[tuple[Tags, list[tuple[int, int]]]]:
    histories: dict[Tags, list[tuple[int, int]]] = {}
    for tags, start, value in offsets:
        histories.setdefault(tags, []).append((start, value))
    return histories.items()


def lags_of(offsets: Offsets, settled: int) -> list[dict[str, Any]]:
    """Return the messages behind; `settled` is the last bucket to which silent services have nothing to add."""
    found = [(*known[:2], offsets.behind(*known)) for known in offsets.known(settled)]
    return [
        {**_named(group, partition), "behind": behind, "unit": "messages"}
        for group, partition, behind in found
        if behind is not None
    ]


def _named(group: str, partition: Partition) -> dict[str, str | None]:
    cluster, topic, number = partition
    return {"group": group, "topic": topic, "partition": number, "cluster_id": cluster or None}


def lag_over_time(
    store: Store, span: TimeRange, topic: str, group: str | None, cluster: str | None = None
) -> dict[str, Any]:
    """Return the messages behind at each step of a span, per group and partition of a topic.

    Of one group only, and of one cluster only, if they are given. A series ends where one side has not reported yet.
    """
    step = step_for(span, store.now())
    offsets = [each for each in store.offsets(span) if named_tags(each[0]).get("topic") == topic]
    steps = sorted({start // step * step for _, start, _ in offsets if start >= span.first})
    histories = Offsets.of(_by_tags(offsets))
    series: list[dict[str, Any]] = [
        {**_named(name, partition), "points": _points(histories, name, partition, _ends_of(steps, step, until))}
        for name, partition, until in histories.known(settled_until(span, store.now()))
        if group in {None, name} and cluster in {None, partition[0]}
    ]
    shown, cut = [each for each in series if each["points"]], Cut()
    largest = cut.largest("series", shown, MOST_LAG_SERIES, lambda each: each["points"][-1]["behind"])
    return {"series": largest, **cut.shown()}


def _ends_of(steps: Iterable[int], step: int, until: int) -> Iterator[tuple[int, int]]:
    """Yield each step's start, and the last of its buckets that is known."""
    return ((start, min(start + step - BUCKET_SECONDS, until)) for start in steps if start <= until)


def _points(
    histories: Offsets, group: str, partition: Partition, steps: Iterable[tuple[int, int]]
) -> list[dict[str, float]]:
    found = [(start, histories.behind(group, partition, moment)) for start, moment in steps]
    return [{"start": float(start), "behind": behind} for start, behind in found if behind is not None]
