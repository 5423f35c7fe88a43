"""Builds the protobuf of OTLP: requests of data points, a bounded number at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    Exemplar,
    ExponentialHistogramDataPoint,
    Metric,
    NumberDataPoint,
)

from asyncdsm._version import __version__
from asyncdsm.core import spans
from asyncdsm.core.lag import Lag
from asyncdsm.delivery.otlp.attributes import Attributes, describe_lag
from asyncdsm.delivery.otlp.exponential import ExponentialHistogram
from asyncdsm.delivery.otlp.series import EdgeSeries

SCOPE = "asyncdsm"
POINTS_AT_ONCE = 32
"""How many data points are built and serialized between two pauses: about 1 ms of work."""

Select = Callable[[EdgeSeries], ExponentialHistogram]


class Instrument(NamedTuple):
    """What a metric is called."""

    name: str
    description: str
    unit: str


QUEUE = Instrument("asyncdsm.queue.duration", "Time in the queue.", "s")
PROCESS = Instrument(
    "asyncdsm.process.duration",
    "Time in the service, from a message to the one that it wrote because of that.",
    "s",
)
PATHWAY = Instrument("asyncdsm.pathway.duration", "Time since the pathway began, of messages that were read.", "s")
SIZE = Instrument("asyncdsm.message.size", "Sizes of messages.", "By")
SENT = Instrument("messaging.client.sent.messages", "Messages that the service has written.", "{message}")
CONSUMED = Instrument("messaging.client.consumed.messages", "Messages that the service has read.", "{message}")
LAG = Instrument("asyncdsm.consumer.lag", "Messages that a consumer group has not read.", "{message}")
LAG_TIME = Instrument(
    "asyncdsm.consumer.lag.time", "Age of the oldest message that a group has not read, where it is known.", "s"
)


class MetricsEncoder:
    """Encodes the state of all series at one moment as an `ExportMetricsServiceRequest`."""

    def __init__(self, resource: Attributes, *, is_delta: bool) -> None:
        self._resource = encode_attributes(resource)
        self._temporality: Any = (
            AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
            if is_delta
            else AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
        )

    def encode(self, series: Iterable[EdgeSeries], lags: Iterable[Lag], time_ns: int) -> Iterator[bytes]:
        """Yield the parts of a request. Parts that are joined are one message: so protobuf has it.

        Each part takes about 1 ms, so that the caller can let other threads run in between.
        """
        series, lags = list(series), list(lags)
        batch = self._new_batch()
        for instrument, kind, points in _list_metrics(series, lags, time_ns):
            while some := list(islice(points, batch.room)):
                batch.add_metric(self._make_metric(instrument, kind, some), len(some))
                if not batch.room:
                    yield batch.serialize()
                    batch = self._new_batch()
        if batch.room < POINTS_AT_ONCE:
            yield batch.serialize()

    def _new_batch(self) -> _Batch:
        return _Batch(self._resource)

    def _make_metric(self, instrument: Instrument, kind: str, points: list[Any]) -> Any:
        metric = Metric(name=instrument.name, description=instrument.description, unit=instrument.unit)
        data = getattr(metric, kind)
        if kind != "gauge":
            data.aggregation_temporality = self._temporality
        if kind == "sum":
            data.is_monotonic = True
        data.data_points.extend(points)
        return metric


class _Batch:
    """A request with room for a bounded number of data points."""

    def __init__(self, resource: list[Any]) -> None:
        self.room = POINTS_AT_ONCE
        self._request = ExportMetricsServiceRequest()
        described = self._request.resource_metrics.add()
        described.resource.attributes.extend(resource)
        self._scope = described.scope_metrics.add()
        self._scope.scope.name, self._scope.scope.version = SCOPE, __version__

    def add_metric(self, metric: Any, points: int) -> None:
        self._scope.metrics.append(metric)
        self.room -= points

    def serialize(self) -> bytes:
        encoded: bytes = self._request.SerializeToString()
        return encoded


def _list_metrics(
    series: list[EdgeSeries], lags: list[Lag], time_ns: int
) -> Iterator[tuple[Instrument, str, Iterator[Any]]]:
    """Yield each metric's instrument, its kind of data, and its data points."""
    sent, read = [each for each in series if each.is_sent], [each for each in series if not each.is_sent]
    for instrument, counted in ((SENT, sent), (CONSUMED, read)):
        yield instrument, "sum", (_count_point(each, time_ns) for each in counted)
    for instrument, measured, select in (
        (QUEUE, read, _hop),
        (PROCESS, sent, _hop),
        (PATHWAY, read, _pathway),
        (SIZE, series, _size),
    ):
        yield instrument, "exponential_histogram", _histogram_points(measured, select, time_ns)
    yield LAG, "gauge", _lag_points(lags, time_ns)
    yield LAG_TIME, "gauge", _lag_time_points(lags, time_ns)


def _histogram_points(series: Iterable[EdgeSeries], select: Select, time_ns: int) -> Iterator[Any]:
    for each in series:
        if select(each).count:
            yield _histogram_point(each, select(each), time_ns, has_exemplar=select is _hop)


def encode_attributes(attributes: Attributes) -> list[Any]:
    """Return attributes as protobuf. The process id is the only one that is a number."""
    return [
        KeyValue(
            key=name, value=AnyValue(int_value=int(value)) if name == "process.pid" else AnyValue(string_value=value)
        )
        for name, value in attributes
    ]


def _hop(series: EdgeSeries) -> ExponentialHistogram:
    return series.hop


def _pathway(series: EdgeSeries) -> ExponentialHistogram:
    return series.pathway


def _size(series: EdgeSeries) -> ExponentialHistogram:
    return series.size


def _count_point(series: EdgeSeries, time_ns: int) -> Any:
    return NumberDataPoint(
        attributes=encode_attributes(series.attributes),
        start_time_unix_nano=series.start_ns,
        time_unix_nano=time_ns,
        as_int=series.messages,
    )


def _histogram_point(series: EdgeSeries, histogram: ExponentialHistogram, time_ns: int, *, has_exemplar: bool) -> Any:
    buckets = histogram.buckets()
    point = ExponentialHistogramDataPoint(
        attributes=encode_attributes(series.attributes),
        start_time_unix_nano=series.start_ns,
        time_unix_nano=time_ns,
        count=histogram.count,
        sum=histogram.sum,
        scale=buckets.scale,
        zero_count=histogram.zero_count,
    )
    if buckets.counts:
        point.positive.offset = buckets.offset
        point.positive.bucket_counts.extend(buckets.counts)
    if has_exemplar and series.exemplar is not None:
        point.exemplars.append(_encode_exemplar(series.exemplar))
    return point


def _encode_exemplar(exemplar: spans.Exemplar) -> Any:
    return Exemplar(
        time_unix_nano=exemplar.now_ns,
        as_double=max(exemplar.edge_ns, 0) / 1e9,
        trace_id=exemplar.trace_id.to_bytes(16, "big"),
        span_id=exemplar.span_id.to_bytes(8, "big"),
    )


def _lag_points(lags: Iterable[Lag], time_ns: int) -> Iterator[Any]:
    for lag in lags:
        if lag.unit in ("messages", "ready"):
            yield NumberDataPoint(
                attributes=encode_attributes(describe_lag(lag)), time_unix_nano=time_ns, as_int=lag.behind
            )


def _lag_time_points(lags: Iterable[Lag], time_ns: int) -> Iterator[Any]:
    for lag in lags:
        if lag.seconds is not None:
            yield NumberDataPoint(
                attributes=encode_attributes(describe_lag(lag)), time_unix_nano=time_ns, as_double=lag.seconds
            )
