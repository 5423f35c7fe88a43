"""Writes payloads to ClickHouse: what they are about first, then their rows, and that they were taken last."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from secrets import token_bytes

import pyarrow as pa

from asyncdsm.agent.store.clickhouse.batch import MILLISECONDS, MINUTE, SECONDS, Batch, Moment, rows_of
from asyncdsm.agent.store.clickhouse.connection import Connection
from asyncdsm.agent.store.clickhouse.edge_facts import FactAdmission, fact_rows
from asyncdsm.agent.store.clickhouse.identities import backlog_id, payload_id
from asyncdsm.agent.store.clickhouse.names import NAMES_SECONDS
from asyncdsm.agent.store.clickhouse.roll_up import RollUp, mark
from asyncdsm.agent.store.clickhouse.run_writer import RunWriter
from asyncdsm.agent.store.clickhouse.shared_state import SharedState
from asyncdsm.agent.store.offsets import Backlog
from asyncdsm.agent.store.reports import AcceptedPayload, Report

MOST_BODIES = 50_000
"""How many digests of bodies are remembered, to tell a body that counts again from one that is sent again."""
MOST_BACKLOG_NAMES = 200_000
"""Of how many backlogs it is remembered when their names were written. Beyond, all are written again."""
LATE_SECONDS = 3600
"""Before rows are written that are older than this, it is read anew whether rows of ten seconds of then may be."""

COUNTS_SECONDS = 1800
"""After how long the counts of an idle agent are written again: ClickHouse may forget them after an hour."""


class PayloadWriter:
    """Writes the payloads that one agent takes. One thread at a time may use it."""

    def __init__(self, connection: Connection, state: SharedState, roll_up: RollUp) -> None:
        self._connection, self._state, self._roll_up = connection, state, roll_up
        self._bodies: OrderedDict[bytes, int] = OrderedDict()
        self._versions, self._schemas = RunWriter(connection, "versions"), RunWriter(connection, "schemas")
        self._facts = FactAdmission()
        self._backlogs: dict[int, int] = {}
        self._insertions, self._has_lost_counts, self._counted_at = 0, False, 0.0

    def write(self, payloads: Sequence[AcceptedPayload], moment: Moment) -> Batch:
        """Write payloads; when this returns, ClickHouse has all of them. Raises what a Connection raises.

        If it raises, they may be written again: the same body gets the same ids.
        """
        state, digests = self._state, [self._digest(each) for each in payloads]
        repeated: dict[bytes, int] = {}
        with state.lock:
            batch = Batch(moment, state.newest, state.registry)
            for each, digest in zip(payloads, digests, strict=True):
                repeated[digest] = repeated.get(digest, self._bodies.get(digest, -1)) + 1
                batch.add(each.report, payload_id(digest, each.encoding, repeated[digest]))
        if min(batch.minutes(), default=batch.newest) < max(batch.newest, moment.received) - LATE_SECONDS:
            state.read_days()
        with state.lock:
            detail_since = state.days.detail
            sketches = batch.sketches(state.names, detail_since)
            points = self._point_rows(batch)
            backlogs, offsets = self._offset_rows(batch)
        self._connection.insert("points", points)
        self._connection.insert("backlogs", backlogs)
        self._connection.insert("offsets", offsets)
        self._connection.insert("steps", _step_rows(batch))
        facts = self._facts.admit(batch.facts, moment.received)
        batch.facts_left_out = len(batch.facts) - len(facts)
        self._connection.insert("facts", fact_rows(facts))
        self._connection.insert("sketches", sketches)
        self._mark(batch.minutes(), detail_since)
        self._write_services([each.report for each in payloads], moment)
        self._write_counts({**batch.counters, "payloads": len(payloads)}, moment.received)
        self._remember(batch, repeated)
        return batch

    def _digest(self, payload: AcceptedPayload) -> bytes:
        return blake2b(payload.body, digest_size=16).digest() if payload.body else token_bytes(16)

    def _mark(self, minutes: set[int], detail_since: int) -> None:
        """Mark what has new rows: minutes, and tens of minutes where the rows are minutes already."""
        marks = mark(MINUTE, minutes) + mark(10 * MINUTE, (each for each in minutes if each < detail_since))
        self._roll_up.write(marks)

    def _point_rows(self, batch: Batch) -> pa.Table:
        names, rows = self._state.names, list[tuple[object, ...]]()
        for number, last in batch.points.items():
            key, id_ = self._state.registry.keys.get(number), names.id_of(number)
            if key is not None and id_ is not None and last - names.written.get(number, 0) >= NAMES_SECONDS:
                rows.append((id_, key.service, key.env, list(key.tags), key.hash, key.parent, last))
        return rows_of(_POINTS, rows)

    def _offset_rows(self, batch: Batch) -> tuple[pa.Table, pa.Table]:
        backlogs, offsets = list[tuple[object, ...]](), list[tuple[object, ...]]()
        for (tags, start), (value, owner) in batch.offsets.items():
            id_ = backlog_id(tags)
            offsets.append((start, id_, min(value, (1 << 63) - 1)))
            if start - self._backlogs.get(id_, 0) >= NAMES_SECONDS:
                backlogs.append((id_, list(tags), *owner, start))
        return rows_of(_BACKLOGS, backlogs), rows_of(_OFFSETS, offsets)

    def _write_services(self, reports: Iterable[Report], moment: Moment) -> None:
        """Record and write what payloads said about their services, and the schemas of their edges."""
        state, latest = self._state, dict[tuple[str, str], Report]()
        with state.lock:
            for report in reports:
                state.facts.record(report, moment.received)
                state.schemas.record(report, moment.received)
                latest[report.service, report.env] = report
            facts = [(key, state.facts.lookup(*key)) for key in latest]
            versions, schemas = state.facts.versions.pop_changed(), state.schemas.pop_changed()
        seen = round(moment.received * 1000)
        self._connection.insert(
            "services",
            rows_of(
                _SERVICES,
                [
                    (*key, seen, each.version, list(each.process_tags), each.lang, round(each.negatives_at * 1000))
                    for key, each in facts
                ],
            ),
        )
        self._versions.write_due(versions.items())
        self._schemas.write_due(schemas.items())

    def settle_counts(self, now: float) -> None:
        """Write again what this agent counted, if ClickHouse may have other counts, or will forget them.

        Raises what a Connection raises.
        """
        if self._has_lost_counts or (self._insertions and now - self._counted_at >= COUNTS_SECONDS):
            self._write_counts({}, now)

    def _write_counts(self, added: Mapping[str, int], now: float) -> None:
        """Write what this agent has counted, with what is added.

        These are sums: what is written again may be in other company, so that no id could tell it from the first time.
        """
        self._insertions += 1  # of the rows of an agent, ClickHouse keeps the latest insertion
        self._has_lost_counts = True
        row = self._state.agent, self._insertions, round(now * 1000), *self._state.own_counts(added)
        self._connection.insert("payloads", rows_of(_PAYLOADS, [row]))
        self._has_lost_counts, self._counted_at = False, now

    def _remember(self, batch: Batch, repeated: dict[bytes, int]) -> None:
        """Take into memory what was written."""
        state = self._state
        for digest, repetition in repeated.items():
            self._bodies[digest] = repetition
            self._bodies.move_to_end(digest)
        while len(self._bodies) > MOST_BODIES:
            self._bodies.popitem(last=False)
        if len(self._backlogs) > MOST_BACKLOG_NAMES:
            self._backlogs.clear()
        with state.lock:
            state.newest = max(state.newest, batch.newest)
            for number, last in batch.points.items():
                state.names.note_last(number, last)
                if last - state.names.written.get(number, 0) >= NAMES_SECONDS:
                    state.names.written[number] = last
            state.names.drop_evicted()
            for (tags, start), (value, owner) in batch.offsets.items():
                id_ = backlog_id(tags)
                if start - self._backlogs.get(id_, 0) >= NAMES_SECONDS:
                    self._backlogs[id_] = start
                state.record_offset(tags, Backlog(start, value), owner, batch.latest)


def _step_rows(batch: Batch) -> pa.Table:
    return rows_of(_STEPS, [(step.id, step.time_ns, *step.place) for step in batch.steps])


_TAGS = pa.list_(pa.string())
_POINTS: dict[str, pa.DataType] = {
    "point": pa.uint64(),
    "service": pa.string(),
    "env": pa.string(),
    "tags": _TAGS,
    "hash": pa.uint64(),
    "parent": pa.uint64(),
    "last": SECONDS,
}
_BACKLOGS: dict[str, pa.DataType] = {
    "backlog": pa.uint64(),
    "tags": _TAGS,
    "service": pa.string(),
    "env": pa.string(),
    "last": SECONDS,
}
_OFFSETS: dict[str, pa.DataType] = {"start": SECONDS, "backlog": pa.uint64(), "value": pa.int64()}
_SERVICES: dict[str, pa.DataType] = {
    "service": pa.string(),
    "env": pa.string(),
    "last_seen": MILLISECONDS,
    "version": pa.string(),
    "process_tags": _TAGS,
    "lang": pa.string(),
    "negatives_at": MILLISECONDS,
}
_PAYLOADS: dict[str, pa.DataType] = {
    "agent": pa.uint64(),
    "insertion": pa.uint64(),
    "received": MILLISECONDS,
    "payloads": pa.uint64(),
    "ignored_rows": pa.uint64(),
    "clamped_buckets": pa.uint64(),
}
_STEPS: dict[str, pa.DataType] = {
    "id": pa.string(),
    "time": pa.timestamp("ns", "UTC"),
    "service": pa.string(),
    "env": pa.string(),
    "checkpoint": pa.string(),
}
