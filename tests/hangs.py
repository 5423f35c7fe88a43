"""A test that hangs fails, and the run goes on with the next one.

A timer of the system interrupts what a test does for too long, in its setup, its call or its teardown. The watchdog of
pytest, `faulthandler_timeout`, ends the whole process: it is for what no signal can interrupt.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar

import pytest
from _pytest.faulthandler import fault_handler_stderr_fd_key
from _pytest.outcomes import OutcomeException

from tests.brokers.process import running

LONGEST = (
    "tests/docs/test_pages.py",
    "tests/interop/test_pipelines.py",
    "tests/end_to_end/test_demo.py",
    "tests/docs/test_testing_page.py",
    "tests/end_to_end/test_celery.py",
    "tests/chaos/",
    "tests/integrations/pipelines/test_layers.py",
    "tests/integrations/aio_pika/test_restarts.py",
    "tests/cores/test_memory.py",
    "tests/packaging/",
)
"""Each takes from half a minute to seven minutes."""
LIMIT_SECONDS, LONGEST_LIMIT_SECONDS = 200.0, 300.0
"""How long a setup, a call or a teardown may take, and how long those of the tests in LONGEST."""
AGAIN_SECONDS = 40.0
"""How long a test that was interrupted may take to clean up, before it is interrupted again."""
CANCELLATIONS, INTERRUPTIONS = 2, 5
"""How often it is interrupted, and how many of these times its coroutine is only cancelled."""
EXIT_SECONDS = 30.0
"""How long it may take to end after the last time; and a process in which a test has hung, to exit."""

hanging: list[str] = []
"""The names of the tests that have hung in this process."""


class HangingTestError(OutcomeException):
    """The test took too long. Code of a test that handles every Exception does not handle this.

    It is no `pytest.fail.Exception`: hypothesis would try the same example again.
    """


class Watch:
    """The watch over one phase of a test: its setup, its call or its teardown."""

    current: ClassVar[Watch]

    def __init__(self, item: pytest.Item, phase: str) -> None:
        self.item, self.phase = item, phase
        self.limit = LONGEST_LIMIT_SECONDS if item.nodeid.startswith(LONGEST) else LIMIT_SECONDS
        self.interruptions = 0
        self.cancel: Callable[[], object] | None = None
        """Asks the coroutine of the test to end, while there is one."""
        self._children = child_processes()

    def interrupt(self, *_: object) -> None:
        """Cancel the coroutine that hangs; raise HangingTestError where there is none, or that does not help."""
        __tracebackhide__ = True
        self.interruptions += 1
        if self.interruptions == 1:
            hanging.append(self.item.nodeid)
            self.item.add_report_section(self.phase, "stacks of other threads", format_other_threads())
        else:
            self.kill_children()  # `with Popen(...)` waits for its process, whatever was raised
        if self.interruptions == INTERRUPTIONS:
            forget_time()
            stderr = self.item.config.stash[fault_handler_stderr_fd_key]
            faulthandler.dump_traceback_later(EXIT_SECONDS, exit=True, file=stderr)
        if self.cancel and self.interruptions <= CANCELLATIONS:
            self.cancel()
        else:
            raise self.error()

    def error(self) -> HangingTestError:
        """Return the error that says what hangs."""
        return HangingTestError(f"hangs: the {self.phase} of {self.item.nodeid} took more than {self.limit:g} s")

    def kill_children(self) -> None:
        """Kill the processes that this call has started; those of fixtures are ended by their teardown."""
        if self.phase == "call":
            for child in child_processes() - self._children - running:
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)


@contextmanager
def watched(item: pytest.Item, phase: str) -> Iterator[None]:
    """Interrupt what takes too long in this block; raise HangingTestError after it if it did not."""
    Watch.current = watch = Watch(item, phase)
    signal.signal(signal.SIGALRM, watch.interrupt)
    signal.setitimer(signal.ITIMER_REAL, watch.limit, AGAIN_SECONDS)
    try:
        yield
    except (HangingTestError, KeyboardInterrupt, pytest.exit.Exception):
        raise
    except BaseException as error:
        if watch.interruptions:
            raise watch.error() from error
        raise
    else:
        if watch.interruptions:
            raise watch.error()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        if watch.interruptions:
            watch.kill_children()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """Watch the setup."""
    with watched(item, "setup"):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Watch the call."""
    with watched(item, "call"):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Watch the teardown."""
    with watched(item, "teardown"):
        return (yield)


def pytest_enter_pdb() -> None:
    """Let somebody look at a test for as long as they like."""
    forget_time()


def pytest_exception_interact(node: pytest.Item | pytest.Collector) -> None:
    """Let somebody look at an error for as long as they like."""
    if node.config.getoption("usepdb"):
        forget_time()


def pytest_unconfigure() -> None:
    """End the process if a thread that a test has left keeps it from exiting."""
    if hanging:
        faulthandler.dump_traceback_later(EXIT_SECONDS, exit=True, file=sys.__stderr__ or sys.stderr)


def forget_time() -> None:
    """Let what the test is doing take as long as it takes."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    faulthandler.cancel_dump_traceback_later()


def format_other_threads() -> str:
    """Return where each thread but this one is."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    frames = sys._current_frames()
    others = [ident for ident in frames if ident != threading.get_ident()]
    return "\n".join(f"{names.get(each, each)}:\n{''.join(traceback.format_stack(frames[each]))}" for each in others)


def child_processes() -> set[int]:
    """Return the ids of this process's children, the ended ones that nobody waited for included."""
    children = set[int]()
    for path in Path("/proc/self/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended meanwhile
            children.update(map(int, path.read_text().split()))
    return children
