"""How far one consumer is behind, from what it has received and from the watermarks that it holds.

A consumer is looked at in its own `poll`: from another thread, the program's next call could find it busy with ours.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from time import monotonic, time_ns
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaException, TopicPartition

from asyncdsm.lag import Lag

if TYPE_CHECKING:
    from asyncdsm_confluent.client import Client

SECONDS_BETWEEN_LOOKS = 0.5


class Behind:
    """The lag of one consumer, as it was last looked at."""

    def __init__(self, client: Client) -> None:
        self.positions: dict[tuple[str, int], int] = {}
        """The next offset of each partition that was read."""
        self._client = client
        self._ends: dict[tuple[str, int], int] = {}
        self._look_at, self._seen_ns, self._process = 0.0, 0, os.getpid()

    def look(self, consumer: Any) -> None:
        """Note the ends of the partitions that are assigned and were read, twice a second at most."""
        now = monotonic()
        if now < self._look_at:
            return
        self._look_at, self._seen_ns = now + SECONDS_BETWEEN_LOOKS, time_ns()
        with suppress(KafkaException, RuntimeError):  # closed meanwhile
            assigned = {(tp.topic, tp.partition) for tp in consumer.assignment()}
            positions = self.positions.copy()  # another thread may poll as well
            self.positions = {place: offset for place, offset in positions.items() if place in assigned}
            self._ends = {place: end for place in self.positions if (end := _end(consumer, *place)) is not None}

    def forget(self) -> None:
        """Have no lag any more."""
        self.positions, self._ends = {}, {}

    def lags(self) -> Iterator[Lag]:
        """Return the lag of each partition whose end is known; nothing in a forked child, which reads nothing."""
        if os.getpid() != self._process:
            return
        client = self._client
        for (topic, partition), end in self._ends.copy().items():
            position = self.positions.get((topic, partition))
            if position is not None:
                behind = max(0, end - position)
                yield Lag(client.group, topic, partition, behind, "messages", client.cluster_id, end, self._seen_ns)


def _end(consumer: Any, topic: str, partition: int) -> int | None:
    _, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), cached=True)
    return high if high >= 0 else None
