"""What confluent-kafka's clients are made with: right or wrong, the answer is the one that nobody's hooks give."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import Any

import confluent_kafka
import pytest
from confluent_kafka import Consumer, Producer

import asyncdsm

NOBODY = {"bootstrap.servers": "127.0.0.1:9", "group.id": "g", "log_level": 0}

Make = Callable[[Any], Any]


class OwnProducer(Producer):
    pass


class OwnConsumer(Consumer):
    """One that is made with what its own `__init__` finds."""

    def __init__(self, *config: Any) -> None:
        super().__init__(*config)


class OwnDict(dict[str, Any]):
    pass


CALLS: dict[str, Make] = {
    "nothing": lambda kind: kind(),
    "None": lambda kind: kind(None),
    "a list": lambda kind: kind([]),
    "a list of pairs": lambda kind: kind(list(NOBODY.items())),
    "a string": lambda kind: kind("bootstrap.servers=x"),
    "an empty dict": lambda kind: kind({}),
    "a mapping that is no dict": lambda kind: kind(MappingProxyType(NOBODY)),
    "a subclass of dict": lambda kind: kind(OwnDict(NOBODY)),
    "two dicts": lambda kind: kind(dict(NOBODY), dict(NOBODY)),
    "a setting that is unknown": lambda kind: kind({"no.such": 1}),
    "a keyword that is unknown": lambda kind: kind(no_such=1),
    "a dict and a keyword that is unknown": lambda kind: kind(dict(NOBODY), no_such=1),
    "None and a keyword": lambda kind: kind(None, logger=None),
    "a dict by name": lambda kind: kind(conf=dict(NOBODY)),
    "keywords only": lambda kind: kind(**NOBODY),
    "a dict and keywords": lambda kind: kind({"log_level": 0}, **NOBODY),
    "a group that is a number": lambda kind: kind({**NOBODY, "group.id": 5}),
    "on_commit=None": lambda kind: kind(dict(NOBODY), on_commit=None),
    "on_commit=5": lambda kind: kind({**NOBODY, "on_commit": 5}),
    "on_commit": lambda kind: kind({**NOBODY, "on_commit": print}),
    "on_delivery=None": lambda kind: kind({**NOBODY, "on_delivery": None}),
    "on_delivery=5": lambda kind: kind({**NOBODY, "on_delivery": 5}),
}


def classes() -> dict[str, Any]:
    """Return the classes as they are imported now, and the program's own."""
    names = ("Producer", "Consumer", "ShareConsumer", "SerializingProducer", "DeserializingConsumer")
    found = {name: getattr(confluent_kafka, name, None) for name in names}
    aio = getattr(confluent_kafka, "aio", None)
    found |= {name: getattr(aio, name, None) for name in ("AIOProducer", "AIOConsumer")}
    found |= {"OwnProducer": OwnProducer, "OwnConsumer": OwnConsumer}
    return {name: kind for name, kind in found.items() if kind is not None}


@pytest.fixture(autouse=True)
def blockbuster() -> None:
    """librdkafka's wrapper looks things up as it starts."""


@pytest.fixture(autouse=True)
def uninstrumented() -> Iterator[None]:
    gc.collect()
    yield
    asyncdsm.uninstrument("confluent_kafka")


def answer(call: Make, kind: Any) -> str:
    """Return the error of a call, or that a client was made."""

    async def make() -> None:
        await call(kind).close()

    try:
        if kind.__name__.startswith("AIO"):
            asyncio.run(make())
        else:
            call(kind)
    except Exception as error:
        return repr(error)
    return "made"


@pytest.mark.parametrize("name", classes())
def test_client_made_with_any_configuration_answers_as_bare(name: str) -> None:
    bare = {shape: answer(call, classes()[name]) for shape, call in CALLS.items()}
    wrapped = asyncdsm.wrap(classes()[name])
    assert {shape: answer(call, wrapped) for shape, call in CALLS.items()} == bare
    asyncdsm.instrument("confluent_kafka")
    assert {shape: answer(call, classes()[name]) for shape, call in CALLS.items()} == bare


@pytest.mark.parametrize("name", ["Producer", "Consumer", "OwnProducer", "OwnConsumer"])
def test_client_without_configuration_is_a_type_error(name: str) -> None:
    asyncdsm.instrument("confluent_kafka")
    with pytest.raises(TypeError, match="expected configuration dict"):
        classes()[name]()
