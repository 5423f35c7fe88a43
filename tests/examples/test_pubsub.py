"""The example on Google Pub/Sub: an order, its invoice, and back to the shop are one pathway."""

from __future__ import annotations

from asyncdsm.agent.http.server import RunningAgent
from tests.brokers.pubsub import pubsub_server
from tests.examples.programs import PATIENCE, has_counted, read_topology, running_example, wait_until

MODULE = "examples.clients.pubsub_billing"
ORDERS = 20
"""How many the example sends."""


def test_pubsub_example_bills_each_order_and_tells_the_shop(agent: RunningAgent) -> None:
    with pubsub_server() as server:
        environ = {"PUBSUB_EMULATOR_HOST": server.address}
        with (
            running_example(agent, "-m", MODULE, "bill", DD_SERVICE="billing", **environ) as billing,
            running_example(agent, "-m", MODULE, "shop", DD_SERVICE="shop", **environ) as shop,
        ):
            assert (shop.wait(PATIENCE), billing.wait(PATIENCE)) == (0, 0)
            wait_until(lambda: has_counted(agent, in_=2 * ORDERS, out=2 * ORDERS), shop)
    shown = read_topology(agent)
    counts = {(edge["service"], edge["queue"], edge["direction"]): edge["count"] for edge in shown["edges"]}
    assert counts == {
        ("shop", "projects/shop/topics/orders", "out"): ORDERS,
        ("billing", "projects/shop/subscriptions/billing", "in"): ORDERS,
        ("billing", "projects/shop/topics/invoices", "out"): ORDERS,
        ("shop", "projects/shop/subscriptions/shop", "in"): ORDERS,
    }
    parents = {point["hash"]: point["parent"] for point in shown["pathways"]}
    assert len(parents) == 4
    assert min(parents.values()) == "0"
    assert set(parents.values()) - {"0"} <= set(parents)
