"""Journeys: messages that pass several services and queues, each with latencies of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from asyncdsm.core.aggregator import Aggregator
from asyncdsm.core.edge import Edge
from tests.agent.payloads import NOW_NS, SECOND_NS, ours

Journey = Sequence[float]
"""The seconds that a message takes for each step."""


class Step(NamedTuple):
    """A service reads from a queue (`in`), or writes to it (`out`)."""

    service: str
    direction: str
    queue: str
    kind: str = "kafka"
    env: str | None = None


SHOP = [
    Step("shop", "out", "orders"),
    Step("billing", "in", "orders"),
    Step("billing", "out", "invoices"),
    Step("shipping", "in", "invoices"),
    Step("shipping", "out", "parcels"),
    Step("mailing", "in", "parcels"),
]
"""From a shop over two services to a third one."""


class Travelers:
    """Messages that have come as far as a point, and how old the pathway of each is, in seconds."""

    def __init__(self, hash_: int = 0, ages: Sequence[float] = ()) -> None:
        self.hash, self.ages = hash_, ages


def travel(
    store: SQLiteStore,
    steps: Iterable[Step],
    journeys: Sequence[Journey],
    travelers: Travelers | None = None,
    at_ns: int = NOW_NS,
) -> Travelers:
    """Take the payloads of journeys, one for each message, which go on from where the travelers are."""
    hash_ = travelers.hash if travelers else 0
    ages = list(travelers.ages) if travelers else [0.0] * len(journeys)
    for place, step in enumerate(steps):
        latencies = [journey[place] for journey in journeys]
        ages = [age + latency for age, latency in zip(ages, latencies, strict=True)]
        hash_ = _pass_step(store, step, hash_, latencies, ages, at_ns=at_ns)
    return Travelers(hash_, ages)


def _pass_step(
    store: SQLiteStore, step: Step, parent: int, latencies: Sequence[float], ages: Sequence[float], *, at_ns: int
) -> int:
    hashes: list[int] = []

    def record(aggregator: Aggregator) -> None:
        point = aggregator.point(
            Edge(f"direction:{step.direction}", f"topic:{step.queue}", f"type:{step.kind}"), parent
        )
        hashes.append(point.hash)
        for latency, age in zip(latencies, ages, strict=True):
            aggregator.record(point, at_ns, round(latency * SECOND_NS), round(age * SECOND_NS), None)

    for body in ours(record, step.service, step.env, at_ns):
        store.add(read_report(body, "gzip"))
    return hashes[0]
