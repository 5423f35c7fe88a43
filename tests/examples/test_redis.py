"""The example on Redis: an order, its invoice, and back to the shop are one pathway."""

from __future__ import annotations

from asyncdsm.agent.http.server import RunningAgent
from tests.brokers.redis import redis
from tests.examples.programs import PATIENCE, has_counted, read_topology, running_example, wait_until

MODULE = "examples.clients.redis_billing"
ORDERS = 20
"""How many the example sends."""


def test_redis_example_bills_each_order_and_tells_the_shop(agent: RunningAgent) -> None:
    with (
        redis() as url,
        running_example(agent, "-m", MODULE, "bill", DD_SERVICE="billing", REDIS=url) as billing,
        running_example(agent, "-m", MODULE, "shop", DD_SERVICE="shop", REDIS=url) as shop,
    ):
        assert (shop.wait(PATIENCE), billing.wait(PATIENCE)) == (0, 0)
        wait_until(lambda: has_counted(agent, in_=2 * ORDERS, out=2 * ORDERS), shop)
    shown = read_topology(agent)
    assert {(edge["service"], edge["queue"], edge["direction"]): edge["count"] for edge in shown["edges"]} == {
        ("shop", "orders", "out"): ORDERS,
        ("billing", "orders", "in"): ORDERS,
        ("billing", "invoices", "out"): ORDERS,
        ("shop", "invoices", "in"): ORDERS,
    }
    parents = {point["hash"]: point["parent"] for point in shown["pathways"]}
    assert len(parents) == 4
    assert set(parents.values()) - {"0"} <= set(parents)
