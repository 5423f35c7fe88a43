"""The time in which each version of a service reported alone, and the time in which several did.

The store keeps what passed a service, not which of its versions it passed. So the numbers of a version are those of the
time in which no other one reported. What was counted while several reported is that of all of them together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from asyncdsm.agent.store.histograms import Ints
from asyncdsm.agent.store.merger import Rows
from asyncdsm.agent.store.resolutions import BUCKET_SECONDS, FOREVER
from asyncdsm.agent.store.versions import VersionRun

_PLACE_BITS = 6
_LAST_PLACE = (1 << _PLACE_BITS) - 1
CODE_BITS = 2 * _PLACE_BITS
"""How many bits the code of a row has."""


class VersionSpan(NamedTuple):
    """The versions that reported in [first, last), in seconds since the epoch, in the order in which they began.

    There are none where no version is known.
    """

    versions: tuple[str, ...]
    first: int
    last: int


class Period(NamedTuple):
    """A span and the codes of its rows (`RowCodes`)."""

    span: VersionSpan
    codes: frozenset[int]


def list_spans(runs: Sequence[VersionRun]) -> list[VersionSpan]:
    """Return the spans of all time, without a gap, in whole buckets.

    When nobody reports, the time belongs to the version that reported last: its end may be known later than its data.
    """
    lives = [
        VersionSpan((run.version,), _bucket_of(run.since), _bucket_of(run.last) + BUCKET_SECONDS)
        for run in sorted(runs, key=lambda run: run.since)
    ]
    spans: list[VersionSpan] = []
    for first, last in pairwise(sorted({0, FOREVER, *(moment for life in lives for moment in life[1:])})):
        versions = _versions_at(lives, first)
        if spans and spans[-1].versions == versions:
            first = spans.pop().first  # noqa: PLW2901
        spans.append(VersionSpan(versions, first, last))
    return spans


def _bucket_of(moment: float) -> int:
    return int(moment // BUCKET_SECONDS) * BUCKET_SECONDS


def _versions_at(lives: Sequence[VersionSpan], moment: int) -> tuple[str, ...]:
    begun = [life for life in lives if life.first <= moment]
    alive = [life for life in begun if moment < life.last]
    return _join_versions(alive or sorted(begun, key=lambda life: life.last)[-1:])


def _join_versions(spans: Sequence[VersionSpan]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(version for span in spans for version in span.versions))


class RowCodes:
    """Gives rows a code: the places of the spans in which they begin and end, which differ only for coarse rows."""

    def __init__(self, spans: Sequence[VersionSpan]) -> None:
        self._spans = spans
        self._firsts = np.array([span.first for span in spans], np.int64)
        self._mixed: dict[tuple[int, int], tuple[int, int]] = {}
        self._is_unversioned = False
        self.newest: int = 0
        """The end of the newest row so far, in seconds since the epoch."""

    @staticmethod
    def spans_of(codes: Ints) -> Ints:
        """Return the place of the span that each code is of; -1 for that of a row with several spans in it."""
        begins = codes >> _PLACE_BITS
        places: Ints = np.where(begins == codes & _LAST_PLACE, begins, -1)
        return places

    def encode_rows(self, rows: Rows) -> Ints:
        """Return the code of each row."""
        if not len(rows.starts):
            return rows.starts
        ends = rows.starts + rows.widths
        begins, stops = (np.searchsorted(self._firsts, each, "right") - 1 for each in (rows.starts, ends - 1))
        for place in np.flatnonzero(begins != stops).tolist():
            self._mixed[int(begins[place]), int(stops[place])] = int(rows.starts[place]), int(ends[place])
        self.newest = max(self.newest, int(ends.max()))
        self._is_unversioned |= bool((stops == 0).any()) and not self._spans[0].versions
        codes: Ints = begins << _PLACE_BITS | stops
        return codes

    def periods(self) -> list[Period]:
        """Return the periods of all time, with what coarse rows that have several spans in them leave of these."""
        spans = {(place, place): span for place, span in enumerate(self._spans)}
        for (begin, stop), (first, last) in sorted(self._mixed.items()):
            versions = self._versions_of_mixed(begin, stop)
            for place in range(begin + 1, stop):
                spans.pop((place, place), None)
            spans[begin, begin] = spans[begin, begin]._replace(last=first)
            spans[stop, stop] = spans[stop, stop]._replace(first=last)
            spans[begin, stop] = VersionSpan(versions, first, last)
        return _join_alike(spans)

    def _versions_of_mixed(self, begin: int, stop: int) -> tuple[str, ...]:
        if begin == 0 and self._is_unversioned:
            return ()
        return _join_versions(self._spans[begin : stop + 1])


def _join_alike(spans: Mapping[tuple[int, int], VersionSpan]) -> list[Period]:
    """Return the periods of spans by their places, in order; neighbors of the same versions are one."""
    periods: list[Period] = []
    for (begin, stop), span in sorted(spans.items(), key=lambda item: (item[1].first, item[0])):
        joined, codes = span, frozenset({begin << _PLACE_BITS | stop})
        if periods and set(periods[-1].span.versions) == set(span.versions):
            before = periods.pop()
            joined, codes = before.span._replace(last=span.last), codes | before.codes
        periods.append(Period(joined, codes))
    return periods
