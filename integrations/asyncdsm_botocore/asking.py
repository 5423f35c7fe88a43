"""Who asks aiobotocore for the next messages is done with the last one: when it is called, not when it then runs.

Before Python 3.12 `asyncio.wait_for` runs a coroutine in a task of its own, and what a handler of an event sets there
never reaches the caller, who would go on with the message before.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

from asyncdsm import checkpoint
from asyncdsm_botocore.departing import harmless

_METHODS = {"sqs": "receive_message", "kinesis": "get_records"}


@harmless
def on_class(class_attributes: dict[str, Any], base_classes: list[type], **_: Any) -> None:
    """Handle `creating-client-class`: a session is about to make a client."""
    for name in _METHODS.values():
        if name in class_attributes and any(map(_needs_it, base_classes)):
            class_attributes[name] = _clearing(class_attributes[name], lambda: True)


def on_client(client: Any, service: str, is_on: Callable[[], bool]) -> None:
    """Let a client that is there clear what is current, as long as `is_on` says so."""
    name = _METHODS.get(service)
    if name is not None and name not in vars(client) and _needs_it(client):
        setattr(client, name, _clearing(getattr(client, name), is_on))


def _needs_it(client: Any) -> bool:
    return sys.version_info < (3, 12) and iscoroutinefunction(getattr(client, "_make_api_call", None))


def _clearing(method: Callable[..., Any], is_on: Callable[[], bool]) -> Callable[..., Any]:
    @wraps(method)
    def ask(*args: Any, **kwargs: Any) -> Any:
        if is_on():
            checkpoint.set_current(None)
        return method(*args, **kwargs)

    return ask
