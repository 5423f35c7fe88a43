"""A followed client of confluent-kafka is a client in every way that a program checks, and can be restored."""

from __future__ import annotations

import copy
import gc
import pickle
import subprocess
import sys
from abc import ABC, ABCMeta
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, Generic, TypeVar

import confluent_kafka
import pytest
from asyncdsm_confluent.classes import c_classes
from confluent_kafka import Consumer as ImportedBefore
from confluent_kafka import KafkaException, Producer

import asyncdsm
from asyncdsm.testing import Captured
from tests.brokers.kafka import Kafka
from tests.integrations.confluent.clients import (
    WAYS,
    bare_class,
    consumer_config,
    contexts,
    from_start,
    make,
    on_broker,
    read,
)

Topic = Callable[..., str]
NOBODY = {"bootstrap.servers": "127.0.0.1:9", "log_level": 0, "group.id": "g"}


@pytest.fixture(autouse=True)
def no_clients_of_other_tests() -> Iterator[None]:
    gc.collect()
    yield
    asyncdsm.uninstrument("confluent_kafka")


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    if request.param == "instrument":
        asyncdsm.instrument("confluent_kafka")
    way: str = request.param
    return way


def of_every_kind() -> list[str]:
    return [own.__name__ for own in c_classes()]


@pytest.mark.parametrize("name", of_every_kind())
def test_followed_client_has_what_the_client_has(kafka: Kafka, way: str, name: str) -> None:
    own = bare_class(name)
    config = NOBODY if name != "Producer" else {"bootstrap.servers": "127.0.0.1:9", "log_level": 0}
    bare, client = own(config), make(way, kafka, name, **config)
    assert isinstance(client, own)
    assert isinstance(client, getattr(confluent_kafka, name))
    assert issubclass(type(client), own) or way == "wrap(object)"
    assert client.__class__.__name__ == name
    assert set(dir(bare)) <= set(dir(client))
    for method in (method for method in dir(bare) if callable(getattr(bare, method)) and not method.startswith("__")):
        assert callable(getattr(client, method))
        assert getattr(client, method).__name__ == method
        assert getattr(client, method).__doc__ == getattr(bare, method).__doc__
    assert repr(client).startswith(f"<cimpl.{name} object at")
    assert hasattr(client, "__len__") == hasattr(bare, "__len__")
    assert hasattr(client, "__enter__") == hasattr(bare, "__enter__")
    assert {client: 1}[client] == 1
    with pytest.raises(AttributeError):
        client.no_such_method()
    for what in (copy.copy, pickle.dumps):
        with pytest.raises(TypeError, match=f"cannot pickle '.*{name}' object"):
            what(client)
    if hasattr(bare, "__enter__"):
        with client as entered:
            assert entered is client
        with pytest.raises(RuntimeError):
            client.poll(0)


def test_len_and_purge_of_a_followed_producer_are_the_clients(kafka: Kafka, way: str) -> None:
    producer = make(way, kafka, "Producer", **{"bootstrap.servers": "127.0.0.1:9"})
    for _ in range(3):
        producer.produce("t", b"v")
    assert len(producer) >= 3
    assert bool(producer)
    producer.purge()
    producer.flush(10)
    with pytest.raises(KafkaException):
        producer.list_topics(timeout=0.01)


def test_instrument_follows_a_class_whoever_imported_it_and_when(
    kafka: Kafka, topic: Topic, captured_streams: Captured
) -> None:
    early, name = Producer({"bootstrap.servers": kafka.bootstrap}), topic()
    owns: dict[Any, list[Any]] = {own: own.__subclasses__() for own in c_classes()}
    bases = confluent_kafka.SerializingProducer.__bases__
    asyncdsm.instrument("confluent_kafka")
    asyncdsm.instrument("confluent_kafka")
    here: Any = sys.modules[__name__]
    producer, consumer = here.Producer, here.ImportedBefore
    assert producer is confluent_kafka.Producer is confluent_kafka.cimpl.Producer
    assert producer not in owns
    assert isinstance(early, producer)
    assert issubclass(confluent_kafka.SerializingProducer, producer)
    assert not isinstance(early, consumer)
    late = dict[str, Any]()
    exec("from confluent_kafka import Producer\n", late)  # noqa: S102
    for kind in (producer, late["Producer"], confluent_kafka.SerializingProducer):
        kind({"bootstrap.servers": kafka.bootstrap}).produce(name, b"v")
    late["Producer"]({"bootstrap.servers": kafka.bootstrap, "log_level": 0}).flush(0)
    assert len(captured_streams.produced(name)) == 3
    asyncdsm.uninstrument("confluent_kafka")
    assert here.Producer is confluent_kafka.Producer is confluent_kafka.cimpl.Producer is bare_class("Producer")
    assert confluent_kafka.SerializingProducer.__bases__ == bases
    assert all(set(owns[own]) <= set(own.__subclasses__()) for own in owns)
    confluent_kafka.Producer({"bootstrap.servers": kafka.bootstrap}).produce(name, b"v")
    assert len(captured_streams.produced(name)) == 3


