"""Extractors: which headers, attributes, labels or options hold the id of a business transaction.

They are the setting of the DataStreams that measures; without one, and without a setting, all tables are empty. An
adapter looks whether its table is empty before it looks for headers, so that others pay nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from asyncdsm._internal.transaction_extractor import TransactionExtractor
from asyncdsm.core import checkpoint as checkpoints
from asyncdsm.errors import MalformedValueError

ExtractorTable = dict[str, list[str]]
"""By the name of a header, the names of the checkpoints that a transaction passes. Its content changes at a start."""

KAFKA_PRODUCE: ExtractorTable = {}
KAFKA_CONSUME: ExtractorTable = {}
HTTP_IN: ExtractorTable = {}
HTTP_OUT: ExtractorTable = {}
RABBITMQ_PRODUCE: ExtractorTable = {}
RABBITMQ_CONSUME: ExtractorTable = {}
SQS_PRODUCE: ExtractorTable = {}
SQS_CONSUME: ExtractorTable = {}
CELERY_PRODUCE: ExtractorTable = {}
CELERY_CONSUME: ExtractorTable = {}
DRAMATIQ_PRODUCE: ExtractorTable = {}
DRAMATIQ_CONSUME: ExtractorTable = {}
TASKIQ_PRODUCE: ExtractorTable = {}
TASKIQ_CONSUME: ExtractorTable = {}

_TABLES: dict[str, ExtractorTable] = {
    "KAFKA_PRODUCE_HEADERS": KAFKA_PRODUCE,
    "KAFKA_CONSUME_HEADERS": KAFKA_CONSUME,
    "HTTP_IN_HEADERS": HTTP_IN,
    "HTTP_OUT_HEADERS": HTTP_OUT,
    "RABBITMQ_PRODUCE_HEADERS": RABBITMQ_PRODUCE,
    "RABBITMQ_CONSUME_HEADERS": RABBITMQ_CONSUME,
    "SQS_PRODUCE_ATTRIBUTES": SQS_PRODUCE,
    "SQS_CONSUME_ATTRIBUTES": SQS_CONSUME,
    "CELERY_PRODUCE_HEADERS": CELERY_PRODUCE,
    "CELERY_CONSUME_HEADERS": CELERY_CONSUME,
    "DRAMATIQ_PRODUCE_OPTIONS": DRAMATIQ_PRODUCE,
    "DRAMATIQ_CONSUME_OPTIONS": DRAMATIQ_CONSUME,
    "TASKIQ_PRODUCE_LABELS": TASKIQ_PRODUCE,
    "TASKIQ_CONSUME_LABELS": TASKIQ_CONSUME,
}
_CASELESS = {"HTTP_IN_HEADERS", "HTTP_OUT_HEADERS"}


def set_extractors(extractors: Iterable[TransactionExtractor]) -> None:
    """Fill the tables with these extractors, in the place of those before."""
    for table in _TABLES.values():
        table.clear()
    for name, kind, value in extractors:
        _TABLES[kind].setdefault(value.lower() if kind in _CASELESS else value, []).append(name)


def extract_from_pairs(table: ExtractorTable, headers: Iterable[tuple[Any, Any]] | None) -> None:
    """Record the checkpoints of the transactions that headers name; of two headers of a name, the last one counts.

    The name of a header is a string, or bytes in ASCII. Never raises: what cannot be read is counted as malformed.
    """
    try:
        found = {name: value for key, value in headers or () if (name := _to_text(key)) in table}
        for name, value in found.items():
            for checkpoint in table[name] if value is not None else ():
                _record_transaction(_to_text(value), checkpoint)
    except Exception as error:
        checkpoints.report_hook_error(MalformedValueError(f"the headers of a message: {error}"))


def _record_transaction(transaction_id: Any, checkpoint: str) -> None:
    recorder = checkpoints.ensure_recorder()
    if recorder is not None:
        recorder.record_transaction(transaction_id, checkpoint)


def _to_text(value: Any) -> Any:
    if isinstance(value, bytes | bytearray):
        return value.decode("utf-8", "replace")
    return str(value) if type(value) is int else value
