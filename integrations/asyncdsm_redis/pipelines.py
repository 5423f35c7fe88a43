"""Pipelines: which hooks each class of them has."""

from __future__ import annotations

from functools import lru_cache, wraps
from inspect import signature, unwrap
from typing import Any

from asyncdsm.integration import Hook, Hooks, is_async, look_up_in_class, subclass_or_same
from asyncdsm_redis.pipeline_calls import (
    hook_annotate,
    hook_first_error,
    hook_pipeline,
    hook_pipeline_async,
    hook_queue,
)


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
