"""botocore, boto3, aiobotocore: `asyncdsm.wrap(session)`, `asyncdsm.wrap(client)`, `asyncdsm.instrument("botocore")`.

All three make their calls through botocore's events, so asyncdsm registers handlers of events. `client` registers
them; `sqs`, `sns`, `kinesis` and `eventbridge` have the handlers of those operations that carry messages. `produce`
counts what a call sends, `consume` records what it receives, `attributes` adds and hides the message attribute that
holds a context, `kinesis_reader` measures how far behind a reader is. `receive_calls` hooks the coroutines of
aiobotocore, `resources` the lists that boto3's resources make of a response.
"""

from __future__ import annotations

from typing import Any

from botocore.client import BaseClient

from asyncdsm._internal.mocks import is_mock
from asyncdsm.integration import Integration, Pathway, after
from asyncdsm_botocore import receive_calls, resources
from asyncdsm_botocore.client import (
    class_hooks,
    client_in,
    register_handlers,
    register_switched_handlers,
    service_of,
    session_in,
)
from asyncdsm_botocore.consume import find_message_pathway

__all__ = ["Botocore", "integration"]


class Botocore(Integration):
    """Follows clients, sessions and their later clients, and resources."""

    package: str = "botocore"
    versions: tuple[str, str] = ("1.29", "1.43")
    wraps: str = "a client, a session or a resource of boto3"

    def is_client(self, client: object) -> bool:
        """Say whether an object is a client or a session of botocore or aiobotocore, or has one, as boto3's have."""
        return client_in(client) is not None or session_in(client) is not None or resources.is_resource(client)

    def follow(self, client: Any) -> Any:
        """Register the handlers on one client; on a session for the clients that it makes from now on."""
        inner, session = client_in(client), session_in(client)
        if inner is not None and not is_mock(inner):
            service = service_of(inner)
            register_handlers(inner.meta.events, service)
            receive_calls.hook_client(self.hooks, inner, service, lambda: True)
        elif session is not None and not is_mock(session):
            register_handlers(session.get_component("event_emitter"), None)
        if resources.is_resource(client):
            resources.follow_resource(self.hooks, client)
        return client

    def hook_classes(self) -> None:
        """Register the handlers on every client that is made from now on, in any session."""
        # A session that exists already has no event that would reach us.
        self.hooks.put(BaseClient, "__init__", after(self._follow_new_client))
        resources.hook_factories(self.hooks)

    def pathway_of(self, message: Any) -> Pathway | None:
        """Return the pathway of a message of SQS or a record of Kinesis; None for anything else."""
        return find_message_pathway(message)

    def _follow_new_client(self, _result: None, client: Any, /, *_args: Any, **_more: Any) -> None:
        service = service_of(client)
        register_switched_handlers(client.meta.events, service)
        receive_calls.hook_client(self.hooks, client, service, lambda: class_hooks.is_on_classes)
        if class_hooks.is_on_classes:  # boto3 may be there since; a resource's client is made before its class
            resources.hook_factories(self.hooks)


integration: Botocore = Botocore(class_hooks)
