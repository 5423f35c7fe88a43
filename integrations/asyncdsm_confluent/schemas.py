"""Schemas of messages: which serializers of the schema registry a program uses, and the ids that they write.

A serializer puts a zero byte and the schema's id, four bytes big-endian, before a message. Those bytes alone prove
nothing: they are read only of values that a serializer of the registry has made, or a deserializer reads. Their modules
are heavy, and are never imported here. Once the program has imported one, its classes get hooks, when the next client
is made.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from asyncdsm._internal.bounds import make_room
from asyncdsm.integration import Edge, Hooks, after, after_await, guarded, note_schema
from asyncdsm.integration.formats.kafka import last_in_edges

MOST_TOPICS, MOST_SUBJECTS = 4096, 20
"""How many topics are remembered, and how many schemas of each."""
_PACKAGE = "confluent_kafka.schema_registry"
_MODULES = tuple(f"{_PACKAGE}.{name}" for name in ("avro", "json_schema", "protobuf"))
_VALUE = "value"
_HEAD_BYTES = 5

produced_subjects: dict[str, dict[int, str]] = {}
"""The topics whose values a serializer of the registry makes: for each id that it wrote, the subject or ""."""
_hooks = Hooks()


@guarded
def watch_serializers() -> None:
    """Put hooks on the registry's serializers and deserializers that the program has imported by now."""
    for cls in _imported_classes():
        observe = _observe_serialized if cls.__name__.endswith("Serializer") else _observe_deserialized
        _hooks.put(cls, "__call__", (after_await if cls.__name__.startswith("Async") else after)(observe))


def forget_serializers() -> None:
    """Restore the classes of serializers and deserializers."""
    _hooks.remove()
    produced_subjects.clear()


@guarded
def note_produced_schema(edge: Edge, topic: str, value: Any) -> None:
    """Note the schema of a produced message whose topic is among `produced_subjects`."""
    schema_id = _read_schema_id(value)
    if schema_id is not None and schema_id in (subjects := produced_subjects[topic]):
        note_schema(edge, schema_id, subjects[schema_id])


def _imported_classes() -> Iterator[Any]:
    """Yield the classes of the registry's modules that serialize or deserialize."""
    for name in _MODULES:
        module = sys.modules.get(name)
        for cls in list(vars(module).values()) if module is not None else ():
            is_own = isinstance(cls, type) and cls.__module__.startswith(_PACKAGE) and "__call__" in vars(cls)
            if is_own and cls.__name__.endswith(("Serializer", "Deserializer")):
                yield cls


def _observe_serialized(
    made: Any, serializer: Any, /, _object: Any = None, ctx: Any = None, *_: Any, **__: Any
) -> None:
    """Remember which schema a serializer has written, for the message that is about to be produced."""
    topic, schema_id = _topic_of_value(ctx), _read_schema_id(made)
    if topic is None or schema_id is None:
        return
    subjects = produced_subjects.get(topic)
    if subjects is None:
        make_room(produced_subjects, MOST_TOPICS)
        subjects = produced_subjects[topic] = {}
    if schema_id not in subjects:
        make_room(subjects, MOST_SUBJECTS)
        subjects[schema_id] = _find_subject(serializer, ctx)


def _observe_deserialized(
    _made: Any, deserializer: Any, /, data: Any = None, ctx: Any = None, *_: Any, **__: Any
) -> None:
    """Note the schema of a consumed message: of the client that consumed its topic last."""
    topic, schema_id = _topic_of_value(ctx), _read_schema_id(data)
    edge = None if topic is None else last_in_edges.get(topic)
    if edge is not None and schema_id is not None:
        note_schema(edge, schema_id, _find_subject(deserializer, ctx))


def _topic_of_value(ctx: Any) -> str | None:
    """Return the topic of a serialization context; None for that of a key, and for one that says no topic."""
    topic = getattr(ctx, "topic", None)
    return topic if isinstance(topic, str) and getattr(ctx, "field", None) == _VALUE else None


def _read_schema_id(value: Any) -> int | None:
    """Return the id at the head of a message; None for one that has none, such as one with a GUID or a tombstone."""
    if not isinstance(value, bytes) or len(value) <= _HEAD_BYTES or value[0] != 0:
        return None
    return int.from_bytes(value[1:_HEAD_BYTES], "big")


def _find_subject(serializer: Any, ctx: Any) -> str:
    """Return the subject under which a (de)serializer looks up schemas of a topic; "" where it is not known.

    Nothing is asked of the registry: what is known is what the serializer has registered, what its strategy has looked
    up before, or what the name of the strategy says.
    """
    known, strategy = getattr(serializer, "_known_subjects", None), getattr(serializer, "_subject_name_func", None)
    if isinstance(known, set) and len(known) == 1:
        return _to_subject(next(iter(known)))
    record = getattr(serializer, "_schema_name", None)
    cache = getattr(strategy, "_cache", None)
    if cache is not None:
        return _to_subject(cache.get((ctx.topic, False, record)) or cache.get((ctx.topic, False, None)))
    name = getattr(strategy, "__name__", "")
    found = {
        "topic_subject_name_strategy": f"{ctx.topic}-{_VALUE}",
        "record_subject_name_strategy": record,
        "topic_record_subject_name_strategy": f"{ctx.topic}-{record}" if record else "",
    }
    return _to_subject(found.get(name))


def _to_subject(name: Any) -> str:
    return str.__str__(name) if isinstance(name, str) else ""
