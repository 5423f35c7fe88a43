"""What sampled business transactions have passed, and where they went on from there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

from asyncdsm.agent.store.transaction_reader import PlaceSample, Step

PlaceSet = frozenset[int]


class Passage(NamedTuple):
    """A transaction that had passed a set of places went on to another one; the time is that of the step before."""

    passed: PlaceSet
    before: Step
    following: Step
    weight: float


def places_of(chain: list[Step]) -> PlaceSet:
    """Return the places of a transaction's steps."""
    return PlaceSet(step.place for step in chain)


def list_chains(sample: Mapping[int, PlaceSample]) -> Iterator[tuple[float, list[Step]]]:
    """Yield the steps of sampled transactions, with the number of transactions that each stands for.

    One of the latest stands for as many as were seen last at its place, one of the oldest only for itself (0).
    """
    for ended, latest, oldest in sample.values():
        yield from ((ended / len(latest), chain) for chain in latest)
        yield from ((0.0, chain) for chain in oldest)


def list_passages(sample: Mapping[int, PlaceSample]) -> Iterator[Passage]:
    """Yield where sampled transactions went on to a place that they had not passed before."""
    for weight, chain in list_chains(sample):
        yield from passages_of(chain, weight)


def passages_of(chain: list[Step], weight: float) -> Iterator[Passage]:
    """Yield where a transaction that stands for `weight` ones went on."""
    passed = PlaceSet()
    for before, following in pairwise(chain):
        passed |= {before.place}
        if following.place not in passed:
            yield Passage(passed, before, following, weight)
