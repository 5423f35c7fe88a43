"""How fast the store grows, and how far back rows will reach under its limit: told before rows are deleted early.

The oldest rows that a coarser resolution covers go first (see `sqlite.retention`). So, under the limit, all rows but
those of hours reach equally far back at most, and those of hours as long as they are to be kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from asyncdsm.agent.store.limits import DETAIL_SECONDS
from asyncdsm.agent.store.resolutions import RESOLUTIONS

DAY = 24 * 3600
_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
_SPANS = ((DAY, "days"), (3600, "hours"), (60, "minutes"))


class Growth(NamedTuple):
    """The store now, at today's rate, and in the end."""

    used_bytes: int
    limit_bytes: int
    bytes_a_day: float
    """What is written in a day at the rate of the last minutes, before anything is deleted."""
    needed_bytes: float
    """What all rows will take that are to be kept, at this rate."""
    reach_seconds: float
    """How far back rows finer than hours will reach under the limit: as long as they are to be kept, or less."""
    full_in_seconds: float | None
    """In how many seconds the limit is reached at this rate; None if it never is."""

    @property
    def is_short(self) -> bool:
        """Whether the limit will shorten what is kept."""
        return self.needed_bytes > self.limit_bytes


def estimate_growth(rates: Mapping[int, float], kept_seconds: int, used_bytes: int, limit_bytes: int) -> Growth:
    """Return how a store of `used_bytes` grows that writes `rates` bytes a second of each resolution."""
    kept = {width: min(kept_seconds, DETAIL_SECONDS) if width == RESOLUTIONS[0] else kept_seconds for width in rates}
    needed = sum(rate * kept[width] for width, rate in rates.items())
    a_second = sum(rates.values())
    is_short = needed > limit_bytes
    return Growth(
        used_bytes=used_bytes,
        limit_bytes=limit_bytes,
        bytes_a_day=a_second * DAY,
        needed_bytes=needed,
        reach_seconds=_reach(rates, kept, limit_bytes) if is_short else float(kept_seconds),
        full_in_seconds=max(0.0, (limit_bytes - used_bytes) / a_second) if is_short and a_second else None,
    )


def _reach(rates: Mapping[int, float], kept: Mapping[int, int], limit_bytes: int) -> float:
    """Return for how many seconds rows finer than hours can be kept if those of hours are kept as long as wanted."""
    hours = RESOLUTIONS[-1]
    room, reach = max(0.0, limit_bytes - rates[hours] * kept[hours]), 0.0
    for length in sorted({kept[width] for width in rates}):
        a_second = sum(rate for width, rate in rates.items() if width != hours and kept[width] >= length)
        if a_second * (length - reach) >= room:
            return reach + room / a_second if a_second else reach
        room, reach = room - a_second * (length - reach), float(length)
    return reach


def describe_growth(growth: Growth, kept_seconds: int) -> str:
    """Return what will happen, for a store whose limit will shorten what is kept."""
    return (
        f"the store grows by {format_bytes(growth.bytes_a_day)} a day and is to keep {format_span(kept_seconds)}, "
        f"but its limit is {format_bytes(growth.limit_bytes)}: the oldest rows will be deleted early, "
        f"and steps finer than an hour will reach back about {format_span(growth.reach_seconds)}"
    )


def format_bytes(size: float) -> str:
    """Return a size such as "4.3 GB"."""
    unit, name = next(((unit, name) for unit, name in _UNITS if size >= unit), _UNITS[-1])
    return f"{size / unit:.{0 if size >= 100 * unit else 1}f} {name}"


def format_span(seconds: float) -> str:
    """Return a length of time such as "7 days" or "9 hours"."""
    length, name = next(((length, name) for length, name in _SPANS if seconds >= 2 * length), _SPANS[-1])
    return f"{seconds / length:.0f} {name}"
