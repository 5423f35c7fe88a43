"""The commands that a pipeline keeps, and what is done when it executes them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from inspect import isawaitable, iscoroutine
from typing import Any
from weakref import WeakKeyDictionary, finalize

from asyncdsm.integration import guarded, mark_async, receive_async
from asyncdsm_redis.calls import Call, begin_call
from asyncdsm_redis.consume import ReadCall, finish_reads
from asyncdsm_redis.produce import AddCall, hide_context

_queued: WeakKeyDictionary[Any, dict[int, Call]] = WeakKeyDictionary()
# What each pipeline will execute, by its place among all of the pipeline's commands.


def hook_queue(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `execute_command` of a pipeline, which keeps a command for later. While it watches keys, it executes it."""

    def execute_command(pipeline: Any, /, *args: Any, **options: Any) -> Any:
        call = begin_call(pipeline, args)
        result = original(pipeline, *(args if call is None else call.args), **options)
        if result is pipeline:
            _note_queued(pipeline, call)
            return result
        if call is None:
            return result
        call.clear_current()
        return _finish_awaited(call, result) if isawaitable(result) else call.finish_call(result)

    return execute_command


def _finish_awaited(call: Call, answer: Any) -> Any:
    """Return a coroutine that awaits the answer to a command of an asyncio pipeline, and finishes the call."""

    def ask() -> Any:
        return answer

    finishing: Any = receive_async(ask, call.clear_current, call.finish_call)
    if iscoroutine(answer):  # nobody else can await it, and Python would warn of both
        finishing.__qualname__ = answer.__qualname__
        finalize(finishing, answer.close).atexit = False
    return finishing


@guarded
def _note_queued(pipeline: Any, call: Call | None) -> None:
    """Note the command that a pipeline has taken last. The first one after a reset forgets those before."""
    calls = _queued.get(pipeline)
    place = len(pipeline) - 1
    if calls is not None and place == 0:
        calls.clear()
    if call is not None:
        if calls is None:
            calls = _queued[pipeline] = {}
        calls[place] = call


def hook_pipeline(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `execute` of a pipeline that blocks."""

    def execute(pipeline: Any, /, *args: Any, **kwargs: Any) -> Any:
        if pipeline not in _queued:
            return original(pipeline, *args, **kwargs)
        try:
            _clear_current(pipeline)
            return _finish_pipeline(pipeline, original(pipeline, *args, **kwargs))
        finally:
            _queued.pop(pipeline, None)

    return execute


def hook_pipeline_async(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `execute` of an asyncio pipeline."""

    def execute(pipeline: Any, /, *args: Any, **kwargs: Any) -> Any:
        if pipeline not in _queued:
            return original(pipeline, *args, **kwargs)
        _clear_current(pipeline)
        executing: Any = _execute_async(pipeline, partial(original, pipeline, *args, **kwargs))
        executing.__qualname__ = getattr(original, "__qualname__", executing.__qualname__)
        return executing

    return mark_async(execute)


async def _execute_async(pipeline: Any, ask: Callable[[], Any]) -> Any:
    try:
        _clear_current(pipeline)
        return _finish_pipeline(pipeline, await ask())
    finally:
        _queued.pop(pipeline, None)


def _clear_current(pipeline: Any) -> None:
    for call in _queued.get(pipeline, {}).values():
        call.clear_current()


def _finish_pipeline(pipeline: Any, results: Any) -> Any:
    """Count what a pipeline has executed. Its results are a list in the order of the commands."""
    calls = _queued.get(pipeline)
    if calls and isinstance(results, list):
        _finish_added(calls, results)
        reads = [(call, at) for at, call in calls.items() if isinstance(call, ReadCall) and at < len(results)]
        if reads:
            finish_reads(reads, results)
    return results


@guarded
def _finish_added(calls: dict[int, Call], results: Any) -> None:
    for at, call in calls.items():
        if isinstance(call, AddCall) and at < len(results):
            call.finish_call(results[at])


def hook_first_error(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `raise_first_error` of a pipeline: it knows which entries were added although another command failed."""

    def raise_first_error(pipeline: Any, /, commands: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return original(pipeline, commands, response, *args, **kwargs)
        except Exception:
            _finish_added(_queued.get(pipeline, {}), response)
            raise

    return raise_first_error


def hook_annotate(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `annotate_exception` of a pipeline, which puts the failed command into the text of an error."""

    def annotate_exception(pipeline: Any, /, *args: Any, **kwargs: Any) -> Any:
        named = {name: hide_context(value) for name, value in kwargs.items()}
        return original(pipeline, *map(hide_context, args), **named)

    return annotate_exception
