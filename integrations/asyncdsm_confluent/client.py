"""What is known of one client: its cluster, its group, its edges; and where that is kept."""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any
from weakref import WeakSet

from confluent_kafka import KafkaException

from asyncdsm.core.edge import Edge, EdgeCache
from asyncdsm.core.lag import add_lag_source
from asyncdsm.integration.formats.kafka import make_in_edge, make_out_edge, read_name
from asyncdsm_confluent.behind import Behind

SECONDS_BETWEEN_ASKING = 0.1


class Client:
    """One producer or consumer."""

    def __init__(self) -> None:
        self.cluster_id: str | None = None
        self.group: str | None = None
        self.is_followed = True
        """False once the hooks of its class were taken off; the callbacks that it was made with stay."""
        self.injects = True
        """False once the broker refused a message with headers."""
        self.is_below = False
        """True for what an asyncio client drives in threads of its pool: that one counts and makes current."""
        self.on_delivery: Callable[..., Any] | None = None
        """The program's callback for messages without one of their own."""
        self.reports_all = True
        """False for a producer whose `on_delivery` we cannot know: one of ours would stand before it."""
        self.acknowledged: dict[tuple[str, int], int] = {}
        """The highest offsets that delivery reports told and that were not recorded yet."""
        self.transaction: list[tuple[str | None, list[Any]]] = []
        """Groups and offsets that the open transaction will commit."""
        self.behind: Behind = Behind(self)
        self._ask_at = 0.0
        self._out = EdgeCache[str](self._make_out_edge)
        self._in = EdgeCache[str](self._make_in_edge)

    def out_edge(self, topic: str) -> Edge:
        """Return the edge of producing to a topic. Raises MalformedValueError for a topic that is no string."""
        return self._out[topic]

    def in_edge(self, topic: str) -> Edge:
        """Return the edge of consuming from a topic. Raises MalformedValueError for a topic that is no string."""
        return self._in[topic]

    def _make_out_edge(self, topic: str) -> Edge:
        return make_out_edge(topic, self.cluster_id)

    def _make_in_edge(self, topic: str) -> Edge:
        edge = make_in_edge(topic, self.group, self.cluster_id)
        last_in_edge.store(topic, edge)
        return edge

    def learn_cluster_id(self, owner: Any, *, has_answered: bool) -> None:
        """Take the cluster's id as far as the client has it: with no time to wait, it does not ask the broker.

        Not from a delivery report: librdkafka's wrapper ends the process when it is called from its own callbacks.
        """
        if self.cluster_id is not None or not (has_answered or monotonic() >= self._ask_at):
            return
        self._ask_at = monotonic() + SECONDS_BETWEEN_ASKING
        with suppress(Exception):  # not known yet; closed; a release that has no such method, or another one
            name = read_name(owner.cluster_id(0))
            if name is not None:
                self.cluster_id = name
                self._out.clear()
                self._in.clear()


instrumented: WeakSet[Client] = WeakSet()
"""Those that are followed by their class alone, until `uninstrument`."""

last_in_edge = EdgeCache[str](lambda topic: make_in_edge(topic, None, None))
"""By topic, for a message that does not say who consumed it."""

_beside: dict[int, Client] = {}
"""By the id of its object: those of C's own layout have no room for attributes."""


class Beside:
    """The attribute `_asyncdsm` of objects without room for one. Where there is room, the object's own wins."""

    def __get__(self, owner: Any, kind: type) -> Client | None:
        if owner is None:  # asked of the class
            return None
        found = _beside.get(id(owner))
        return found if found is not None else attach(owner, adopted(owner))


def attach(owner: Any, client: Client) -> Client:
    """Keep what is known of a client with it, or beside it."""
    try:
        owner._asyncdsm = client
    except AttributeError:
        _beside[id(owner)] = client
    return client


def forget(owner: Any) -> None:
    """Forget an object that is no more: another may get its id."""
    _beside.pop(id(owner), None)


def forget_instrumented() -> None:
    """Follow no more what was followed by `instrument` alone."""
    for client in list(instrumented):
        client.is_followed = False
        client.behind.forget()
    instrumented.clear()


def client_of(owner: Any) -> Client:
    """Return what is known of a client."""
    client: Client = owner._asyncdsm
    return client


def adopted(owner: Any) -> Client:
    """Return what can be found out of a client that was made before it was followed."""
    client = Client()
    with suppress(AttributeError, KafkaException, RuntimeError):
        client.group = group_in(owner.consumer_group_metadata())
        add_lag_source(client.behind)
    own = {id(value) for value in getattr(owner, "__dict__", {}).values()}
    held = (held for held in gc.get_referents(owner) if id(held) not in own and not isinstance(held, type))
    client.reports_all = not any(callable(one) for one in held)
    return client


def group_in(metadata: Any) -> str | None:
    """Return the group that a consumer's metadata names: "CGMDv2:", four bytes of generation, the name, a zero byte."""
    try:
        group: str = metadata.partition(b":")[2][4:].partition(b"\0")[0].decode()
    except (AttributeError, UnicodeDecodeError):
        return None
    return group or None
