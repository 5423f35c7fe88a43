"""The example for Celery: a task that is sent by a task follows it, from the worker's parent and its children."""

from __future__ import annotations

import pytest
from celery import Celery

from asyncdsm.agent.http.server import RunningAgent
from tests.brokers.rabbitmq import RabbitMQ
from tests.examples.programs import (
    COUNT,
    check_pathways,
    has_counted,
    make_headers,
    running_example,
    wait_until,
)

WORKER = ["-m", "celery", "-A", "examples.clients.celery_billing", "worker", "-Q", "billing,shipping", "-c", "2"]


@pytest.mark.parametrize("broker", ["rabbitmq", "redis"])
def test_worker_ships_each_order_that_it_bills(
    broker: str, agent: RunningAgent, request: pytest.FixtureRequest
) -> None:
    server: RabbitMQ | str = request.getfixturevalue(broker)
    url = server if isinstance(server, str) else server.url
    with Celery(broker=url, set_as_current=False) as app:
        for number in range(COUNT):
            app.send_task("bill_order", (number,), queue="billing", headers=make_headers(number))
    with running_example(agent, *WORKER, DD_SERVICE="billing", BROKER=url) as worker:
        wait_until(lambda: has_counted(agent, in_=2 * COUNT, out=COUNT), worker)
    check_pathways(agent, "in billing", "out shipping", "in shipping")
