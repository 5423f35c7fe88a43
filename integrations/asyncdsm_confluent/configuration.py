"""The settings that a client is made with: a dict, keywords, or both, in which case the keywords win."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from asyncdsm.integration import Hook, add_lag_source, guarded
from asyncdsm_confluent.client import Client, attach_client, instrumented
from asyncdsm_confluent.offsets import wrap_on_commit
from asyncdsm_confluent.schemas import watch_serializers

DEFAULT_LARGEST_MESSAGE = 1_000_000
"""librdkafka's `message.max.bytes`."""

Settings = Mapping[str, Any]
Configure = Callable[[Client, Settings], dict[str, Any] | None]
"""Takes what a client's settings tell, and returns settings to add."""


def _hook_init(configure: Configure) -> Hook:
    """Return a hook of a client's `__init__`."""

    @guarded
    def attach(owner: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any] | None:
        watch_serializers()
        client = attach_client(owner, Client())
        if not hasattr(type(owner), "_asyncdsm_follows"):  # the mark of wrapped classes
            instrumented.add(client)
        return configure(client, _merge_settings(args, kwargs))

    def hook(original: Callable[..., Any]) -> Callable[..., Any]:
        def init(self: Any, /, *args: Any, **kwargs: Any) -> None:
            kwargs |= attach(self, args, kwargs) or {}
            # C takes an empty dict of keywords for settings, and raises another error than without any.
            original(self, *args, **kwargs) if kwargs else original(self, *args)

        return init

    return hook


def _merge_settings(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Settings:
    """Return all settings that can be read; C rejects the others."""
    return {**args[0], **kwargs} if args and isinstance(args[0], dict) else kwargs


def _configure_producer(client: Client, settings: Settings) -> None:
    client.on_delivery = settings.get("on_delivery")
    with suppress(TypeError, ValueError):  # C rejects it
        client.largest_message = int(settings.get("message.max.bytes", DEFAULT_LARGEST_MESSAGE))


def _configure_share_consumer(client: Client, settings: Settings) -> None:
    group = settings.get("group.id")
    client.group = str(group) if group is not None else None  # C accepts a number too, and makes a string of it


def _configure_consumer(client: Client, settings: Settings) -> dict[str, Any] | None:
    _configure_share_consumer(client, settings)
    add_lag_source(client.lag)
    on_commit = settings.get("on_commit")
    if callable(on_commit) or (settings and "on_commit" not in settings):  # C rejects anything else
        return {"on_commit": wrap_on_commit(client, on_commit)}
    return None


hook_producer_init: Hook = _hook_init(_configure_producer)
"""Hook `Producer.__init__`: here it gets the callback for all messages."""
hook_consumer_init: Hook = _hook_init(_configure_consumer)
"""Hook `Consumer.__init__`: here it gets its group, and the callback for commits."""
hook_share_consumer_init: Hook = _hook_init(_configure_share_consumer)
"""Hook `ShareConsumer.__init__`: it has a group, and commits no offsets."""
