"""The pipelines of each tracer, one at each of its brokers: the tracer and asyncdsm by turns."""

from __future__ import annotations

from uuid import uuid4

import anyio

from tests.interop.brokers import Brokers
from tests.interop.relay import Relay
from tests.interop.relays import ASYNCDSM
from tests.interop.running import Outcome, create_steps, run_pipeline

COUNT = 20
BROKERS = ("kafka", "rabbitmq", "sqs")


async def run_at_all_brokers(brokers: Brokers, relay: Relay) -> dict[str, Outcome | Exception]:
    """Run the pipelines of a relay side by side; return the outcome at each broker, or why there is none."""
    outcomes = dict[str, Outcome | Exception]()

    async def run(broker: str) -> None:
        try:
            outcomes[broker] = await _run_by_turns(brokers, relay, broker)
        except Exception as error:
            outcomes[broker] = error

    async with anyio.create_task_group() as group:
        for broker in relay.brokers:
            group.start_soon(run, broker)
    return outcomes


async def _run_by_turns(brokers: Brokers, relay: Relay, broker: str) -> Outcome:
    """Run a pipeline in which the relay is between two of asyncdsm, and asyncdsm between two relays."""
    run = uuid4().hex[:6]  # a consumer group is named after its service, and no two pipelines have one in common
    relays = enumerate([relay, ASYNCDSM, relay, ASYNCDSM])
    named = [(each, f"{each.language}-{run}-{place}") for place, each in relays]
    queues = [(broker, f"queue-{run}-{place}") for place in range(1, len(named))]
    return await run_pipeline(brokers, await create_steps(brokers, named, queues), COUNT)
