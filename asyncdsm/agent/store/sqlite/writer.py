"""Accepts payloads: writes them to the journal of the file as they came, and adds what they report to the write buffer.

The payloads that wait to be forwarded, and the digests of bodies that may be sent again, are brought up to date in the
file together with the journal.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress

from asyncdsm.agent.store.conditions import Conditions
from asyncdsm.agent.store.point_ages import PointAges
from asyncdsm.agent.store.reports import AcceptedPayload, Decode, Report
from asyncdsm.agent.store.spool import ForwardMarkFile, Spool
from asyncdsm.agent.store.sqlite.accepted_bodies import AcceptedBodies
from asyncdsm.agent.store.sqlite.file import append_to_journal
from asyncdsm.agent.store.sqlite.state import StoreState
from asyncdsm.errors import StoreError


class PayloadWriter:
    """Accepts the payloads of one store."""

    def __init__(
        self,
        state: StoreState,
        point_ages: PointAges,
        conditions: Conditions,
        *,
        kept_seconds: int,
        most_bodies: int,
        now: Callable[[], float],
    ) -> None:
        """Nothing of the journal is read yet. At most `most_bodies` digests are kept. Raises sqlite3.Error."""
        self._state, self._point_ages, self._conditions = state, point_ages, conditions
        self._kept_seconds, self._now = kept_seconds, now
        self._spool: Spool | None = None
        self._bodies = AcceptedBodies(state.file.connection, most_bodies)
        self.payloads: int = state.counters["payloads"]
        """How many payloads were accepted, ever."""

    def replay_journal(self, decode: Decode) -> None:
        """Add what the journal has to the write buffer. Raises sqlite3.Error."""
        for received, encoding, body in self._state.file.journal():
            with suppress(ValueError):  # this version may be stricter than the one that accepted it
                self._buffer_report(decode(body, encoding), received)

    def accept_payloads(self, payloads: Sequence[AcceptedPayload]) -> None:
        """Accept payloads. If it raises, none of them was accepted. Raises sqlite3.Error."""
        with self._state.lock:
            received = self._now()
            self._write_journal(payloads, received)
            for each in payloads:
                self._buffer_report(each.report, received)

    def open_spool(self, limit_bytes: int) -> Spool | None:
        """Return the payloads that wait to be forwarded, and keep a copy of them in the file. Raises StoreError.

        They have at most `limit_bytes` of bodies. A store in memory has no spool, and returns None.
        """
        file = self._state.file
        if file.lock_file is None:
            return None
        try:
            mark = ForwardMarkFile(file.lock_file, self._now)
            with self._state.lock:
                self._spool = Spool(file.connection, limit_bytes, self._now() - self._kept_seconds, mark)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{file.path}: {error}") from None
        return self._spool

    def save_spool(self) -> None:
        """Bring the payloads that wait to be forwarded up to date in the file. Raises sqlite3.Error."""
        with self._state.lock:
            if self._spool is not None and not self._spool.is_saved:
                self._write_journal((), self._now())

    def accepted_bodies(self) -> Sequence[tuple[bytes, float]]:
        """Return digests of bodies that were accepted before the start, and how many seconds ago, the oldest first."""
        with self._state.lock:
            return self._bodies.ages(self._now())

    def forget_body(self, digest: bytes) -> None:
        """Note that the sender of a body has its answer, and sends it no more."""
        self._bodies.forget(digest)

    def save_bodies(self) -> None:
        """Delete the digests of bodies that were answered. Raises sqlite3.Error."""
        with self._state.lock:
            if not self._bodies.is_saved:
                self._write_journal((), self._now())

    def _write_journal(self, payloads: Sequence[AcceptedPayload], received: float) -> None:
        """Write payloads to the journal of the file, and bring the spool and the digests in the file up to date."""
        if self._state.file.path is None:
            return
        progress = None
        with self._state.file.transaction() as connection:
            append_to_journal(connection, ((received, each.encoding, each.body) for each in payloads if each.body))
            bodies = self._bodies.write_digests(connection, received, (each.digest for each in payloads if each.digest))
            if self._spool is not None:
                progress = self._spool.save(connection, self._now())
        self._bodies.set_written(bodies)
        if self._spool is not None and progress is not None:
            self._spool.set_progress(progress)

    def _buffer_report(self, report: Report, received: float) -> None:
        state, points = self._state, self._state.points
        known = points.forgotten
        self._point_ages.note(points.next_point, received)
        state.buffer.add(report, received, self._kept_seconds, points)
        if points.forgotten > known:
            problem = "there are too many pathways: those that were seen longest ago are deleted"
            self._conditions.note("pathways", problem, points.forgotten - known)
        if report.transactions:
            owner = points.number_service(report.service, report.env)
            state.transactions.add(report, owner, received, self._kept_seconds)
        state.facts.record(report, received)
        state.schemas.record(report, received)
        self.payloads += 1
