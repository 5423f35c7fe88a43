"""google-cloud-pubsub: `asyncdsm.wrap(client)`, or `asyncdsm.instrument("google.cloud.pubsub_v1")`.

The package has clients in two modules, and so has this integration two parts: the handwritten clients of
`google.cloud.pubsub_v1`, which batch and stream, and the generated ones of `google.pubsub_v1`, some of which are async.
"""

from __future__ import annotations

from typing import Any

from google.pubsub_v1.gapic_version import __version__
from google.pubsub_v1.types import pubsub

from asyncdsm.integration import Integration, Pathway
from asyncdsm_pubsub.client import (
    HANDWRITTEN,
    OF_GENERATED,
    hook_client,
    hook_methods,
    is_handwritten,
    methods_of_handwritten,
)
from asyncdsm_pubsub.consume import class_hooks, pathway_of_pulled, pathway_of_streamed

__all__ = ["GeneratedPubSub", "PubSub", "integration", "integration_of_generated"]

VERSIONS = "2.29", "2.44"


class PubSub(Integration):
    """Follows publishers and subscribers of `google.cloud.pubsub_v1`."""

    package: str = HANDWRITTEN
    versions: tuple[str, str] = VERSIONS
    wraps: str = "a PublisherClient or a SubscriberClient"

    def is_client(self, client: object) -> bool:
        return isinstance(client, tuple(methods_of_handwritten(is_wrapped=True)))

    def follow(self, client: Any) -> Any:
        hook_client(self.hooks, client, methods_of_handwritten(is_wrapped=True))
        return client

    def hook_classes(self) -> None:
        hook_methods(self.hooks, methods_of_handwritten(is_wrapped=False))

    def pathway_of(self, message: Any) -> Pathway | None:
        from google.cloud.pubsub_v1.subscriber.message import Message  # noqa: PLC0415

        return pathway_of_streamed(message) if isinstance(message, Message) else None

    def installed_version(self) -> str:
        return __version__


class GeneratedPubSub(Integration):
    """Follows publishers and subscribers of `google.pubsub_v1`, for asyncio or synchronous."""

    package: str = "google.pubsub_v1"
    versions: tuple[str, str] = VERSIONS
    wraps: str = "a PublisherAsyncClient, a SubscriberAsyncClient, or one of those without Async"

    def is_client(self, client: object) -> bool:
        return isinstance(client, tuple(OF_GENERATED)) and not is_handwritten(client)

    def follow(self, client: Any) -> Any:
        hook_client(self.hooks, client, OF_GENERATED)
        return client

    def hook_classes(self) -> None:
        hook_methods(self.hooks, OF_GENERATED)

    def pathway_of(self, message: Any) -> Pathway | None:
        is_message = isinstance(message, pubsub.ReceivedMessage | pubsub.PubsubMessage)
        return pathway_of_pulled(message) if is_message else None

    def installed_version(self) -> str:
        return __version__


integration: PubSub = PubSub(class_hooks)
integration_of_generated: GeneratedPubSub = GeneratedPubSub()
