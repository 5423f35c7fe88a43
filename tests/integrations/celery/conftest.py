"""A Celery app without a worker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery

from tests.integrations.kombu.clients import fresh, tidy


@pytest.fixture
def app() -> Iterator[Any]:
    with Celery(fresh(), broker="memory://", set_as_current=False) as app:
        yield app
    tidy()
