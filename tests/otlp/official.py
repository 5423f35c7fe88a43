"""Send metrics with the official exporter: `python official.py ENDPOINT < JSON`. For an environment of its own."""

from __future__ import annotations

import json
import sys
from typing import Any

from opentelemetry.exporter.otlp.proto.http import Compression  # type: ignore[import-not-found,unused-ignore]
from opentelemetry.exporter.otlp.proto.http.metric_exporter import (  # type: ignore[import-not-found,unused-ignore]
    OTLPMetricExporter,
)
from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Buckets,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

CUMULATIVE = AggregationTemporality.CUMULATIVE


def make_data(metric: dict[str, Any]) -> Any:
    """Return the data of a metric."""
    points = metric["points"]
    if metric["kind"] == "exponential_histogram":
        return ExponentialHistogram([make_histogram(point) for point in points], CUMULATIVE)
    numbers = [
        NumberDataPoint(point["attributes"], point.get("start"), point["time"], point["value"]) for point in points
    ]
    return Sum(numbers, CUMULATIVE, is_monotonic=True) if metric["kind"] == "sum" else Gauge(numbers)


def make_histogram(point: dict[str, Any]) -> Any:
    """Return one histogram, whose least and largest values are not known."""
    unknown: Any = None
    exemplars = [
        Exemplar({}, each["value"], each["time"], each["span_id"], each["trace_id"]) for each in point["exemplars"]
    ]
    return ExponentialHistogramDataPoint(
        attributes=point["attributes"],
        start_time_unix_nano=point["start"],
        time_unix_nano=point["time"],
        count=point["count"],
        sum=point["sum"],
        scale=point["scale"],
        zero_count=point["zero_count"],
        positive=Buckets(point["offset"], point["counts"]),
        negative=Buckets(0, []),
        flags=0,
        min=unknown,
        max=unknown,
        exemplars=exemplars,
    )


def main() -> None:
    """Send what is described on standard input, without compression."""
    described = json.load(sys.stdin)
    metrics = [
        Metric(each["name"], each["description"], each["unit"], make_data(each)) for each in described["metrics"]
    ]
    scope = ScopeMetrics(InstrumentationScope(described["scope"], described["version"]), metrics, "")
    data = MetricsData([ResourceMetrics(Resource(described["resource"]), [scope], "")])
    result = OTLPMetricExporter(sys.argv[1], compression=Compression.NoCompression).export(data)
    sys.exit(result.name != "SUCCESS")


if __name__ == "__main__":
    main()