def test_client_made_while_instrumented_is_bare_again_afterwards(
    kafka: Kafka, topic: Topic, captured_streams: Captured
) -> None:
    name = topic()
    asyncdsm.instrument("confluent_kafka")
    producer, kept = (confluent_kafka.Producer({"bootstrap.servers": kafka.bootstrap}) for _ in range(2))
    assert asyncdsm.wrap(kept) is kept
    for _ in range(2):
        producer.produce(name, b"v")
        kept.produce(name, b"v")
        asyncdsm.uninstrument("confluent_kafka")
    assert (producer.flush(30), kept.flush(30)) == (0, 0)
    assert len(captured_streams.produced(name)) == 3
    assert sum(len(contexts(message)) for message in on_broker(kafka, name, 4)) == 3


def test_client_wrapped_again_or_instrumented_counts_once(
    kafka: Kafka, topic: Topic, captured_streams: Captured
) -> None:
    name, config = topic(), {"bootstrap.servers": kafka.bootstrap}
    stand_in = asyncdsm.wrap(Producer(config))
    own = asyncdsm.wrap(confluent_kafka.SerializingProducer(config))
    kind: Any = asyncdsm.wrap(Producer)
    assert asyncdsm.wrap(stand_in) is stand_in
    assert asyncdsm.wrap(own) is own
    assert asyncdsm.wrap(kind) is kind
    made = kind(config)
    asyncdsm.instrument("confluent_kafka")
    wrapped_too = asyncdsm.wrap(confluent_kafka.Producer(config))
    assert all(isinstance(one, confluent_kafka.Producer) for one in (stand_in, own, made, wrapped_too))
    for number, producer in enumerate((stand_in, own, made, asyncdsm.wrap(made), kind(config), wrapped_too), 1):
        producer.produce(name, value=b"v")
        producer.flush(30)
        assert len(captured_streams.produced(name)) == number
    assert [len(contexts(message)) for message in on_broker(kafka, name, 6)] == [1] * 6


class Own(Producer):
    """Changes key and value first, as a program's own class may."""

    def __init__(self, config: dict[str, Any], prefix: str) -> None:
        super().__init__(config)
        self.prefix = prefix

    def produce(self, topic: str, value: Any = None, **options: Any) -> None:  # type: ignore[override]
        """Produce with a prefix."""
        super().produce(topic, self.prefix + value, **options)


class Slotted(ImportedBefore):
    """Has no room for an attribute."""

    __slots__ = ()


def test_subclass_of_the_program_is_followed(kafka: Kafka, topic: Topic, way: str, captured_streams: Captured) -> None:
    name, config = topic(), {"bootstrap.servers": kafka.bootstrap}
    makers: dict[str, Callable[[Any], Any]] = {
        "wrap(object)": lambda kind: lambda *args: asyncdsm.wrap(kind(*args)),
        "wrap(class)": asyncdsm.wrap,
        "instrument": lambda kind: kind,
    }
    producer: Any = makers[way](Own)(config, "pre-")
    assert isinstance(producer, Own)
    assert type(producer).__name__ == "Own"
    producer.produce(name, "value", headers={"a": b"b"})
    producer.flush(30)
    consumer: Any = makers[way](Slotted)(consumer_config(kafka))
    (message,) = read(from_start(consumer, name), 1)
    assert message.value() == b"pre-value"
    assert [len(captured_streams.produced(name)), len(captured_streams.consumed(name))] == [1, 1]
    assert captured_streams.consumed(name)[0].follows(captured_streams.produced(name)[0])
    consumer.close()


T = TypeVar("T")


