"""Calls of aiobotocore that receive messages: from such a call on, the previous message is no longer current.

The method is called in its caller's task, but the coroutine that it returns may run in another task: under
`create_task`, `gather` and, before Python 3.12, `asyncio.wait_for`. What an event handler sets there never reaches the
caller, to whom the previous message would remain current.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import ContextVar
from inspect import iscoroutinefunction
from typing import Any
from weakref import ReferenceType, ref

from asyncdsm.integration import Hook, Hooks, before, current_task, guarded, set_current

_METHODS = {"sqs": "receive_message", "kinesis": "get_records"}

_calling_task: ContextVar[ReferenceType[Any] | None] = ContextVar("asyncdsm_botocore_calling_task", default=None)


@guarded
def hook_new_class(class_attributes: dict[str, Any], base_classes: list[type], **_: Any) -> None:
    """Handle `creating-client-class`: a session is about to make a client, and a class for it."""
    for name in _METHODS.values():
        if name in class_attributes and any(map(_is_async, base_classes)):
            original = class_attributes[name]
            class_attributes[name] = functools.wraps(original)(_clear_before_call(lambda: True)(original))


def hook_client(hooks: Hooks, client: Any, service: str, is_on: Callable[[], bool]) -> None:
    """Hook the receiving method of an existing client, if it is asynchronous. The hook acts while `is_on()` is true."""
    name = _METHODS.get(service)
    if name is not None and _is_async(client):
        hooks.put(client, name, _clear_before_call(is_on))


def pop_calling_task() -> Any | None:
    """Return the task that made the call whose response is now handled; None if it is not known. Forget it."""
    reference = _calling_task.get()
    _calling_task.set(None)
    return None if reference is None else reference()


def _is_async(client: Any) -> bool:
    return iscoroutinefunction(getattr(client, "_make_api_call", None))


def _clear_before_call(is_on: Callable[[], bool]) -> Hook:
    @before
    def clear_current(*_args: Any, **_more: Any) -> None:
        if is_on():
            set_current(None)
            task = current_task()
            _calling_task.set(None if task is None else ref(task))

    return clear_current
