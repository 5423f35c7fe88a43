"""Ids of business transactions in the headers of messages and requests, for integrations: see `core/extractors.py`."""

from __future__ import annotations

from asyncdsm.core.extractors import (
    CELERY_CONSUME,
    CELERY_PRODUCE,
    DRAMATIQ_CONSUME,
    DRAMATIQ_PRODUCE,
    HTTP_IN,
    HTTP_OUT,
    KAFKA_CONSUME,
    KAFKA_PRODUCE,
    RABBITMQ_CONSUME,
    RABBITMQ_PRODUCE,
    SQS_CONSUME,
    SQS_PRODUCE,
    TASKIQ_CONSUME,
    TASKIQ_PRODUCE,
    extract_from_pairs,
)

__all__ = [
    "CELERY_CONSUME",
    "CELERY_PRODUCE",
    "DRAMATIQ_CONSUME",
    "DRAMATIQ_PRODUCE",
    "HTTP_IN",
    "HTTP_OUT",
    "KAFKA_CONSUME",
    "KAFKA_PRODUCE",
    "RABBITMQ_CONSUME",
    "RABBITMQ_PRODUCE",
    "SQS_CONSUME",
    "SQS_PRODUCE",
    "TASKIQ_CONSUME",
    "TASKIQ_PRODUCE",
    "extract_from_pairs",
]
