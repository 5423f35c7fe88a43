"""Facts about the messages of an edge, beside their latency: redelivered, dead-lettered, waits, schemas (protocol §6).

Most messages have no fact, and cost nothing here. Those that have one are counted per edge and bucket, by either core.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock
from time import time_ns

from asyncdsm.core.edge import Edge

MOST_SCHEMAS = 20
"""How many schemas of an edge are noted in one bucket."""
_BUCKET_NS = 10_000_000_000
_MOST_EDGES = 10_000


class EdgeFacts:
    """The facts about the messages of one edge in one bucket."""

    __slots__ = ("dead_lettered", "longest_wait_ns", "redelivered", "schemas", "wait_ns", "waits")

    def __init__(self) -> None:
        self.redelivered: int = 0
        """How many messages were delivered before, to this consumer or to another one."""
        self.dead_lettered: int = 0
        """How many messages were in another queue before, and were dead-lettered there."""
        self.waits: int = 0
        """How many messages waited in a batch, from its receipt until their turn came."""
        self.wait_ns: int = 0
        """How long all of them waited, in nanoseconds."""
        self.longest_wait_ns: int = 0
        self.schemas: dict[tuple[int, str], None] = {}
        """The ids of the messages' schemas in their registry, each with its subject, which may be empty."""


class FactBatch:
    """The facts of one bucket, by edge."""

    __slots__ = ("edges", "start_ns")

    def __init__(self, start_ns: int, edges: dict[Edge, EdgeFacts]) -> None:
        self.start_ns: int = start_ns
        """The start of the bucket, in nanoseconds since the epoch."""
        self.edges: dict[Edge, EdgeFacts] = edges

    def count_facts(self) -> int:
        """Return how many facts there are."""
        return sum(
            facts.redelivered + facts.dead_lettered + facts.waits + len(facts.schemas) for facts in self.edges.values()
        )


class FactLog:
    """Takes facts from any thread and from signal handlers, and gives out those of finished buckets. Never raises."""

    def __init__(
        self, now: Callable[[], int] = time_ns, *, bucket_ns: int = _BUCKET_NS, most_edges: int = _MOST_EDGES
    ) -> None:
        """`now` gives nanoseconds since the epoch. In all buckets that wait, at most `most_edges` edges have facts.

        Facts of further edges are dropped.
        """
        self._now, self._bucket_ns, self._most_edges = now, bucket_ns, most_edges
        self._lock = RLock()  # a signal handler may record a fact in the middle of each method
        self._batches: dict[int, dict[Edge, EdgeFacts]] = {}
        # The bucket that was used last, and its end.
        self._open: dict[Edge, EdgeFacts] = {}
        self._open_from = self._open_until = 0
        self._edge_count = self._dropped = 0

    def count_deliveries(self, edge: Edge, *, redelivered: bool, dead_lettered: bool) -> None:
        """Count a message that was redelivered, or dead-lettered, or both."""
        with self._lock:
            facts = self._find_facts(edge, self._now(), redelivered + dead_lettered)
            if facts is not None:
                facts.redelivered += redelivered
                facts.dead_lettered += dead_lettered

    def count_wait(self, edge: Edge, since_ns: int) -> None:
        """Count a message of a batch that was received at a time in ns since the epoch, and whose turn is now. **Hot**.

        The lock would double its time. From where it finds the facts it calls no function, so the GIL lets neither
        another thread nor a signal handler in.
        """
        now = self._now()
        wait_ns = now - since_ns if now > since_ns else 0
        if self._open_from <= now < self._open_until and edge in self._open:
            facts = self._open[edge]
            facts.waits += 1
            facts.wait_ns += wait_ns
            if wait_ns > facts.longest_wait_ns:  # noqa: PLR1730
                facts.longest_wait_ns = wait_ns
        else:
            self._count_first_wait(edge, now, wait_ns)

    def note_schema(self, edge: Edge, schema_id: int, subject: str) -> None:
        """Note the schema of a message, by its id in a registry and its subject (empty if that is not known)."""
        with self._lock:
            facts = self._find_facts(edge, self._now(), 1)
            if facts is None or (schema_id, subject) in facts.schemas:
                return
            if len(facts.schemas) < MOST_SCHEMAS:
                facts.schemas[schema_id, subject] = None
            else:
                self._dropped += 1

    def take(self, before_ns: int | None) -> list[FactBatch]:
        """Return the facts of the buckets that ended at or before `before_ns` (None: all), and forget them.

        They are in the order in which they began. A bucket from the future has ended too: the clock was set back.
        """
        with self._lock:
            ended = [start for start in self._batches if before_ns is None or self._has_ended(start, before_ns)]
            taken = [FactBatch(start, self._batches.pop(start)) for start in sorted(ended)]
            self._edge_count -= sum(len(batch.edges) for batch in taken)
            self._open, self._open_until = {}, 0
            return taken

    def take_dropped(self) -> int:
        """Return how many facts were dropped since the last call."""
        with self._lock:
            dropped, self._dropped = self._dropped, 0
            return dropped

    def _count_first_wait(self, edge: Edge, now: int, wait_ns: int) -> None:
        with self._lock:
            facts = self._find_facts(edge, now, 1)
            if facts is not None:
                facts.waits += 1
                facts.wait_ns += wait_ns
                facts.longest_wait_ns = max(facts.longest_wait_ns, wait_ns)

    def _find_facts(self, edge: Edge, now: int, count: int) -> EdgeFacts | None:
        """Return the facts of an edge in the bucket of `now`; None if there is no room, and `count` facts are lost."""
        start = now - now % self._bucket_ns
        self._open = self._batches.setdefault(start, {})
        self._open_from, self._open_until = start, start + self._bucket_ns
        facts = self._open.get(edge)
        if facts is None:
            if self._edge_count >= self._most_edges:
                self._dropped += count
                return None
            self._edge_count += 1
            facts = self._open[edge] = EdgeFacts()
        return facts

    def _has_ended(self, start_ns: int, now_ns: int) -> bool:
        return not now_ns - self._bucket_ns < start_ns <= now_ns + self._bucket_ns
