"""Payloads that wait to be forwarded, in memory and in the store's file, so that they survive a kill.

They are first in, first out: when a payload is finished, so are all payloads before it.
"""

from __future__ import annotations

import os
import sqlite3
import struct
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from typing import NamedTuple, Self

from msgspec.msgpack import decode, encode

from asyncdsm._internal.log import warn_each_minute

RawHeaders = list[tuple[bytes, bytes]]

# The table is not part of the version of the schema: files of earlier versions get it, and these versions ignore it.
_SCHEMA = "CREATE TABLE IF NOT EXISTS forwards (id INTEGER PRIMARY KEY, received REAL, headers BLOB, body BLOB)"
_MARK = struct.Struct("<qd")


class SpooledPayload(bytes):
    """The body of a payload as it came, the headers to forward with it, and its number in the spool."""

    headers: RawHeaders
    number: int = 0

    @classmethod
    def create(cls, body: bytes, headers: RawHeaders, number: int = 0) -> Self:
        """Return the body with its headers."""
        payload = cls(body)
        payload.headers, payload.number = headers, number
        return payload


class Progress(NamedTuple):
    """How far the file is up to date: it has the payloads from number `deleted` + 1 up to number `saved`."""

    saved: int
    deleted: int


class ForwardMark(NamedTuple):
    """All payloads up to `number` that were received before `at` (seconds since the epoch) are forwarded or dropped."""

    number: int = 0
    at: float = 0.0


class ForwardMarkFile:
    """Keeps a `ForwardMark` at the beginning of a file that somebody else keeps open.

    It is written in place and needs no room. SQLite needs room to delete a row: without the mark, an agent whose disk
    was full would forward payloads again after a restart.
    """

    def __init__(self, file: int, now: Callable[[], float]) -> None:
        """Reserve room for the mark, if there is any. `now` returns seconds since the epoch."""
        self._file, self._now = file, now
        self.last: ForwardMark = self._read()
        if not self.last.number:
            self.move_to(0)

    def move_to(self, number: int) -> None:
        """Record that all payloads up to a number are forwarded or dropped."""
        self.last = ForwardMark(number, self._now())
        try:
            os.pwrite(self._file, _MARK.pack(*self.last), 0)
        except OSError as error:
            warn_each_minute(
                "mark",
                "asyncdsm agent cannot record which payloads it forwarded, some may be forwarded twice: %s",
                error,
            )

    def _read(self) -> ForwardMark:
        data = os.pread(self._file, _MARK.size, 0)
        return ForwardMark(*_MARK.unpack(data)) if len(data) == _MARK.size else ForwardMark()


class Spool:
    """The payloads that wait, with at most `limit_bytes` of bodies: beyond, the oldest are dropped.

    Any thread may use it.
    """

    def __init__(self, connection: sqlite3.Connection, limit_bytes: int, oldest: float, mark: ForwardMarkFile) -> None:
        """Load the payloads from the file. Those received before `oldest` (seconds since the epoch) are dropped.

        `mark` says which payloads are done with and may still be in the file. Raises sqlite3.Error.
        """
        self._limit, self._lock, self._mark = limit_bytes, Lock(), mark
        self._waiting, self._bytes = deque[SpooledPayload](), 0
        self._last = self._finished = 0
        connection.execute(_SCHEMA)
        # The time counts, too: an agent of an earlier version writes no mark and starts again at number 1.
        is_done = "received < ? OR (id <= ? AND received <= ?)"
        bounds = oldest, *mark.last
        with suppress(sqlite3.Error):  # the disk may be full
            connection.execute(f"DELETE FROM forwards WHERE {is_done}", bounds)  # noqa: S608
        query = f"SELECT id, headers, body FROM forwards WHERE NOT ({is_done}) ORDER BY id"  # noqa: S608
        for number, headers, body in connection.execute(query, bounds):
            self._append(SpooledPayload.create(body, [(name, value) for name, value in decode(headers)], number))
        self._last = max(self._last, mark.last.number)
        self._progress = Progress(self._last, 0)

    def waiting(self) -> list[SpooledPayload]:
        """Return the payloads that wait, the oldest first."""
        with self._lock:
            return list(self._waiting)

    def add(self, payload: SpooledPayload) -> None:
        """Add a payload, and give it its number."""
        with self._lock:
            payload.number = self._last + 1
            self._append(payload)

    def finish(self, number: int) -> None:
        """Remove a payload that was forwarded or dropped, and all payloads before it."""
        with self._lock:
            while self._waiting and self._waiting[0].number <= number:
                self._pop_oldest()
            self._mark.move_to(self._finished)

    def save(self, connection: sqlite3.Connection, received: float) -> Progress:
        """Bring the file up to date, as a part of a transaction. After the commit, pass the result to `set_progress`.

        Raises sqlite3.Error.
        """
        with self._lock:
            new = list[SpooledPayload]()
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
        """Record how far the file is up to date."""
        with self._lock:
            self._progress = progress

    @property
    def is_saved(self) -> bool:
        """Whether the file has all payloads that wait, and no others."""
        with self._lock:
            newest = self._waiting[-1].number if self._waiting else 0
            return newest <= self._progress.saved and self._finished <= self._progress.deleted

    def _append(self, payload: SpooledPayload) -> None:
        self._last = payload.number
        self._waiting.append(payload)
        self._bytes += len(payload)
        while self._bytes > self._limit:
            self._pop_oldest()

    def _pop_oldest(self) -> None:
        oldest = self._waiting.popleft()
        self._bytes -= len(oldest)
        self._finished = oldest.number
