"""Runs the flush loop: in the caller's event loop, or in an event loop of its own in a thread.

Either way it runs in an empty context, so that no export carries a pathway or a span of the user's program. It belongs
to no task group, so that `start()` and `aclose()` may be called from different tasks, and no exception is grouped.
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
"""An async function to run in an event loop. Its argument says whether it has a thread of its own, and may block it."""

_tasks: set[asyncio.Task[None]] = set()  # an event loop itself holds its tasks only weakly


def in_trio() -> bool:
    """Return whether a trio task is running, without importing trio; another thread may be importing it right now."""
    in_trio_task = getattr(sys.modules.get("trio.lowlevel"), "in_trio_task", None)
    return in_trio_task is not None and bool(in_trio_task())


def start_in_current_loop(function: LoopMain) -> Callable[[], bool]:
    """Run an async function in the current event loop. Returns a function that says whether the loop still runs."""
    if in_trio():
        import trio  # noqa: PLC0415  (only where it is already in use)

        trio.lowlevel.spawn_system_task(function, False, name="asyncdsm", context=Context())
        return lambda: True  # trio cancels system tasks before it ends, which `Flusher.run` notices
    loop = asyncio.get_running_loop()
    if _is_imported_twice(loop):  # a task that is cancelled in it does not end as anyio expects
        return start_in_thread(function)
    task = loop.create_task(function(False), name="asyncdsm", context=Context())
    _tasks.add(task)
    task.add_done_callback(_discard_task)
    return loop.is_running


def _discard_task(task: asyncio.Task[None]) -> None:
    _tasks.discard(task)
    if not task.cancelled():
        # A signal handler may raise SystemExit inside the task. The event loop raises it again by itself; retrieving
        # it here keeps asyncio from logging it as an exception that nobody retrieved.
        task.exception()


def start_in_thread(function: LoopMain) -> Callable[[], bool]:
    """Run an async function in an event loop of its own, in a daemon thread.

    Returns a function that says whether the thread still runs. Raises RuntimeError while the interpreter shuts down:
    from Python 3.12 on, no thread can be started then.
    """
    thread = threading.Thread(target=_run_in_thread, args=(function,), name="asyncdsm", daemon=True)
    thread.start()
    return thread.is_alive


def run_in_own_loop(function: LoopMain) -> None:
    """Run an async function to its end in an event loop of its own, in this thread, which must not be running one."""
    _run(function, True)


def run_blocking(work: Callable[[], T]) -> T:
    """Call a function that may block, from an event loop of `run_in_own_loop` or `start_in_thread`."""
    loop = asyncio.get_running_loop()
    with loop.released_thread() if isinstance(loop, _OwnLoop) else nullcontext():
        return work()


def _run_in_thread(function: LoopMain) -> None:
    with forks.import_lock:
        _run(anyio.sleep, 0)  # imports the backend
    run_in_own_loop(function)


def _run(function: Callable[..., Coroutine[Any, Any, None]], argument: Any) -> None:
    loop = _OwnLoop()
    asyncio._set_running_loop(None)
    try:
        anyio.run(function, argument, backend_options={"loop_factory": lambda: loop})
    finally:
        asyncio._set_running_loop(loop.other_loop)


# asyncio's tasks and futures that are written in Python; asyncio itself prefers those in C.
_PythonTask: Any = getattr(asyncio.tasks, "_PyTask")  # noqa: B009
_PythonFuture: Any = getattr(asyncio.futures, "_PyFuture")  # noqa: B009


def _make_python_task(loop: Any, coroutine: Any, /, **more: Any) -> Any:
    return _PythonTask(coroutine, loop=loop, **more)


def _is_imported_twice(loop: asyncio.AbstractEventLoop) -> bool:
    """Return whether asyncio's C code belongs to an earlier import and raises an exception class that nobody catches.

    If gevent is installed, ddtrace removes asyncio from the imported modules. On Python 3.11 its C code stays.
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
    """An event loop that looks up host names without a thread: it may block, and at exit no thread can be started.

    It also works where gevent has patched threads into greenlets. All of them share one thread, and asyncio allows one
    running loop for each thread. So whenever other greenlets may run, this loop is not the running one, and afterwards
    the loop that they left running is remembered.
    """

    def __init__(self) -> None:
        self.other_loop = asyncio._get_running_loop()
        selector = selectors.DefaultSelector()
        self._wait = selector.select
        selector.select = self._select  # type: ignore[method-assign]
        super().__init__(selector)
        if _is_imported_twice(self):
            self.set_task_factory(_make_python_task)
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
        """Inside the block, this loop is not the running loop of its thread, so that others may run there."""
        asyncio._set_running_loop(self.other_loop)
        try:
            yield
        finally:
            self.other_loop = asyncio._get_running_loop()
            asyncio._set_running_loop(self)


class LoopHandle(NamedTuple):
    """What other threads and callbacks need of a running event loop."""

    call_soon: Callable[[Callable[[], object]], object]
    """Calls a function in the loop; may itself be called from any thread."""
    time: Callable[[], float]
    """The loop's clock, in seconds. Unlike `anyio.current_time`, it can be read outside of a task."""


def current_loop_handle() -> LoopHandle:
    """Return the handle of the event loop that runs this task."""
    if in_trio():
        import trio  # noqa: PLC0415

        return LoopHandle(trio.lowlevel.current_trio_token().run_sync_soon, trio.current_time)
    loop = asyncio.get_running_loop()
    return LoopHandle(loop.call_soon_threadsafe, loop.time)
