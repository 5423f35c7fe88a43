"""Tests and fixtures that are coroutines can be cancelled by the watch over tests that hang.

An error that is raised out of a running event loop would leave the coroutine in it, and the loop may be that of further
tests.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from inspect import isasyncgenfunction, iscoroutinefunction
from typing import Any, TypeVar

import pytest
import trio

from tests import hangs

T = TypeVar("T")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Let a test that is a coroutine be cancelled, and each call of one that hypothesis calls."""
    test = pyfuncitem.obj
    if iscoroutinefunction(test):
        pyfuncitem.obj = partial(call_cancellable, test)
    elif hasattr(test, "hypothesis") and iscoroutinefunction(test.hypothesis.inner_test):
        inner = test.hypothesis.inner_test
        test.hypothesis.inner_test = partial(call_cancellable, inner)
        try:
            return (yield)
        finally:
            test.hypothesis.inner_test = inner  # other cases of a parametrized test have the same function
    return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_fixture_setup(fixturedef: Any) -> Generator[None, object, object]:
    """Let a fixture that is a coroutine be cancelled: its event loop may be that of further tests."""
    function = fixturedef.func
    if iscoroutinefunction(function):
        fixturedef.func = partial(call_cancellable, function)
    elif isasyncgenfunction(function):
        fixturedef.func = partial(iterate_cancellable, function)
    try:
        return (yield)
    finally:
        fixturedef.func = function


async def call_cancellable(function: Callable[..., Awaitable[T]], /, **arguments: object) -> T:
    """Call the function so that the watch can cancel it."""
    return await run_cancellable(function(**arguments))


async def iterate_cancellable(function: Callable[..., AsyncIterator[T]], /, **arguments: object) -> AsyncIterator[T]:
    """Iterate over what the function returns so that the watch can cancel each step."""
    steps = aiter(function(**arguments))
    while True:
        try:
            value = await run_cancellable(anext(steps))
        except StopAsyncIteration:
            return
        yield value


async def run_cancellable(coroutine: Awaitable[T]) -> T:
    """Await the coroutine; raise HangingTestError from its cancellation, which has the place where it hung."""
    watch = hangs.Watch.current
    with cancelled_by_trio(watch) if trio.lowlevel.in_trio_task() else cancelled_by_asyncio(watch):
        try:
            return await coroutine
        except BaseException as error:
            if watch.interruptions:
                raise watch.error() from error
            raise
    raise watch.error()  # trio's scope ends without an error


@contextmanager
def cancelled_by_trio(watch: hangs.Watch) -> Iterator[None]:
    """Let the watch cancel this block, from within a signal handler."""
    with trio.CancelScope() as scope:
        token = trio.lowlevel.current_trio_token()
        watch.cancel = lambda: token.run_sync_soon(scope.cancel)
        try:
            yield
        finally:
            watch.cancel = None


@contextmanager
def cancelled_by_asyncio(watch: hangs.Watch) -> Iterator[None]:
    """Let the watch cancel this task, from within a signal handler. Unlike a scope, that lets it clean up."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None

    def cancel_task() -> None:
        if watch.cancel:  # else the test has ended meanwhile, and fixtures have the same task
            task.cancel()

    watch.cancel = lambda: loop.call_soon_threadsafe(cancel_task)
    try:
        yield
    finally:
        watch.cancel = None
        while watch.interruptions and task.uncancel():
            pass
