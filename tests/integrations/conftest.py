"""The message clients speak asyncio only: so do their tests."""

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run the async tests of this folder on asyncio alone."""
    return "asyncio"
