"""The example on taskiq: tasks that send tasks, in a worker, are one pathway."""

from __future__ import annotations

from asyncdsm.agent.http.server import RunningAgent
from tests.brokers.rabbitmq import RabbitMQ
from tests.examples.billing import ORDERS, ask_topology, running_example


async def test_taskiq_example_sends_tasks_that_follow_one_another(
    empty_rabbitmq: RabbitMQ, agent: RunningAgent
) -> None:
    environ, module = {"AMQP": empty_rabbitmq.url}, "examples.clients.taskiq_billing"
    shipped = set[bytes]()
    async with running_example(
        agent, "-m", "taskiq", "worker", f"{module}:broker", "--workers", "1", **environ
    ) as said:
        async with running_example(agent, "-m", module, DD_SERVICE="shop", **environ) as nothing:
            assert await nothing.read() == b""
        while len(shipped) < ORDERS:
            shipped.add(await said.readline())
    assert shipped == {f"order {order} is shipped\n".encode() for order in range(ORDERS)}
    shown = await ask_topology(agent)
    counts = {(edge["service"], edge["queue"], edge["direction"]): edge["count"] for edge in shown["edges"]}
    assert counts == {
        ("shop", "tasks", "out"): ORDERS,
        ("billing", "tasks", "in"): 2 * ORDERS,
        ("billing", "tasks", "out"): ORDERS,
    }
    parents = {point["hash"]: point["parent"] for point in shown["pathways"]}
    (first,) = [made for made, parent in parents.items() if parent == "0"]
    chain = [first]
    while following := [made for made, parent in parents.items() if parent == chain[-1]]:
        chain += following
    assert len(chain) == len(parents) == 4  # sent by the shop, billed, sent by the worker, shipped
