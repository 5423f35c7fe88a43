"""Payloads as rows of ClickHouse's tables, to be inserted at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from asyncdsm.agent.store.clickhouse.names import PointNames
from asyncdsm.agent.store.clickhouse.sketch_columns import to_columns
from asyncdsm.agent.store.histograms import merge
from asyncdsm.agent.store.merger import Rows
from asyncdsm.agent.store.offsets import LatestOffsets, Tags
from asyncdsm.agent.store.registry import EdgeKey, PointRegistry
from asyncdsm.agent.store.reports import FactSums, Report
from asyncdsm.agent.store.resolutions import BUCKET_SECONDS, RESOLUTIONS
from asyncdsm.agent.store.transactions import PendingStep, accepted_steps
from asyncdsm.agent.store.write_buffer import MAX_AHEAD_SECONDS, WriteBuffer

SECONDS, MILLISECONDS = pa.timestamp("s", "UTC"), pa.timestamp("ms", "UTC")
MINUTE = RESOLUTIONS[1]


class Moment(NamedTuple):
    """When payloads were received, and how long rows are kept. In seconds."""

    received: float
    kept_seconds: int


class PayloadFacts(NamedTuple):
    """What the messages of an edge said in a minute, as one payload has it."""

    payload: int
    edge: EdgeKey
    start: int
    sums: FactSums


class Batch:
    """The rows of payloads that were received at one moment."""

    def __init__(self, moment: Moment, newest: int, registry: PointRegistry) -> None:
        """`newest` is the start of the newest row of all."""
        self.newest: int = newest
        self.latest: float = moment.received + MAX_AHEAD_SECONDS
        """The latest time that a clock which is right may report."""
        self.counters: Counter[str] = Counter()
        self.offsets: dict[tuple[Tags, int], tuple[int, tuple[str, str]]] = {}
        """The highest offset by backlog and start, and the service that reported it."""
        self.points: dict[int, int] = {}
        """The start of the last row of each point, by its number."""
        self.steps: list[PendingStep] = []
        self.facts: list[PayloadFacts] = []
        self.facts_left_out: int = 0
        """How many of them were not written, since there are too many edges."""
        self._moment, self._registry = moment, registry
        self._rows: list[tuple[int, Rows]] = []

    def add(self, report: Report, payload: int) -> None:
        """Add a payload by its id."""
        moment = self._moment
        buffer = WriteBuffer(self.newest, LatestOffsets(1 << 30))
        buffer.add(report, moment.received, moment.kept_seconds, self._registry)
        self.newest = buffer.newest
        self.counters.update(buffer.counters)
        service = report.service, report.env
        for key, value in buffer.offsets.items():
            self.offsets[key] = max(value, self.offsets.get(key, (value, service))[0]), service
        self.facts += [PayloadFacts(payload, edge, start, sums) for (edge, start), sums in buffer.facts.items()]
        if report.transactions:
            owner = self._registry.services[service]
            self.steps += accepted_steps(report, owner, moment.received, moment.kept_seconds)
        rows = buffer.rows()
        if len(rows.starts):
            self._rows.append((payload, rows))
            for start, number in zip(rows.starts.tolist(), rows.points.tolist(), strict=True):
                self.points[number] = max(start, self.points.get(number, start))

    @property
    def rows(self) -> int:
        """How many rows of histograms there are."""
        return sum(len(rows.starts) for _, rows in self._rows)

    def minutes(self) -> set[int]:
        """Return the starts of the minutes that have rows."""
        return {start // MINUTE * MINUTE for _, rows in self._rows for start in np.unique(rows.starts).tolist()}

    def sketches(self, names: PointNames, detail_since: int) -> pa.Table:
        """Return the rows of the table `sketches`: those before `detail_since` as minutes.

        Rows of points that were evicted meanwhile are left out.
        """
        tables = [self._sketch_rows(payload, rows, names, detail_since) for payload, rows in self._rows]
        return pa.Table.from_batches(tables) if tables else pa.table({})

    def _sketch_rows(self, payload: int, rows: Rows, names: PointNames, detail_since: int) -> pa.RecordBatch:
        keys = [self._registry.keys.get(number) for number in rows.points.tolist()]
        ids = [names.id_of(number) for number in rows.points.tolist()]
        known = np.array([key is not None for key in keys], np.bool_)
        rows = rows.select(known)
        is_late = rows.starts < detail_since
        widths = np.where(is_late, MINUTE, BUCKET_SECONDS)
        columns = {
            "width": pa.array(widths.astype(np.uint16)),
            "start": pa.array(rows.starts // widths * widths, SECONDS),
            "service": pa.array([key.service for key in keys if key is not None], pa.string()),
            "env": pa.array([key.env for key in keys if key is not None], pa.string()),
            "point": pa.array([each for each in ids if each is not None], pa.uint64()),
            "payload": pa.array(np.full(len(rows.starts), payload, np.uint64)),
            **to_columns(merge(rows.histograms), len(rows.starts)),
        }
        return pa.RecordBatch.from_pydict(columns)


def rows_of(schema: Mapping[str, pa.DataType], rows: Iterable[tuple[object, ...]]) -> pa.Table:
    """Return rows as a table whose columns have the given types."""
    columns = list(zip(*rows, strict=True)) or [() for _ in schema]
    arrays = [pa.array(list(column), type_) for column, type_ in zip(columns, schema.values(), strict=True)]
    return pa.table(dict(zip(schema, arrays, strict=True)))
