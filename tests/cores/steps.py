"""Makes the steps of a program of checkpoints, and says what came of each: `python -m tests.cores.steps`.

It reads one program a line, as JSON, and answers with a line. The core is the one that the environment chooses.
"""

from __future__ import annotations

import json
import re
import sys
from collections import deque
from collections.abc import Callable
from typing import Any

import asyncdsm
from asyncdsm.core import checkpoint, current
from asyncdsm.core.aggregator import Aggregator
from asyncdsm.core.bucket import Bucket
from asyncdsm.core.edge import Edge
from asyncdsm.core.implementation import WHY_PLAIN
from asyncdsm.core.pathway import Pathway
from asyncdsm.core.recorder import BaseRecorder
from asyncdsm.delivery.points import PointEncoder
from asyncdsm.integration.formats import kafka_headers
from asyncdsm.testing import Captured, ManualClock

BUCKET_NS = 10_000_000_000
MOST_POINTS = 6
ADDRESS = re.compile(r" at 0x[0-9a-f]+")


class Pair(tuple[Any, ...]):
    """A tuple that is not quite one."""

    __slots__ = ()


TYPES: dict[str, Callable[[Any], Any]] = {
    "list": list,
    "tuple": tuple,
    "pair": Pair,
    "deque": deque,
    "number": lambda _: 7,
}
"""The types of headers, and of one header."""


BINARY: dict[str, Callable[[bytes], Any]] = {"bytes": bytes, "bytearray": bytearray, "view": memoryview}
"""The types of binary headers."""


class Steps:
    """One program: three edges, a clock that moves by hand, and checkpoints."""

    def __init__(self) -> None:
        self._clock = ManualClock()
        self._edges = [Edge("direction:in", f"topic:{number}", "type:kafka") for number in range(3)]
        self._pending = list[Any]()
        self._captured = Captured("captured", None, self._clock)
        self._earlier = list[BaseRecorder]()  # in the native core, an edge's points live as long as their recorder
        self.start_recorder("first")

    def start_recorder(self, service: str) -> None:
        """Let checkpoints go to an aggregator for another service from here on."""
        self._aggregator = Aggregator(
            service, None, bucket_ns=BUCKET_NS, max_points=MOST_POINTS, max_header_bytes=40, now=self._clock
        )
        self._earlier.append(self._aggregator)
        checkpoint.set_recorder(self._aggregator)

    def consume(self, edge: int, header: Any, size: Any, broker_ns: Any) -> Any:
        """Consume a message."""
        return _listed(checkpoint.consume(self._edges[edge], _header(header), size, broker_ns))

    def begin(self, edge: int, size: Any, key_bytes: Any) -> Any:
        """Begin to produce a message. The last that were begun can be finished."""
        pending = checkpoint.begin_produce(self._edges[edge], size, key_bytes)
        if pending is None:
            return None
        self._pending.append(pending)
        return pending.header.decode(), pending.size, _listed(pending.pathway)

    def finish(self, place: int) -> None:
        """Finish a produce that was begun, the oldest or the newest."""
        if self._pending:
            checkpoint.finish_produce(self._pending.pop(place))

    def peek(self, edge: int, header: Any, broker_ns: Any) -> Any:
        """Look at a message's pathway, without a checkpoint and with one."""
        read = _header(header)
        pathways = (
            checkpoint.incoming_pathway(read, broker_ns),
            checkpoint.peek_consume(self._edges[edge], read, broker_ns),
        )
        return [_listed(pathway) for pathway in pathways]

    def begin_with_headers(self, edge: int, headers: Any, size: Any, room: Any) -> Any:
        """Begin to produce a message that has headers."""
        given = _headers(headers)
        pending, sent = kafka_headers.begin_with_headers(self._edges[edge], given, size, room)
        is_unchanged = _shown(given) == _shown(_headers(headers))
        return pending and (pending.header.decode(), pending.size), sent is given, _shown(sent), is_unchanged

    def scan_headers(self, headers: Any, size: Any) -> Any:
        """Look for the context of a consumed message."""
        return _shown(kafka_headers.scan_headers(_headers(headers), size))

    def start_capturing(self) -> None:
        """Let checkpoints go to a recorder that is no aggregator."""
        self._captured = Captured("captured", None, self._clock)
        self._earlier.append(self._captured)
        checkpoint.set_recorder(self._captured)

    def captured(self) -> Any:
        """Return what was captured."""
        return repr(self._captured.checkpoints)

    def stop(self, is_started_again: bool) -> None:
        """Let nothing measure, or not before the next checkpoint."""
        checkpoint.set_recorder(None, self._start_again if is_started_again else None)

    def _start_again(self) -> Aggregator:
        self.start_recorder("again")
        return self._aggregator

    def consume_in_layer(self, edge: int, consumes: bool, is_closed: bool) -> Any:
        """Consume a message where a layer above may count it."""
        layer = current.open_layer(current.snapshot(), consumes=consumes)
        with current.restored(layer):
            if is_closed:
                current.close_layer(layer)
            consumed = self.consume(edge, ("none", None), 5, None)
            found = _listed(current.current_pathway())
            current.close_layer(layer)
        return consumed, found

    def resume(self, hash_: int, pathway_start_ns: int, edge_start_ns: int) -> None:
        """Make a pathway the current one that the program has kept or made."""
        current.set_current(Pathway(hash_, pathway_start_ns, edge_start_ns))

    def begin_in_layer(self, edge: int, is_closed: bool) -> Any:
        """Begin to produce where a layer above counts."""
        layer = current.open_layer(current.snapshot(), consumes=False)
        if is_closed:
            current.close_layer(layer)
        with current.restored(layer):
            return self.begin(edge, 5, 3)

    def forget_current(self) -> None:
        """Let no pathway be current."""
        current.set_current(None)

    def advance(self, seconds: float) -> None:
        """Move the clock, also backwards."""
        self._clock.advance(seconds)

    def offset(self, topic: int, offset: Any) -> None:
        """Record an offset."""
        self._aggregator.record_offset((f"topic:{topic}",), offset)

    def take(self, everything: bool) -> Any:
        """Take the buckets that have ended, or all."""
        return [_described(bucket) for bucket in self._aggregator.take(None if everything else self._clock())]

    def stats(self) -> Any:
        """Return the counters, and the points of each edge."""
        return repr(self._aggregator.stats()), [sorted(edge.points) for edge in self._edges]


