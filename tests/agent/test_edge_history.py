"""The history that changes are found in: a reader that keeps slots says the same as one that reads them all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.queries.edge_history import EdgeHistory
from asyncdsm.agent.queries.history_reader import HistoryReader, slot_width
from asyncdsm.agent.store.resolutions import TimeRange
from tests.agent.payloads import NOW
from tests.agent.timeline import Hop, Timeline

START = int(NOW) // 3600 * 3600
HOPS = Hop("shop", direction="out"), Hop("billing")


@dataclass
class Reading:
    """A system that has been running for half an hour, and a reader of its history."""

    timeline: Timeline
    reader: HistoryReader

    def read(self, reader: HistoryReader) -> EdgeHistory:
        """Return the history since the beginning."""
        return reader.read_history(TimeRange(START, self.timeline.time))


@pytest.fixture
def reading() -> Reading:
    timeline = Timeline(START)
    timeline.run(1800, *HOPS)
    timeline.store.flush()
    return Reading(timeline, HistoryReader(timeline.store))


def assert_same(one: EdgeHistory, other: EdgeHistory) -> None:
    rows = [other.edges.index(edge) for edge in one.edges]
    assert len(rows) == len(other.edges)
    assert one[:4] == other[:4]
    for table, other_table in zip(one[5:], other[5:], strict=True):
        np.testing.assert_array_equal(table, np.asarray(other_table)[rows])


def test_history_has_the_counts_of_each_minute(reading: Reading) -> None:
    history = reading.read(reading.reader)
    assert (history.first, history.width) == (START, 60)
    assert history.counts[:, :30].tolist() == [[120.0] * 30] * 2
    assert history.settled == 29  # of the last one, something may still come


def test_kept_slots_are_the_same_as_those_of_the_store(reading: Reading) -> None:
    reading.read(reading.reader)
    reading.timeline.run(300, *HOPS, Hop("shipping"))
    reading.timeline.store.flush()
    assert_same(reading.read(reading.reader), reading.read(HistoryReader(reading.timeline.store)))


def test_what_is_reported_late_is_in_the_history_with_the_next_flush(reading: Reading) -> None:
    reading.read(reading.reader)
    reading.timeline.store.add(read_report(Hop("late").payload(START + 600, 60), ""))
    reading.timeline.store.flush()
    history = reading.read(reading.reader)
    assert "late" in {edge.service for edge in history.edges}
    assert_same(history, reading.read(HistoryReader(reading.timeline.store)))


@pytest.mark.parametrize(
    ("seconds", "width"), [(60, 60), (10_800, 60), (10_801, 600), (108_000, 600), (108_001, 3600), (648_001, 7200)]
)
def test_history_has_at_most_180_slots(seconds: float, width: int) -> None:
    assert slot_width(seconds) == width