def test_class_with_further_bases_can_be_derived_while_instrumented() -> None:
    """Also where clients that were made before have to pass for those of the class in the place of theirs."""
    before = bare_class("Producer")({"bootstrap.servers": "127.0.0.1:9", "log_level": 0})
    asyncdsm.instrument("confluent_kafka")
    base: Any = confluent_kafka.Producer
    kinds: list[Any] = [
        type("Plain", (base,), {}),
        ABCMeta("WithABC", (base, ABC), {}),
        ABCMeta("AbcFirst", (ABC, base), {}),
    ]

    class Typed(base, Generic[T]):  # type: ignore[misc]
        """Generic, as confluent-kafka's own."""

    for kind in [*kinds, Typed]:
        client = kind({"bootstrap.servers": "127.0.0.1:9", "log_level": 0})
        assert isinstance(client, base)
        assert not isinstance(before, kind)
    assert isinstance(before, base)


WITH_A_METACLASS = """
import asyncdsm, confluent_kafka
class Meta(type):
    pass
asyncdsm.instrument("confluent_kafka")
class Own(confluent_kafka.Producer, metaclass=Meta):
    pass
assert isinstance(Own({"bootstrap.servers": "127.0.0.1:9", "log_level": 0}), confluent_kafka.Producer)
"""


def test_metaclass_of_the_program_fits_when_no_client_was_made_before() -> None:
    """It fits as long as no client was made before: in a process of its own."""
    subprocess.run([sys.executable, "-c", WITH_A_METACLASS], check=True, timeout=60)


def test_opentelemetry_and_asyncdsm_count_once_whoever_came_first(kafka: Kafka, topic: Topic) -> None:
    """Both headers are sent, and each message counts once. In a process of its own."""
    for order in ("follow_asyncdsm, follow_opentelemetry", "follow_opentelemetry, follow_asyncdsm"):
        subprocess.run(
            [sys.executable, "-c", BESIDE_OPENTELEMETRY, kafka.bootstrap, topic(), order], check=True, timeout=120
        )


BESIDE_OPENTELEMETRY = """
import sys
import asyncdsm, asyncdsm.testing, confluent_kafka
from opentelemetry.instrumentation.confluent_kafka import ConfluentKafkaInstrumentor
from opentelemetry.sdk.trace import TracerProvider

bootstrap, topic, order = sys.argv[1:]
def follow_opentelemetry():
    ConfluentKafkaInstrumentor().instrument(skip_dep_check=True, tracer_provider=TracerProvider())
def follow_asyncdsm():
    asyncdsm.instrument("confluent_kafka")
for name in order.split(", "):
    globals()[name]()
conf = {"bootstrap.servers": bootstrap, "log_level": 0}
with asyncdsm.testing.capture() as captured:
    producer = confluent_kafka.Producer(conf)
    producer.produce(topic, b"v")
    assert producer.flush(60) == 0
    consumer = confluent_kafka.Consumer({**conf, "group.id": "g", "enable.auto.commit": False})
    consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
    message = None
    while message is None:
        message = consumer.poll(1)
    assert sorted(name for name, _ in message.headers()) == ["dd-pathway-ctx-base64", "traceparent"]
    consumer.close()
    assert [len(captured.produced()), len(captured.consumed())] == [1, 1]
    proxy = ConfluentKafkaInstrumentor.instrument_producer(confluent_kafka.cimpl.Producer(conf), TracerProvider())
    assert asyncdsm.wrap(proxy) is proxy
    proxy.produce(topic, b"v")
    proxy.flush(60)
    assert len(captured.produced()) == 2
    made = confluent_kafka.Consumer({**conf, "group.id": "g", "enable.auto.commit": False})
    proxy = asyncdsm.wrap(ConfluentKafkaInstrumentor.instrument_consumer(made, TracerProvider()))
    made.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
    while proxy.poll(1) is None:
        pass
    assert asyncdsm.current_pathway().hash == captured.consumed()[-1].hash
    made.close()
"""


def test_entry_of_sys_modules_that_is_not_a_module_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Odd(ModuleType):
        def __getattribute__(self, name: str) -> Any:
            raise RuntimeError(name)

    monkeypatch.setitem(sys.modules, "odd", Odd("odd"))
    monkeypatch.setitem(sys.modules, "none", None)
    asyncdsm.instrument("confluent_kafka")


def test_id_that_is_used_again_gets_a_new_client(kafka: Kafka) -> None:
    kind: Any = asyncdsm.wrap(ImportedBefore)
    for number in range(50):
        consumer = kind({**NOBODY, "group.id": f"g{number}"})
        assert consumer._asyncdsm.group == f"g{number}"
        consumer.close()
        del consumer
    gc.collect()
    from asyncdsm_confluent.client import _by_id

    assert not [client for client in _by_id.values() if (client.group or "").startswith("g4")]
