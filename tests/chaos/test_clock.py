"""The clock steps an hour back and forth, under load, in a real process: `time.time_ns` is the aggregator's clock."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

import pytest

from tests.chaos.processes import run
from tests.intake import Intake, running_intake

HOUR = 3600

PROGRAM = """
async def main():
    async with DataStreams(bucket_seconds=0.2, flush_seconds=0.1) as streams:
        for step in STEPS:
            clock.offset += step * 1_000_000_000
            stop = time.monotonic() + 0.6
            messages = 0
            while time.monotonic() < stop:
                current.set_current(None)
                header = by_hand.produce(EDGES[0], 100)
                clock.offset += 1_000  # a microsecond at least: no two payloads are the same
                by_hand.consume(EDGES[1], header, 100)
                messages += 2
                asyncdsm.track_kafka_commit("g", "t", 0, messages)
                await asyncio.sleep(0.001)
            made[0] += messages
            # Whatever the clock says: what was recorded before is delivered, and lag is not held up for an hour.
            while streams.stats.delivered < made[0] - messages:
                await asyncio.sleep(0.01)
            assert streams.stats.recorded == made[0]
    stats = streams.stats
    say(made=made[0], recorded=stats.recorded, delivered=stats.delivered, pending=stats.pending, dropped=stats.dropped)
made = [0]
run_main(main)
"""

PATCH = """
import time
class Clock:
    offset = 0
    real = time.time_ns
    def __call__(self):
        return self.real() + self.offset
clock = time.time_ns = Clock()
"""


@pytest.fixture
def intake() -> Iterator[Intake]:
    """An agent that takes everything."""
    with running_intake() as intake:
        yield intake


@pytest.mark.parametrize(
    "steps",
    [[0, -HOUR], [0, HOUR], [0, HOUR, -HOUR, HOUR, -HOUR, -HOUR, HOUR]],
    ids=["back", "forth", "back and forth"],
)
def test_clock_that_is_set_loses_nothing(intake: Intake, steps: list[int]) -> None:
    code, said, complaints = run(intake, f"STEPS = {steps}\n" + PROGRAM, before=PATCH)
    assert (code, complaints) == (0, "")
    last, left = said
    assert left == {"left": []}
    assert (last["recorded"], last["delivered"]) == (last["made"], last["made"])
    assert (last["pending"], last["dropped"]) == (0, 0)
    assert intake.counted() == last["made"]
    commits = [
        (bucket.start, backlog.value)
        for payload in intake.payloads
        for bucket in payload.stats or ()
        for backlog in bucket.backlogs or ()
    ]
    hours = {start // (HOUR * 1_000_000_000) for start, _ in commits}
    assert len(hours) >= len(set(accumulate(steps)))  # of commits in each hour we were told
