"""Turns finished buckets into requests of OTLP, and puts them into the outbox. Slow work, for a worker thread."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from asyncdsm._internal.log import pluralize, warn_each_minute
from asyncdsm._internal.pauses import yield_gil
from asyncdsm.core.aggregator import Aggregator
from asyncdsm.core.bucket import Bucket
from asyncdsm.core.counters import Counters
from asyncdsm.core.edge_facts import FactBatch
from asyncdsm.core.lag import Lag
from asyncdsm.core.spans import Exemplars
from asyncdsm.core.transactions import TransactionBatch
from asyncdsm.delivery.otlp.attributes import describe_resource
from asyncdsm.delivery.otlp.series import MOST_SERIES, SeriesTable
from asyncdsm.delivery.outbox import Outbox, Parcel, warn_of_full_outbox
from asyncdsm.settings import Settings

if TYPE_CHECKING:
    from asyncdsm.delivery.otlp.request import MetricsEncoder

MOST_LAGS = 5000
"""How many partitions are reported: those with the largest lag."""


class OtlpPacker:
    """Adds buckets to the series of this process, and puts the state of these into the outbox at each flush."""

    reads_lags: bool = True

    def __init__(
        self, aggregator: Aggregator, settings: Settings, outbox: Outbox, counters: Counters, exemplars: Exemplars
    ) -> None:
        self._aggregator, self._settings, self._outbox, self._counters = aggregator, settings, outbox, counters
        self._exemplars = exemplars
        self._is_delta = settings.otlp_temporality != "cumulative"
        self._time_ns = aggregator.now()
        self._table = SeriesTable(self._time_ns)
        self._unsent = 0

    def import_encoder(self) -> None:
        """Import protobuf, which takes 0.1 s, and encode what never changes."""
        from asyncdsm.delivery.otlp.exporter import encode_body  # noqa: PLC0415
        from asyncdsm.delivery.otlp.request import MetricsEncoder  # noqa: PLC0415

        self._encode_body = encode_body
        self._encoder: MetricsEncoder = MetricsEncoder(describe_resource(self._settings), is_delta=self._is_delta)

    def add_bucket(self, bucket: Bucket, batch: TransactionBatch | None, facts: FactBatch | None) -> None:
        """Add a bucket to the series. OTLP carries neither transactions nor facts."""
        if self._counters is self._aggregator.counters:  # nobody else takes them
            self._counters.drop("otlp", 0 if batch is None else batch.count)
            self._counters.increment("facts_dropped", 0 if facts is None else facts.count_facts())
        try:
            lost = self._table.count_bucket(bucket, self._aggregator.now(), yield_gil)
        except Exception as error:
            self._drop_checkpoints(bucket.recorded, error)
            return
        self._unsent += bucket.recorded - lost
        if lost:
            self._counters.drop("series", lost)
            warn_each_minute(
                "series",
                "asyncdsm did not send %s over OTLP, because there are more than %d distinct edges",
                pluralize(lost, "checkpoint"),
                MOST_SERIES,
            )

    def finish(self, lags: list[Lag]) -> None:
        """Enqueue the state of all series, and the lags."""
        self._table.note_exemplars(self._exemplars.pop_all())
        # Of two payloads, the later one has the later time, also if the clock was set back.
        self._time_ns = time_ns = max(self._aggregator.now(), self._time_ns + 1)
        checkpoints, self._unsent = self._unsent, 0
        try:
            body = self._encode_body(self._encode_parts(lags, time_ns), self._settings.otlp_compression)
        except Exception as error:
            self._drop_checkpoints(checkpoints, error)
            return
        if self._is_delta:
            self._table.begin_again(time_ns)
        self._table.forget_exemplars()
        if checkpoints or self._has_content:
            warn_of_full_outbox(self._outbox, self._outbox.enqueue(Parcel(body, checkpoints)))

    def _encode_parts(self, lags: list[Lag], time_ns: int) -> Iterator[bytes]:
        largest = sorted(lags, key=_lag_size, reverse=True)[:MOST_LAGS]
        self._has_content = False
        for part in self._encoder.encode(self._table.all(), largest, time_ns):
            self._has_content = True
            yield part
            yield_gil()

    def _drop_checkpoints(self, count: int, error: Exception) -> None:
        self._counters.drop("encoding", count)
        message = "asyncdsm lost %s, because they could not be encoded for OTLP: %r"
        warn_each_minute("otlp-encoding", message, pluralize(count, "checkpoint"), error, error=error)


def _lag_size(lag: Lag) -> int:
    return lag.behind
