"""The clients: which of their methods have which hooks.

Those of `google.cloud.pubsub_v1`, which Google has written by hand, are made on those of `google.pubsub_v1`, which are
generated. Only the latter are imported here: a program may just be importing the others, and they import these.
"""

from __future__ import annotations

from typing import Any

from google.pubsub_v1 import PublisherAsyncClient, PublisherClient, SubscriberAsyncClient, SubscriberClient

from asyncdsm.integration import Hook, Hooks
from asyncdsm_pubsub.consume import class_hooks, hook_async_pull, hook_pull, make_subscribe_hook
from asyncdsm_pubsub.produce import hook_async_request, hook_message, hook_request

HANDWRITTEN = "google.cloud.pubsub_v1"
Methods = dict[type, dict[str, Hook]]

OF_GENERATED: Methods = {
    PublisherAsyncClient: {"publish": hook_async_request},
    PublisherClient: {"publish": hook_request},
    SubscriberAsyncClient: {"pull": hook_async_pull},
    SubscriberClient: {"pull": hook_pull},
}


def methods_of_handwritten(*, is_wrapped: bool) -> Methods:
    """Return the methods of the handwritten clients. Streams of one that is not wrapped end with `uninstrument`."""
    from google.cloud.pubsub_v1.publisher.client import Client as Publisher  # noqa: PLC0415
    from google.cloud.pubsub_v1.subscriber.client import Client as Subscriber  # noqa: PLC0415

    subscribe = make_subscribe_hook(lambda: is_wrapped or class_hooks.is_on_classes)
    return {Publisher: {"publish": hook_message}, Subscriber: {"subscribe": subscribe, "pull": hook_pull}}


def is_handwritten(client: object) -> bool:
    """Say whether a client is one of those that Google has written by hand, or of a subclass."""
    return any(base.__module__.startswith(HANDWRITTEN) for base in type(client).__mro__)


def hook_methods(hooks: Hooks, methods: Methods) -> None:
    """Put hooks on the classes of clients.

    Not on the generated synchronous publisher: the handwritten one, whose messages were counted before, calls it for
    its batches.
    """
    for cls, by_name in methods.items():
        if cls is not PublisherClient:
            hooks.put_all(cls, by_name)


def hook_client(hooks: Hooks, client: Any, methods: Methods) -> None:
    """Put hooks on one client."""
    for cls, by_name in methods.items():
        for name, hook in by_name.items() if isinstance(client, cls) else ():
            hooks.put_on_client(client, cls, name, hook)
