"""FastStream: `KafkaBroker(..., middlewares=[DataStreamsMiddleware])`, or `asyncdsm.wrap(broker)`.

One middleware for its Kafka, Confluent and Rabbit brokers: `middleware`. `received` reads the messages that their
clients receive, `sent` the commands that publish, `clusters` what the clients know of their cluster.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

from faststream.__about__ import __version__
from faststream._internal.broker import BrokerUsecase
from faststream.message import StreamMessage

from asyncdsm._internal.mocks import is_mock
from asyncdsm.core.pathway import Context
from asyncdsm.integration.base import check_version
from asyncdsm.integration.hooks import Hooks, before
from asyncdsm_faststream import received
from asyncdsm_faststream.clusters import keep_cluster_ids
from asyncdsm_faststream.middleware import DataStreamsMiddleware

__all__ = ["VERSIONS", "WRAPS", "DataStreamsMiddleware", "instrument", "pathway_of", "uninstrument", "wrap"]

VERSIONS = ("0.7", "0.7")
WRAPS = "a KafkaBroker or a RabbitBroker"


class _Instrumented(DataStreamsMiddleware):
    """What `instrument` adds, and `uninstrument` takes away again."""

    is_wanted = False


_instrumented: WeakSet[Any] = WeakSet()


def wrap(client: Any) -> Any | None:
    """Add the middleware to one broker, unless it has it; None for anything else."""
    if not isinstance(client, BrokerUsecase):
        return None
    if is_mock(client):
        return client
    check_version("faststream", __version__, VERSIONS)
    _take_away(client)
    _add(client, DataStreamsMiddleware)
    keep_cluster_ids()
    return client


def instrument() -> None:
    """Add the middleware to every broker when it connects."""
    check_version("faststream", __version__, VERSIONS)
    _Instrumented.is_wanted = True


def uninstrument() -> None:
    """Take it away again from every broker that was not given it otherwise."""
    _Instrumented.is_wanted = False
    for broker in list(_instrumented):
        _take_away(broker)


def pathway_of(message: Any) -> Context | None:
    """Return the pathway of a FastStream message; None for anything else, and for a batch."""
    if not isinstance(message, StreamMessage) or isinstance(message.raw_message, (list, tuple)):
        return None
    return received.pathway_of(message.raw_message)


@before
def note_connect(broker: Any, *_args: Any, **_more: Any) -> None:
    """Observe `connect` of every broker: those that have the middleware follow the cluster, others may get it."""
    if _Instrumented.is_wanted and _add(broker, _Instrumented):
        _instrumented.add(broker)
    if _has_middleware(broker):
        keep_cluster_ids()


def _add(broker: Any, middleware: type[DataStreamsMiddleware]) -> bool:
    """Add a middleware to a broker as the outermost one, unless it has one of ours; say whether it was added."""
    if _has_middleware(broker):
        return False
    broker.insert_middleware(middleware)
    return True


def _has_middleware(broker: Any) -> bool:
    return any(isinstance(one, type) and issubclass(one, DataStreamsMiddleware) for one in broker.middlewares)


def _take_away(broker: Any) -> None:
    """Remove what `instrument` has added."""
    config = getattr(broker.config, "broker_config", broker.config)
    config.broker_middlewares = tuple(one for one in config.broker_middlewares if one is not _Instrumented)
    _instrumented.discard(broker)


# For brokers that are given the middleware as they are made, which no call tells: there is nothing else to be told by
# before they connect, and afterwards aiokafka has forgotten which cluster it is.
Hooks().put(BrokerUsecase, "connect", note_connect)
