"""What is known of one client: whether it is followed, what it has subscribed to, how large its packets may be."""

from __future__ import annotations

from typing import Any

from asyncdsm._internal.bounds import make_room
from asyncdsm.integration import Hooks, after
from asyncdsm.integration.formats.mqtt import find_shared_group

_ATTRIBUTE = "_asyncdsm"
MOST_TOPICS = 8192
"""For how many topics a client's groups are remembered. The oldest is forgotten, and found again on its next use."""

class_hooks: Hooks = Hooks()
"""The hooks on aiomqtt's classes while every client is followed. Those that are wrapped have others."""


class Connection:
    """One client, over all its connections."""

    def __init__(self) -> None:
        self.is_wrapped: bool = False
        self.most_bytes: int | None = None
        """How large a packet the broker takes, if it says so."""
        self._is_watched = False
        self._subscriptions: dict[str, str] = {}  # to their groups, "" without one
        self._groups: dict[str, str] = {}  # by topic, for those that were met

    def watch_answers(self, paho: Any) -> None:
        """Observe what the broker answers when the client connects, from the next time on."""
        if not self._is_watched and paho.on_connect is not None:
            paho.on_connect = after(self._observe_answer)(paho.on_connect)
            self._is_watched = True

    def _observe_answer(
        self, _result: Any, _paho: Any, _data: Any, flags: Any, _code: Any, properties: Any = None, *_args: Any
    ) -> None:
        self.most_bytes = getattr(properties, "MaximumPacketSize", None)
        if not flags.session_present:  # the broker has no subscriptions of this client
            self._subscriptions, self._groups = {}, {}

    def subscribe(self, topic: Any) -> None:
        """Note a subscription. paho-mqtt takes a string, a tuple that begins with one, or a list of such tuples."""
        for each in topic if isinstance(topic, list) else [topic]:
            name = each[0] if isinstance(each, tuple) else each
            self._subscriptions[name] = find_shared_group(name)
        self._groups = {}

    def unsubscribe(self, topic: Any) -> None:
        """Note that subscriptions ended: a string, or a list of strings."""
        for name in topic if isinstance(topic, list) else [topic]:
            self._subscriptions.pop(name, None)
        self._groups = {}

    def find_group(self, topic: Any) -> str:
        """Return the group for which a message came, by its topic; "" if it is none, or not known. **Hot**.

        A message does not say by which subscription it came. The group is known if all subscriptions of the client
        that match are shared by one group.
        """
        name: str = topic.value
        group = self._groups.get(name)
        if group is None:
            groups = {group for each, group in list(self._subscriptions.items()) if topic.matches(each)}
            group = groups.pop() if len(groups) == 1 else ""
            make_room(self._groups, MOST_TOPICS)
            self._groups[name] = group
        return group


def wrap_connection(client: Any) -> None:
    """Follow one client from now on."""
    connection = _ensure_connection(client)
    connection.is_wrapped = True
    connection.watch_answers(client._client)


def find_followed(client: Any) -> Connection | None:
    """Return what is known of a client; None for one that is not followed. **Hot**."""
    connection: Connection | None = vars(client).get(_ATTRIBUTE)
    if connection is None:
        return _ensure_connection(client) if class_hooks.is_on_classes else None
    return connection if connection.is_wrapped or class_hooks.is_on_classes else None


def _ensure_connection(client: Any) -> Connection:
    connection: Connection = vars(client).setdefault(_ATTRIBUTE, Connection())
    return connection
