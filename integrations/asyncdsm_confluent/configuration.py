"""What a client is made with: a dict, keywords, or both, of which the keywords win."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from asyncdsm.core.checkpoint import report_hook_error
from asyncdsm.core.lag import add_lag_source
from asyncdsm_confluent.client import Client, attach, instrumented
from asyncdsm_confluent.offsets import telling


def producer(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Producer.__init__`: the callback for all messages is given here."""

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            _new_client(self).on_delivery = _settings(args, kwargs).get("on_delivery")
        except Exception as error:
            report_hook_error(error)
        # C takes an empty dict of keywords for a configuration, and no dict for a mistake.
        original(self, *args, **kwargs) if kwargs else original(self, *args)

    return init


def consumer(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Consumer.__init__`: the group is given here, and who is told of commits."""

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            client, settings = _new_client(self), _settings(args, kwargs)
            client.group = _group(settings)
            add_lag_source(client.behind)
            users = settings.get("on_commit")
            if callable(users) or (settings and "on_commit" not in settings):  # anything else, C refuses
                kwargs = {**kwargs, "on_commit": telling(client, users)}
        except Exception as error:
            report_hook_error(error)
        original(self, *args, **kwargs) if kwargs else original(self, *args)

    return init


def share_consumer(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `ShareConsumer.__init__`: it has a group, and commits no offsets."""

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            _new_client(self).group = _group(_settings(args, kwargs))
        except Exception as error:
            report_hook_error(error)
        original(self, *args, **kwargs) if kwargs else original(self, *args)

    return init


def _new_client(owner: Any) -> Client:
    """Return a new object for what is known of a client."""
    client = attach(owner, Client())
    if not hasattr(type(owner), "_asyncdsm_follows"):  # wrapped classes have that
        instrumented.add(client)
    return client


def _settings(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Mapping[str, Any]:
    """Return the whole configuration, as far as it can be read; C refuses the rest."""
    return {**args[0], **kwargs} if args and isinstance(args[0], dict) else kwargs


def _group(settings: Mapping[str, Any]) -> str | None:
    """Return the name of the consumer group. C takes a number too, and makes a string of it."""
    group = settings.get("group.id")
    return str(group) if group is not None else None
