"""The time series of this process: what was counted at each edge, since the start or since the last payload."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from asyncdsm.core.bucket import Bucket, Histograms
from asyncdsm.core.edge import Edge, Point
from asyncdsm.core.spans import Exemplar
from asyncdsm.delivery.otlp.attributes import OPERATION, SENT, Attributes, describe_edge
from asyncdsm.delivery.otlp.exponential import ExponentialHistogram

MOST_SERIES = 2000
"""How many edges have series: as many as OpenTelemetry's SDK allows for one metric."""
IDLE_NS = 3_600_000_000_000
"""How long an edge must be idle before its series can make room for others: an hour."""
POINTS_AT_ONCE = 64
"""How many points are read between two pauses: about 0.5 ms of work."""


class EdgeSeries:
    """What was counted at the edges that have these attributes."""

    def __init__(self, attributes: Attributes, start_ns: int) -> None:
        self.attributes: Attributes = attributes
        self.start_ns: int = start_ns
        """From when on its counts are, in nanoseconds since the epoch."""
        self.counted_ns: int = start_ns
        """The start of the last bucket that counted something here."""
        self.is_sent: bool = dict(attributes).get(OPERATION) == SENT
        self.messages: int = 0
        self.hop: ExponentialHistogram = ExponentialHistogram()
        """Seconds in the queue, of messages that were read; or in the service, of those that were written."""
        self.pathway: ExponentialHistogram = ExponentialHistogram()
        """Seconds since the pathway began, of messages that were read."""
        self.size: ExponentialHistogram = ExponentialHistogram()
        """Bytes."""
        self.exemplar: Exemplar | None = None
        """Of `hop`."""

    def count_point(self, point: Point, histograms: Histograms) -> None:
        """Add what was counted at a point. A message with which a pathway begins has no time in the service."""
        self.messages += sum(histograms.edge_latency.values())
        if not self.is_sent:
            self.pathway.add_bins(histograms.pathway_latency)
        if not self.is_sent or point.parent:
            self.hop.add_bins(histograms.edge_latency)
        self.size.add_bins(histograms.payload_size)


class SeriesTable:
    """The series by their attributes. For one worker thread at a time."""

    def __init__(self, start_ns: int) -> None:
        """No series starts before `start_ns`: then another run in this process may have ended."""
        self._start_ns = start_ns
        self._series: dict[Attributes, EdgeSeries] = {}

    def count_bucket(self, bucket: Bucket, now_ns: int, pause: Callable[[], object]) -> int:
        """Add a bucket; return how many of its checkpoints have no series, because there are too many.

        `now_ns` is the time: no series starts later, also if the bucket is from the future of a clock that was set
        back. `pause` is called now and then, to let other threads run.
        """
        lost = 0
        for first in range(0, bucket.point_count, POINTS_AT_ONCE):
            for point, histograms in bucket.points_from(first, POINTS_AT_ONCE):
                series = self._find_series(point.edge, min(bucket.start_ns, now_ns))
                if series is None:
                    lost += sum(histograms.edge_latency.values())
                else:
                    series.count_point(point, histograms)
            pause()
        return lost

    def note_exemplars(self, exemplars: Iterable[tuple[Edge, Exemplar]]) -> None:
        """Keep the slowest message of each series, of those that come and those that are there."""
        for edge, exemplar in exemplars:
            series = self._series.get(describe_edge(edge.tags))
            if series is not None and (series.exemplar is None or exemplar.edge_ns > series.exemplar.edge_ns):
                series.exemplar = exemplar

    def all(self) -> list[EdgeSeries]:
        """Return the series."""
        return list(self._series.values())

    def forget_exemplars(self) -> None:
        """Forget the slow messages: they were sent."""
        for series in self._series.values():
            series.exemplar = None

    def begin_again(self, start_ns: int) -> None:
        """Forget everything. New series start then."""
        self._start_ns = start_ns
        self._series.clear()

    def _find_series(self, edge: Edge, bucket_ns: int) -> EdgeSeries | None:
        attributes = describe_edge(edge.tags)
        series = self._series.get(attributes)
        if series is None:
            if len(self._series) >= MOST_SERIES and not self._forget_idle(bucket_ns):
                return None
            series = self._series[attributes] = EdgeSeries(attributes, max(bucket_ns, self._start_ns))
        series.counted_ns = max(bucket_ns, series.counted_ns)
        return series

    def _forget_idle(self, now_ns: int) -> bool:
        """Forget the series that have been idle for an hour; return whether there were any."""
        idle = [attributes for attributes, each in self._series.items() if now_ns - each.counted_ns >= IDLE_NS]
        for attributes in idle:
            del self._series[attributes]
        return bool(idle)
