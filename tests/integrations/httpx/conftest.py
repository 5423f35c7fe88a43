"""httpx2 and httpx work on asyncio and on trio, and so do their tests."""

from __future__ import annotations

from contextlib import suppress

import pytest

import asyncdsm
from asyncdsm.errors import UnknownClientError


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run the async tests of this folder on both event loops."""
    return str(request.param)


@pytest.fixture(scope="session", autouse=True)
def loaded_integrations() -> None:
    """Find and import the integrations, which blocks, before any event loop runs."""
    with suppress(UnknownClientError):
        asyncdsm.wrap(object())
