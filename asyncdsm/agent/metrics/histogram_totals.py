"""Histograms that only grow, by any key: with the few buckets of a classic histogram, and those of a native one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from asyncdsm.agent.metrics.native_buckets import EMPTY, NativeBuckets, NativeHistogram
from asyncdsm.agent.store.histograms import Floats, Ints

Key = TypeVar("Key")

BOUNDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
"""The upper bounds of the buckets, in seconds. One more bucket has what is longer."""
IDLE_SECONDS = 3600.0
"""A key that counted nothing for as long as this gives way to a new key, if there is no room."""
_NOBODY, _NO_ROOM = -1, -2


class Total(NamedTuple, Generic[Key]):
    """What one key has counted in each of its histograms."""

    key: Key
    buckets: list[list[float]]
    """The counts of each histogram: one for each of `BOUNDS`, and one more."""
    sums: list[float]
    native: list[NativeHistogram]
    """The same counts, in the buckets of native histograms; empty ones before `start_native`."""
    since: float
    """When it began to count, in seconds of the clock of `HistogramTotals`."""


class HistogramTotals(Generic[Key]):
    """Adds up some histograms for each key, for at most `most` keys. Not safe for threads.

    A value is counted in the bucket of its bin's middle, so one within 0.8 % of a bound may be on its other side.
    """

    def __init__(self, histograms: int, most: int, now: Callable[[], float]) -> None:
        """`histograms` is how many each key has; `now` returns seconds."""
        self._most, self._now = most, now
        self._histograms = histograms
        self._rows: dict[Key, int] = {}
        # The number of a row's first series of native buckets. A key that takes an idle row gets new numbers.
        self._series: Ints = np.zeros(0, np.int64)
        self._next_series = 0
        self._native: NativeBuckets | None = None
        self._buckets: Floats = np.zeros((0, histograms, len(BOUNDS) + 1))
        self._sums: Floats = np.zeros((0, histograms))
        self._used: Floats = np.zeros(0)
        self._since: Floats = np.zeros(0)

    def add(
        self, keys: Sequence[Key | None], groups: Ints, histograms: Ints, values: Floats, counts: Floats
    ) -> NDArray[np.bool_]:
        """Count `values[i]`, `counts[i]` times, in the histogram `histograms[i]` of the key `keys[groups[i]]`.

        Values of the key None are not counted. Return for each value whether there was no room for its key.
        """
        rows = np.array([_NOBODY if key is None else self._find_row(key) for key in keys], np.int64)[groups]
        known = rows >= 0
        at, of, values, counts = rows[known], histograms[known], values[known], counts[known]
        with np.errstate(over="ignore"):  # there are sketches whose bins, or counts, are as large as can be
            np.add.at(self._buckets, (at, of, np.searchsorted(BOUNDS, values)), counts)
            np.add.at(self._sums, (at, of), counts * values)
        if self._native is not None:
            self._native.add(self._series[at] + of, values, counts)
            if self._native.needs_merge():
                self._native.merge_pending(self._live_series())
        no_room: NDArray[np.bool_] = rows == _NO_ROOM
        return no_room

    def start_native(self) -> None:
        """From now on, count in native buckets too. That doubles the time that it takes to add values.

        What was counted before is put at the upper bounds of its buckets, so that both have counted the same.
        """
        if self._native is None:
            self._native = NativeBuckets()
            row, histogram, bucket = np.nonzero(self._buckets)
            values = np.array([*BOUNDS, 2 * BOUNDS[-1]])[bucket]
            self._native.add(self._series[row] + histogram, values, self._buckets[row, histogram, bucket])

    def totals(self) -> Iterator[Total[Key]]:
        """Yield what each key has counted."""
        series, each = self._live_series(), self._histograms
        native = [EMPTY] * len(series)
        if self._native is not None:
            self._native.merge_pending(series)
            native = self._native.histograms(series)
        for at, (key, row) in enumerate(self._rows.items()):
            of_key = native[at * each : (at + 1) * each]
            yield Total(key, self._buckets[row].tolist(), self._sums[row].tolist(), of_key, float(self._since[row]))

    def _find_row(self, key: Key) -> int:
        """Return the row of a key, or `_NO_ROOM`."""
        row = self._rows.get(key)
        if row is None:
            row = self._free_row()
            if row == _NO_ROOM:
                return row
            self._rows[key] = row
            self._series[row], self._since[row] = self._next_series, self._now()
            self._next_series += self._histograms
        self._used[row] = self._now()
        return row

    def _free_row(self) -> int:
        row = len(self._rows)
        if row == self._most:
            return self._take_idle_row()
        if row == len(self._sums):
            self._grow(min(self._most, max(16, 2 * row)))
        return row

    def _take_idle_row(self) -> int:
        row = int(np.argmin(self._used))
        if self._used[row] > self._now() - IDLE_SECONDS:
            return _NO_ROOM
        del self._rows[next(key for key, each in self._rows.items() if each == row)]
        self._buckets[row], self._sums[row] = 0.0, 0.0
        return row

    def _grow(self, rows: int) -> None:
        def grown(array: Floats) -> Floats:
            return np.concatenate([array, np.zeros((rows - len(array), *array.shape[1:]))])

        self._buckets, self._sums = grown(self._buckets), grown(self._sums)
        self._used, self._since = grown(self._used), grown(self._since)
        self._series = np.concatenate([self._series, np.zeros(rows - len(self._series), np.int64)])

    def _live_series(self) -> Ints:
        """Return the numbers of the series of each key, in the order of the keys."""
        first = self._series[list(self._rows.values())]
        live: Ints = (first[:, np.newaxis] + np.arange(self._histograms)).ravel()
        return live
