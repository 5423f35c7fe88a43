"""Which pipelines are run: each language between two of asyncdsm's, and around one of them, at each of its brokers."""

from __future__ import annotations

from typing import NamedTuple
from uuid import uuid4

import anyio

from tests.interop.brokers import Brokers
from tests.interop.relay import Relay
from tests.interop.relays import ASYNCDSM, RELAYS
from tests.interop.running import Outcome, create_steps, run_pipeline

COUNT = 20


class Pair(NamedTuple):
    """A relay at one of its brokers."""

    relay: Relay
    broker: str

    def __str__(self) -> str:
        return f"{self.relay.language}-{self.broker}"


PAIRS = [Pair(relay, broker) for relay in RELAYS for broker in sorted(relay.brokers)]
ORDERS = ("asyncdsm-relay-asyncdsm", "relay-asyncdsm-relay")


async def run_orders(brokers: Brokers, pair: Pair) -> dict[str, Outcome | Exception]:
    """Run a relay in both orders at once; return the outcome of each, or why there is none."""
    outcomes = dict[str, Outcome | Exception]()

    async def run(order: str) -> None:
        try:
            outcomes[order] = await _run_order(brokers, pair, order)
        except Exception as error:
            outcomes[order] = error

    async with anyio.create_task_group() as group:
        for order in ORDERS:
            group.start_soon(run, order)
    return outcomes


async def _run_order(brokers: Brokers, pair: Pair, order: str) -> Outcome:
    relays = [ASYNCDSM if name == "asyncdsm" else pair.relay for name in order.split("-")]
    run = uuid4().hex[:6]  # a consumer group is named after its service, and no two pipelines have one in common
    named = [(relay, f"{relay.language}-{run}-{place}") for place, relay in enumerate(relays)]
    queues = [(pair.broker, f"queue-{run}-{place}") for place in range(1, len(relays))]
    steps = await create_steps(brokers, named, queues)
    return await run_pipeline(brokers, steps, COUNT)
