"""A browser for each module, and the map that `asyncdsm demo` draws."""

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
    """Run the loop that uvicorn and playwright run on."""
    return "asyncio"


@pytest.fixture(autouse=True)
def playwright_may_read(blockbuster: BlockBuster) -> None:
    """Let playwright look for itself where its exceptions came from."""
    for function in blockbuster.functions.values():
        function.can_block_in("playwright/_impl/_connection.py", "_extract_stack_trace_information_from_stack")


@pytest.fixture(scope="module")
async def browser(anyio_backend: str) -> AsyncIterator[Browser]:
    """Run a browser without a screen. One that is missing is a failure."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


async def running_demo(*options: str) -> AsyncIterator[str]:
    """Run `asyncdsm demo`; yield its page's address."""
    command = [sys.executable, "-m", "asyncdsm", "demo", *options]
    async with await anyio.open_process(command, stderr=subprocess.STDOUT) as process:
        try:
            assert process.stdout is not None
            said = ""
            with anyio.fail_after(START_SECONDS):
                async for part in TextReceiveStream(process.stdout):
                    said += part
                    if "Ctrl-C" in said:
                        break
            found = re.search(r"the map is at (http://127\.0\.0\.1:\d+/)", said)
            assert found, said
            yield found[1]
        finally:
            process.terminate()  # SIGINT is ignored by what a shell runs in the background
            with anyio.fail_after(START_SECONDS):
                await process.wait()


@pytest.fixture(scope="module")
async def demo(anyio_backend: str) -> AsyncIterator[str]:
    """Draw the map of the demo, all on Kafka."""
    async for url in running_demo("--rabbitmq", "off"):
        yield url
