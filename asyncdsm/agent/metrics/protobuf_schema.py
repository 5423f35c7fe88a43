"""The messages of Prometheus' protobuf format (`io.prometheus.client`), declared here, made and encoded by protobuf.

Only the fields that the agent writes are declared; their numbers are those of `metrics.proto` in Prometheus'
client_model. No package on PyPI has these classes.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

COUNTER, GAUGE, SUMMARY, HISTOGRAM = 0, 1, 2, 4
"""Values of `MetricFamily.type`."""
_PACKAGE = "io.prometheus.client"
_field: Any = FieldDescriptorProto
_SCALARS = {
    "string": _field.TYPE_STRING,
    "double": _field.TYPE_DOUBLE,
    "int32": _field.TYPE_INT32,
    "int64": _field.TYPE_INT64,
    "uint32": _field.TYPE_UINT32,
    "uint64": _field.TYPE_UINT64,
    "sint32": _field.TYPE_SINT32,
    "sint64": _field.TYPE_SINT64,
    "enum": _field.TYPE_INT32,  # encoded alike
}
_MESSAGES = {
    "LabelPair": "1 string name, 2 string value",
    "Timestamp": "1 int64 seconds, 2 int32 nanos",  # encoded as the one of google.protobuf
    "Gauge": "1 double value",
    "Counter": "1 double value, 3 Timestamp created_timestamp",
    "Summary": "1 uint64 sample_count, 2 double sample_sum, 4 Timestamp created_timestamp",
    "Bucket": "1 uint64 cumulative_count, 2 double upper_bound",
    "BucketSpan": "1 sint32 offset, 2 uint32 length",
    "Histogram": (
        "1 uint64 sample_count, 2 double sample_sum, 3 Bucket* bucket, 5 sint32 schema, 6 double zero_threshold, "
        "7 uint64 zero_count, 12 BucketSpan* positive_span, 13 sint64* positive_delta, "
        "15 Timestamp created_timestamp"
    ),
    "Metric": "1 LabelPair* label, 2 Gauge gauge, 3 Counter counter, 4 Summary summary, 7 Histogram histogram",
    "MetricFamily": "1 string name, 2 string help, 3 enum type, 4 Metric* metric",
}


def _declare_message(name: str, fields: str) -> DescriptorProto:
    message: Any = DescriptorProto(name=name)
    for each in fields.split(", "):
        number, type_, field_name = each.split()
        scalar = _SCALARS.get(type_.removesuffix("*"))
        message.field.add(
            name=field_name,
            number=int(number),
            label=_field.LABEL_REPEATED if type_.endswith("*") else _field.LABEL_OPTIONAL,
            type=_field.TYPE_MESSAGE if scalar is None else scalar,
            type_name=f".{_PACKAGE}.{type_.removesuffix('*')}" if scalar is None else None,
        )
    declared: DescriptorProto = message
    return declared


def _make_class(name: str) -> Any:
    pool = DescriptorPool()  # not the default one, in which another package may have declared these messages
    declared = [_declare_message(*each) for each in _MESSAGES.items()]
    pool.Add(FileDescriptorProto(name="metrics.proto", package=_PACKAGE, syntax="proto3", message_type=declared))
    return GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


MetricFamily: Any = _make_class("MetricFamily")
"""The class of a metric with all its labels and values."""
