"""The example on MQTT: an order, its invoice, and back to the shop are one pathway."""

from __future__ import annotations

from asyncdsm.agent.http.server import RunningAgent
from tests.brokers.mosquitto import run_mosquitto
from tests.examples.programs import PATIENCE, has_counted, read_topology, running_example, wait_until

MODULE = "examples.clients.aiomqtt_billing"
ORDERS = 20
"""How many the example sends."""


def test_aiomqtt_example_bills_each_order_and_tells_the_shop(agent: RunningAgent) -> None:
    with run_mosquitto() as broker:
        environ = {"MQTT_PORT": str(broker.port)}
        with (
            running_example(agent, "-m", MODULE, "bill", DD_SERVICE="billing", **environ) as billing,
            running_example(agent, "-m", MODULE, "shop", DD_SERVICE="shop", **environ) as shop,
        ):
            assert (shop.wait(PATIENCE), billing.wait(PATIENCE)) == (0, 0)
            wait_until(lambda: has_counted(agent, in_=2 * ORDERS + 1, out=2 * ORDERS + 1), shop)
    shown = read_topology(agent)
    counts = {(edge["service"], edge["queue"], edge["direction"]): edge["count"] for edge in shown["edges"]}
    assert counts == {
        ("billing", "billing/ready", "out"): 1,
        ("shop", "billing/ready", "in"): 1,
        ("shop", "orders/+/created", "out"): ORDERS,
        ("billing", "orders/+/created", "in"): ORDERS,
        ("billing", "orders/+/billed", "out"): ORDERS,
        ("shop", "orders/+/billed", "in"): ORDERS,
    }
    parents = {point["hash"]: point["parent"] for point in shown["pathways"]}
    assert min(parents.values()) == "0"
    assert set(parents.values()) - {"0"} <= set(parents)
