"""Maps to draw: a store that real payloads fill, one hop after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import time

from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from asyncdsm.core.edge import Edge as CheckpointEdge
from asyncdsm.map.topology import NO_QUANTILES, Edge, Present
from tests.agent.payloads import NOW, SECOND_NS, ours, passed

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</title></svg><script>alert(1)</script>",
    '"]; evil [label="',
    '\\" -> \\N \\l',
    'a"] --> b["c',
    "#quot;#59;",
    "%%{init: {}}%%",
    "`code` **bold** [link](http://evil.example)",
    "end",
    "&lt;b&gt; &amp; &#60;",
    "javascript:alert(1)",
    "{{x}} ${x} %s",
    "\x1b[31m\x1b]0;title\x07\x1b[2J",
    "\x9b31m",
    "two\nlines\r\ttab",
    "\u202eright to left",
    "\x00\ufffe",
    "[red]red[/red]",
    ":smile:",
    "宽" * 50,
    "x" * 900,
    " ",
    "'; drop table edges; --",
    "__proto__",
    "../../etc/passwd",
]


class MapStore:
    """A store, and what was the last hop: the next one follows it."""

    def __init__(self, store: SQLiteStore | None = None, now: Callable[[], float] = lambda: NOW) -> None:
        self.now = now
        self.store: SQLiteStore = SQLiteStore(now=now) if store is None else store
        self.last: int = 0

    def passed(
        self,
        service: str,
        direction: str,
        queue: str,
        *,
        kind: str = "kafka",
        group: str | None = None,
        seconds: Iterable[float] = (0.25,),
        parent: int | None = None,
        env: str | None = None,
        tags: Iterable[str] = (),
        ago: float = 5,
    ) -> int:
        """Take a payload of one hop, of some seconds ago; return the pathway's hash after it."""
        tags = [f"direction:{direction}", f"type:{kind}", *tags]
        tags += [f"topic:{queue}"] if queue else []
        tags += [f"group:{group}"] if group else []
        came_from = self.last if parent is None else parent

        def record(aggregator: object) -> None:
            self.last = passed(aggregator, CheckpointEdge(*tags), seconds, parent=came_from, size=100)  # type: ignore[arg-type]

        for body in ours(record, service, env, at_ns=int(self.now() - ago) * SECOND_NS):
            self.store.add(read_report(body, "gzip"))
        return self.last


def slowed() -> MapStore:
    """Return a map on which a hop became slower 30 seconds ago, and messages come again."""
    maps = MapStore()
    for ago in range(400, 0, -10):
        maps.passed("a-shop-with-a-long-name", "out", "orders-of-europe", parent=0, ago=ago)
        seconds = [0.005 if ago > 30 else 8.0] * 10
        maps.passed("billing-of-europe", "in", "orders-of-europe", group="billing-of-europe", seconds=seconds, ago=ago)
    return maps


def now() -> float:
    """Return the time: for maps that a browser looks at."""
    return time()


def edge_with(id_: str, *, service: str = "shop", queue: str = "orders", count: float = 1.0) -> Edge:
    """Return an edge of a topology whose label has three lines."""
    latencies = dict.fromkeys(("edge_latency", "pathway_latency", "payload_size"), NO_QUANTILES)
    present = Present(
        from_=None,
        count=count,
        rate=0.0,
        **latencies,
        slowness=0.0,
        level=0,
        label="1 ms",
        tail="1 s",
        state="slower",
        since=NOW,
        before=0.0,
        quantile="p50",
    )
    return Edge(
        id=id_,
        service=service,
        env="",
        direction="out",
        type="kafka",
        cluster=None,
        queue=queue,
        group=None,
        tags=[],
        count=count,
        rate=0.0,
        lag=None,
        lag_seconds=None,
        lag_trend=None,
        lag_done_in=None,
        **latencies,
        present=present,
        clamped=0.0,
        clocks_disagree=False,
        facts=None,
    )
