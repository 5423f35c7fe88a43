"""AMQP links, whatever they lead to: SASL, tokens, requests and replies, credit."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from proton import Condition, Data, Delivery, Message, symbol
from proton.handlers import Handshaker
from proton.reactor import Container

MAX_MESSAGE_BYTES = 256 * 1024
CREDIT = 1000
DATA_SECTION = 0x75
TICK_SECONDS = 0.02

Reply = tuple[int, Any]
"""A status as in HTTP, and the body of an answer."""


class Entity:
    """What links lead to. A subclass overrides what it has."""

    def accept(self, link: Any) -> None:
        """Prepare a link before it is opened. Raises Refusal."""

    def take(self, link: Any, body: bytes) -> None:
        """Store a message from the client. Raises Refusal."""

    def give(self, link: Any) -> None:
        """Send what there is to a client, for as long as it has credit."""

    def settle(self, link: Any, delivery: Any) -> None:
        """Do what a client says of a message that it got."""

    def closed(self, link: Any) -> None:
        """Forget a link."""


class Refusal(Exception):  # noqa: N818
    """What the client gets as an error: an AMQP condition."""


class AmqpServer:
    """Takes connections. `find_entity` and `answer` are those of the service."""

    def __init__(
        self,
        url: str,
        find_entity: Callable[[Any, str], Entity],
        answer: Callable[[str, dict[str, Any], Any], Reply],
    ) -> None:
        self._url, self._find_entity, self._answer = url, find_entity, answer
        self._entities = dict[str, Entity]()
        self._outgoing = dict[Any, Entity]()
        self._incoming = dict[Any, Entity]()
        self._replies = dict[tuple[Any, str], Any]()
        self._handshaker = Handshaker()

    def run(self) -> None:
        """Serve until the process is killed."""
        container: Any = Container(self)
        container.allowed_mechs = "ANONYMOUS MSSBCBS PLAIN"
        container.run()

    def on_unhandled(self, name: str, event: Any) -> None:
        """Answer what is opened and closed, where no method here does."""
        if not name.startswith("on_link_remote_open"):
            event.dispatch(self._handshaker)

    def on_reactor_init(self, event: Any) -> None:
        event.container.listen(self._url)
        event.container.schedule(TICK_SECONDS, self)

    def on_timer_task(self, event: Any) -> None:
        """Look for locks that have ended, and for messages whose time has come."""
        for link, entity in list(self._outgoing.items()):
            entity.give(link)
        event.container.schedule(TICK_SECONDS, self)

    def on_link_remote_open(self, event: Any) -> None:
        link = event.link
        address = _path(link.remote_source.address if link.is_sender else link.remote_target.address)
        link.source.copy(link.remote_source)
        link.target.copy(link.remote_target)
        link.snd_settle_mode, link.rcv_settle_mode = link.remote_snd_settle_mode, link.remote_rcv_settle_mode
        link.max_message_size = MAX_MESSAGE_BYTES
        if address.endswith(("$cbs", "$management")):
            self._replies[link.session, address] = (
                link if link.is_sender else self._replies.get((link.session, address))
            )
            if link.is_receiver:
                link.flow(CREDIT)
            link.open()
            return
        entity = self._find_entity(link, address)
        try:
            entity.accept(link)
        except Refusal as refusal:
            link.open()
            link.condition = Condition(refusal.args[0], refusal.args[1])
            link.close()
            return
        if link.is_sender:
            self._outgoing[link] = entity
        else:
            self._incoming[link] = entity
            link.flow(CREDIT)
        link.open()

    def on_link_flow(self, event: Any) -> None:
        if (entity := self._outgoing.get(event.link)) is not None:
            entity.give(event.link)
            event.link.drained()

    def on_delivery(self, event: Any) -> None:
        delivery, link = event.delivery, event.link
        if link.is_sender:
            if delivery.updated and (entity := self._outgoing.get(link)) is not None:
                entity.settle(link, delivery)
            return
        if delivery.partial or not delivery.readable:
            return
        body = bytes(link.recv(delivery.pending) or b"")
        link.advance()
        link.flow(1)
        self._take(link, delivery, body)

    def _take(self, link: Any, delivery: Any, body: bytes) -> None:
        entity = self._incoming.get(link)
        try:
            if entity is None:
                self._reply(link, body)
            else:
                entity.take(link, body)
        except Refusal as refusal:
            # Azure's client takes a refusal for one only if it has all three parts.
            delivery.local.condition = Condition(refusal.args[0], refusal.args[1], {symbol("by"): "tests"})
            delivery.update(Delivery.REJECTED)
        else:
            delivery.update(Delivery.ACCEPTED)
        delivery.settle()
        if entity is not None:
            for other, its_entity in list(self._outgoing.items()):
                its_entity.give(other)

    def _reply(self, link: Any, body: bytes) -> None:
        address = _path(link.remote_target.address)
        request = decode_message(body)
        properties = dict(request.properties or {})
        is_token = address.endswith("$cbs")
        status, answer = (200, None) if is_token else self._answer(address, properties, request.body)
        sender = self._replies[link.session, address]
        codes = {"statusCode": status, "statusDescription": "", "status-code": status, "status-description": ""}
        reply = Message(body=answer, correlation_id=request.id, properties=codes)
        sender.send(reply)

    def on_link_remote_close(self, event: Any) -> None:
        self._forget(event.link)
        event.link.close()

    def on_link_remote_detach(self, event: Any) -> None:
        self._forget(event.link)
        event.link.detach()

    def on_transport_closed(self, event: Any) -> None:
        connection = event.connection
        for link in [*self._outgoing, *self._incoming]:
            if link.connection == connection:
                self._forget(link)

    def _forget(self, link: Any) -> None:
        self._incoming.pop(link, None)
        if (entity := self._outgoing.pop(link, None)) is not None:
            entity.closed(link)


def _path(address: str | None) -> str:
    """Return the entity of an address, which may be a URL."""
    return (address or "").split("://", 1)[-1].partition("/")[2] if "://" in (address or "") else address or ""


def decode_message(body: bytes) -> Any:
    """Return a message as proton has it."""
    message: Any = Message()
    message.decode(body)
    message.inferred = True
    return message


def read_filters(link: Any) -> dict[str, Any]:
    """Return the filters of the source that a client asks for, by their names."""
    data = link.remote_source.filter
    data.rewind()
    found: Any = data.get_object() if data.next() else None
    return {str(key): getattr(value, "value", value) for key, value in (found or {}).items()}


def now_ms() -> int:
    """Return the time in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def split_batch(body: bytes) -> list[bytes]:
    """Return the messages of a transfer: those in a batch, or the one that it is.

    A batch is told by its data sections, each an encoded message: proton does not tell the format of a transfer.
    """
    found, at = list[bytes](), 0
    while at < len(body):
        data = Data()
        end = at + data.decode(body[at:])
        data.rewind()
        data.next()
        section: Any = data.get_object()
        if int(section.descriptor) == DATA_SECTION:
            found.append(bytes(section.value))
        at = end
    is_batch = bool(found) and all(part[:2] == b"\0S" and 0x70 <= part[2] <= 0x78 for part in found)
    return found if is_batch else [body]
