"""The official exporter, given the same data, sends the same bytes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio

from asyncdsm._version import __version__
from asyncdsm.core.aggregator import Aggregator
from asyncdsm.core.counters import Counters
from asyncdsm.core.edge import Edge
from asyncdsm.core.lag import Lag
from asyncdsm.core.spans import Exemplar, Exemplars
from asyncdsm.delivery.otlp.attributes import describe_resource
from asyncdsm.delivery.otlp.exponential import ExponentialHistogram
from asyncdsm.delivery.otlp.exporter import OtlpExporter
from asyncdsm.delivery.otlp.packer import OtlpPacker
from asyncdsm.delivery.outbox import Outbox
from asyncdsm.settings import Settings
from tests.brokers.cache import cached
from tests.otlp.received import decode_body, otlp_receiver

PACKAGE = "opentelemetry-exporter-otlp-proto-http==1.45.2"
"""In an environment of its own: Datadog's test agent, which other tests need, wants an older opentelemetry-proto."""
OFFICIAL = Path(__file__).with_name("official.py")
NOW = 1_800_000_003_000_000_000
READ = {
    "messaging.consumer.group.name": "billing",
    "messaging.destination.name": "orders",
    "messaging.operation.type": "receive",
    "messaging.system": "kafka",
}
WRITTEN = {"messaging.destination.name": "invoices", "messaging.operation.type": "send", "messaging.system": "kafka"}
DESCRIBED = {
    "messaging.client.sent.messages": ("Messages that the service has written.", "{message}"),
    "messaging.client.consumed.messages": ("Messages that the service has read.", "{message}"),
    "asyncdsm.queue.duration": ("Time in the queue.", "s"),
    "asyncdsm.process.duration": (
        "Time in the service, from a message to the one that it wrote because of that.",
        "s",
    ),
    "asyncdsm.pathway.duration": ("Time since the pathway began, of messages that were read.", "s"),
    "asyncdsm.message.size": ("Sizes of messages.", "By"),
    "asyncdsm.consumer.lag": ("Messages that a consumer group has not read.", "{message}"),
    "asyncdsm.consumer.lag.time": (
        "Age of the oldest message that a group has not read, where it is known.",
        "s",
    ),
}
# Two different values, since the sum of more depends on their order, in its last digit.
HOPS = [0.0, 0.001, 0.001, 0.0, 3.5, 0.001]
SIZES = [0, 200, 200, 200, 4096]


def install_official(folder: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    subprocess.run([str(folder / "bin/python"), "-m", "pip", "install", "-q", PACKAGE], check=True)


def histogram(values: list[float], attributes: dict[str, str], *exemplars: dict[str, Any]) -> dict[str, Any]:
    """Describe a histogram of values, as `Aggregator` bins them."""
    from asyncdsm.delivery.sketch import Sketch

    sketch, converted = Sketch(), ExponentialHistogram()
    for value in values:
        sketch.add_value(value)
    converted.add_bins({bin_: round(count) for bin_, count in sketch.bins().items()})
    buckets = converted.buckets()
    return {
        "attributes": attributes,
        "start": NOW - 5,
        "time": NOW,
        "count": len(values),
        "sum": converted.sum,
        "zero_count": values.count(0),
        "scale": buckets.scale,
        "offset": buckets.offset,
        "counts": buckets.counts,
        "exemplars": list(exemplars),
    }


def metric(kind: str, name: str, *points: dict[str, Any]) -> dict[str, Any]:
    description, unit = DESCRIBED[name]
    return {"kind": kind, "name": name, "description": description, "unit": unit, "points": points}


def number(value: float, attributes: dict[str, str], *, start: int | None = None) -> dict[str, Any]:
    return {"value": value, "attributes": attributes, "time": NOW, "start": start}


def describe(settings: Settings) -> dict[str, Any]:
    """Describe all that `packed` sends, without looking at it."""
    resource: dict[str, Any] = dict(describe_resource(settings))
    resource["process.pid"] = int(resource["process.pid"])
    lag = {"messaging.consumer.group.name": "billing", "messaging.destination.name": "orders"}
    lag["messaging.destination.partition.id"] = "0"
    exemplar = {"value": 3.5, "time": NOW - 7, "span_id": 0x1234, "trace_id": 0x5678 << 64}
    queue = histogram(HOPS, READ, exemplar)
    return {
        "resource": resource,
        "scope": "asyncdsm",
        "version": __version__,
        "metrics": [
            metric("sum", "messaging.client.sent.messages", number(2, WRITTEN, start=NOW - 5)),
            metric("sum", "messaging.client.consumed.messages", number(6, READ, start=NOW - 5)),
            metric("exponential_histogram", "asyncdsm.queue.duration", queue),
            metric("exponential_histogram", "asyncdsm.process.duration", histogram([0.5], WRITTEN)),
            metric("exponential_histogram", "asyncdsm.pathway.duration", histogram([hop * 2 for hop in HOPS], READ)),
            metric("exponential_histogram", "asyncdsm.message.size", histogram(list(map(float, SIZES)), READ)),
            metric("gauge", "asyncdsm.consumer.lag", number(12, lag)),
            metric("gauge", "asyncdsm.consumer.lag.time", number(1.5, lag)),
        ],
    }


def packed(settings: Settings) -> bytes:
    """Return the payload of a process that has read six messages and written two, of which one began a pathway."""
    clock = iter([NOW - 5])
    aggregator = Aggregator("billing", "prod", now=lambda: next(clock, NOW), otlp_counters=Counters())
    outbox, exemplars = Outbox(1 << 20, Counters()), Exemplars()
    packer = OtlpPacker(aggregator, settings, outbox, Counters(), exemplars)
    packer.import_encoder()
    read = Edge("direction:in", "topic:orders", "group:billing", "type:kafka")
    written = Edge("direction:out", "topic:invoices", "type:kafka")
    point, first, answer = aggregator.point(read, 77), aggregator.point(written, 0), aggregator.point(written, 78)
    for seconds, size in zip(HOPS, [*SIZES, None], strict=True):
        aggregator.record(point, NOW, round(seconds * 1e9), round(seconds * 2e9), size)
    aggregator.record(first, NOW, 0, 0, None)
    aggregator.record(answer, NOW, 500_000_000, 500_000_000, None)
    exemplars.offer(read, Exemplar(3_500_000_000, NOW - 7, 0x5678 << 64, 0x1234))
    for bucket in aggregator.take():
        packer.add_bucket(bucket, None, None)
    packer.finish([Lag("billing", "orders", 0, 12, seconds=1.5)])
    parcel = outbox.dequeue()
    assert parcel is not None
    assert parcel.checkpoints == 8
    return parcel.payload


async def send(settings: Settings) -> None:
    exporter = OtlpExporter(settings)
    await exporter.export(packed(settings))
    await exporter.aclose()


def test_official_exporter_sends_the_same_bytes() -> None:
    python = cached(f"otlp-exporter-{PACKAGE.rpartition('=')[2]}", install_official) / "bin/python"
    with otlp_receiver() as receiver:
        endpoint = f"{receiver.url}/v1/metrics"
        settings = Settings(service="billing", env="prod", otlp_endpoint=endpoint, otlp_compression="none")
        anyio.run(send, settings)
        subprocess.run([python, OFFICIAL, endpoint], input=json.dumps(describe(settings)), text=True, check=True)
    ours, theirs = receiver.accepted
    assert str(decode_body(ours)).splitlines() == str(decode_body(theirs)).splitlines()
    assert ours == theirs
    content = [request[2]["content-type"] for request in receiver.requests]
    assert content == ["application/x-protobuf", "application/x-protobuf"]
