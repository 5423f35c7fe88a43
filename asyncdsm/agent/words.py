"""Numbers and times as a person reads them, in plain strings."""

from __future__ import annotations

from collections.abc import Mapping
from time import localtime, strftime
from typing import Any


def duration_text(seconds: float | None) -> str:
    """Return seconds as a person reads them: `850 µs`, `12 ms`, `3.1 s`, `4.2 min`, `7 h`; empty for None."""
    if seconds is None:
        return ""
    # Below each limit, three digits do not round up to 1000.
    for limit, unit, length in ((999.5e-6, "µs", 1e-6), (0.9995, "ms", 1e-3), (120, "s", 1), (7200, "min", 60)):
        if seconds < limit:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds / 3600:.3g} h"


def clock_text(seconds: float) -> str:
    """Return the local time of day of a moment in seconds since the epoch, as in `14:05:20`."""
    return strftime("%H:%M:%S", localtime(seconds))


def change_text(present: Mapping[str, Any]) -> str:
    """Return since when a hop is slower, faster or idle, as in `slower since 14:05:20`; empty if it is steady."""
    if present["since"] is None:
        return ""
    return f"{present['state']} since {clock_text(present['since'])}"
