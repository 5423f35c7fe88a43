"""FastStream: `KafkaBroker(..., middlewares=[DataStreamsMiddleware])`, or `asyncdsm.wrap(broker)`.

One middleware for its six brokers: Kafka, Confluent, RabbitMQ, NATS, Redis and MQTT.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from weakref import WeakSet

from faststream.__about__ import __version__
from faststream._internal.broker import BrokerUsecase
from faststream.message import StreamMessage

from asyncdsm.integration import Hooks, Integration, Pathway, before
from asyncdsm_faststream.client import keep_cluster_ids
from asyncdsm_faststream.consume import pathway_of_message
from asyncdsm_faststream.limits import keep_limits
from asyncdsm_faststream.middleware import DataStreamsMiddleware
from asyncdsm_faststream.redis_reads import keep_reads_uncounted

__all__ = ["DataStreamsMiddleware", "FastStreamIntegration", "integration"]


class _InstrumentedMiddleware(DataStreamsMiddleware):
    """The middleware that `instrument` adds and `uninstrument` removes."""


class FastStreamIntegration(Integration):
    """Adds the middleware to brokers: to one by `wrap`, to every one by `instrument` when it connects."""

    package: str = "faststream"
    versions: tuple[str, str] = "0.7", "0.7"
    wraps: str = "a broker, such as a KafkaBroker or a RabbitBroker"

    def __init__(self) -> None:
        super().__init__()
        self._is_instrumenting = False
        self._instrumented: WeakSet[Any] = WeakSet()
        # Never removed: for a broker that gets the middleware when it is made, this is the only call to notice before
        # it connects, and aiokafka forgets its cluster's id while it connects.
        Hooks().put(BrokerUsecase, "connect", before(self._observe_connect))

    def installed_version(self) -> str:
        return __version__

    def is_client(self, client: object) -> bool:
        return isinstance(client, BrokerUsecase)

    def follow(self, client: Any) -> Any:
        self._remove_instrumented(client)
        if not _has_middleware(client):
            client.insert_middleware(DataStreamsMiddleware)
        _prepare_clients()
        return client

    def hook_classes(self) -> None:
        self._is_instrumenting = True

    def unhook_classes(self) -> None:
        self._is_instrumenting = False
        for broker in list(self._instrumented):
            self._remove_instrumented(broker)

    def pathway_of(self, message: Any) -> Pathway | None:
        if not isinstance(message, StreamMessage) or isinstance(message.raw_message, (list, tuple)):  # or a batch
            return None
        return pathway_of_message(message.raw_message)

    def _observe_connect(self, broker: Any, /, *_args: Any, **_more: Any) -> None:
        if self._is_instrumenting and not _has_middleware(broker):
            broker.insert_middleware(_InstrumentedMiddleware)
            self._instrumented.add(broker)
        if _has_middleware(broker):
            _prepare_clients()

    def _remove_instrumented(self, broker: Any) -> None:
        """Remove the middleware that `instrument` added to a broker."""
        config = getattr(broker.config, "broker_config", broker.config)
        config.broker_middlewares = tuple(
            middleware for middleware in config.broker_middlewares if middleware is not _InstrumentedMiddleware
        )
        self._instrumented.discard(broker)


def _prepare_clients() -> None:
    keep_cluster_ids()
    keep_limits()
    keep_reads_uncounted(_is_subscriber_followed)


def _is_subscriber_followed(subscriber: Any) -> bool:
    return _holds_middleware(getattr(subscriber, "_broker_middlewares", ()))


def _has_middleware(broker: Any) -> bool:
    return _holds_middleware(broker.middlewares)


def _holds_middleware(middlewares: Iterable[Any]) -> bool:
    return any(isinstance(each, type) and issubclass(each, DataStreamsMiddleware) for each in middlewares)


integration: FastStreamIntegration = FastStreamIntegration()
