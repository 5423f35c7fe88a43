"""How old an unread message is: computed from when the end of its partition was seen to pass its offset.

Two sources tell where a partition ends: what producers were acknowledged, and the high watermarks of consumers. Each
has its highest value per bucket. The message was appended after the last bucket whose end was not past it, and at the
latest in the next bucket that is known. Within that time, messages are taken to come evenly.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

from asyncdsm.agent.queries.kafka_offsets import OffsetHistory, PartitionEnds
from asyncdsm.agent.store.offset_search import is_of_earlier_topic
from asyncdsm.agent.store.resolutions import BUCKET_SECONDS


class Appended(NamedTuple):
    """When a message was appended, as one source tells: `bucket` is the first one that is known to end after it."""

    bucket: int
    moment: float | None
    """None if the history of the source does not reach back to before the message."""


class Ages:
    """Tells how old the messages of a partition are."""

    def __init__(self, ends: PartitionEnds) -> None:
        self._sources = Appends(ends.produced, is_continuous=True), Appends(ends.watermarks, is_continuous=False)

    def reach_back(self, offset: int, moment: int) -> bool:
        """Tell whether each source that saw the message with an offset knows when: one that does not may be first."""
        found = [source.find_append(offset, moment) for source in self._sources]
        return all(each is None or each.moment is not None for each in found)

    def find_age(self, offset: int, behind: int, moment: int) -> float | None:
        """Return how old the message with an offset is in the bucket `moment`, in seconds, of `behind` unread ones.

        That is at the end of the bucket; or, if more messages than these came in it, when the first of those came: a
        consumer says in the middle of a bucket what it has committed and where the partition ends, and both numbers
        are of that moment.

        0 if there is no such message yet; None if the history does not reach back to when it was appended. The source
        that saw the message first counts; of two, the producers, since a consumer may have looked away.
        """
        found = [(source.find_append(offset, moment), source) for source in self._sources]
        seen = [(each, source) for each, source in found if each is not None]
        if not seen:
            return 0.0
        first, source = min(seen, key=lambda each: (each[0].bucket, each[0].moment is None))
        if first.moment is None:
            return None
        return max(0.0, _end_of_count(source.find_append(offset + behind, moment), moment) - first.moment)


def _end_of_count(next_one: Appended | None, moment: int) -> float:
    """Return until when a count of messages in a bucket is known to hold, given the first message that is not in it."""
    end = float(moment + BUCKET_SECONDS)
    if next_one is None or next_one.moment is None or next_one.bucket < moment:
        return end
    return min(end, next_one.moment)


class Appends:
    """Tells when messages were appended to a partition, by one source of its ends.

    A source is continuous if nothing was appended in buckets of which it says nothing. Otherwise, messages may have
    been appended at any time since the bucket before.
    """

    def __init__(self, history: OffsetHistory, *, is_continuous: bool) -> None:
        self._is_continuous = is_continuous
        # Of each topic that had this name: starts of buckets, and the highest end until then.
        self._topics: list[tuple[list[int], list[int]]] = []
        highest = -1
        for start, end in zip(history.starts, history.values, strict=True):
            if highest < 0:
                self._topics.append(([], []))
            elif is_of_earlier_topic(highest, end):  # the topic was created again, and was empty at first
                self._topics.append(([start - BUCKET_SECONDS], [0]))
                highest = 0
            highest = max(highest, end)
            starts, highests = self._topics[-1]
            starts.append(start)
            highests.append(highest)

    def find_append(self, offset: int, moment: int) -> Appended | None:
        """Return when the message with an offset was appended; None if no end until `moment` is past it."""
        starts, ends = next((each for each in reversed(self._topics) if each[0][0] <= moment), ([], []))
        index = bisect_right(ends, offset)
        if index == len(ends) or starts[index] > moment:
            return None
        bucket = starts[index]
        if index == 0:
            return Appended(bucket, None)
        begin = bucket if self._is_continuous else starts[index - 1] + BUCKET_SECONDS
        share = (offset - ends[index - 1] + 0.5) / (ends[index] - ends[index - 1])
        return Appended(bucket, begin + share * (bucket + BUCKET_SECONDS - begin))
