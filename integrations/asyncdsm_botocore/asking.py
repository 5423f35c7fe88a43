"""Calls of aiobotocore that ask for the next messages: the last one is done with when they are made.

A call is made in its caller's task, but the coroutine that it returns may run in another: under `create_task`,
`gather` and, before Python 3.12, `asyncio.wait_for`. What a handler of an event sets there never reaches the caller,
who would go on with the message before.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import ContextVar
from inspect import iscoroutinefunction
from typing import Any
from weakref import ReferenceType, ref

from asyncdsm.core import current
from asyncdsm.integration.batch import current_task
from asyncdsm.integration.hooks import Hook, Hooks, before
from asyncdsm_botocore.departing import harmless

_METHODS = {"sqs": "receive_message", "kinesis": "get_records"}

_asked_in: ContextVar[ReferenceType[Any] | None] = ContextVar("asyncdsm_botocore_asked_in", default=None)

_hooks = Hooks()


@harmless
def on_class(class_attributes: dict[str, Any], base_classes: list[type], **_: Any) -> None:
    """Handle `creating-client-class`: a session is about to make a client."""
    for name in _METHODS.values():
        if name in class_attributes and any(map(_is_async, base_classes)):
            original = class_attributes[name]
            class_attributes[name] = functools.wraps(original)(_clearing(lambda: True)(original))


def on_client(client: Any, service: str, is_on: Callable[[], bool]) -> None:
    """Let a client that is there clear what is current, as long as `is_on` says so."""
    name = _METHODS.get(service)
    if name is not None and _is_async(client):
        _hooks.put(client, name, _clearing(is_on))


def take_asker() -> Any | None:
    """Return the task in which the call was made that now runs, once; None where that is not known."""
    reference = _asked_in.get()
    _asked_in.set(None)
    return None if reference is None else reference()


def _is_async(client: Any) -> bool:
    return iscoroutinefunction(getattr(client, "_make_api_call", None))


def _clearing(is_on: Callable[[], bool]) -> Hook:
    def ask(*_args: Any, **_more: Any) -> None:
        if is_on():
            current.set_current(None)
            task = current_task()
            _asked_in.set(None if task is None else ref(task))

    return before(ask)
