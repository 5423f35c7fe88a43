"""The counting as a state machine, against plain dicts: checkpoints, buckets, points, offsets and the counters."""

from __future__ import annotations

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from asyncdsm.core.aggregator import Aggregator
from asyncdsm.core.bucket import Bucket, Histograms
from asyncdsm.core.edge import Edge
from asyncdsm.core.histogram import bin_index
from asyncdsm.testing import ManualClock

SECOND = 1_000_000_000
BUCKET_NS = 10 * SECOND
MOST_POINTS = 4

Place = tuple[int, int]
"""An edge's number and a parent: what a point stands for."""
Counts = Counter[tuple[str, int]]

LATENCY_NS = st.integers(-SECOND, 100 * SECOND) | st.sampled_from([0, 1, 10**18])


class Modelled:
    """A bucket, plainly."""

    def __init__(self) -> None:
        self.points: dict[Place, Counts] = {}
        self.offsets: dict[tuple[str, ...], int] = {}
        self.recorded = 0


class CountingMachine(RuleBasedStateMachine):
    """Checkpoints on three edges while buckets are taken, delivered and lost, and the clock goes to and fro."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.aggregator = Aggregator("s", None, bucket_ns=BUCKET_NS, max_points=MOST_POINTS, now=self.clock)
        self.edges = [Edge("direction:out", f"topic:{number}", "type:kafka") for number in range(3)]
        self.away: list[Bucket] = []
        # The model.
        self.buckets: dict[int, Modelled] = {}
        self.alive: set[Place] = set()
        self.recorded = self.delivered = 0
        self.dropped: dict[str, int] = {}
        self.noted: Counter[str] = Counter()

    def bucket(self) -> Modelled:
        start = self.clock.now_ns - self.clock.now_ns % BUCKET_NS
        return self.buckets.setdefault(start, Modelled())

    def lose(self, cause: str, checkpoints: int) -> None:
        if checkpoints:
            self.dropped[cause] = self.dropped.get(cause, 0) + checkpoints

    @rule(
        edge=st.integers(0, 2),
        parent=st.integers(0, 3),
        edge_ns=LATENCY_NS,
        pathway_ns=LATENCY_NS,
        size=st.none() | st.integers(0, 10**9),
    )
    def record(self, edge: int, parent: int, edge_ns: int, pathway_ns: int, size: int | None) -> None:
        point = self.aggregator.point(self.edges[edge], parent)
        self.aggregator.record(point, self.clock.now_ns, edge_ns, pathway_ns, size)
        self.recorded += 1
        place, bucket = (edge, parent), self.bucket()
        if place not in self.alive and len(self.alive) < MOST_POINTS:
            self.alive.add(place)
        if place not in self.alive:
            self.lose("points", 1)
            return
        counts = bucket.points.setdefault(place, Counter())
        counts["edge", bin_index(edge_ns * 1e-9)] += 1
        counts["pathway", bin_index(pathway_ns * 1e-9)] += 1
        if size is not None:
            counts["size", bin_index(size)] += 1
        bucket.recorded += 1

    @rule(committed=st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 1000)), max_size=8))
    def record_offsets(self, committed: list[tuple[str, int]]) -> None:
        for topic, offset in committed:
            tags = (f"topic:{topic}",)
            self.aggregator.record_offset(tags, offset)
            offsets = self.bucket().offsets
            if tags in offsets or len(offsets) < MOST_POINTS:
                offsets[tags] = max(offset, offsets.get(tags, offset))
            else:
                self.noted["offsets_dropped"] += 1

    @rule(seconds=st.integers(-15, 25))
    def let_time_pass(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule(everything=st.booleans())
    def take(self, everything: bool) -> None:
        now = self.clock.now_ns
        taken = self.aggregator.take(None if everything else now)
        ended = sorted(start for start in self.buckets if everything or not now - BUCKET_NS < start <= now + BUCKET_NS)
        assert [bucket.start_ns for bucket in taken] == ended
        for bucket in taken:
            self.is_alike(bucket, self.buckets[bucket.start_ns])
        if ended:
            self.alive &= {place for bucket in self.buckets.values() for place in bucket.points}
        for start in ended:
            del self.buckets[start]
        self.away += taken

    def is_alike(self, bucket: Bucket, model: Modelled) -> None:
        assert bucket.recorded == model.recorded
        assert bucket.backlogs == model.offsets
        counted = {
            (self.edges.index(point.edge), point.parent): named(histograms)
            for point, histograms in bucket.points().items()
            for point, histograms in bucket.points().items()
        }
        assert counted == model.points

    @precondition(lambda self: self.away)
    @rule()
    def deliver(self) -> None:
        bucket = self.away.pop(0)
        self.aggregator.counters.deliver(bucket.recorded)
        self.delivered += bucket.recorded

    @precondition(lambda self: self.away)
    @rule(cause=st.sampled_from(["outbox", "rejected", "shutdown", "encoding"]))
    def lose_a_bucket(self, cause: str) -> None:
        bucket = self.away.pop(0)
        self.aggregator.counters.drop(cause, bucket.recorded)
        self.lose(cause, bucket.recorded)

    @rule(what=st.sampled_from(["malformed", "not_propagated", "errors"]))
    def note(self, what: str) -> None:
        self.aggregator.counters.increment(what)
        self.noted[what] += 1

    @rule()
    def look(self) -> None:
        stats = self.aggregator.stats()
        waiting = sum(bucket.recorded for bucket in self.away)
        waiting += sum(bucket.recorded for bucket in self.buckets.values())
        assert (stats.recorded, stats.delivered, stats.pending) == (self.recorded, self.delivered, waiting)
        assert {**stats.dropped_by} == self.dropped
        assert stats.recorded == stats.delivered + stats.pending + stats.dropped
        assert (stats.malformed, stats.not_propagated, stats.errors, stats.offsets_dropped) == tuple(
            self.noted[what] for what in ("malformed", "not_propagated", "errors", "offsets_dropped")
        )

    def teardown(self) -> None:
        self.look()

    @invariant()
    def points_are_bounded(self) -> None:
        kept = {(number, parent) for number, edge in enumerate(self.edges) for parent in edge.points}
        assert kept == self.alive
        assert len(kept) <= MOST_POINTS


def named(histograms: Histograms) -> Counts:
    """Return a point's counts by the histogram that they are of."""
    sketches = zip(("edge", "pathway", "size"), histograms, strict=True)
    return Counter({(name, bin_): count for name, bins in sketches for bin_, count in bins.items()})


TestCounting = CountingMachine.TestCase
TestCounting.settings = settings(max_examples=60, stateful_step_count=40)
