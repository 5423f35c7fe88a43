"""Services that report every ten seconds, on a clock that the test moves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from asyncdsm.core.histogram import bin_index
from asyncdsm.delivery.sketch import encode
from tests.agent.payloads import SECOND_NS, bucket, payload, point

BUCKET, MINUTE = 10, 60
DETAILED = 13 * MINUTE
"""How many of the last seconds have a bucket for each ten seconds: more than are looked at for the present."""
DELAY = 2
"""How long after the end of a bucket a tracer has sent it, in seconds."""


class Hop(NamedTuple):
    """A hop of a service, and what passes it in ten seconds: how many messages, each with what latency in seconds."""

    service: str
    queue: str = "orders"
    direction: str = "in"
    latency: float = 0.3
    messages: int = 20
    version: str = ""

    def payload(self, start: float, seconds: int) -> bytes:
        """Return what the service sends of some seconds in a bucket that begins at `start`."""
        tags = [f"direction:{self.direction}", f"topic:{self.queue}", "type:kafka"]
        tags += [f"group:{self.service}"] if self.direction == "in" else []
        counted = encode({bin_index(self.latency): self.messages * seconds // BUCKET})
        hash_ = crc32(f"{self.service} {self.direction} {self.queue}".encode())
        passed = point(EdgeTags=tags, Hash=hash_, ParentHash=1, EdgeLatency=counted, PathwayLatency=counted)
        return payload(
            bucket(passed, Start=int(start) * SECOND_NS), Service=self.service, Version=self.version, Lang="python"
        )


class Timeline:
    """A store, and the time of its clock. Time begins at `start`, a whole minute in seconds since the epoch."""

    def __init__(self, start: float, path: Path | None = None, follow: Callable[[], float] | None = None) -> None:
        """`follow` is a clock that the store follows once `catch_up` is called."""
        self.start: float = start
        self.time: float = start
        self._follow = follow
        self._caught_up = False
        self.store: SQLiteStore = SQLiteStore(path, decode=read_report if path else None, now=self.now)

    def now(self) -> float:
        """Return the time of the store's clock."""
        return self._follow() if self._follow and self._caught_up else self.time

    def run(self, seconds: float, *hops: Hop) -> None:
        """Let some time pass in which messages pass these hops; without hops, nothing is reported.

        The messages of whole minutes that are long over are in one bucket, so that hours pass quickly.
        """
        end = self.start + seconds
        while self.start < end:
            step = MINUTE if end - self.start > DETAILED and self.start % MINUTE == 0 else BUCKET
            self.time = self.start + step + DELAY
            for hop in hops:
                self.store.add(read_report(hop.payload(self.start, step), ""))
            self.start += step
        self.time = self.start + DELAY

    def catch_up(self) -> None:
        """Let the store's clock show the time of the clock that it follows, from now on."""
        self._caught_up = True
