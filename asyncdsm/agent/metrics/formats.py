"""The formats of metrics, and which one a scraper gets: the one that its header `Accept` prefers."""

from __future__ import annotations

from email.message import Message
from typing import Literal, NamedTuple

FormatName = Literal["text", "openmetrics", "protobuf"]


class MetricsFormat(NamedTuple):
    """A format, and the `Content-Type` of an answer in it."""

    name: FormatName
    content_type: str


TEXT = MetricsFormat("text", "text/plain; version=0.0.4; charset=utf-8")
OPENMETRICS = MetricsFormat("openmetrics", "application/openmetrics-text; version=1.0.0; charset=utf-8")
PROTOBUF = MetricsFormat(
    "protobuf", "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
)


def choose_format(accept: str) -> MetricsFormat:
    """Return the format that is preferred by a header `Accept`; the text of Prometheus if that names none of them."""
    offers = sorted(map(_read_offer, accept.split(",")), key=lambda offer: -offer[0])
    return next((found for quality, found in offers if found and quality > 0), TEXT)


def _read_offer(text: str) -> tuple[float, MetricsFormat | None]:
    """Return how much one entry of `Accept` is preferred, from 0 to 1, and which format it names."""
    entry = Message()
    entry["Content-Type"] = text.strip()
    parameters = {name.lower(): str(value).lower() for name, value in entry.get_params([])}  # in any case
    try:
        quality = float(parameters.get("q", "1"))
    except ValueError:
        return 0.0, None
    return quality, _find_format(entry.get_content_type(), parameters)


def _find_format(media: str, parameters: dict[str, str]) -> MetricsFormat | None:
    if media == "application/openmetrics-text" and parameters.get("version", "1.0.0") in {"0.0.1", "1.0.0"}:
        return OPENMETRICS
    wanted = parameters.get("proto"), parameters.get("encoding")
    if media == "application/vnd.google.protobuf" and wanted == ("io.prometheus.client.metricfamily", "delimited"):
        return PROTOBUF
    return TEXT if media in {"text/plain", "text/*", "*/*"} else None
