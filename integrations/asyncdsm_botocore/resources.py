"""boto3's resources: `queue.receive_messages()` makes a list of its own objects from the client's response.

A factory makes the class of each resource anew. A session and all of its resources share one factory.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from typing import Any

from asyncdsm.integration import ConsumedList, Hooks, after, ensure_recorder, guarded, snapshot
from asyncdsm.integration.formats import aws
from asyncdsm_botocore.consume import find_recorded_pathway, in_resource_call

_METHOD = "receive_messages"


def hook_factories(hooks: Hooks) -> None:
    """Hook every factory, if boto3 is imported: to import it is slow for programs that do not use it."""
    factory_class = _factory_class()
    if factory_class is not None:
        hooks.put(factory_class, "load_from_definition", _follow_made_class)


def follow_resource(hooks: Hooks, resource: Any) -> None:
    """Follow the queues that a resource or a session of boto3 makes, and the resource itself if it is a queue."""
    factory = getattr(resource, "resource_factory", None) or _factory_of(resource)
    if factory is not None:
        hooks.put(factory, "load_from_definition", _follow_made_class)
    if vars(type(resource)).get(_METHOD) is not None:  # the class of this one object
        _follow_class(type(resource))


def is_resource(candidate: Any) -> bool:
    """Say whether an object is a session or a resource of boto3, or pretends to be one, as mocks do."""
    return any(isinstance(candidate, cls) for cls in _boto3_classes())


def _boto3_classes() -> Iterator[type]:
    for module, name in (("boto3.session", "Session"), ("boto3.resources.base", "ServiceResource")):
        cls = getattr(sys.modules.get(module), name, None)
        if isinstance(cls, type):
            yield cls


def _factory_class() -> Any | None:
    return getattr(sys.modules.get("boto3.resources.factory"), "ResourceFactory", None)


def _factory_of(resource: Any) -> Any | None:
    """Return the factory that has made a resource's class: the methods of that class refer to it."""
    factory_class = _factory_class()
    if factory_class is None:
        return None
    for function in vars(type(resource)).values():
        for cell in getattr(function, "__closure__", None) or ():
            if isinstance(cell.cell_contents, factory_class):
                return cell.cell_contents
    return None


@after
def _follow_made_class(made: Any, /, *_args: Any, **_more: Any) -> None:
    if isinstance(made, type) and vars(made).get(_METHOD) is not None:
        _follow_class(made)


def _follow_class(cls: Any) -> None:
    original = vars(cls)[_METHOD]
    if not hasattr(original, "__asyncdsm_original__"):
        hooked: Any = functools.wraps(original)(_hook_receive_messages(original))
        hooked.__asyncdsm_original__ = original
        setattr(cls, _METHOD, hooked)


def _hook_receive_messages(original: Any) -> Any:
    def receive_messages(queue: Any, /, *args: Any, **kwargs: Any) -> Any:
        before = in_resource_call.set(True)
        try:
            messages = original(queue, *args, **kwargs)
        finally:
            in_resource_call.reset(before)
        return _follow_list(queue, messages) or messages

    return receive_messages


@guarded
def _follow_list(queue: Any, messages: Any) -> Any:
    """Return a followed list of the same messages; None if the list can be returned to the program as it is."""
    if type(messages) is not list or not messages or ensure_recorder() is None:
        return None
    pathways = [find_recorded_pathway(message) for message in messages]
    if pathways == [snapshot()] or not any(pathways):  # the only message is current, or the client is not followed
        return None
    url = getattr(queue, "url", None)
    edge = aws.edges["in", "sqs", aws.queue_name(url)] if isinstance(url, str) else None
    return ConsumedList(messages, pathways, [edge] * len(messages))
