"""How old the oldest unread message of a partition is, from the ends that this process saw: no broker is asked for it.

The ends of all partitions are noted once per bucket. Of those that a consumer has read past, only the last one is kept:
a consumer that keeps up has one, and one that is behind has at most `MOST_ENDS`, of which every second one is dropped
when there are more.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

MOST_ENDS = 64
"""So the age is told to a thirty-second part of itself, or better."""
MOST_PARTITIONS = 20_000


class ConsumedPartition(NamedTuple):
    """A partition as a consumer of a group reads it."""

    group: str | None
    topic: str
    partition: int | None
    cluster_id: str | None
    type: str = ""


class EndHistory:
    """The ends of partitions over time, each partition for each of its consumers."""

    def __init__(self) -> None:
        # Of each partition its ends in ascending order, and when they were seen, in nanoseconds since the epoch. An end
        # that stays is there twice: when it was seen first and last.
        self._ends: dict[ConsumedPartition, tuple[list[int], list[int]]] = {}
        self._next: dict[ConsumedPartition, tuple[list[int], list[int]]] = {}

    def note_end(self, partition: ConsumedPartition, end: int, position: int, seen_ns: int) -> None:
        """Note the end of a partition, and drop what lies before a position, the next offset that is read."""
        if len(self._next) >= MOST_PARTITIONS:
            return
        ends, times = self._ends.get(partition, ([], []))
        if ends and (end < ends[-1] or seen_ns < times[-1]):  # another topic of this name, or another clock
            ends, times = [], []
        first = max(0, bisect_right(ends, position) - 1)
        ends, times = ends[first:], times[first:]
        if ends[-2:] == [end, end]:
            times[-1] = seen_ns
        elif not times or times[-1] != seen_ns:
            ends.append(end)
            times.append(seen_ns)
        if len(ends) > MOST_ENDS:
            del ends[1:-1:2], times[1:-1:2]
        self._next[partition] = ends, times

    def keep(self, partition: ConsumedPartition) -> None:
        """Keep what is known of a partition whose end was not seen this time."""
        if partition in self._ends:
            self._next[partition] = self._ends[partition]

    def forget_others(self) -> None:
        """Forget all partitions that were neither noted nor kept since the last call: nobody reads them any more."""
        self._ends, self._next = self._next, {}

    def find_age(
        self, partition: ConsumedPartition, position: int, end: int, seen_ns: int, now_ns: int
    ) -> float | None:
        """Return how old the message at a position is, in seconds; None if no end before it was seen.

        `end` is the end that is known now, and was seen at `seen_ns`. Messages are taken to come evenly between the
        moments in which ends were seen.
        """
        ends, times = self._ends.get(partition, ([], []))
        index = bisect_right(ends, position)
        if index == 0:
            return None
        after, then = (ends[index], times[index]) if index < len(ends) else (end, max(seen_ns, times[-1]))
        if after <= position:
            return None
        share = (position - ends[index - 1] + 0.5) / (after - ends[index - 1])
        appended_ns = times[index - 1] + share * (then - times[index - 1])
        return max(0.0, (now_ns - appended_ns) / 1e9)
