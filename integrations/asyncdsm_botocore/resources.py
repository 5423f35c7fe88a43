"""boto3's resources: `queue.receive_messages()` makes a new list, of its own objects, out of the client's answer.

Each class of a resource is made anew by a factory, which a session and all of its resources share.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from typing import Any

from asyncdsm.core import checkpoint, current
from asyncdsm.core.checkpoint import report_hook_error
from asyncdsm.integration.consumed_list import ConsumedList
from asyncdsm.integration.hooks import Hooks, after
from asyncdsm_botocore.received import recall

_METHOD = "receive_messages"
_hooks = Hooks()


def instrument(hooks: Hooks) -> None:
    """Follow the queues of every factory, if boto3 is in use: it is slow to import for whoever does not need it."""
    kind = _factory_class()
    if kind is not None:
        hooks.put(kind, "load_from_definition", _follow_made)


def follow_resource(resource: Any) -> None:
    """Follow the queues that a resource or a session of boto3 makes, and the resource itself if it is one."""
    factory = getattr(resource, "resource_factory", None) or _factory_of(resource)
    if factory is not None:
        _hooks.put(factory, "load_from_definition", _follow_made)
    if vars(type(resource)).get(_METHOD) is not None:  # a class of this one object
        _follow_class(type(resource))


def is_resource(thing: Any) -> bool:
    """Say whether this is a session or a resource of boto3, or passes for one, as mocks do."""
    return any(isinstance(thing, kind) for kind in _boto3_classes())


def _boto3_classes() -> Iterator[type]:
    for module, name in (("boto3.session", "Session"), ("boto3.resources.base", "ServiceResource")):
        found = getattr(sys.modules.get(module), name, None)
        if isinstance(found, type):
            yield found


def _factory_class() -> Any | None:
    return getattr(sys.modules.get("boto3.resources.factory"), "ResourceFactory", None)


def _factory_of(resource: Any) -> Any | None:
    """Return the factory that made a resource's class, which the methods of that class refer to."""
    kind = _factory_class()
    if kind is None:
        return None
    for function in vars(type(resource)).values():
        for cell in getattr(function, "__closure__", None) or ():
            if isinstance(cell.cell_contents, kind):
                return cell.cell_contents
    return None


@after
def _follow_made(made: Any, *_args: Any, **_more: Any) -> None:
    if isinstance(made, type) and vars(made).get(_METHOD) is not None:
        _follow_class(made)


def _follow_class(kind: Any) -> None:
    original = vars(kind)[_METHOD]
    if not hasattr(original, "__asyncdsm_original__"):
        hooked: Any = functools.wraps(original)(_receive_messages(original))
        hooked.__asyncdsm_original__ = original
        setattr(kind, _METHOD, hooked)


def _receive_messages(original: Any) -> Any:
    def receive_messages(self: Any, *args: Any, **kwargs: Any) -> Any:
        messages = original(self, *args, **kwargs)
        try:
            return _followed(messages)
        except Exception as error:
            report_hook_error(error)
            return messages

    return receive_messages


def _followed(messages: Any) -> Any:
    if type(messages) is not list or not messages or checkpoint.ensure_recorder() is None:
        return messages
    pathways = [recall(message) for message in messages]
    if pathways == [current.snapshot()] or not any(pathways):  # one that is current, or a client not followed
        return messages
    return ConsumedList(messages, pathways)
