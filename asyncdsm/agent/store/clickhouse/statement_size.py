"""How much one statement rolls up: as many periods, or parts of one, as ClickHouse does in little time and memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from asyncdsm.errors import StoreLimitError

STATEMENT_SECONDS = 20
"""How long a statement may take: less than agents wait for an answer, and than others leave it to the one that claimed
it."""
SHORT_SECONDS, LONG_SECONDS = 2.0, 5.0
LIMIT_SECONDS = 3600.0
"""For how long a size is not tried again that was beyond a limit: memory, for example."""
# A level is a power of two: 4 periods have level 2, and a quarter of one has level -2.
_FIRST, _MOST, _LEAST = 2, 6, -6


class Portion(NamedTuple):
    """What one statement rolls up: all points of some periods, or one of several parts of the points of one period."""

    periods: int
    parts: int = 1

    @property
    def level(self) -> int:
        """How large it is, as a power of two."""
        return self.periods.bit_length() - self.parts.bit_length()

    @property
    def is_smallest(self) -> bool:
        """Whether no smaller one is tried."""
        return self.level <= _LEAST


class StatementSize:
    """The size of the next statement for one width. It grows while statements are short, and shrinks if one is long.

    After a statement that failed, the next one is half as large. If that was for a limit of ClickHouse, it stays so for
    an hour: many small statements take hardly longer than a few large ones.
    """

    def __init__(self, ticks: Callable[[], float]) -> None:
        """`ticks` returns seconds of a clock that nobody sets."""
        self._ticks = ticks
        self._level, self._most, self._limited_until = _FIRST, _MOST, 0.0

    def next_portion(self, due: int) -> Portion:
        """Return what the next statement rolls up of some periods, or each of the next ones if it has parts."""
        return Portion(min(due, 1 << max(0, self._level)), 1 << max(0, -self._level))

    @contextmanager
    def fit(self, portion: Portion) -> Iterator[None]:
        """Adapt the size to how a statement goes, which the block runs."""
        began = self._ticks()
        try:
            yield
        except Exception as error:
            self._shrink(portion)
            if isinstance(error, StoreLimitError):
                self._note_limit(portion)
            raise
        ended = self._ticks()
        if ended >= self._limited_until:
            self._most = _MOST
        if ended - began >= LONG_SECONDS:
            self._shrink(portion)
        elif ended - began <= SHORT_SECONDS:
            self._level = min(self._most, max(self._level, portion.level + 1))

    def _note_limit(self, portion: Portion) -> None:
        if portion.is_smallest:  # its size is not the reason: other periods may fit
            self._level, self._most = _FIRST, _MOST
        else:
            self._most, self._limited_until = self._level, self._ticks() + LIMIT_SECONDS

    def _shrink(self, portion: Portion) -> None:
        self._level = max(_LEAST, portion.level - 1)
