"""The watch of `conftest.py` sees what it is there to see."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest
from anyio.to_thread import run_sync
from blockbuster import BlockBuster, BlockingError

from tests.hangs import child_processes

BLOCKING: list[Callable[[], object]] = [lambda: time.sleep(0), lambda: os.listdir("."), lambda: os.stat(".")]


@pytest.mark.parametrize("call", BLOCKING)
async def test_blocking_an_asyncio_loop_raises(call: Callable[[], object], anyio_backend_name: str) -> None:
    if anyio_backend_name == "asyncio":
        with pytest.raises(BlockingError):
            call()


async def test_waiting_for_a_lock_raises(anyio_backend_name: str) -> None:
    lock = threading.Lock()
    lock.acquire()
    if anyio_backend_name == "asyncio":
        with pytest.raises(BlockingError):
            lock.acquire()


async def test_worker_thread_may_block() -> None:
    await run_sync(time.sleep, 0)


async def test_test_may_block_where_it_says_so(blockbuster: BlockBuster) -> None:
    blockbuster.functions["time.sleep"].deactivate()
    time.sleep(0)  # noqa: ASYNC251


def test_child_processes_are_counted() -> None:
    before = child_processes()
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        assert child_processes() - before == {child.pid}
    assert child_processes() == before
