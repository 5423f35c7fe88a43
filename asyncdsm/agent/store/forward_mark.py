"""The last payload that was forwarded, beside the store's file: written in place, it needs no room on a full disk.

SQLite needs room to delete, so that without it, a restart would forward again what was forwarded while there was none.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from typing import NamedTuple

from asyncdsm._internal.log import warn_each_minute

_RECORD = struct.Struct("<qd")


class Finished(NamedTuple):
    """All payloads up to a number are done with, if they were received before a time (seconds since the epoch)."""

    number: int = 0
    at: float = 0.0


class FinishedMark:
    """One record at the beginning of a file, which somebody else keeps open."""

    def __init__(self, file: int, now: Callable[[], float]) -> None:
        """Take the room for the record, where there is any. `now` gives seconds since the epoch."""
        self._file, self._now = file, now
        self.last: Finished = self._read()
        if not self.last.number:
            self.set(0)

    def set(self, number: int) -> None:
        """Note that all payloads up to a number are done with."""
        self.last = Finished(number, self._now())
        try:
            os.pwrite(self._file, _RECORD.pack(*self.last), 0)
        except OSError as error:
            warn_each_minute("mark", "what was forwarded cannot be noted, and may be forwarded again: %s", error)

    def _read(self) -> Finished:
        data = os.pread(self._file, _RECORD.size, 0)
        return Finished(*_RECORD.unpack(data)) if len(data) == _RECORD.size else Finished()
