"""Handlers on a client: where they are registered, each once, whether by `wrap` or by `instrument`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from botocore.client import BaseClient
from botocore.session import Session

from asyncdsm.integration import Hooks
from asyncdsm_botocore import eventbridge, kinesis, sns, sqs

Handler = Callable[..., None]

# Makes the handlers of each service, by the names of their events.
_SERVICES: Mapping[str, Callable[[], Mapping[str, Handler]]] = {
    "eventbridge": eventbridge.make_eventbridge_handlers,
    "kinesis": kinesis.make_kinesis_handlers,
    "sns": sns.make_sns_handlers,
    "sqs": sqs.make_sqs_handlers,
}


class_hooks: Hooks = Hooks()
"""The hooks on botocore's classes. The handlers that they have registered on clients stay there, and act meanwhile."""


def _call_while_on_classes(handler: Handler, **event: Any) -> None:
    if class_hooks.is_on_classes:
        handler(**event)


def client_in(client: Any) -> Any | None:
    """Return the client itself, or the client of a boto3 resource; None for other objects."""
    inner = client if isinstance(client, BaseClient) else getattr(getattr(client, "meta", None), "client", None)
    return inner if isinstance(inner, BaseClient) else None


def session_in(session: Any) -> Any | None:
    """Return the session of botocore or aiobotocore itself, or that of boto3 or aioboto3; None for other objects."""
    inner = getattr(session, "_session", session)
    return inner if isinstance(inner, Session) else None


def service_of(client: Any) -> str:
    """Return the name of a client's service in botocore's events, such as `sqs`."""
    return str(client.meta.service_model.service_id.hyphenize())


def register_handlers(emitter: Any, service: str | None) -> None:
    """Register the handlers of a service for good; those of all services if it is None, for a session's emitter."""
    for event, handler in _make_handlers(service):
        emitter.unregister(event, unique_id=_unique_id(event))  # one that acts only while hooks are on the classes
        emitter.register_last(event, handler, unique_id=_unique_id(event))


def register_switched_handlers(emitter: Any, service: str | None) -> None:
    """Register the handlers of a service for as long as hooks are on the classes. Handlers that are there stay."""
    for event, handler in _make_handlers(service):
        emitter.register_last(event, partial(_call_while_on_classes, handler), unique_id=_unique_id(event))


def _make_handlers(service: str | None) -> list[tuple[str, Handler]]:
    handlers = [make() for name, make in _SERVICES.items() if service in (None, name)]
    return [item for each in handlers for item in each.items()]


def _unique_id(event: str) -> str:
    return f"asyncdsm-{event}"
