"""An agent, and relays that report to it, for tests in which asyncdsm runs in the test's own process."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from time import time
from typing import Any

import httpx2

from asyncdsm.agent.store.sqlite.store import SQLiteStore
from tests.agent.running import agent
from tests.interop.relay import Relay, make_environ

PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class SeenPoint:
    """A point of the agent's map: its hash, the parent's hash (0 for none), and how many messages passed."""

    hash: int
    parent: int
    count: float


class Clock:
    """The time in seconds since the epoch, or one that is ahead of it."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time() + self.ahead


@dataclass(frozen=True)
class Watched:
    """An agent at `url`; `environ` is where relays find their brokers."""

    url: str
    environ: Mapping[str, str]
    clock: Clock

    def settle(self) -> None:
        """Let a minute pass for the agent: nobody has anything to add to what was reported."""
        self.clock.ahead += 60

    def relay(self, relay: Relay, source: str, target: str, count: int, service: str = "relay") -> None:
        """Run a relay to its end; afterwards the agent has what its tracer sent."""
        self.run(relay.install(), source, target, count, service)

    def run(self, command: list[str], source: str, target: str, count: int, service: str) -> None:
        """Run the command of a relay, as `relay` does."""
        done = subprocess.run(
            [*command, source, target, str(count)],
            env=make_environ(service, {**self.environ, "DD_TRACE_AGENT_URL": self.url}),
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, "ready\ndone\n"), done.stderr[-3000:]

    def points(self, *tags: str) -> list[SeenPoint]:
        """Return the points that have all of these tags."""
        return [
            SeenPoint(int(point["hash"]), int(point["parent"]), point["count"])
            for point in self.answer("topology")["pathways"]
            if set(tags) <= set(point["tags"])
        ]

    def counts_by_parent(self, *tags: str) -> dict[int, int]:
        """Return how many messages passed the points that have all of these tags, by parent (0 for none).

        A tracer that asks for the cluster's id in the background has two points for one edge: one is without the id.
        """
        counts = Counter[int]()
        for point in self.points(*tags):
            counts[point.parent] += int(point.count)
        return dict(counts)

    def lags(self) -> list[tuple[str, str, str | None, int]]:
        """Return the lag of each partition: its group, its topic, its cluster, and how many messages behind."""
        found = self.answer("topology")["lag"]
        return [(lag["group"], lag["topic"], lag["cluster_id"], lag["behind"]) for lag in found]

    def answer(self, path: str) -> dict[str, Any]:
        """Return an answer of the agent's API."""
        response = httpx2.get(f"{self.url}/api/{path}", timeout=30)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer


@contextmanager
def watched(environ: Mapping[str, str]) -> Iterator[Watched]:
    """Run an agent inside the block. It must have understood everything that it was sent."""
    clock = Clock()
    with closing(SQLiteStore(now=clock)) as store, agent(store=store) as running:
        found = Watched(running.url, environ, clock)
        yield found
        health = found.answer("health")
        assert (health["unread"], health["refused"], health["status"]) == ({}, 0, "ok")
        assert health["payloads"] > 0
