"""Event hubs, each of two partitions, and those who read them."""

from __future__ import annotations

import re
from hashlib import sha256
from itertools import count
from typing import Any

from proton import UNDESCRIBED, Array, Data, symbol, timestamp

from tests.brokers.azure_server.event_log import OFFSET_STEP, EventLog
from tests.brokers.azure_server.links import (
    MAX_MESSAGE_BYTES,
    Entity,
    Refusal,
    Reply,
    decode_message,
    now_ms,
    read_filters,
    split_batch,
)

PARTITIONS = 2
PARTITION_KEY = "x-opt-partition-key"
SELECTOR_FILTER = "apache.org:selector-filter:string"
SELECTOR = re.compile(r"amqp\.annotation\.x-opt-([a-z-]+) (>=?) '(.*)'")
TRACKED = "tracked"
"""How the name of a hub begins whose events tell the end of their partition: proton hides whether a link wants that."""


class Hub(Entity):
    """What events are sent to: a hub, which chooses the partition, or one partition of it."""

    def __init__(self, name: str, partition: str | None, log: EventLog) -> None:
        self._name, self._partition, self._log = name, partition, log
        self._turns = count()

    def take(self, link: Any, body: bytes) -> None:
        if len(body) > MAX_MESSAGE_BYTES:
            raise Refusal("amqp:link:message-size-exceeded", f"the message size {len(body)} is too large")
        events = split_batch(body)
        if events:
            self._log.add(f"{self._name}/{self._choose(events[0])}", events, now_ms())

    def _choose(self, event: bytes) -> str:
        if self._partition is not None:
            return self._partition
        key = (decode_message(event).annotations or {}).get(symbol(PARTITION_KEY))
        number = next(self._turns) if key is None else sha256(str(key).encode()).digest()[0]
        return str(number % PARTITIONS)


class Partition(Entity):
    """What one consumer group reads: each link from its own position on."""

    def __init__(self, name: str, log: EventLog) -> None:
        self._name, self._log = name, log
        self._next = dict[Any, int]()
        self._tags = count()

    def accept(self, link: Any) -> None:
        """Find the position that the selector of a link asks for."""
        selector = SELECTOR.fullmatch(str(read_filters(link).get(SELECTOR_FILTER)))
        if selector is None:
            raise Refusal("amqp:invalid-field", "a link needs a position")
        kind, operator, value = selector.groups()
        self._next[link] = self._log.find(self._name, kind, value, is_inclusive=operator == ">=")

    def closed(self, link: Any) -> None:
        self._next.pop(link, None)

    def give(self, link: Any) -> None:
        events = self._log.events(self._name)
        while link.credit > 0 and self._next[link] < len(events):
            link.delivery(str(next(self._tags)))
            link.stream(self._annotate(self._next[link], tells_end=self._name.startswith(TRACKED)))
            link.advance()
            self._next[link] += 1

    def settle(self, link: Any, delivery: Any) -> None:
        delivery.update(delivery.remote_state)
        delivery.settle()

    def _annotate(self, sequence: int, *, tells_end: bool) -> bytes:
        """Return an event as a client gets it: with what the hub knows of it."""
        events = self._log.events(self._name)
        event, last = events[sequence], len(events) - 1
        message = decode_message(event.body)
        message.annotations = {
            **(message.annotations or {}),
            symbol("x-opt-sequence-number"): sequence,
            symbol("x-opt-offset"): str(sequence * OFFSET_STEP),
            symbol("x-opt-enqueued-time"): timestamp(event.enqueued_ms),
        }
        if tells_end:
            message.instructions = {
                symbol("last_enqueued_sequence_number"): last,
                symbol("last_enqueued_offset"): str(last * OFFSET_STEP),
                symbol("last_enqueued_time_utc"): timestamp(events[last].enqueued_ms),
                symbol("runtime_info_retrieval_time_utc"): timestamp(now_ms()),
            }
        return bytes(message.encode())


class EventHubs:
    """The hubs of a namespace. Each is made when it is first named."""

    def __init__(self, folder: str) -> None:
        self._log = EventLog(folder)
        self._entities = dict[str, Hub | Partition]()

    def find(self, _link: Any, name: str) -> Hub | Partition:
        """Return what a path leads to, such as `orders`, or `orders/ConsumerGroups/$Default/Partitions/0`."""
        if name not in self._entities:
            hub, _, partition = name.partition("/Partitions/")
            hub, _, group = hub.partition("/ConsumerGroups/")
            log = self._log
            self._entities[name] = Partition(f"{hub}/{partition}", log) if group else Hub(hub, partition or None, log)
        return self._entities[name]

    def answer(self, _address: str, properties: dict[str, Any], _body: Any) -> Reply:
        """Answer a request to the hub's `$management`."""
        hub = properties["name"]
        if "partition" not in properties:
            undescribed: Any = UNDESCRIBED
            ids = Array(undescribed, Data.STRING, *map(str, range(PARTITIONS)))
            return 200, {"name": hub, "created_at": timestamp(now_ms()), "partition_ids": ids}
        partition = str(properties["partition"])
        events = self._log.events(f"{hub}/{partition}")
        last = len(events) - 1
        return 200, {
            "name": hub,
            "partition": partition,
            "begin_sequence_number": 0,
            "last_enqueued_sequence_number": last,
            "last_enqueued_offset": str(last * OFFSET_STEP),
            "last_enqueued_time_utc": timestamp(events[last].enqueued_ms if events else 0),
            "is_partition_empty": not events,
        }
