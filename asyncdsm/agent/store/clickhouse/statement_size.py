"""How many periods one statement rolls up: as many as ClickHouse does in little time and memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

FIRST_PERIODS, MOST_PERIODS = 4, 60
STATEMENT_SECONDS = 20
"""How long a statement may take: less than agents wait for an answer, and than others leave it to the one that claimed
it."""
SHORT_SECONDS, LONG_SECONDS = 2.0, 5.0


class StatementSize:
    """The size of the next statement for one width. It grows while statements are short, and shrinks if one is long.

    Half as many periods as those of a statement that failed are the most from then on: it may have failed for want of
    memory, and many small statements take hardly longer than a few large ones.
    """

    def __init__(self, ticks: Callable[[], float]) -> None:
        """`ticks` returns seconds of a clock that nobody sets."""
        self._ticks = ticks
        self.periods: int = FIRST_PERIODS
        self._most = MOST_PERIODS

    @contextmanager
    def fit(self, periods: int) -> Iterator[None]:
        """Adapt the size to how a statement with some periods goes, which the block runs."""
        began = self._ticks()
        try:
            yield
        except Exception:
            self.periods = self._most = max(1, periods // 2)
            raise
        took = self._ticks() - began
        if took >= LONG_SECONDS:
            self.periods = max(1, periods // 2)
        elif took <= SHORT_SECONDS:
            self.periods = min(self._most, max(self.periods, 2 * periods))
