"""Every test here leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster

from asyncdsm._internal import log
from tests.chaos.leftovers import nothing_left_over


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run the async tests of this folder on asyncio: the message clients speak nothing else."""
    return "asyncio"


@pytest.fixture(autouse=True)
def tidy(blockbuster: BlockBuster | None) -> Iterator[None]:
    """Fail a test that leaves a thread, a file descriptor or a child process behind."""
    if blockbuster is not None:
        blockbuster.functions["io.TextIOWrapper.read"].can_block_in("tests/brokers/process.py", "_children")
        # An intake has a thread and an event loop of its own: a test may wait for it.
        blockbuster.functions["threading.Lock.acquire"].can_block_in("tests/intake.py", "running_intake")
    log.forget_warnings()
    with nothing_left_over():
        yield
    log.forget_warnings()
