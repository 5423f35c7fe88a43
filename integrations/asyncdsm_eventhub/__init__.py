"""azure-eventhub: `asyncdsm.wrap` for a producer or consumer client, or `asyncdsm.instrument("azure.eventhub")`.

The clients of `azure.eventhub.aio` and those of `azure.eventhub`, which block, are followed alike.
"""

from __future__ import annotations

from typing import Any

from azure.eventhub import EventData

from asyncdsm.integration import Integration, Pathway
from asyncdsm_eventhub.client import CONSUMERS, PRODUCERS, follow_any, hook_clients
from asyncdsm_eventhub.consume import class_hooks, pathway_of_event

__all__ = ["EventHub", "integration"]


class EventHub(Integration):
    """Follows producer clients, and what consumer clients receive from then on."""

    package: str = "azure.eventhub"
    versions: tuple[str, str] = ("5.15", "5.15")
    wraps: str = "an EventHubProducerClient or EventHubConsumerClient"

    def is_client(self, client: object) -> bool:
        return isinstance(client, (*PRODUCERS, *CONSUMERS))

    def follow(self, client: Any) -> Any:
        follow_any(client)
        return client

    def hook_classes(self) -> None:
        hook_clients(self.hooks)

    def pathway_of(self, message: Any) -> Pathway | None:
        return pathway_of_event(message) if isinstance(message, EventData) else None


integration: EventHub = EventHub(class_hooks)
