"""How far one consumer is behind, from the positions and the watermarks that it holds.

A consumer is looked at in its own `poll`: from another thread, the program's next call could find it busy with ours.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from math import inf
from time import monotonic, time_ns
from typing import TYPE_CHECKING, Any, NamedTuple

from confluent_kafka import KafkaException, TopicPartition

from asyncdsm.core.lag import Lag
from asyncdsm.integration.formats.kafka import read_offset

if TYPE_CHECKING:
    from asyncdsm_confluent.client import Client

SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_TO_FETCH = 1.0
"""After so long a partition that was resumed has been fetched again: a fetch waits half a second for new messages."""

Place = tuple[str, int]


class Seen(NamedTuple):
    """What a consumer held of one partition when it was looked at."""

    position: int
    end: int
    seen_ns: int
    """When the broker told the end: up to a fetch earlier."""


class Behind:
    """The lag of one consumer, as it was last looked at."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._seen: dict[Place, Seen] = {}
        self._not_fetched: dict[Place, float] = {}
        """Until when a partition's end is an old one, on the monotonic clock: it is paused, or has just been."""
        self._look_at, self._process = 0.0, os.getpid()

    def look(self, consumer: Any) -> None:
        """Note positions and ends of the partitions that are assigned, twice a second at most."""
        now = monotonic()
        if now >= self._look_at:
            self._look_at = now + SECONDS_BETWEEN_LOOKS
            with suppress(KafkaException, RuntimeError):  # closed meanwhile
                self._seen = dict(self._look_at_each(consumer))

    def note_pause(self, consumer: Any, partitions: Iterable[Any]) -> None:
        """Note that these partitions are not fetched from here on: the end that is known now grows old."""
        self._look_at = 0.0
        self.look(consumer)
        self._not_fetched |= dict.fromkeys(_places(partitions), inf)

    def note_resume(self, partitions: Iterable[Any]) -> None:
        """Note that these partitions are fetched again."""
        paused = [place for place in _places(partitions) if place in self._not_fetched]
        self._not_fetched |= dict.fromkeys(paused, monotonic() + SECONDS_TO_FETCH)

    def forget(self) -> None:
        """Have no lag any more."""
        self._seen = {}

    def lags(self) -> Iterator[Lag]:
        """Return the lag of each partition whose end is known; nothing in a forked child, which reads nothing."""
        if os.getpid() != self._process:
            return
        client = self._client
        for (topic, partition), (position, end, seen_ns) in self._seen.items():
            behind = max(0, end - position)
            yield Lag(client.group, topic, partition, behind, "messages", client.cluster_id, end, seen_ns)

    def _look_at_each(self, consumer: Any) -> Iterator[tuple[Place, Seen]]:
        assigned = consumer.assignment()
        for tp in consumer.position(assigned) if assigned else ():
            place, position = (tp.topic, tp.partition), read_offset(tp.offset)
            end = _end(consumer, *place)
            if position is not None and end is not None:  # not known before a message, nor after a seek
                yield place, Seen(position, end, self._seen_ns(place, position, end))

    def _seen_ns(self, place: Place, position: int, end: int) -> int:
        """Return when the broker told this end. Of a partition that is not fetched, neither end nor position moves."""
        before = self._seen.get(place)
        if before is None or before[:2] != (position, end) or monotonic() >= self._not_fetched.get(place, 0.0):
            return time_ns()
        return before.seen_ns


def _places(partitions: Iterable[Any]) -> list[Place]:
    return [(tp.topic, tp.partition) for tp in partitions]


def _end(consumer: Any, topic: str, partition: int) -> int | None:
    match consumer.get_watermark_offsets(TopicPartition(topic, partition), cached=True):
        case (_, high):
            return read_offset(high)
        case _:  # nothing is known
            return None
