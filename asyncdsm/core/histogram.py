"""Which bin of a sketch a value falls into: the mapping of protocol §7, and nothing of the sketch itself.

Apart from `sketch.py` so that counting needs no sketch library.
"""

from math import floor, log

GAMMA = 1.015625
OFFSET = 1338.5
MULTIPLIER = 1 / log(GAMMA)
MAX_BINS = 2048
MIN_POSITIVE = 2.2250738585072014e-308

ZERO = -(1 << 20)
"""Where values too small for a bin are counted: below every real bin."""


def bin_index(value: float) -> int:
    """Return the bin of a latency in seconds or a size in bytes; `ZERO` below the smallest normal number."""
    return floor(log(value) * MULTIPLIER + OFFSET) if value >= MIN_POSITIVE else ZERO


def bin_value(bin_: int) -> float:
    """Return the value that stands for a bin: no value of the bin is further from it than 0.8 %."""
    return 0.0 if bin_ == ZERO else float(GAMMA ** (bin_ - OFFSET) * 2 * GAMMA / (1 + GAMMA))
