"""Runs the commands of a page: to their end, until they have printed something, or in the background."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from time import monotonic, sleep
from types import TracebackType
from typing import IO, Self

BACKGROUND = re.compile(r'background, wait for "(.+)"')
STOP_AFTER = re.compile(r'stop after "(.+)"')
SECONDS = 180.0
"""How long a command may take to end, or to print what the page waits for."""
INTERRUPT_SECONDS = 20.0
"""How long a command may take to end after Ctrl-C."""
FAILURE_SECONDS = 0.3
"""How long a command has to fail after it has printed what the page waits for, which may be part of its error."""
INTERRUPTED = {0, -signal.SIGINT, 128 + signal.SIGINT}
"""How a command may end after Ctrl-C."""
HIDDEN_FAILURES = [
    (r"\|\|", "a command before || may fail"),
    (r"&&.*\n\s*\S", "a command before && may fail, unless that is the last line"),
    (r"(?m)^\s*!\s", "a command after ! may succeed: write `if COMMAND; then exit 1; fi`"),
    (r"\bexit\b(?!\s+[1-9])", "what follows exit is not run"),
    (r"\bset \+|\btrap\b", "failures may be ignored"),
]
"""What keeps `bash -e` from failing where a page is wrong."""


class CommandError(Exception):
    """A command of a page failed."""


class Shell:
    """Runs commands with bash; programs are those of this Python's environment. As a context, it ends all of them."""

    def __init__(self, seconds: float = SECONDS) -> None:
        """`seconds` is how long a command may take to end, or to print what the page waits for."""
        self._seconds = seconds
        self._ending = ExitStack()
        self._background: list[Command] = []

    def __enter__(self) -> Self:
        self._logs = Path(self._ending.enter_context(TemporaryDirectory()))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._ending.__exit__(kind, error, tb)

    def run(self, code: str, instruction: str) -> None:
        """Run a block of commands as its instruction says: see `tests/docs/page.py`.

        Raises CommandError if it fails, does not print what it should in time, or could fail without being noticed.
        """
        if instruction and not (BACKGROUND.fullmatch(instruction) or STOP_AFTER.fullmatch(instruction)):
            raise CommandError(f"no such instruction: {instruction!r}")
        for pattern, problem in HIDDEN_FAILURES:
            if re.search(pattern, code):
                raise CommandError(f"{problem}: {code}")
        with NamedTemporaryFile("wb", dir=self._logs, delete=False) as log:
            command = Command(code, self._seconds, log)
        if found := BACKGROUND.fullmatch(instruction):
            self._ending.push(command.end)
            self._background.append(command)
            command.wait_for(found[1])
        elif found := STOP_AFTER.fullmatch(instruction):
            try:
                command.wait_for(found[1])
                sleep(FAILURE_SECONDS)
            finally:
                code_at_end = command.interrupt()
            if code_at_end not in INTERRUPTED:
                raise CommandError(f"ended with {code_at_end}: {command}")
        else:
            command.wait()

    def terminate(self) -> None:
        """Send SIGTERM to the command that was started last in the background, and wait for its end."""
        self._background.pop().terminate()


class Command:
    """One block of commands, started in a process group of its own."""

    def __init__(self, code: str, seconds: float, log: IO[bytes]) -> None:
        self._code = code
        self._seconds = seconds
        self._log = Path(log.name)
        self._terminated = False
        self._process = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", code],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={
                **os.environ,
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "PYTHONUNBUFFERED": "1",
            },
        )

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return self._log.read_text(errors="replace")

    def wait(self) -> None:
        """Wait for the end. Raises CommandError if it comes too late or with an exit code other than 0."""
        try:
            code = self._process.wait(self._seconds)
        except subprocess.TimeoutExpired:
            self.interrupt()
            raise CommandError(f"did not end within {self._seconds:.0f} s: {self}") from None
        self._end_group(signal.SIGKILL)
        if code:
            raise CommandError(f"ended with {code}: {self}")

    def wait_for(self, text: str) -> None:
        """Wait until this has been printed. Raises CommandError if it is not."""
        deadline = monotonic() + self._seconds
        is_over = False
        while text not in self.output:
            if is_over:
                raise CommandError(f"did not print {text!r}: {self}")
            sleep(0.02)
            is_over = self._process.poll() is not None or monotonic() > deadline

    def end(self, _kind: type[BaseException] | None, error: BaseException | None, _tb: TracebackType | None) -> None:
        """End it at the end of its page. Raises CommandError as `interrupt` does, or if it has failed before.

        If the page has failed, that is its error; a command that ended before is none.
        """
        if self._terminated:
            return
        code = self._process.poll()
        self.interrupt()
        if code and error is None:
            raise CommandError(f"ended with {code} in the background: {self}")

    def interrupt(self) -> int:
        """End it as Ctrl-C does, and return its exit code.

        Raises CommandError if it is still there later, or ended with an error's traceback.
        That of KeyboardInterrupt is no error: Python itself prints it for a program that does not catch it.
        """
        self._end_group(signal.SIGINT)
        self._wait_for_end("Ctrl-C")
        return self._process.returncode

    def terminate(self) -> None:
        """End it as a container ends: its first process gets SIGTERM. Raises CommandError as `interrupt` does."""
        self._terminated = True
        self._process.terminate()
        self._wait_for_end("SIGTERM")

    def _wait_for_end(self, how: str) -> None:
        try:
            self._process.wait(min(self._seconds, INTERRUPT_SECONDS))
        except subprocess.TimeoutExpired:
            raise CommandError(f"did not end on {how}: {self}") from None
        finally:
            self._end_group(signal.SIGKILL)
            self._process.wait()
        if "Traceback (most recent call last)" in self.output and not self.output.endswith("\nKeyboardInterrupt\n"):
            raise CommandError(f"ended with a traceback: {self}")

    def _end_group(self, number: signal.Signals) -> None:
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return

    def __str__(self) -> str:
        return f"{self._code}\n{self.output[-4000:]}"
