"""Where the flush loop lives: in the caller's event loop, or in a thread of its own.

Either way in an empty context, so that no export carries a pathway or a span of the user's, and outside of every
task group, so that `start()` and `aclose()` may be called from different tasks and no exception is ever grouped.
"""

from __future__ import annotations

import asyncio
import selectors
import socket
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import Context
from functools import partial
from typing import Any, NamedTuple, TypeVar

import anyio

from asyncdsm._internal import forks

T = TypeVar("T")

LoopMain = Callable[[bool], Coroutine[Any, Any, None]]
"""An async function that is told whether it has a thread of its own, which it may block."""

_tasks: set[asyncio.Task[None]] = set()  # an event loop itself holds its tasks only weakly


def in_trio() -> bool:
    """Say whether this is a trio task, without importing trio."""
    trio = sys.modules.get("trio")
    return trio is not None and bool(trio.lowlevel.in_trio_task())


def start_in_current_loop(function: LoopMain) -> Callable[[], bool]:
    """Run an async function in this event loop. Returns what tells whether that loop still runs."""
    if in_trio():
        import trio  # noqa: PLC0415  (only where it is already in use)

        trio.lowlevel.spawn_system_task(function, False, name="asyncdsm", context=Context())
        return lambda: True  # trio cancels system tasks before it ends: `run` sees that
    loop = asyncio.get_running_loop()
    if _is_imported_twice(loop):  # what is cancelled in it does not end as anyio expects
        return start_in_thread(function)
    task = loop.create_task(function(False), name="asyncdsm", context=Context())
    _tasks.add(task)
    task.add_done_callback(_done)
    return loop.is_running


def _done(task: asyncio.Task[None]) -> None:
    _tasks.discard(task)
    if not task.cancelled():
        task.exception()  # a signal handler's SystemExit, raised wherever the loop stood: the loop passes it on itself


def start_in_thread(function: LoopMain) -> Callable[[], bool]:
    """Run an async function in an event loop of its own, in a daemon thread. Returns what tells whether it runs.

    Raises RuntimeError while the interpreter ends: from Python 3.12 on no thread can be started then.
    """
    thread = threading.Thread(target=_run_apart, args=(function,), name="asyncdsm", daemon=True)
    thread.start()
    return thread.is_alive


def run_in_own_loop(function: LoopMain) -> None:
    """Run an async function to its end in an event loop of its own, in this thread, which runs none."""
    _run(function, True)


def run_blocking(work: Callable[[], T]) -> T:
    """Do what may wait, in an event loop that `run_in_own_loop` or `start_in_thread` has made."""
    loop = asyncio.get_running_loop()
    with loop.released_thread() if isinstance(loop, _OwnLoop) else nullcontext():
        return work()


def _run_apart(function: LoopMain) -> None:
    with forks.import_lock:
        _run(anyio.sleep, 0)  # imports the backend
    run_in_own_loop(function)


def _run(function: Callable[..., Coroutine[Any, Any, None]], argument: Any) -> None:
    loop = _OwnLoop()
    asyncio._set_running_loop(None)
    try:
        anyio.run(function, argument, backend_options={"loop_factory": lambda: loop})
    finally:
        asyncio._set_running_loop(loop.others)


# asyncio's tasks and futures in Python; those in C are preferred.
_PythonTask: Any = getattr(asyncio.tasks, "_PyTask")  # noqa: B009
_PythonFuture: Any = getattr(asyncio.futures, "_PyFuture")  # noqa: B009


def _python_task(loop: Any, coroutine: Any, **more: Any) -> Any:
    return _PythonTask(coroutine, loop=loop, **more)


def _is_imported_twice(loop: asyncio.AbstractEventLoop) -> bool:
    """Say whether asyncio's part in C is that of an earlier import, and cancels by an exception that nobody catches.

    ddtrace removes asyncio from the imported modules when gevent is installed. On Python 3.11 the part in C stays.
    """
    future = loop.create_future()
    future.cancel()
    try:
        future.result()
    except asyncio.CancelledError:
        return False
    except BaseException:
        return True
    return False


class _OwnLoop(asyncio.SelectorEventLoop):
    """Looks host names up right here: it may block, and needs no thread, which there may be none of at the end.

    Where gevent has made threads into greenlets, all of them share one thread, and asyncio knows one running loop a
    thread. Whenever others may run, this loop is none, and what they run is left as it was.
    """

    def __init__(self) -> None:
        self.others = asyncio._get_running_loop()
        selector = selectors.DefaultSelector()
        self._wait = selector.select
        selector.select = self._select  # type: ignore[method-assign]
        super().__init__(selector)
        if _is_imported_twice(self):
            self.set_task_factory(_python_task)
            self.create_future = partial(_PythonFuture, loop=self)  # type: ignore[method-assign]

    def _select(self, timeout: float | None = None) -> Any:
        with self.released_thread():
            return self._wait(timeout)

    async def getaddrinfo(
        self,
        host: Any,
        port: Any,
        *,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> Any:
        with self.released_thread():
            return socket.getaddrinfo(host, port, family, type, proto, flags)

    @contextmanager
    def released_thread(self) -> Iterator[None]:
        """Be no running loop inside the block."""
        asyncio._set_running_loop(self.others)
        try:
            yield
        finally:
            self.others = asyncio._get_running_loop()
            asyncio._set_running_loop(self)


class Loop(NamedTuple):
    """What can be asked of a running event loop outside of its tasks."""

    call_soon: Callable[[Callable[[], object]], object]
    """Calls a function in the loop; may itself be called from any thread."""
    time: Callable[[], float]
    """The loop's clock, in seconds; `anyio.current_time` would want a task."""


def current_loop() -> Loop:
    """Return the event loop that runs this task."""
    if in_trio():
        import trio  # noqa: PLC0415

        return Loop(trio.lowlevel.current_trio_token().run_sync_soon, trio.current_time)
    loop = asyncio.get_running_loop()
    return Loop(loop.call_soon_threadsafe, loop.time)
