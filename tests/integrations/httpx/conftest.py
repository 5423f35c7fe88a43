"""httpx2 and httpx work on asyncio and on trio, and so do their tests."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run the async tests of this folder on both event loops."""
    return str(request.param)
