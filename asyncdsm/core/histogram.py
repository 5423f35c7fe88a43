"""The bins of a histogram: which bin a value falls into, by the mapping of protocol §7.

Separate from `delivery/sketch.py`, so that counting needs no sketch library.
"""

from math import floor, log

GAMMA = 1.015625
OFFSET = 1338.5
MULTIPLIER = 1 / log(GAMMA)
MAX_BINS = 2048
MIN_POSITIVE = 2.2250738585072014e-308

ZERO = -(1 << 20)
"""The bin of values that are too small for any other: below every real bin."""


def bin_index(value: float) -> int:
    """Return the bin of a latency in seconds or a size in bytes; `ZERO` below the smallest normal number."""
    return floor(log(value) * MULTIPLIER + OFFSET) if value >= MIN_POSITIVE else ZERO


def bin_value(bin_: int) -> float:
    """Return the value that represents a bin: no value in the bin differs from it by more than 0.8 %."""
    return 0.0 if bin_ == ZERO else float(GAMMA ** (bin_ - OFFSET) * 2 * GAMMA / (1 + GAMMA))
