"""Records where each partition of Kafka ends, so that an agent can compute how far behind its consumers are."""

from __future__ import annotations

import anyio.lowlevel

from asyncdsm.core import lag
from asyncdsm.core.aggregator import Aggregator

BEFORE_BUCKET_ENDS_NS = 200_000_000
"""How long before the end of a bucket the high watermarks are read: early enough to be counted in that bucket."""

PARTITIONS_BETWEEN_PAUSES = 64
"""How many partitions take about 1 ms."""


class HighWatermarkRecorder:
    """Records the high watermarks that the clients know, once just before each bucket ends.

    A bucket reports the last commit of its ten seconds. The high watermark to compare it with is the one of that time.
    """

    def __init__(self, aggregator: Aggregator) -> None:
        self._aggregator = aggregator

    def seconds_until_due(self) -> float:
        """Return the seconds until the current bucket is about to end; if that is now, until the next one is."""
        bucket_ns = self._aggregator.bucket_ns
        before_ns = min(bucket_ns // 10, BEFORE_BUCKET_ENDS_NS)
        return (bucket_ns - (self._aggregator.now() + before_ns) % bucket_ns) / 1e9

    async def record_all(self) -> None:
        """Record the high watermark of each partition of Kafka, and note the ends of all partitions for their ages.

        Errors of clients are counted and logged, never raised. A consumer may have thousands of partitions: other
        tasks run now and then.
        """
        for number, partition in enumerate(lag.collect_lags(self._report_error), 1):
            if number % PARTITIONS_BETWEEN_PAUSES == 0:
                await anyio.lowlevel.checkpoint()
            if partition.end is None:
                continue
            try:
                self._record(partition, partition.end)
            except Exception as error:
                self._report_error(error)
        lag.forget_other_ends()

    async def read_lags(self) -> list[lag.Lag]:
        """Return the lag of each partition and queue, with ages, the largest where clients differ.

        Errors are counted and logged, never raised.
        """
        largest = lag.LargestLags()
        for number in largest.add_all(self._report_error):
            if number % PARTITIONS_BETWEEN_PAUSES == 0:
                await anyio.lowlevel.checkpoint()
        return largest.all()

    def _record(self, partition: lag.Lag, end: int) -> None:
        is_outdated = self._is_outdated(partition)
        if partition.type == lag.KAFKA and not is_outdated:
            tags = lag.high_watermark_tags(partition.topic, partition.partition, partition.cluster_id)
            self._aggregator.record_offset(tags, end)
        lag.note_end(partition, self._aggregator.now(), is_outdated=is_outdated)

    def _is_outdated(self, partition: lag.Lag) -> bool:
        """Return whether the client learned the high watermark before this bucket, as if the partition is paused."""
        return partition.seen_ns is not None and self._aggregator.now() - partition.seen_ns > self._aggregator.bucket_ns

    def _report_error(self, error: Exception) -> None:
        self._aggregator.report_error(error, "lag", "asyncdsm could not read the consumer lag: %r")