def _shown(value: object) -> str:
    """Return what an object looks like, without its place in memory."""
    return ADDRESS.sub("", repr(value))


def _described(bucket: Bucket) -> Any:
    points = [
        (*point.edge.tags, point.hash, point.parent, *(sorted(bins.items()) for bins in histograms))
        for point, histograms in bucket.points().items()
    ]
    encoder, rows = PointEncoder(bucket), list[str]()
    encoder.points_at_once = 1
    while (row := encoder.encode_some()) is not None:
        rows.append(row.hex())
    assert bucket.first_edges(bucket.point_count) == {point.edge for point in bucket.points()}
    assert len(bucket.first_edges(1)) == min(1, bucket.point_count)
    pieces = [piece for first in range(0, bucket.point_count, 3) for piece in bucket.points_from(first, 3)]
    assert sum(sum(histograms.edge_latency.values()) for _, histograms in pieces) == bucket.recorded
    assert {point for point, _ in pieces} == set(bucket.points())
    assert bucket.points_from(bucket.point_count, 3) == []
    return bucket.start_ns, bucket.recorded, sorted(bucket.backlogs.items()), sorted(points, key=repr), sorted(rows)


def _header(header: Any) -> Any:
    kind, value = header
    if kind in BINARY:
        return BINARY[kind](bytes.fromhex(value))
    return value


def _headers(headers: Any) -> Any:
    """Return headers: of their container, and of each header, the name of the type and what it has."""
    if headers is None:
        return None
    container, pairs = headers
    return TYPES[container](TYPES[kind](_header(part) for part in parts) for kind, parts in pairs)


def _listed(pathway: Pathway | None) -> Any:
    return None if pathway is None else [*pathway, pathway.encode_base64()]


def follow(program: list[list[Any]]) -> list[Any]:
    """Make the steps of a program; return what came of each, an error included."""
    current.set_current(None)
    steps = Steps()
    return [_try(getattr(steps, name), arguments) for name, *arguments in program]


def _try(step: Callable[..., Any], arguments: list[Any]) -> Any:
    try:
        return step(*arguments)
    except Exception as error:
        return type(error).__name__


def main() -> None:
    """Say why the core is the plain one, if it is, and where asyncdsm is from; then answer each program."""
    print(json.dumps([WHY_PLAIN, asyncdsm.__file__]), flush=True)
    for line in sys.stdin:
        print(json.dumps(follow(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
