"""Payloads that wait to be forwarded, and their copies in the store's file: what is acknowledged survives a kill.

The payloads are first in, first out: whoever is done with one is done with all before it.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from contextlib import suppress
from threading import Lock
from typing import NamedTuple, Self

from msgspec.msgpack import decode, encode

from asyncdsm.agent.store.forward_mark import FinishedMark

RawHeaders = list[tuple[bytes, bytes]]

SCHEMA = "CREATE TABLE IF NOT EXISTS forwards (id INTEGER PRIMARY KEY, received REAL, headers BLOB, body BLOB)"
# Not part of the schema's version: a file of an earlier version gets it, and an earlier version leaves it alone.


class Spooled(bytes):
    """A payload's body as it came, the headers that go on with it, and its place in the row."""

    headers: RawHeaders
    number: int = 0

    @classmethod
    def of(cls, body: bytes, headers: RawHeaders, number: int = 0) -> Self:
        """Return the body with its headers."""
        made = cls(body)
        made.headers, made.number = headers, number
        return made


class Progress(NamedTuple):
    """How far the file is, by numbers of payloads: what it has, and what is deleted from it."""

    saved: int
    deleted: int


class Spool:
    """What waits, at most `limit_bytes` of bodies: beyond, the oldest go first. Any thread may use it."""

    def __init__(self, connection: sqlite3.Connection, limit_bytes: int, oldest: float, mark: FinishedMark) -> None:
        """Read what waits in the file; what came before `oldest` (seconds since the epoch) is let go of.

        `mark` says what is done with and may still be in the file. Raises sqlite3.Error.
        """
        self._limit, self._lock, self._mark = limit_bytes, Lock(), mark
        self._waiting, self._bytes = deque[Spooled](), 0
        self._last = self._finished = 0
        connection.execute(SCHEMA)
        # A time, too: an agent of an earlier version sets no mark, and numbers from 1.
        gone = "received < ? OR (id <= ? AND received <= ?)"
        bounds = oldest, *mark.last
        with suppress(sqlite3.Error):  # the disk may be full
            connection.execute(f"DELETE FROM forwards WHERE {gone}", bounds)  # noqa: S608
        query = f"SELECT id, headers, body FROM forwards WHERE NOT ({gone}) ORDER BY id"  # noqa: S608
        for number, headers, body in connection.execute(query, bounds):
            self._append(Spooled.of(body, [(name, value) for name, value in decode(headers)], number))
        self._last = max(self._last, mark.last.number)
        self._progress = Progress(self._last, 0)

    def waiting(self) -> list[Spooled]:
        """Return what waits, the oldest first."""
        with self._lock:
            return list(self._waiting)

    def add(self, payload: Spooled) -> None:
        """Add the newest payload, and number it."""
        with self._lock:
            payload.number = self._last + 1
            self._append(payload)

    def finish(self, number: int) -> None:
        """Let go of a payload, and of all before it."""
        with self._lock:
            while self._waiting and self._waiting[0].number <= number:
                self._pop_oldest()
            self._mark.set(self._finished)

    def save(self, connection: sqlite3.Connection, received: float) -> Progress:
        """Bring the file up to date, within a transaction; once that is committed, call `set_progress`.

        Raises sqlite3.Error.
        """
        with self._lock:
            new = list[Spooled]()
            for payload in reversed(self._waiting):
                if payload.number <= self._progress.saved:
                    break
                new.append(payload)
            progress, finished = self._progress, self._finished
        if finished > progress.deleted:
            connection.execute("DELETE FROM forwards WHERE id <= ?", (finished,))
        rows = [(payload.number, received, encode(payload.headers), bytes(payload)) for payload in reversed(new)]
        connection.executemany("INSERT OR REPLACE INTO forwards VALUES (?, ?, ?, ?)", rows)
        return Progress(new[0].number if new else progress.saved, finished)

    def set_progress(self, progress: Progress) -> None:
        """Note how far the file is."""
        with self._lock:
            self._progress = progress

    @property
    def is_saved(self) -> bool:
        """Whether the file has all that waits, and nothing else."""
        with self._lock:
            newest = self._waiting[-1].number if self._waiting else 0
            return newest <= self._progress.saved and self._finished <= self._progress.deleted

    def _append(self, payload: Spooled) -> None:
        self._last = payload.number
        self._waiting.append(payload)
        self._bytes += len(payload)
        while self._bytes > self._limit:
            self._pop_oldest()

    def _pop_oldest(self) -> None:
        oldest = self._waiting.popleft()
        self._bytes -= len(oldest)
        self._finished = oldest.number
