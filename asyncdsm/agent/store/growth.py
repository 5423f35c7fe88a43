"""How fast the store grows, and how far back rows will reach under its limit: told before rows are deleted early.

A store that is full deletes details first (see `sqlite.retention`): rows of a minute reach back four times as far as
those of ten seconds, those of ten minutes 24 times, and those of hours as long as they are to be kept. Only if rows of
ten seconds then reach back less than an hour, rows of hours give way to them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from asyncdsm.agent.store.limits import DETAIL_SECONDS, LEAST_REACH, REACH_WEIGHTS
from asyncdsm.agent.store.resolutions import RESOLUTIONS

DAY = 24 * 3600
_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
_SPANS = ((DAY, "days"), (3600, "hours"), (60, "minutes"))
_STEPS: dict[int, str] = dict(zip(RESOLUTIONS, ("ten seconds", "a minute", "ten minutes", "an hour"), strict=True))
_HALVINGS = 50
# How often the range is halved in which a reach is searched: it is exact to a millisecond then.


class OtherGrowth(NamedTuple):
    """What else than rows of histograms is written: bytes a second, and the bytes of all that is to be kept of it."""

    bytes_a_second: float
    needed_bytes: float


NO_OTHER_GROWTH = OtherGrowth(0.0, 0.0)


class Growth(NamedTuple):
    """The store now, at today's rate, and in the end."""

    used_bytes: int
    limit_bytes: int
    bytes_a_day: float
    """What is written in a day at the rate of the last minutes, before anything is deleted."""
    needed_bytes: float
    """What all rows will take that are to be kept, at this rate."""
    reach_seconds: dict[int, float]
    """How far back rows of each resolution will reach under the limit: as long as they are to be kept, or less."""
    full_in_seconds: float | None
    """In how many seconds the limit is reached at this rate; None if it never is."""

    @property
    def is_short(self) -> bool:
        """Whether the limit will shorten what is kept."""
        return self.needed_bytes > self.limit_bytes


def estimate_growth(
    rates: Mapping[int, float],
    kept_seconds: int,
    used_bytes: int,
    limit_bytes: int,
    other: OtherGrowth = NO_OTHER_GROWTH,
) -> Growth:
    """Return how a store of `used_bytes` grows that writes `rates` bytes a second of each resolution, and others."""
    kept = {width: float(wanted_seconds(width, kept_seconds)) for width in rates}
    needed = _size(rates, kept) + other.needed_bytes
    a_second = sum(rates.values()) + other.bytes_a_second
    is_short = needed > limit_bytes
    return Growth(
        used_bytes=used_bytes,
        limit_bytes=limit_bytes,
        bytes_a_day=a_second * DAY,
        needed_bytes=needed,
        reach_seconds=_reach(rates, kept, max(0.0, limit_bytes - other.needed_bytes)) if is_short else kept,
        full_in_seconds=max(0.0, (limit_bytes - used_bytes) / a_second) if is_short and a_second else None,
    )


def wanted_seconds(width: int, kept_seconds: int) -> int:
    """Return how long rows of a resolution are to be kept, in a store that keeps the coarsest for `kept_seconds`."""
    return min(kept_seconds, DETAIL_SECONDS) if width == RESOLUTIONS[0] else kept_seconds


def _reach(rates: Mapping[int, float], kept: Mapping[int, float], limit_bytes: float) -> dict[int, float]:
    """Return how far back rows of each resolution reach if all of them have the size of the limit."""
    hours, farthest = RESOLUTIONS[-1], max(REACH_WEIGHTS.values())

    def reaches(details: float, of_hours: float) -> dict[int, float]:
        wanted = {width: details * weight for width, weight in REACH_WEIGHTS.items()} | {hours: of_hours}
        return {width: min(kept[width], seconds) for width, seconds in wanted.items()}

    # In this order the rows give way, until they have room: details, then hours, then both alike.
    found = _search(lambda seconds: reaches(seconds, kept[hours]), rates, limit_bytes, kept[hours])
    if found[RESOLUTIONS[0]] < min(LEAST_REACH, kept[RESOLUTIONS[0]]):
        found = _search(lambda seconds: reaches(LEAST_REACH, seconds), rates, limit_bytes, kept[hours])
    if _size(rates, found) > limit_bytes or found[hours] < found[RESOLUTIONS[-2]]:
        found = _search(lambda seconds: reaches(seconds, seconds * farthest), rates, limit_bytes, LEAST_REACH)
    return found


def _search(
    make: Callable[[float], dict[int, float]], rates: Mapping[int, float], limit_bytes: float, most: float
) -> dict[int, float]:
    """Return what `make` returns for the most seconds, up to `most`, of which all rows are within the limit."""
    least = 0.0
    for _ in range(_HALVINGS):
        middle = (least + most) / 2
        least, most = (middle, most) if _size(rates, make(middle)) <= limit_bytes else (least, middle)
    return make(least)


def _size(rates: Mapping[int, float], reaches: Mapping[int, float]) -> float:
    return sum(rate * reaches[width] for width, rate in rates.items())


def describe_growth(growth: Growth, kept_seconds: int) -> str:
    """Return what will happen, for a store whose limit will shorten what is kept."""
    reaches = [
        f"of {_STEPS[width]} {format_span(seconds)}"
        for width, seconds in growth.reach_seconds.items()
        if seconds < wanted_seconds(width, kept_seconds)
    ]
    return (
        f"the store grows by {format_bytes(growth.bytes_a_day)} a day and is to keep {format_span(kept_seconds)}, "
        f"but its limit is {format_bytes(growth.limit_bytes)}: rows will be deleted early, "
        f"and reach back about as far as this: steps {', '.join(reaches)}"
    )


def format_bytes(size: float) -> str:
    """Return a size such as "4.3 GB"."""
    unit, name = next(((unit, name) for unit, name in _UNITS if size >= unit), _UNITS[-1])
    return f"{size / unit:.{0 if size >= 100 * unit else 1}f} {name}"


def format_span(seconds: float) -> str:
    """Return a length of time such as "7 days" or "9 hours"."""
    length, name = next(((length, name) for length, name in _SPANS if seconds >= 2 * length), _SPANS[-1])
    return f"{seconds / length:.0f} {name}"
