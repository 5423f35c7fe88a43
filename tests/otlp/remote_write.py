"""Prometheus' remote write (version 1) of exponential histograms, as the Collector's exporter for it maps them.

rotel does not write to Prometheus, and Debian's Prometheus does not take OTLP.
"""

from __future__ import annotations

from typing import Any

import cramjam
import httpx2
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_FIELD: Any = descriptor_pb2.FieldDescriptorProto
_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "Label": {"name": (1, "string"), "value": (2, "string")},
    "BucketSpan": {"offset": (1, "sint32"), "length": (2, "uint32")},
    "Histogram": {
        "count_int": (1, "uint64"),
        "sum": (3, "double"),
        "schema": (4, "sint32"),
        "zero_count_int": (6, "uint64"),
        "positive_spans": (11, "BucketSpan"),
        "positive_deltas": (12, "*sint64"),
        "timestamp": (15, "int64"),
    },
    "TimeSeries": {"labels": (1, "Label"), "histograms": (4, "Histogram")},
    "WriteRequest": {"timeseries": (1, "TimeSeries")},
}
"""The messages and fields that are needed here, of Prometheus' `prompb`."""


def _define_messages() -> Any:
    file: Any = descriptor_pb2.FileDescriptorProto(name="remote_write.proto", package="tests", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            described = message.field.add(name=field, number=number, label=_FIELD.LABEL_OPTIONAL)
            if kind in _MESSAGES:
                described.type, described.type_name = _FIELD.TYPE_MESSAGE, f".tests.{kind}"
            else:
                described.type = getattr(_FIELD, f"TYPE_{kind.strip('*').upper()}")
            if kind.startswith("*") or kind in _MESSAGES:
                described.label = _FIELD.LABEL_REPEATED
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tests.WriteRequest"))


WriteRequest = _define_messages()


def write_histograms(url: str, name: str, points: list[tuple[dict[str, str], Any]]) -> None:
    """Write data points of exponential histograms with their attributes to a Prometheus."""
    request = WriteRequest()
    for attributes, point in points:
        series = request.timeseries.add()
        labels = {key.replace(".", "_"): value for key, value in attributes.items()}
        for key, value in sorted({**labels, "__name__": name}.items()):
            series.labels.add(name=key, value=value)
        histogram = series.histograms.add(
            count_int=point.count,
            sum=point.sum,
            schema=point.scale,
            zero_count_int=point.zero_count,
            timestamp=point.time_unix_nano // 1_000_000,
        )
        # Prometheus' bucket i ends at base ** i, that of OpenTelemetry begins there.
        counts = list(point.positive.bucket_counts)
        histogram.positive_spans.add(offset=point.positive.offset + 1, length=len(counts))
        histogram.positive_deltas.extend(after - before for before, after in zip([0, *counts], counts, strict=False))
    headers = {
        "Content-Encoding": "snappy",
        "Content-Type": "application/x-protobuf",
        "X-Prometheus-Remote-Write-Version": "0.1.0",
    }
    body = bytes(cramjam.snappy.compress_raw(request.SerializeToString()))
    httpx2.post(f"{url}/api/v1/write", content=body, headers=headers).raise_for_status()
