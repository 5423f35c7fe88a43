"""azure-servicebus: `asyncdsm.wrap` for a client, a sender or a receiver, or `asyncdsm.instrument("azure.servicebus")`.

The clients of `azure.servicebus.aio` and those of `azure.servicebus`, which block, are followed alike.
"""

from __future__ import annotations

from typing import Any

from azure.servicebus import ServiceBusReceivedMessage

from asyncdsm.integration import Integration, Pathway
from asyncdsm_servicebus.client import CLIENTS, RECEIVERS, SENDERS, follow_any, hook_all
from asyncdsm_servicebus.consume import pathway_of_received

__all__ = ["ServiceBus", "integration"]


class ServiceBus(Integration):
    """Follows clients, with the senders and receivers that they make from then on; or one sender or receiver."""

    package: str = "azure.servicebus"
    versions: tuple[str, str] = ("7.15", "7.15")
    wraps: str = "a ServiceBusClient, ServiceBusSender or ServiceBusReceiver"

    def is_client(self, client: object) -> bool:
        return isinstance(client, (*CLIENTS, *SENDERS, *RECEIVERS))

    def follow(self, client: Any) -> Any:
        follow_any(client)
        return client

    def hook_classes(self) -> None:
        hook_all(self.hooks)

    def pathway_of(self, message: Any) -> Pathway | None:
        return pathway_of_received(message) if isinstance(message, ServiceBusReceivedMessage) else None


integration: ServiceBus = ServiceBus()
