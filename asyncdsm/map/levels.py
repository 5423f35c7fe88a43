"""How slow a hop is, in six levels: the one place that decides its color, its label in the legend and its width."""

from __future__ import annotations

from math import log10
from typing import NamedTuple

LOWEST_LIMIT = 1e-3
"""Seconds. Below it, all latencies have level 0 and count as equal."""
TAIL_LEVELS = 2
"""The 99th percentile is shown next to the median if it is at least this many levels above it."""


class Level(NamedTuple):
    """How hops of one level are shown: the text in the legend, and the colors on a light and a dark ground."""

    label: str
    light: str
    dark: str


LEVELS: tuple[Level, ...] = (
    Level("< 1 ms", "#9aacc1", "#4f6478"),
    Level("1 ms", "#7f9dc4", "#5d82b0"),
    Level("10 ms", "#c5a243", "#bd9f4b"),
    Level("100 ms", "#e08a26", "#e8973a"),
    Level("1 s", "#dc5a2b", "#f06f3d"),
    Level("≥ 10 s", "#c0263c", "#ff5263"),
)


def slowness_of(p50: float, p99: float) -> float:
    """Return the slowness of a hop in seconds: its median, or a tenth of its 99th percentile if that is more."""
    return max(p50, p99 / 10)


def level_of(slowness: float) -> int:
    """Return the level of a slowness in seconds: 0 below 1 ms, one more for each power of ten, 5 from 10 s on."""
    return 0 if slowness < LOWEST_LIMIT else min(len(LEVELS) - 1, int(log10(slowness) + 4 + 1e-9))


def stroke_width(rate: float) -> float:
    """Return how wide a hop is drawn, in pixels, for a rate in messages per second."""
    return min(11.0, 1.5 + 1.6 * log10(1 + 4 * rate))
