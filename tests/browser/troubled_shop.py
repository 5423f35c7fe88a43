"""A shop of four services in which something happens: what an operator looks at in `test_operator.py`.

Orders go from shop to billing, which tries some of them again by way of a queue of its own and gives up a few of these.
Invoices go on to shipping, mails to mailing.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from time import time
from typing import Any, NamedTuple
from zlib import crc32

from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from asyncdsm.core.histogram import ZERO, bin_index
from asyncdsm.delivery.sketch import encode
from tests.agent.payloads import SECOND_NS, bucket, payload, point

BUCKET, MINUTE = 10, 60
LENGTH = 45 * MINUTE
"""How long the shop has been running when a test begins."""
FELL_BEHIND, STOPPED, UPGRADED, RECOVERED = 20 * MINUTE, 33 * MINUTE, 35 * MINUTE, 40 * MINUTE
"""When mailing fell behind, shipping stopped, billing got a version that is slower, and mailing began to catch up."""
DETAILED = 13 * MINUTE
# How many of the last seconds are reported in buckets of ten seconds, as tracers do.


class Pathway(NamedTuple):
    """Where messages go, hop by hop: `service`, the direction, and the queue; and how many go there in ten seconds."""

    hops: tuple[tuple[str, str, str], ...]
    messages: int


ORDER = (("shop", "out", "orders"), ("billing", "in", "orders"))
RETRY = (*ORDER, ("billing", "out", "orders-retry"), ("billing", "in", "orders-retry"))
PATHWAYS = (
    Pathway((*ORDER, ("billing", "out", "invoices"), ("shipping", "in", "invoices")), 30),
    Pathway((*ORDER, ("billing", "out", "mails"), ("mailing", "in", "mails")), 30),
    Pathway((*RETRY, ("billing", "out", "invoices"), ("shipping", "in", "invoices")), 8),
    Pathway((*RETRY, ("billing", "out", "dead-letters")), 2),
)


class TroubledShop:
    """An agent's store with what the shop has reported."""

    def __init__(self) -> None:
        self.begin: int = int(time()) // MINUTE * MINUTE - LENGTH
        self._reported = 0
        self._is_caught_up = False
        self.store: SQLiteStore = SQLiteStore(now=self.now)

    def now(self) -> float:
        """Return the time of the store's clock: the real one, once everything up to now is reported."""
        return time() if self._is_caught_up else self.begin + self._reported + 2

    def report_all(self) -> None:
        """Report everything up to now."""
        self.report_more()
        self._is_caught_up = True
        self.store.flush()

    def report_more(self) -> None:
        """Report what has happened since the last report."""
        while self._step():
            pass

    def _step(self) -> bool:
        seconds = MINUTE if self._reported < LENGTH - DETAILED else BUCKET
        if self.begin + self._reported + seconds + 2 > time():
            return False
        for service in ("shop", "billing", "shipping", "mailing"):
            if service != "shipping" or self._reported < STOPPED:
                self.store.add(read_report(self._payload(service, self._reported, seconds), ""))
        self._reported += seconds
        return True

    def _payload(self, service: str, elapsed: int, seconds: int) -> bytes:
        points = list(_points_of(service, elapsed, seconds))
        offsets = _offsets_of(service, elapsed + seconds - BUCKET)
        stats = bucket(*points, Start=(self.begin + elapsed) * SECOND_NS, Backlogs=offsets)
        version = "2.0" if service == "billing" and elapsed >= UPGRADED else "1.0"
        return payload(stats, Service=service, Version=version, Lang="python")


def _points_of(service: str, elapsed: int, seconds: int) -> Iterator[dict[str, Any]]:
    """Yield the points of a service: of each pathway, those that no pathway before has in common with it."""
    counts: dict[tuple[tuple[str, str, str], ...], int] = {}
    for pathway in PATHWAYS:
        for length in range(1, len(pathway.hops) + 1):
            hops = pathway.hops[:length]
            counts[hops] = counts.get(hops, 0) + pathway.messages * seconds // BUCKET
    for hops, count in counts.items():
        if hops[-1][0] == service:
            latencies = [0.0, *(_latency(hop, elapsed) for hop in hops[1:])]
            yield _point(hops, count, latencies)


def _point(hops: tuple[tuple[str, str, str], ...], count: int, latencies: list[float]) -> dict[str, Any]:
    hashes = [0, *(crc32(repr(hops[:length]).encode()) for length in range(1, len(hops) + 1))]
    parent, hash_ = list(pairwise(hashes))[-1]
    service, direction, queue = hops[-1]
    tags = [f"direction:{direction}", f"topic:{queue}", "type:kafka"]
    tags += [f"group:{service}"] if direction == "in" else []
    hop, whole = ({bin_index(value) if value else ZERO: count} for value in (latencies[-1], sum(latencies)))
    return point(EdgeTags=tags, Hash=hash_, ParentHash=parent, EdgeLatency=encode(hop), PathwayLatency=encode(whole))


def _latency(hop: tuple[str, str, str], elapsed: int) -> float:
    """Return how long messages take to pass a hop, in seconds."""
    match hop:
        case ("billing", "out", "invoices"):
            return 4.2 if elapsed >= UPGRADED else 0.3
        case ("mailing", "in", "mails"):
            return 0.02 + 10 * _unread_mails(elapsed) / 30
        case (_, "in", _):
            return 0.02
        case _:
            return 0.005


def _unread_mails(elapsed: int) -> int:
    behind = 15 * (min(elapsed, RECOVERED) - FELL_BEHIND) // BUCKET
    return max(0, behind - 20 * max(0, elapsed - RECOVERED) // BUCKET)


def _offsets_of(service: str, elapsed: int) -> list[dict[str, Any]]:
    written = 30 * (elapsed // BUCKET + 1)
    name = ("topic:mails", "partition:0")
    if service == "billing":
        return [{"Tags": ["type:kafka_produce", *name], "Value": written - 1}]
    committed = {
        "Tags": ["type:kafka_commit", "consumer_group:mailing", *name],
        "Value": written - _unread_mails(elapsed),
    }
    return [committed] if service == "mailing" else []
