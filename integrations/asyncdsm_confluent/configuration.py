"""What a client is made with: a dict, keywords, or both, of which the keywords win."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asyncdsm.hooks import hook_failed
from asyncdsm.lag import add_source
from asyncdsm_confluent.client import Client, attach
from asyncdsm_confluent.offsets import telling


def producer(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Producer.__init__`: the callback for all messages is given here."""

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        attach(self, Client()).on_delivery = _given("on_delivery", args, kwargs)
        original(self, *args, **kwargs)

    return init


def consumer(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Consumer.__init__`: the group is given here, and who is told of commits."""

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        client = attach(self, Client())
        try:
            client.group = _given("group.id", args, kwargs)
            add_source(client.behind)
            users = _given("on_commit", args, kwargs)
            if users is None or callable(users):
                kwargs = {**kwargs, "on_commit": telling(client, users)}
        except Exception as error:
            hook_failed(error)
        original(self, *args, **kwargs)

    return init


def share_consumer(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `ShareConsumer.__init__`: it has a group, and commits no offsets."""

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        attach(self, Client()).group = _given("group.id", args, kwargs)
        original(self, *args, **kwargs)

    return init


def _given(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return kwargs.get(name, args[0].get(name) if args and isinstance(args[0], dict) else None)
