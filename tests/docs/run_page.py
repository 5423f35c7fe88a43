"""Run all code of one page of the manual in order: `python -m tests.docs.run_page docs/quickstart.md`.

Servers that a page mentions by their usual addresses are found by the environment variables in `ADDRESSES`. The page
runs in the current directory, which should be empty.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import os
import re
import sys
import tomllib
import types
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from tests.docs.page import TERMINATE, Block, PageError, read_blocks
from tests.docs.shell import SECONDS, Shell

ADDRESSES = {
    "localhost:9092": "TEST_KAFKA",
    "localhost:6379": "TEST_REDIS",
    "1883": "TEST_MQTT_PORT",
    "nats://localhost:4222": "TEST_NATS",
    "localhost:5673": "TEST_SERVICEBUS",
    "localhost:8085": "TEST_PUBSUB",
    "localhost:8123": "TEST_CLICKHOUSE",
    "localhost:5674": "TEST_EVENTHUBS",
    "amqp://guest:guest@localhost": "TEST_RABBITMQ",
    "amqp://localhost": "TEST_RABBITMQ",
    "8126": "TEST_AGENT_PORT",
    "8127": "TEST_SECOND_AGENT_PORT",
    "8000": "TEST_HTTP_PORT",
    "4318": "TEST_OTLP_PORT",
}
"""By what a page says: the environment variable with what the tests put in its place."""

EVERYWHERE = "0.0.0.0"  # noqa: S104  # servers of the tests listen on loopback only

DEFAULT_OPTIONS = [
    (r"^asyncdsm agent(?!.*--port)(?= |$)", "--port 8126"),
    (r"^asyncdsm (?:check|map|top)(?!.*--url)(?= |$)", "--url http://127.0.0.1:8126"),
]
"""Commands that use port 8126 unless they are told another one, and how they are told."""

FORMATS: Mapping[str, Callable[[str], object]] = {
    "json": json.loads,
    "toml": tomllib.loads,
    "yaml": lambda code: list(yaml.safe_load_all(code)),
}
SHOWN_ONLY = {"text", "mermaid", "{toctree}", "{eval-rst}"}
CODE_DIRECTIVE = re.compile(r"^\s*\.\. (code|literalinclude|sourcecode|prompt|doctest)", re.MULTILINE)
"""What would show code inside of `{eval-rst}`."""


class Page:
    """One page while it runs: its namespace, its event loop and its shell."""

    def __init__(self, path: Path, seconds: float = SECONDS) -> None:
        """`seconds` is how long a command may take to end, or to print what the page waits for."""
        self.path = path
        self.module = types.ModuleType("__main__")
        self.runner = asyncio.Runner()
        self.shell = Shell(seconds)
        self.tasks: list[asyncio.Task[None]] = []

    def run(self) -> None:
        """Run every block, then end what runs in the background."""
        sys.path.insert(0, os.getcwd())
        with self.runner, self.shell:
            for block in read_blocks(self.path):
                try:
                    self.run_block(block)
                except SystemExit as error:
                    raise PageError(f"{self.path.name}:{block.line}: the page ends here: {error!r}") from error
                except BaseException as error:
                    error.add_note(f"in the block at {self.path.name}:{block.line}")
                    raise
            self.runner.run(self.end_tasks())

    async def end_tasks(self) -> None:
        """Cancel the Python blocks that run in the background. Raises what one of them raised before."""
        for task in self.tasks:
            if not task.done():
                task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def run_block(self, block: Block) -> None:
        """Run one block by its language.

        Raises PageError for a language that nothing here can run, and for an instruction that is none for such a block.
        """
        if block.instruction.startswith("not run"):
            return
        if block.instruction and (block.file_name or not takes_instruction(block)):
            raise PageError(f"{self.path.name}:{block.line}: {block.instruction!r} is no instruction for this block")
        code = use_test_addresses(block.code)
        if block.file_name:
            path = Path(block.file_name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(code)
        elif block.language == "python":
            self.run_python(code, block.line, in_background=block.instruction == "background")
        elif block.language == "sh":
            self.shell.run(code, block.instruction)
        elif block.language == TERMINATE:
            self.shell.terminate()
        elif block.language in FORMATS:
            FORMATS[block.language](code)
        elif block.language not in SHOWN_ONLY or CODE_DIRECTIVE.search(code):
            raise PageError(f"{self.path.name}:{block.line}: nothing runs a block of {block.language!r}")

    def run_python(self, code: str, line: int, *, in_background: bool) -> None:
        """Run a block in the namespace of the page; `await` is allowed at its top level.

        In the background, it goes on while later blocks run, and is cancelled at the end of the page.
        """
        padded = "\n" * (line - 1) + code
        compiled = compile(padded, str(self.path), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        function = types.FunctionType(compiled, self.module.__dict__)
        if in_background:
            self.tasks.append(self.runner.get_loop().create_task(function()))
        elif compiled.co_flags & inspect.CO_COROUTINE:
            self.runner.run(function())
        else:
            function()


def takes_instruction(block: Block) -> bool:
    """Say whether the language of this block has such an instruction. Those for commands are checked by the shell."""
    return block.language == "sh" or (block.language, block.instruction) == ("python", "background")


def use_test_addresses(code: str) -> str:
    """Return the code with the addresses of the tests' servers. Raises PageError if a server is missing."""

    def replace(found: re.Match[str]) -> str:
        variable = ADDRESSES[found[0]]
        try:
            return os.environ[variable]
        except KeyError:
            raise PageError(f"{found[0]} needs {variable} in the environment") from None

    code = code.replace(EVERYWHERE, "127.0.0.1")
    for pattern, option in DEFAULT_OPTIONS:
        code = re.sub(pattern, rf"\g<0> {option}", code, flags=re.MULTILINE)
    return re.sub("|".join(rf"(?<!\d){re.escape(address)}(?!\d)" for address in ADDRESSES), replace, code)


def main(arguments: list[str]) -> Any:
    """Run the page that is named."""
    Page(Path(arguments[0]).resolve()).run()


if __name__ == "__main__":
    main(sys.argv[1:])
