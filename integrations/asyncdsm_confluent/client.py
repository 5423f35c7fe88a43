"""What is known of one client, and where that is kept."""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any
from weakref import WeakSet

from confluent_kafka import KafkaException

from asyncdsm.integration import add_lag_source
from asyncdsm.integration.formats.kafka import KafkaClient
from asyncdsm_confluent.lag import ConsumerLag, read_cluster_id

SECONDS_BETWEEN_QUESTIONS = 0.1
"""How often a client is asked for the cluster's id until it knows it."""


class Client(KafkaClient):
    """One producer or consumer."""

    def __init__(self) -> None:
        super().__init__()
        self.is_followed: bool = True
        """False once the hooks of its class were removed; the callbacks that it was made with stay."""
        self.is_inside_aio: bool = False
        """True for a client that an asyncio client drives in threads: that one counts and makes pathways current."""
        self.on_delivery: Callable[..., Any] | None = None
        """The program's callback for messages without one of their own."""
        self.can_add_reports: bool = True
        """False for a producer whose `on_delivery` is not known: a callback of asyncdsm would replace it."""
        self.acknowledged: dict[tuple[str, int], int] = {}
        """The latest offsets in delivery reports, by topic and partition, that were not recorded yet."""
        self.too_large: dict[str, tuple[int, Any]] = {}
        """By topic, the largest message that the broker rejected as too large, and its error, if not learned yet."""
        self.lag: ConsumerLag = ConsumerLag(self)
        self._ask_at = 0.0

    def ask_cluster_id(self, owner: Any, *, has_answered: bool) -> None:
        """Learn the cluster's id if the client has it: with no time to wait, the client does not ask the broker.

        `has_answered` says that the broker has just answered something; the cluster may be another one than before.
        Not to be called from a delivery report: librdkafka's wrapper ends the process when it is called from its own
        callbacks.
        """
        if has_answered or (self.cluster_id is None and monotonic() >= self._ask_at):
            self._ask_at = monotonic() + SECONDS_BETWEEN_QUESTIONS
            self.learn_cluster_id(read_cluster_id(owner))


instrumented: WeakSet[Client] = WeakSet()
"""The clients that are followed because of their class alone, until `uninstrument`."""

_by_id: dict[int, Client] = {}  # by the id of its object: objects of C's own layout have no room for attributes


class ClientSlot:
    """The attribute `_asyncdsm` of objects without room for one. Where there is room, the object's own wins."""

    def __get__(self, owner: Any, cls: type) -> Client | None:
        if owner is None:  # looked up in the class
            return None
        found = _by_id.get(id(owner))
        return found if found is not None else attach_client(owner, recover_client(owner))


def attach_client(owner: Any, client: Client) -> Client:
    """Keep what is known of a client as its attribute, or by its id."""
    try:
        owner._asyncdsm = client
    except AttributeError:
        _by_id[id(owner)] = client
    return client


def forget_id(owner: Any) -> None:
    """Forget an object that is being deleted: another one may get its id."""
    _by_id.pop(id(owner), None)


def forget_instrumented() -> None:
    """Stop following the clients that were followed by `instrument` alone."""
    for client in list(instrumented):
        client.is_followed = False
        client.lag.clear()
    instrumented.clear()


def client_of(owner: Any) -> Client:
    """Return what is known of a client. **Hot**."""
    client: Client = _by_id.get(id(owner)) or owner._asyncdsm
    return client


def recover_client(owner: Any) -> Client:
    """Return what can be found out about a client that was made before it was followed."""
    client = Client()
    with suppress(AttributeError, KafkaException, RuntimeError):
        client.group = read_group(owner.consumer_group_metadata())
        add_lag_source(client.lag)
    own = {id(value) for value in getattr(owner, "__dict__", {}).values()}
    held = (held for held in gc.get_referents(owner) if id(held) not in own and not isinstance(held, type))
    client.can_add_reports = not any(callable(one) for one in held)
    return client


def read_group(metadata: Any) -> str | None:
    """Return the group in a consumer's metadata: "CGMDv2:", four bytes of generation, the name, a zero byte."""
    try:
        group: str = metadata.partition(b":")[2][4:].partition(b"\0")[0].decode()
    except (AttributeError, UnicodeDecodeError):
        return None
    return group or None
