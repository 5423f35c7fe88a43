"""The examples in which a shop sends orders and gets their invoices: there and back is one pathway."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple

import pytest

from asyncdsm.agent.http.server import RunningAgent
from tests.brokers.azure import azure_server
from tests.brokers.mosquitto import run_mosquitto
from tests.brokers.nats import nats_server
from tests.brokers.pubsub import pubsub_server
from tests.brokers.redis import redis
from tests.examples.programs import PATIENCE, has_counted, read_topology, running_example, wait_until

ORDERS = 20
"""How many each example sends."""
Environ = Mapping[str, str]


@contextmanager
def event_hubs() -> Iterator[Environ]:
    with azure_server("eventhubs") as server:
        yield {"EVENTHUBS": server.connection_string}


@contextmanager
def mqtt() -> Iterator[Environ]:
    with run_mosquitto() as broker:
        yield {"MQTT_PORT": str(broker.port)}


@contextmanager
def nats() -> Iterator[Environ]:
    with nats_server() as server:
        yield {"NATS": server.url}


@contextmanager
def pubsub() -> Iterator[Environ]:
    with pubsub_server() as server:
        yield {"PUBSUB_EMULATOR_HOST": server.address}


@contextmanager
def redis_streams() -> Iterator[Environ]:
    with redis() as url:
        yield {"REDIS": url}


@contextmanager
def service_bus() -> Iterator[Environ]:
    with azure_server() as server:
        yield {"SERVICEBUS": server.connection_string}


class Example(NamedTuple):
    """One example: its module, its broker, and the names of its queues where they are written and read."""

    module: str
    broker: Callable[[], AbstractContextManager[Environ]]
    there: tuple[str, str] = ("orders", "orders")
    back: tuple[str, str] = ("invoices", "invoices")
    seller: str = "shop"
    biller: tuple[str, str] = ("billing", "bill")
    """The service that answers, and the argument that starts it."""
    notice: str | None = None
    """Where the service that answers says once that it is there."""


EXAMPLES = {
    "Event Hubs": Example(
        "eventhub_alarms", event_hubs, ("readings", "readings"), ("alarms", "alarms"), "sensors", ("watch", "watch")
    ),
    "MQTT": Example(
        "aiomqtt_billing",
        mqtt,
        ("orders/+/created", "orders/+/created"),
        ("orders/+/billed", "orders/+/billed"),
        notice="billing/ready",
    ),
    "NATS": Example(
        "nats_billing", nats, ("orders.*.created", "orders.*.created"), ("orders.*.billed", "orders.*.billed")
    ),
    "Pub/Sub": Example(
        "pubsub_billing",
        pubsub,
        ("projects/shop/topics/orders", "projects/shop/subscriptions/billing"),
        ("projects/shop/topics/invoices", "projects/shop/subscriptions/shop"),
    ),
    "Redis": Example("redis_billing", redis_streams),
    "Service Bus": Example("servicebus_billing", service_bus),
}


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=list(EXAMPLES))
def test_example_answers_each_order_on_its_pathway(agent: RunningAgent, example: Example) -> None:
    seller, (biller, answers), once = example.seller, example.biller, 1 if example.notice else 0
    module = f"examples.clients.{example.module}"
    with (
        example.broker() as environ,
        running_example(agent, "-m", module, answers, DD_SERVICE=biller, **environ) as billing,
        running_example(agent, "-m", module, seller, DD_SERVICE=seller, **environ) as shop,
    ):
        assert (shop.wait(PATIENCE), billing.wait(PATIENCE)) == (0, 0)
        wait_until(lambda: has_counted(agent, in_=2 * ORDERS + once, out=2 * ORDERS + once), shop)
    shown = read_topology(agent)
    counts = {(edge["service"], edge["queue"], edge["direction"]): edge["count"] for edge in shown["edges"]}
    notices = {(biller, example.notice, "out"): 1, (seller, example.notice, "in"): 1} if example.notice else {}
    assert counts == notices | {
        (seller, example.there[0], "out"): ORDERS,
        (biller, example.there[1], "in"): ORDERS,
        (biller, example.back[0], "out"): ORDERS,
        (seller, example.back[1], "in"): ORDERS,
    }
    parents = {point["hash"]: point["parent"] for point in shown["pathways"]}
    assert len(parents) == 4 + 2 * once
    # A notice begins a pathway, and so does what the broker has kept of it for a shop that came later.
    assert 1 <= sum(parent == "0" for parent in parents.values()) <= 1 + 2 * once
    assert set(parents.values()) - {"0"} <= set(parents)
