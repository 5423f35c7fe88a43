"""Pipelines: the commands that one keeps, and what is done when it executes them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial, wraps
from inspect import isawaitable, iscoroutine, signature, unwrap
from typing import Any
from weakref import WeakKeyDictionary, finalize

from asyncdsm.integration import (
    Hook,
    Hooks,
    guarded,
    is_async,
    look_up_in_class,
    mark_async,
    receive_async,
    subclass_or_same,
)
from asyncdsm_redis.calls import Call, begin_call
from asyncdsm_redis.consume import ReadCall, finish_reads
from asyncdsm_redis.produce import AddCall, hide_context

_queued: WeakKeyDictionary[Any, dict[int, Call]] = WeakKeyDictionary()
# What each pipeline will execute, by its place among all of the pipeline's commands.


def hook_pipeline_class(hooks: Hooks, cls: Any) -> None:
    """Put hooks on a class of pipelines."""
    hooks.put_all(cls, _choose_pipeline_hooks(cls))


def follow_pipeline(pipeline: Any) -> None:
    """Follow one pipeline, by a subclass of its class: a program makes many pipelines."""
    pipeline.__class__ = subclass_or_same(type(pipeline), _subclass_pipeline)


@lru_cache(64)
def _subclass_pipeline(cls: Any) -> Any:
    """Return a subclass with hooks around the methods that its base class has at the time of each call."""
    if "_asyncdsm_is_followed" in vars(cls):
        return cls
    made = _derive(cls, (cls, *_hook_base(cls)), _choose_pipeline_hooks(cls))
    made._asyncdsm_is_followed = True
    return made


def _hook_base(cls: Any) -> tuple[Any, ...]:
    """Return the package's own class of pipelines with a hook around `execute`, if `cls` is a program's subclass of it.

    A program's `execute` may return anything; the list of the results is what it gets from `super().execute()`.
    """
    base = next(each for each in cls.__mro__ if each.__module__.startswith(("redis.", "valkey.")))
    return () if base is cls else (_derive(base, (base,), {"execute": _choose_execute_hook(base)}),)


def _derive(cls: Any, bases: tuple[Any, ...], hooks: dict[str, Hook]) -> Any:
    namespace = {"__slots__": (), "__doc__": cls.__doc__, "__module__": cls.__module__}
    for name, hook in hooks.items():
        namespace[name] = wraps(unwrap(getattr(cls, name)))(hook(look_up_in_class(cls, name)))
    return type(cls.__name__, bases, {**namespace, "__qualname__": cls.__qualname__})


def _choose_pipeline_hooks(cls: Any) -> dict[str, Hook]:
    hooks: dict[str, Hook] = {
        "execute_command": hook_queue,
        "execute": _choose_execute_hook(cls),
    }
    if _takes_response(cls):
        hooks["raise_first_error"] = hook_first_error
        if hasattr(cls, "annotate_exception"):
            hooks["annotate_exception"] = hook_annotate
    return hooks


def _choose_execute_hook(cls: Any) -> Hook:
    return hook_pipeline_async if is_async(unwrap(cls.execute)) else hook_pipeline


def _takes_response(cls: Any) -> bool:
    """Say whether `raise_first_error` gets the responses. A cluster's pipelines have another one, or none."""
    method = getattr(cls, "raise_first_error", None)
    return method is not None and [*signature(method).parameters][1:3] == ["commands", "response"]


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
