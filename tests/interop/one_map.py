"""A pipeline through all tracers and all brokers, for one map."""

from __future__ import annotations

from tests.interop import golang, java, javascript, python
from tests.interop.brokers import Brokers
from tests.interop.relay import Relay
from tests.interop.relays import ASYNCDSM
from tests.interop.running import Step, create_steps

SERVICES: list[tuple[str, Relay]] = [
    ("shop", ASYNCDSM),
    ("billing", javascript.RELAY),
    ("stock", ASYNCDSM),
    ("packing", java.RELAY),
    ("mailing", ASYNCDSM),
    ("archive", python.RELAY),
    ("audit", golang.RELAY),
]
QUEUES = [
    ("kafka", "orders"),
    ("rabbitmq", "invoices"),
    ("sqs", "reservations"),
    ("kafka", "parcels"),
    ("rabbitmq", "mails"),
    ("sqs", "records"),
]
"""Between each two services."""


async def create_long_way(brokers: Brokers, suffix: str = "") -> list[Step]:
    """Return the steps of the pipeline; the suffix makes the names of its services and queues those of one run."""
    relays = [(relay, f"{service}-{relay.language}{suffix}") for service, relay in SERVICES]
    return await create_steps(brokers, relays, [(broker, f"{name}{suffix}") for broker, name in QUEUES])
