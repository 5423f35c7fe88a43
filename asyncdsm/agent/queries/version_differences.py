"""Says in words what is different since another version of a service: what became slower, rarer, or is sent again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from asyncdsm.agent.queries.version_answers import VersionNumbers
from asyncdsm.map.strings import format_percent, plain_text
from asyncdsm.map.topology import Quantiles

FACTOR = 1.25
"""By how much two numbers of versions differ at least, for it to be said."""
SHARE_DIFFERENCE = 0.01
"""The same of shares, of all messages."""
FEWEST = {"p50": 20, "p99": 200}
"""So many messages each of the two versions must have had, for their quantiles to be compared."""


def compare_neighbors(numbers: Sequence[VersionNumbers]) -> list[VersionNumbers]:
    """Return numbers of versions in the order of time, each with what is different since the one before.

    Compared are versions that reported alone; those that reported together tell nothing about either.
    """
    before: VersionNumbers | None = None
    compared: list[VersionNumbers] = []
    for each in numbers:
        found = each
        if len(each.versions) == 1:
            if before is not None:
                differences = list(_find_differences(before, each))
                found = replace(each, compared_with=before.versions[0], differences=differences)
            before = each
        compared.append(found)
    return compared


def _find_differences(before: VersionNumbers, now: VersionNumbers) -> Iterator[str]:
    since = f"since {plain_text(now.versions[0], 40)}"
    fewest = min(before.count, now.count)
    for name, old, new in (
        ("time in queue", before.time_in_queue, now.time_in_queue),
        ("time in service", before.time_in_service, now.time_in_service),
        ("end to end", before.end_to_end, now.end_to_end),
    ):
        yield from (f"{name}, {text} {since}" for text in _compare_quantiles(old, new, fewest))
    if fewest >= FEWEST["p50"] and (factor := _factor(before.rate, now.rate)) is not None:
        yield f"rate {factor} times as high {since}"
    for name, old_share, new_share in (
        ("redelivered", before.redelivered_share, now.redelivered_share),
        ("dead-lettered", before.dead_lettered_share, now.dead_lettered_share),
    ):
        if old_share is not None and new_share is not None and abs(new_share - old_share) >= SHARE_DIFFERENCE:
            yield f"{format_percent(new_share)} {name} {since}, {format_percent(old_share)} before"


def _compare_quantiles(old: Quantiles, new: Quantiles, fewest: float) -> Iterator[str]:
    for quantile, old_value, new_value in (("p50", old.p50, new.p50), ("p99", old.p99, new.p99)):
        if fewest >= FEWEST[quantile] and (factor := _factor(old_value, new_value)) is not None:
            yield f"{quantile} {factor} times as long"


def _factor(old: float | None, new: float | None) -> str | None:
    """Return by what a number was multiplied; None if it is about the same, or if one of the two is nothing."""
    if not old or not new or 1 / FACTOR < new / old < FACTOR:
        return None
    return f"{float(f'{new / old:.2g}'):g}"
