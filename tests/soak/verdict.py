"""What a soak has shown, and what of it is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import linear_regression
from typing import NamedTuple

MOST_GROWTH = 0.02
"""Of the resident size, over the second half."""

Sample = tuple[float, int]
"""Seconds since the start, resident bytes."""


class Showing(NamedTuple):
    """All that is known at the end."""

    samples: Sequence[Sample]
    made: int
    """Checkpoints, as the program counted them itself."""
    orders: int
    mails: int
    """Orders that came out at the far end."""
    counters: Mapping[str, int]
    """`stats`: recorded, delivered, pending, dropped, malformed, errors."""
    counted: int
    """Checkpoints in the sketches that the agent took."""


def growth(samples: Sequence[Sample]) -> float:
    """Return by which part the resident size grew over the second half, along the line that fits it best."""
    half = samples[len(samples) // 2 :]
    slope, start = linear_regression([at for at, _ in half], [size for _, size in half])
    first, last = (start + slope * at for at, _ in (half[0], half[-1]))
    return last / first - 1


def faults(showing: Showing) -> Iterator[str]:
    """Return what is wrong, in words."""
    stats, grown = showing.counters, growth(showing.samples)
    if grown >= MOST_GROWTH:
        yield f"resident size grew by {grown:.2%} over the second half; less than {MOST_GROWTH:.0%} is allowed"
    if stats["recorded"] != stats["delivered"] + stats["pending"] + stats["dropped"]:
        yield f"the counters do not balance: {dict(stats)}"
    if stats["recorded"] != showing.made:
        yield f"{stats['recorded']} checkpoints recorded, {showing.made} made"
    if stats["delivered"] != showing.counted:
        yield f"{stats['delivered']} checkpoints delivered, {showing.counted} counted by the agent"
    for name in ("pending", "dropped", "malformed", "errors"):
        if stats[name]:
            yield f"{stats[name]} {name}"
    if showing.orders > showing.mails:
        yield f"{showing.orders} orders, and only {showing.mails} mails"
