"""Queues, topics and subscriptions of Service Bus."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from cproton import ffi, lib
from proton import UNDESCRIBED, Array, Data, Delivery, Link, symbol, timestamp

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
from tests.brokers.azure_server.store import Store, Stored

LOCK_MS = 30_000
BRIEF_LOCK_MS = 500
"""How long a lock lasts in an entity whose name begins with `brief`."""
MAX_DELIVERIES = 10
DEAD_LETTERS = "/$DeadLetterQueue"
SESSION_FILTER = "com.microsoft:session-filter"


class Queue(Entity):
    """A queue, a subscription or a sub-queue of either; or a topic, which has subscriptions only."""

    def __init__(self, name: str, store: Store) -> None:
        self.name = name
        self._store = store
        self._lock_ms = BRIEF_LOCK_MS if name.startswith("brief") else LOCK_MS
        self._sequences = dict[bytes, int]()  # by lock token, as Azure's clients write it
        self._sessions = dict[Any, str]()
        topic, mark, rest = name.partition("/Subscriptions/")
        if mark and "/" not in rest:
            store.subscribe(topic, name)

    def accept(self, link: Any) -> None:
        """Lock the session that a link asks for."""
        filters = read_filters(link)
        if link.is_sender and SESSION_FILTER in filters:
            taken = set(self._sessions.values())
            session = filters[SESSION_FILTER] or self._store.next_session(self.name, taken, now_ms())
            if session is None:
                raise Refusal("com.microsoft:timeout", "no session has messages")
            if session in taken:
                raise Refusal("com.microsoft:session-cannot-be-locked", f"somebody has the session {session}")
            self._sessions[link] = session
            link.source.filter.clear()
            link.source.filter.put_dict({symbol(SESSION_FILTER): session})
            link.properties = {symbol("com.microsoft:locked-until-utc"): _dotnet_ticks(now_ms() + 60_000)}

    def closed(self, link: Any) -> None:
        self._sessions.pop(link, None)

    def take(self, link: Any, body: bytes) -> None:
        if len(body) > MAX_MESSAGE_BYTES:
            raise Refusal("amqp:link:message-size-exceeded", f"{len(body)} bytes are too many")
        for each in split_batch(body):
            self.store_message(each)

    def store_message(self, body: bytes) -> int:
        """Store one message; return its sequence number."""
        message = decode_message(body)
        due = int((message.annotations or {}).get(symbol("x-opt-scheduled-enqueue-time")) or 0)
        return self._store.add(self.name, body, now_ms(), due=due, session=message.group_id or None)

    def give(self, link: Any) -> None:
        is_settled = link.snd_settle_mode == Link.SND_SETTLED
        while link.credit > 0:
            until = now_ms() + self._lock_ms
            stored = self._store.lock_next(self.name, self._sessions.get(link), now_ms(), until)
            if stored is None:
                return
            if stored.deliveries >= MAX_DELIVERIES and DEAD_LETTERS not in self.name:
                self._store.move(stored.sequence, self.name + DEAD_LETTERS, "MaxDeliveryCountExceeded")
                continue
            token = self._new_token(stored.sequence)
            delivery = link.delivery(token)
            link.stream(self.annotate(stored, until))
            link.advance()
            if is_settled:
                delivery.settle()
                self._store.remove(stored.sequence)

    def settle(self, link: Any, delivery: Any) -> None:
        tag = lib.pn_delivery_tag(delivery._impl)
        sequence = self._sequences.pop(_bytes_of(tag), None)
        state = delivery.remote_state
        if sequence is not None:
            if state == Delivery.MODIFIED:
                defer = delivery.remote.undeliverable
                delivery.local.failed, delivery.local.undeliverable = delivery.remote.failed, defer
                self._store.unlock(sequence, delivered=not defer, defer=defer)
            elif state == Delivery.REJECTED:
                self._dead_letter(sequence, delivery.remote.condition)
            elif state == Delivery.ACCEPTED:
                self._store.remove(sequence)
            else:
                self._store.unlock(sequence, delivered=False)
        delivery.update(state)
        delivery.settle()

    def _dead_letter(self, sequence: int, condition: Any) -> None:
        info = (condition.info if condition else None) or {}
        self._store.move(sequence, self.name + DEAD_LETTERS, str(info.get("DeadLetterReason") or ""))

    def _new_token(self, sequence: int) -> bytes:
        token = uuid4().bytes_le
        self._sequences[token] = sequence
        return token

    def annotate(self, stored: Stored, until: int, state: int = 0) -> bytes:
        """Return a message as a client gets it: with what the broker knows of it."""
        message = decode_message(stored.body)
        message.annotations = {
            **(message.annotations or {}),
            symbol("x-opt-enqueued-time"): timestamp(stored.enqueued_ms),
            symbol("x-opt-sequence-number"): stored.sequence,
            symbol("x-opt-locked-until"): timestamp(until),
            symbol("x-opt-message-state"): state,
        }
        message.delivery_count = stored.deliveries
        if stored.reason is not None:
            message.properties = {**(message.properties or {}), "DeadLetterReason": stored.reason}
        return bytes(message.encode())

    def answer(self, operation: str, body: dict[str, Any]) -> Reply:
        """Answer a request to the queue's management."""
        return getattr(self, "_" + operation.replace("-", "_"))(body)  # type: ignore[no-any-return]

    def _schedule_message(self, body: dict[str, Any]) -> Reply:
        numbers = [self.store_message(bytes(each["message"])) for each in body["messages"]]
        return 200, {"sequence-numbers": _longs(numbers)}

    def _cancel_scheduled_message(self, body: dict[str, Any]) -> Reply:
        removed = sum(self._store.remove(number) for number in body["sequence-numbers"])
        return (200, None) if removed else (404, None)

    def _peek_message(self, body: dict[str, Any]) -> Reply:
        found = self._store.read(self.name, body["from-sequence-number"], body["message-count"], all_states=True)
        return (200, {"messages": [{"message": self.annotate(each, 0)} for each in found]}) if found else (204, None)

    def _receive_by_sequence_number(self, body: dict[str, Any]) -> Reply:
        until = now_ms() + self._lock_ms
        found = [self._store.lock_deferred(self.name, number, until) for number in body["sequence-numbers"]]
        messages = [
            {"message": self.annotate(each, until, 1), "lock-token": UUID(bytes_le=self._new_token(each.sequence))}
            for each in found
            if each is not None
        ]
        if body.get("receiver-settle-mode") == 0:
            for each in found:
                if each is not None:
                    self._store.remove(each.sequence)
        return (200, {"messages": messages}) if messages else (404, None)

    def _update_disposition(self, body: dict[str, Any]) -> Reply:
        for token in body["lock-tokens"]:
            sequence = self._sequences.pop(UUID(str(token)).bytes_le, 0)
            match body["disposition-status"]:
                case "completed":
                    self._store.remove(sequence)
                case "suspended":
                    self._store.move(sequence, self.name + DEAD_LETTERS, body.get("deadletter-reason", ""))
                case status:
                    self._store.unlock(sequence, delivered=True, defer=status == "defered")
        return 200, None

    def _renew_lock(self, body: dict[str, Any]) -> Reply:
        until = now_ms() + self._lock_ms
        for token in body["lock-tokens"]:
            self._store.renew(self._sequences.get(UUID(str(token)).bytes_le, 0), until)
        return 200, {"expirations": [timestamp(until)]}

    def _get_session_state(self, body: dict[str, Any]) -> Reply:
        return 200, {"session-state": self._store.session_state(self.name, body["session-id"])}

    def _set_session_state(self, body: dict[str, Any]) -> Reply:
        self._store.set_session_state(self.name, body["session-id"], body.get("session-state"))
        return 200, None


class Namespace:
    """The entities of a Service Bus namespace. Each is made when it is first named."""

    def __init__(self, folder: str) -> None:
        self._store = Store(folder)
        self._queues = dict[str, Queue]()

    def find(self, _link: Any, name: str) -> Queue:
        """Return the entity of a name."""
        if name not in self._queues:
            self._queues[name] = Queue(name, self._store)
        return self._queues[name]

    def answer(self, address: str, properties: dict[str, Any], body: Any) -> Reply:
        """Answer a request to an entity's `$management`."""
        operation = str(_text(properties["operation"])).removeprefix("com.microsoft:")
        return self.find(None, address.removesuffix("/$management")).answer(operation, body)


def _bytes_of(tag: Any) -> bytes:
    return bytes(ffi.buffer(tag.start, tag.size))


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def _longs(numbers: list[int]) -> Any:
    undescribed: Any = UNDESCRIBED
    return Array(undescribed, Data.LONG, *numbers)


def _dotnet_ticks(ms: int) -> int:
    epoch = datetime(1, 1, 1, tzinfo=UTC)
    return int((datetime.fromtimestamp(ms / 1000, UTC) - epoch).total_seconds() * 10_000_000)
