"""Fixtures of several clients. The clients speak asyncio only, and so do their tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from tests.integrations.kombu import clients as kombu_clients


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run the async tests of this folder on asyncio alone."""
    return "asyncio"


@pytest.fixture
def name() -> Callable[[], str]:
    """Return a fresh name for a queue or an exchange at each call."""
    return lambda: f"n{uuid4().hex[:10]}"


@pytest.fixture(scope="module")
def tidy_kombu() -> Iterator[None]:
    """Leave nothing of Kombu's behind a module."""
    yield
    kombu_clients.tidy()
