"""Fixtures of the browser tests: the browser, an agent with a map, and `asyncdsm demo`."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import AsyncIterator

import anyio
import pytest
from anyio.streams.text import TextReceiveStream
from blockbuster import BlockBuster
from playwright.async_api import Browser, async_playwright

from asyncdsm.agent.http.server import RunningAgent, running_agent
from tests.browser.shop import Shop

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
START_SECONDS = 120


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Return asyncio: uvicorn and playwright run on nothing else."""
    return "asyncio"


@pytest.fixture(autouse=True)
def allow_playwright_to_block(blockbuster: BlockBuster) -> None:
    """Allow playwright to read source files, for the traceback of its exceptions."""
    for function in blockbuster.functions.values():
        function.can_block_in("playwright/_impl/_connection.py", "_extract_stack_trace_information_from_stack")


@pytest.fixture(scope="module")
async def browser(anyio_backend: str) -> AsyncIterator[Browser]:
    """Run a browser without a screen. A test fails, and is not skipped, if there is no browser."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


async def running_demo(*options: str) -> AsyncIterator[str]:
    """Run `asyncdsm demo` and yield the address of its page."""
    command = [sys.executable, "-m", "asyncdsm", "demo", *options]
    async with await anyio.open_process(command, stderr=subprocess.STDOUT) as process:
        try:
            assert process.stdout is not None
            output = ""
            with anyio.fail_after(START_SECONDS):
                async for part in TextReceiveStream(process.stdout):
                    output += part
                    if "Ctrl-C" in output:
                        break
            found = re.search(r"the map is at (http://127\.0\.0\.1:\d+/)", output)
            assert found, output
            yield found[1]
        finally:
            process.terminate()  # not SIGINT, which a program in the background of a shell ignores
            try:
                with anyio.fail_after(START_SECONDS):
                    await process.wait()
            except TimeoutError:
                process.kill()  # else the block waits for it without an end
                raise


@pytest.fixture(scope="module")
async def demo(anyio_backend: str) -> AsyncIterator[str]:
    """Run the demo with Kafka only, and yield the address of its page."""
    async for url in running_demo("--rabbitmq", "off"):
        yield url


@pytest.fixture
def shop() -> Shop:
    """Return a map with nothing on it."""
    return Shop()


@pytest.fixture
async def agent(shop: Shop) -> AsyncIterator[RunningAgent]:
    """Run an agent that serves the map of the shop."""
    async with running_agent(store=shop.maps.store) as agent:
        yield agent
