"""Ids of business transactions in the headers of messages and requests, for integrations: see `core/extractors.py`."""

from __future__ import annotations

from asyncdsm.core.extractors import (
    HTTP_IN,
    HTTP_OUT,
    KAFKA_CONSUME,
    KAFKA_PRODUCE,
    RABBITMQ_CONSUME,
    RABBITMQ_PRODUCE,
    extract_from_pairs,
)

__all__ = [
    "HTTP_IN",
    "HTTP_OUT",
    "KAFKA_CONSUME",
    "KAFKA_PRODUCE",
    "RABBITMQ_CONSUME",
    "RABBITMQ_PRODUCE",
    "extract_from_pairs",
]
