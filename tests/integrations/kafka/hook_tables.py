"""The hooks that the integrations of Kafka's clients really put, found out by letting them put them."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple
from unittest.mock import patch

import aiokafka
from aiokafka.producer.message_accumulator import BatchBuilder
from asyncdsm_aiokafka import integration as aiokafka_integration
from asyncdsm_aiokafka.batches import BatchContents
from asyncdsm_confluent import integration as confluent_integration
from asyncdsm_confluent.classes import c_classes

from asyncdsm.integration import hooks


class Put(NamedTuple):
    """One hook, and what it was put around."""

    kind: Any
    name: str
    hook: hooks.Hook
    original: Any

    def __repr__(self) -> str:
        return f"{self.kind.__name__}.{self.name}-{getattr(self.hook, '__name__', '')}"


def puts_of(put_them: Callable[[], object]) -> list[Put]:
    """Return the hooks that are put meanwhile, of which none is really put."""
    found = dict[tuple[Any, str, Any], Put]()

    def put(_: hooks.Hooks, owner: Any, name: str, hook: hooks.Hook, **_how: Any) -> None:
        kind = owner if isinstance(owner, type) else type(owner)
        found.setdefault((kind, name, hook), Put(kind, name, hook, getattr(kind, name)))

    with patch.object(hooks.Hooks, "put", put):
        put_them()
    return list(found.values())


async def _wrap_aiokafka() -> None:
    producer, consumer = aiokafka.AIOKafkaProducer(), aiokafka.AIOKafkaConsumer()
    aiokafka_integration.wrap(producer)
    aiokafka_integration.wrap(consumer)
    BatchContents(BatchBuilder(1000, 0))
    await producer.stop()
    await consumer.stop()


def _put_aiokafka() -> None:
    aiokafka_integration.instrument()
    asyncio.run(_wrap_aiokafka())


def _put_confluent() -> None:
    for name in ("avro", "json_schema"):  # the serializers of programs that have imported them
        import_module(f"confluent_kafka.schema_registry.{name}")
    confluent_integration.instrument()
    confluent_integration.uninstrument()


OF_AIOKAFKA = puts_of(_put_aiokafka)
OF_CONFLUENT = puts_of(_put_confluent)


def is_async(put: Put) -> bool:
    """Say whether what a hook is put around returns a coroutine."""
    return inspect.iscoroutinefunction(put.original) or put.kind.__name__.startswith("Async")


def positions_of(put: Put) -> int:
    """Return how many arguments can be given by position, the object left out; C's methods do not say: at most 8."""
    if put.kind.__mro__[1].__name__ in {own.__name__ for own in c_classes()} or put.kind in c_classes():
        return 8
    parameters = inspect.signature(put.original).parameters.values()
    return sum(one.kind in {one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD} for one in parameters) - 1


def keywords_of(put: Put) -> list[str]:
    """Return the arguments that must be given by name."""
    try:
        parameters = inspect.signature(put.original).parameters.values()
    except ValueError:  # C's
        return []
    return [one.name for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY]
