"""The example on taskiq: tasks that send tasks, in a worker, are one pathway."""

from __future__ import annotations

from asyncdsm.agent.http.server import RunningAgent
from tests.brokers.rabbitmq import RabbitMQ
from tests.examples.programs import PATIENCE, has_counted, read_topology, running_example, wait_until

MODULE = "examples.clients.taskiq_billing"
ORDERS = 20
"""How many the example sends."""


def test_taskiq_example_sends_tasks_that_follow_one_another(empty_rabbitmq: RabbitMQ, agent: RunningAgent) -> None:
    amqp = {"AMQP": empty_rabbitmq.url}
    command = ["-m", "taskiq", "worker", f"{MODULE}:broker", "--workers", "1"]
    with running_example(agent, *command, DD_SERVICE="worker", **amqp) as worker:
        with running_example(agent, "-m", MODULE, DD_SERVICE="shop", **amqp) as shop:
            assert shop.wait(PATIENCE) == 0
        wait_until(lambda: has_counted(agent, in_=2 * ORDERS, out=2 * ORDERS), worker)
    shown = read_topology(agent)
    counts = {(edge["service"], edge["queue"], edge["direction"]): edge["count"] for edge in shown["edges"]}
    assert counts == {
        ("shop", "tasks", "out"): ORDERS,
        ("worker", "tasks", "in"): 2 * ORDERS,
        ("worker", "tasks", "out"): ORDERS,
    }
    parents = {point["hash"]: point["parent"] for point in shown["pathways"]}
    (first,) = [made for made, parent in parents.items() if parent == "0"]
    chain = [first]
    while following := [made for made, parent in parents.items() if parent == chain[-1]]:
        chain += following
    assert len(chain) == len(parents) == 4  # sent by the shop, billed, sent by the worker, shipped
