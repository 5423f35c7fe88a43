"""Since when a consumer group falls behind: since it last kept up, so that this does not move on with the present."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import NamedTuple

from asyncdsm.agent.queries.aligned_offsets import AlignedOffsets
from asyncdsm.agent.queries.kafka_clusters import split_tags
from asyncdsm.agent.queries.kafka_offsets import KafkaOffsets, Partition
from asyncdsm.agent.queries.lag_age import Ages
from asyncdsm.agent.queries.lag_trend import keeps_up
from asyncdsm.agent.queries.usual_levels import DAY, HOUR
from asyncdsm.agent.store.offsets import Tags
from asyncdsm.agent.store.protocol import Store
from asyncdsm.agent.store.resolutions import BUCKET_SECONDS
from asyncdsm.map.topology import PartitionLag

MOST_PARTITIONS = 20
"""How many partitions of a group are looked at, those that are furthest behind."""
MOST_MOMENTS = 360
"""How many moments are looked at in an hour, in a day, and in all that is kept: each is the finer the later it is."""
MOST_CHECKED = 10
"""How many moments that are far apart are checked by those after them."""


def find_begin_of_lag(store: Store, partitions: Iterable[PartitionLag], end: float) -> float | None:
    """Return since when a group has been behind in some partitions of a topic, in seconds since the epoch.

    None if it was behind already when the agent saw it for the first time.
    """
    listed = sorted(partitions, key=lambda each: -each.behind)[:MOST_PARTITIONS]
    backlogs, aligned = _find_backlogs(store, listed), AlignedOffsets(store)
    for seconds in sorted({HOUR, min(DAY, store.kept_seconds), store.kept_seconds}):
        step = -(seconds // -(MOST_MOMENTS * BUCKET_SECONDS)) * BUCKET_SECONDS
        last = int(end) // step * step
        moments = range(last, last - seconds, -step)
        followed = _Followed.of(aligned, backlogs, listed, moments)
        fresh = list(islice((moment for moment in moments if followed.keeps_up(moment)), MOST_CHECKED))
        checked = (_find_last_fresh(aligned, backlogs, listed, each, min(each + step, last)) for each in fresh)
        if fresh:
            return float(next((each for each in checked if each is not None), fresh[0]) + BUCKET_SECONDS)
    return None


def _find_last_fresh(
    aligned: AlignedOffsets, backlogs: Sequence[Tags], listed: Sequence[PartitionLag], first: int, until: int
) -> int | None:
    """Return the last bucket in [first, until) in which a group kept up.

    None if there is none: between moments that are far apart, messages seem younger than they are.
    """
    if until - first <= BUCKET_SECONDS:
        return first
    # What was unread then may have come, or been committed, before.
    last = until - BUCKET_SECONDS
    followed = _Followed.of(aligned, backlogs, listed, range(last, first - HOUR, -BUCKET_SECONDS))
    return next((each for each in range(last, first - 1, -BUCKET_SECONDS) if followed.keeps_up(each)), None)


def _find_backlogs(store: Store, partitions: Sequence[PartitionLag]) -> list[Tags]:
    """Return the tags of what the group has committed in the partitions, and of what tells where they end."""
    names = {(each.topic, each.partition) for each in partitions}
    groups = {each.group for each in partitions}
    clusters = {None, *(each.cluster_id for each in partitions)}
    return [
        tags
        for tags in store.backlogs()
        for named in [split_tags(tags)]
        if (named.get("topic"), named.get("partition")) in names
        and (named.get("type") != "kafka_commit" or named.get("consumer_group") in groups)
        and named.get("kafka_cluster_id") in clusters
    ]


class _Followed(NamedTuple):
    """What a group has committed in each of its partitions, and the ages of their messages, over time."""

    offsets: KafkaOffsets
    partitions: list[tuple[str, Partition, Ages]]

    @classmethod
    def of(
        cls, aligned: AlignedOffsets, backlogs: Sequence[Tags], listed: Sequence[PartitionLag], moments: range
    ) -> _Followed:
        recent, first, last = dict(aligned.align_recent_offsets()), moments[-1], moments[0] + BUCKET_SECONDS
        offsets = KafkaOffsets.of(
            (tags, [*aligned.align_thinned_offsets(tags, first, last, -moments.step), *recent.get(tags, ())])
            for tags in backlogs
        )
        wanted = [(each.group, (each.cluster_id or "", each.topic, each.partition)) for each in listed]
        known = [each for each in wanted if each in offsets.commits and each[1] in offsets.ends]
        return cls(offsets, [(*each, Ages(offsets.ends[each[1]])) for each in known])

    def keeps_up(self, moment: int) -> bool:
        """Return whether the group is known to have kept up in all partitions in the bucket of a moment."""
        return bool(self.partitions) and all(self._keeps_up_in(*each, moment) for each in self.partitions)

    def _keeps_up_in(self, group: str, partition: Partition, ages: Ages, moment: int) -> bool:
        behind, committed = (
            self.offsets.messages_behind(group, partition, moment),
            self.offsets.commits[group, partition].at(moment),
        )
        if behind is None or committed is None:
            return False
        return keeps_up(behind, ages.find_age(committed[1], behind, moment) if behind else 0.0)
