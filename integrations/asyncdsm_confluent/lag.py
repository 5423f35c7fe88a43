"""How far a consumer is behind, from the positions and the watermarks that it holds.

A consumer is asked during its own `poll`: asked in another thread, it could be busy when the program calls it next.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from math import inf
from time import monotonic, time_ns
from typing import Any, NamedTuple

from confluent_kafka import KafkaException, TopicPartition

from asyncdsm.integration import Lag
from asyncdsm.integration.formats.kafka import KafkaClient, read_offset

SECONDS_BETWEEN_LOOKS, MOST_SECONDS_BETWEEN_LOOKS = 0.5, 5.0
LONG_LOOK_SECONDS, PAUSE_AFTER_LONG_LOOK = 0.01, 50
"""A look at thousands of partitions takes tens of milliseconds; the next one is 50 times as long away."""
SECONDS_TO_FETCH = 1.0
"""By then a resumed partition has been fetched again: a fetch waits half a second for new messages."""

Partition = tuple[str, int]
"""Topic and number."""

Answer = tuple[Partition, Any, Any]
"""A partition, the consumer's position in it, and its low and high watermarks."""


class Seen(NamedTuple):
    """What a consumer held of one partition when it was asked."""

    position: int
    end: int
    seen_ns: int
    """When the broker reported the end: up to one fetch earlier."""


class ConsumerLag:
    """The lag of one consumer when it was asked last."""

    def __init__(self, client: KafkaClient) -> None:
        self._client = client
        self._seen: dict[Partition, Seen] = {}
        # By partition, the monotonic time until which its end is an old one: it is paused, or was until just now.
        self._not_fetched: dict[Partition, float] = {}
        self._look_at, self._process = 0.0, os.getpid()
        self._changed_ns = 0  # when the cluster became the one of `_seen`
        # By partition, the position and the end that the consumer holds of another cluster, until it has fetched anew.
        self._of_other_cluster: dict[Partition, tuple[int, int]] = {}

    def update(self, consumer: Any) -> None:
        """Ask for the positions and ends of the assigned partitions, and for the cluster, at most twice a second.

        With thousands of partitions it is less often.
        """
        now = monotonic()
        if now >= self._look_at:
            self._look_at = now + SECONDS_BETWEEN_LOOKS
            answers = _ask_consumer(consumer)
            if (took := monotonic() - now) > LONG_LOOK_SECONDS:
                self._look_at = now + min(took * PAUSE_AFTER_LONG_LOOK, MOST_SECONDS_BETWEEN_LOOKS)
            if answers is not None:
                self._client.learn_cluster_id(read_cluster_id(consumer))
                self._seen = dict(self._read_answers(answers))

    def note_pause(self, consumer: Any, partitions: Iterable[Any]) -> None:
        """Note that these partitions are no longer fetched: the end that is known now grows old."""
        self._look_at = 0.0
        self.update(consumer)
        self._not_fetched |= dict.fromkeys(_read_partitions(partitions), inf)

    def note_resume(self, partitions: Iterable[Any]) -> None:
        """Note that these partitions are fetched again."""
        paused = [one for one in _read_partitions(partitions) if one in self._not_fetched]
        self._not_fetched |= dict.fromkeys(paused, monotonic() + SECONDS_TO_FETCH)

    def clear(self) -> None:
        """Report no lag from now on, until the next `update`."""
        self._seen = {}

    def lags(self) -> Iterator[Lag]:
        """Return the lag of each partition whose end is known; nothing in a forked child, which reads nothing."""
        if os.getpid() == self._process and self._changed_ns == self._client.cluster_changed_ns:
            for (topic, partition), (position, end, seen_ns) in self._seen.items():
                yield self._client.make_lag(topic, partition, position, end, seen_ns)

    def _read_answers(self, answers: Iterable[Answer]) -> Iterator[tuple[Partition, Seen]]:
        known = {partition: (read_offset(offset), _read_end(ends)) for partition, offset, ends in answers}
        held = {
            partition: (position, end)
            for partition, (position, end) in known.items()
            # One of them is unknown before the first message, and after a seek. A position after the end is one in
            # a log that is no longer there.
            if position is not None and end is not None and position <= end
        }
        if self._changed_ns != self._client.cluster_changed_ns:
            self._changed_ns = self._client.cluster_changed_ns
            self._of_other_cluster = {
                each: found for each, found in held.items() if not self._went_back(each, found[0])
            }
        for partition, (position, end) in held.items():
            if self._of_other_cluster.get(partition) == (position, end):
                continue
            self._of_other_cluster.pop(partition, None)
            yield partition, Seen(position, end, self._find_seen_ns(partition, position, end))

    def _went_back(self, partition: Partition, position: int) -> bool:
        """Return whether a consumer reads a partition from an earlier position than when it was asked last."""
        return partition in self._seen and position < self._seen[partition].position

    def _find_seen_ns(self, partition: Partition, position: int, end: int) -> int:
        """Return when the broker reported this end: while a partition is not fetched, end and position do not move."""
        before = self._seen.get(partition)
        if before is None or before[:2] != (position, end) or monotonic() >= self._not_fetched.get(partition, 0.0):
            return time_ns()
        return before.seen_ns


def read_cluster_id(client: Any) -> Any:
    """Return the cluster's id that a client holds. None if it is not known yet, or the client is closed.

    None, too, in a release without this method, or with another one.
    """
    with suppress(Exception):
        return client.cluster_id(0)
    return None


def _read_partitions(partitions: Iterable[Any]) -> list[Partition]:
    return [(tp.topic, tp.partition) for tp in partitions]


def _ask_consumer(consumer: Any) -> list[Answer] | None:
    """Return what a consumer holds of its assigned partitions; None if it was closed meanwhile."""
    try:
        assigned = consumer.assignment()
        return [
            (
                (tp.topic, tp.partition),
                tp.offset,
                consumer.get_watermark_offsets(TopicPartition(tp.topic, tp.partition), cached=True),
            )
            for tp in (consumer.position(assigned) if assigned else ())
        ]
    except (KafkaException, RuntimeError):
        return None


def _read_end(watermarks: Any) -> int | None:
    match watermarks:
        case (_, high):
            return read_offset(high)
        case _:  # not known
            return None
