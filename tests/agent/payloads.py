"""Payloads: ours, through all that makes them, and those that other tracers could write."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import httpx2
from ddsketch.pb import ddsketch_pb2
from msgspec.msgpack import encode as to_msgpack

from asyncdsm.agent.store.histograms import EDGE, LARGEST_BIN, encode_key
from asyncdsm.agent.store.reports import Report
from asyncdsm.core.aggregator import Aggregator
from asyncdsm.core.edge import Edge
from asyncdsm.core.histogram import GAMMA, OFFSET, ZERO, bin_index
from asyncdsm.delivery.payload import pack
from asyncdsm.delivery.sketch import encode
from asyncdsm.settings import Settings

NOW = 1_700_000_040.0
"""Seconds since the epoch, and the 20th of its minute."""
NOW_NS = int(NOW) * 10**9
SECOND_NS = 10**9
MINUTE_NS = 60 * SECOND_NS
INTAKE = "/v0.1/pipeline_stats"
MSGPACK = {"Content-Type": "application/msgpack"}
GZIP = {**MSGPACK, "Content-Encoding": "gzip"}

_pb: Any = ddsketch_pb2


class Client(httpx2.AsyncClient):
    """A client with the two requests that nearly every test makes."""

    async def report(self, body: bytes, *, gzipped: bool = False) -> httpx2.Response:
        """Send a payload."""
        return await self.post(INTAKE, content=body, headers=GZIP if gzipped else MSGPACK)

    async def topology(self, minutes: int = 10) -> dict[str, Any]:
        """Return the map."""
        response = await self.get("/api/topology", params={"minutes": minutes})
        assert response.status_code == 200, response.text
        topology: dict[str, Any] = response.json()
        return topology


def ours(
    record: Callable[[Aggregator], object], service: str = "shop", env: str | None = None, at_ns: int = NOW_NS
) -> list[bytes]:
    """Return the gzipped payloads of what `record` records."""
    aggregator = Aggregator(service, env, now=lambda: at_ns)
    record(aggregator)
    settings = Settings(service=service, env=env, hostname="host")
    return [pack(bucket, aggregator.bucket_ns, settings).body for bucket in aggregator.take()]


def passed(
    aggregator: Aggregator, edge: Edge, seconds: Iterable[float], *, parent: int = 0, size: int | None = None
) -> int:
    """Record a message per latency (its pathway took twice as long); return the pathway's hash behind the edge."""
    point = aggregator.point(edge, parent)
    for latency in seconds:
        nanoseconds = round(latency * SECOND_NS)
        aggregator.record(point, aggregator.now(), nanoseconds, 2 * nanoseconds, size)
    return point.hash


def bins_of(report: Report, sketch: int = EDGE, group: int = 0) -> dict[int, float]:
    """Return what a report counts in one of the sketches of one of its points."""
    first, last = encode_key(group, sketch, -LARGEST_BIN - 1), encode_key(group, sketch, LARGEST_BIN)
    counted = dict[int, float]()
    for key, count in zip(report.histograms.keys.tolist(), report.histograms.counts.tolist(), strict=True):
        if first <= key <= last:
            bin_ = key - encode_key(group, sketch, 0) if key > first else ZERO
            counted[bin_] = counted.get(bin_, 0) + count
    return counted


def point(*leave_out: str, **changed: Any) -> dict[str, Any]:
    """Return a point as a tracer writes it, with `changed` fields."""
    latency = encode({bin_index(0.25): 4})
    fields = {
        "EdgeTags": ["type:kafka", "topic:orders", "direction:out"],
        "Hash": 7,
        "ParentHash": 0,
        "PathwayLatency": latency,
        "EdgeLatency": latency,
        "PayloadSize": encode({}),
        **changed,
    }
    return {name: value for name, value in fields.items() if name not in leave_out}


def bucket(*points: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """Return a bucket that began 20 seconds ago."""
    return {"Start": NOW_NS - 20 * SECOND_NS, "Duration": 10 * SECOND_NS, "Stats": list(points), **changed}


def payload(*buckets: dict[str, Any], **changed: Any) -> bytes:
    """Return a whole payload, not compressed."""
    return to_msgpack({"Service": "foreign", "Stats": list(buckets), "Lang": "go", **changed})


def sketch(
    *,
    gamma: float = GAMMA,
    offset: float = OFFSET,
    interpolation: int = 0,
    zeros: float = 0.0,
    negative: dict[int, float] | None = None,
    negative_run: list[float] | None = None,
    **positive: Any,
) -> bytes:
    """Return a sketch's bytes; `positive` are fields of its store of positive values."""
    message = _pb.DDSketch(
        mapping=_pb.IndexMapping(gamma=gamma, indexOffset=offset, interpolation=interpolation),
        positiveValues=_pb.Store(**positive),
        negativeValues=_pb.Store(binCounts=negative or {}, contiguousBinCounts=negative_run or []),
        zeroCount=zeros,
    )
    data: bytes = message.SerializeToString()
    return data
