"""10,000 points: what 200 services send of them every ten seconds, and a day of them in a store."""

from __future__ import annotations

import gzip
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from msgspec.msgpack import encode as to_msgpack

from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.store.histograms import EDGE, PATHWAY, SIZE, Histograms, concat, encode_key
from asyncdsm.agent.store.reports import BucketReport, PointReport, Report
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from asyncdsm.core.histogram import MULTIPLIER, OFFSET
from asyncdsm.delivery.sketch import Sketch
from benchmarks.map import service_edges

PATHWAYS_OF_AN_EDGE = 10
PATIENCE_SECONDS = 300
"""How long it may take to write a day."""
MESSAGES = 100
"""That a point counts in ten seconds."""
MOST_MESSAGES = 10_000
"""Enough that a histogram has all the bins that it will have."""
KINDS, VARIANTS, FILLED_VARIANTS = 20, 25, 5
# How many distributions of latencies there are, and how many samples of each; fewer for the file.


def service_points() -> list[list[dict[str, Any]]]:
    """Return the points of each service: tags, hash and parent. Ten pathways lead over each edge."""
    return [
        [
            {
                "EdgeTags": edge["EdgeTags"],
                "Hash": edge["Hash"] * PATHWAYS_OF_AN_EDGE + number,
                "ParentHash": edge["ParentHash"] and edge["ParentHash"] * PATHWAYS_OF_AN_EDGE + number,
            }
            for edge in edges
            for number in range(PATHWAYS_OF_AN_EDGE)
        ]
        for edges in service_edges()
    ]


class Payloads:
    """Makes the payloads of all services, another one for each bucket."""

    def __init__(self) -> None:
        chance = np.random.default_rng(5)
        self._chance, self._points = random.Random(5), service_points()
        self._latencies = [[_encode(chance, kind) for _ in range(VARIANTS)] for kind in range(KINDS)]

    def of_bucket(self, start: int) -> Iterator[bytes]:
        """Yield the compressed payload of each service, of the ten seconds from `start` on."""
        for number, points in enumerate(self._points):
            kinds = [self._latencies[(number + place) % KINDS] for place in range(len(points))]
            stats = [{**point, **self._chance.choice(kind)} for point, kind in zip(points, kinds, strict=True)]
            bucket = {"Start": start * 10**9, "Duration": 10 * 10**9, "Stats": stats}
            body = {"Service": f"service-{number}", "Env": "prod", "Lang": "python", "Stats": [bucket]}
            yield gzip.compress(to_msgpack(body), 1)


def fill_day(path: Path, now: int) -> None:
    """Write a day of all points that ends at `now` to a store: hours, and finer rows at their end.

    Those are filled as a day would fill them. The other finer rows, gigabytes that no answer reads, are left out.
    Raises RuntimeError if that takes too long.
    """
    chance, clock, until = np.random.default_rng(1), [0.0], monotonic() + PATIENCE_SECONDS
    ends = [
        *range(now - 24 * 3600, now - 7200, 3600),
        *range(now - 7200, now - 1200, 600),
        *range(now - 1200, now - 300, 60),
        *range(now - 300, now, 10),
    ]
    points = [[_point_report(each) for each in points] for points in service_points()]
    histograms = dict[int, list[Histograms]]()
    store = SQLiteStore(path, decode=read_report, now=lambda: clock[0])
    for start, end in zip(ends, [*ends[1:], now], strict=True):
        if monotonic() > until:
            raise RuntimeError(f"a day was not written within {PATIENCE_SECONDS} s: the machine is too busy")
        messages = min(MESSAGES * (end - start) // 10, MOST_MESSAGES)
        if messages not in histograms:
            histograms[messages] = [_histograms(chance, len(points[0]), messages) for _ in range(FILLED_VARIANTS)]
        clock[0] = float(end)
        for number, listed in enumerate(points):
            variant = histograms[messages][(number + end // 10) % FILLED_VARIANTS]
            bucket = BucketReport(start * 10**9, 10**10, listed, [])
            store.add(Report(f"service-{number}", "prod", "python", "", [bucket], variant))
        store.flush()
    store.close()


def _point_report(point: dict[str, Any]) -> PointReport:
    return PointReport(tuple(sorted(point["EdgeTags"])), point["Hash"], point["ParentHash"])  # as the intake has them


def _draw(chance: np.random.Generator, kind: int, messages: int) -> Sequence[tuple[int, Any]]:
    """Return (histogram, values) of some messages."""
    latency = np.exp(chance.normal(-5 + kind / 5, 0.5, messages))
    pathway = latency * (1 + chance.lognormal(0.5, 0.4, messages))
    return (EDGE, latency), (PATHWAY, pathway), (SIZE, chance.lognormal(6.5, 0.3, messages))


def _encode(chance: np.random.Generator, kind: int) -> dict[str, bytes]:
    sketches = dict[int, bytes]()
    for name, values in _draw(chance, kind, MESSAGES):
        sketch = Sketch()
        for value in values.tolist():
            sketch.add_value(value)
        sketches[name] = sketch.encode()
    return {"EdgeLatency": sketches[EDGE], "PathwayLatency": sketches[PATHWAY], "PayloadSize": sketches[SIZE]}


def _histograms(chance: np.random.Generator, points: int, messages: int) -> Histograms:
    parts = list[Histograms]()
    for point in range(points):
        for name, values in _draw(chance, point % KINDS, messages):
            bins, counts = np.unique(np.floor(np.log(values) * MULTIPLIER + OFFSET), return_counts=True)
            parts.append(Histograms(bins.astype(np.int64) + encode_key(point, name, 0), counts.astype(np.float64)))
    return concat(parts)
