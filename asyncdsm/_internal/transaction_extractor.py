"""The declaration of an extractor, which says where a business transaction's id is, as Datadog's tracers have it."""

from __future__ import annotations

from typing import NamedTuple

EXTRACTOR_TYPES = (
    "KAFKA_PRODUCE_HEADERS",
    "KAFKA_CONSUME_HEADERS",
    "HTTP_IN_HEADERS",
    "HTTP_OUT_HEADERS",
    "RABBITMQ_PRODUCE_HEADERS",
    "RABBITMQ_CONSUME_HEADERS",
    "SQS_PRODUCE_ATTRIBUTES",
    "SQS_CONSUME_ATTRIBUTES",
    "CELERY_PRODUCE_HEADERS",
    "CELERY_CONSUME_HEADERS",
    "DRAMATIQ_PRODUCE_OPTIONS",
    "DRAMATIQ_CONSUME_OPTIONS",
    "TASKIQ_PRODUCE_LABELS",
    "TASKIQ_CONSUME_LABELS",
)
"""The first four are those of Datadog's tracers, which ignore the others."""


class TransactionExtractor(NamedTuple):
    """A business transaction passes a checkpoint with each message or request that has a header with its id."""

    name: str
    """The name of the checkpoint."""
    type: str
    """Which messages or requests are meant: one of `EXTRACTOR_TYPES`, such as `KAFKA_PRODUCE_HEADERS`."""
    value: str
    """The name of the header, attribute, label or option that holds the id."""


def parse_extractors(text: str) -> tuple[TransactionExtractor, ...]:
    """Return the extractors of a JSON list of objects. Raises ValueError for anything else."""
    import json  # noqa: PLC0415  (it would make `import asyncdsm` slower)

    try:
        found = tuple(TransactionExtractor(each["name"], each["type"], each["value"]) for each in json.loads(text))
    except (TypeError, KeyError, RecursionError):
        raise ValueError from None
    if not are_extractors(found):
        raise ValueError
    return found


def are_extractors(value: object) -> bool:
    """Say whether a value is a tuple of extractors, each with a name, a value and a known type."""
    return isinstance(value, tuple) and all(map(_is_extractor, value))


def _is_extractor(value: object) -> bool:
    if not isinstance(value, TransactionExtractor) or value.type not in EXTRACTOR_TYPES:
        return False
    parts: tuple[object, ...] = value
    return all(isinstance(part, str) and part.isprintable() and part.strip() for part in parts)
