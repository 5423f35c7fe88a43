"""botocore, boto3, aiobotocore: `asyncdsm.wrap(session)`, `asyncdsm.wrap(client)`, `asyncdsm.instrument("botocore")`.

All three make their calls through botocore's events, and so does all of this: `sqs`, `sns`, `kinesis` and
`eventbridge` are handlers of the events of those operations that carry messages. `attributes` and `slots` put a
context where it stands on its way out, `limits` says whether there is room, `departing` counts what has left.
`received` records what comes back, `hiding` takes out what only asyncdsm asked for, and `resources` follows the lists
that boto3's resources make of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import botocore
from botocore.client import BaseClient
from botocore.session import Session

from asyncdsm._internal.mocks import is_mock
from asyncdsm.core.checkpoint import report_hook_error
from asyncdsm.integration.base import check_version
from asyncdsm.integration.hooks import Hooks
from asyncdsm_botocore import asking, events, resources
from asyncdsm_botocore.received import pathway_of

__all__ = ["VERSIONS", "WRAPS", "instrument", "pathway_of", "uninstrument", "wrap"]

VERSIONS = ("1.29", "1.43")
WRAPS = "a client, a session or a resource of boto3"

_hooks = Hooks()


def wrap(client: Any) -> Any | None:
    """Put the handlers on a client, a resource of boto3 or a session, whose later clients then have them.

    None for anything else.
    """
    is_resource = resources.is_resource(client)
    session, inner = _session_in(client), _client_in(client)
    if inner is not None:
        _wrap_client(inner)
    elif session is not None:
        _wrap_session(session)
    elif not is_resource:
        return None
    if is_resource and not is_mock(client):
        resources.follow_resource(client)
    check_version("botocore", botocore.__version__, VERSIONS)
    return client


def instrument() -> None:
    """Put the handlers on every client that is made from now on, in whichever session."""
    check_version("botocore", botocore.__version__, VERSIONS)
    # Not by an event: a session that is there already has none that would reach us.
    _hooks.put(BaseClient, "__init__", _init)
    resources.instrument(_hooks)
    events.instrumented.is_on = True


def uninstrument() -> None:
    """Take the handlers off again; clients and sessions that were wrapped one by one stay so."""
    _hooks.remove()
    events.instrumented.is_on = False


def _wrap_client(client: Any) -> None:
    if not is_mock(client):
        events.follow(client.meta.events, _service(client))
        asking.on_client(client, _service(client), lambda: True)


def _wrap_session(session: Any) -> None:
    if not is_mock(session):
        events.follow(session.get_component("event_emitter"), None)


def _client_in(client: Any) -> Any | None:
    """Return a client itself, or that of a resource of boto3."""
    inner = client if isinstance(client, BaseClient) else getattr(getattr(client, "meta", None), "client", None)
    return inner if isinstance(inner, BaseClient) else None


def _session_in(client: Any) -> Any | None:
    """Return a session of botocore or aiobotocore itself, or the one inside of boto3's or aioboto3's."""
    session = getattr(client, "_session", client)
    return session if isinstance(session, Session) else None


def _service(client: Any) -> str:
    return str(client.meta.service_model.service_id.hyphenize())


def _init(original: Callable[..., None]) -> Callable[..., None]:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        original(self, *args, **kwargs)
        try:
            events.follow_while_instrumented(self.meta.events, _service(self))
            asking.on_client(self, _service(self), lambda: events.instrumented.is_on)
            if events.instrumented.is_on:  # boto3 makes a resource's client before its class
                resources.instrument(_hooks)
        except Exception as error:
            report_hook_error(error)

    return __init__
