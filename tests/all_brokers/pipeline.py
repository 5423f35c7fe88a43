"""One pathway through all kinds of brokers, each service a program."""

from __future__ import annotations

import sys

from tests.all_brokers.brokers import AllBrokers
from tests.interop.relay import Relay
from tests.interop.running import Step, create_steps

SERVICES = ["website", "shop", "billing", "stock", "packing", "shipping", "mailing", "archive", "audit", "display"]
QUEUES = [
    ("http", "checkout"),
    ("kafka", "orders"),
    ("nats", "invoices"),
    ("redis", "reservations"),
    ("rabbitmq", "parcels"),
    ("sqs", "shipments"),
    ("google-pubsub", "mails"),
    ("servicebus", "records"),
    ("mqtt", "totals"),
]
"""Between each two services."""
SERVICE = Relay(
    "asyncdsm",
    frozenset(broker for broker, _ in QUEUES),
    lambda: [sys.executable, "-m", "tests.all_brokers.service"],
)


async def create_pipeline(brokers: AllBrokers, suffix: str = "") -> list[Step]:
    """Return the steps; the suffix, of letters, makes the names of services and queues those of one run."""
    services = [(SERVICE, f"{name}{suffix}") for name in SERVICES]
    return await create_steps(brokers, services, [(broker, f"{name}{suffix}") for broker, name in QUEUES])
