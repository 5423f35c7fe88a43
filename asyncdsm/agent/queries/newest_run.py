"""Which of the newest values belong together, in a series that has noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence


def count_newest(values: Sequence[float], belongs: Callable[[float], bool]) -> int:
    """Return how many values, from the newest on, belong together; single outliers between them are skipped."""
    length = 0
    for place, value in enumerate(reversed(values)):
        if belongs(value):
            length = place + 1
        elif place > length:  # the second one in a row that differs
            break
    return length
