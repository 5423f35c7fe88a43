"""What an OTLP receiver got, decoded; and quantiles of exponential histograms, as the specification defines these."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from tests.intake import Intake, running_intake


@contextmanager
def otlp_receiver(port: int = 0, intake: Intake | None = None) -> Iterator[Intake]:
    """Run a receiver inside the block. Its `answer` is 200 unless told otherwise."""
    with running_intake(port=port, intake=intake or Intake(answer=200)) as running:
        yield running


def decode_body(body: bytes) -> Any:
    """Return the request in a body, compressed or not."""
    return ExportMetricsServiceRequest.FromString(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)


def requests_of(intake: Intake) -> list[Any]:
    """Return the requests that a receiver has accepted, oldest first."""
    return [decode_body(body) for body in intake.accepted]


def points_of(request: Any, name: str) -> list[tuple[dict[str, str], Any]]:
    """Return the data points of a metric in a request, with the attributes of the process and of the point."""
    found = list[tuple[dict[str, str], Any]]()
    for resource in request.resource_metrics:
        process = read_attributes(resource.resource.attributes)
        for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics if metric.name == name):
            data = getattr(metric, metric.WhichOneof("data"))
            found += [({**process, **read_attributes(point.attributes)}, point) for point in data.data_points]
    return found


def read_attributes(attributes: Iterable[Any]) -> dict[str, str]:
    """Return attributes as strings."""
    return {each.key: str(getattr(each.value, each.value.WhichOneof("value"))) for each in attributes}


def merge_points(points: Iterable[Any]) -> Counter[float]:
    """Return how many values each bucket holds, by the middle of the bucket, of several histograms together."""
    counts = Counter[float]()
    for point in points:
        base = 2 ** (2**-point.scale)
        counts[0.0] += point.zero_count
        for place, count in enumerate(point.positive.bucket_counts):
            counts[base ** (point.positive.offset + place + 0.5)] += count
    return counts


def quantile_of(counts: Counter[float], fraction: float) -> float:
    """Return the quantile of counted values."""
    rank, below = fraction * (counts.total() - 1), 0
    for value in sorted(counts):
        below += counts[value]
        if below > rank:
            return value
    raise ValueError("nothing is counted")
