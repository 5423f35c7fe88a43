"""The example for dramatiq: a message that an actor sends follows the message that the actor processes."""

from __future__ import annotations

from typing import Any

from dramatiq import Message
from dramatiq.brokers.redis import RedisBroker

from asyncdsm.agent.http.server import RunningAgent
from tests.examples.programs import COUNT, check_pathways, has_counted, make_headers, running_example, wait_until

WORKER = ["-m", "dramatiq", "examples.clients.dramatiq_billing", "-p", "2", "-t", "2"]


def test_worker_ships_each_order_that_it_bills(agent: RunningAgent, redis: str) -> None:
    broker: Any = RedisBroker(url=redis)
    broker.declare_queue("billing")
    for number in range(COUNT):
        options = make_headers(number)
        broker.enqueue(Message("billing", "bill_order", args=(number,), kwargs={}, options=options))
    broker.client.connection_pool.disconnect()
    with running_example(agent, *WORKER, DD_SERVICE="billing", BROKER=redis) as worker:
        wait_until(lambda: has_counted(agent, in_=2 * COUNT, out=COUNT), worker)
    check_pathways(agent, "in billing", "out shipping", "in shipping")
