"""How hooks are put on a client and taken off again, and how an error of theirs is kept from the program."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import MethodType
from typing import Any

from asyncdsm import checkpoint
from asyncdsm.log import warn_each_minute, warn_once

Function = Callable[..., Any]
Hook = Callable[[Function], Function]
"""Takes the function that it stands around and returns what stands in for it."""


class Hooks:
    """The hooks of one integration: each replaces a method of a class, or of one object, by one around it."""

    def __init__(self) -> None:
        self._replaced: list[tuple[type, str, Any, Function]] = []

    def put(self, owner: Any, name: str, hook: Hook) -> None:
        """Put a hook around `owner.name`, unless one is there. A method that is missing is one warning."""
        of_class = isinstance(owner, type)
        kind = owner if of_class else type(owner)
        original = getattr(kind, name, None)
        if original is None:
            warn_once(f"no-{name}", "%s has no method %s in this version: not hooked", kind.__qualname__, name)
            return
        if _leads_to_hook(vars(owner).get(name)) or (not of_class and _is_covered(kind, name)):
            return
        hooked = functools.wraps(original)(hook(original_of(original)))
        hooked.__asyncdsm_original__ = original_of(original)  # type: ignore[attr-defined]
        hooked.__asyncdsm_hook__ = hooked  # type: ignore[attr-defined]
        if of_class:
            self._replaced.append((owner, name, vars(owner).get(name), hooked))
            setattr(owner, name, hooked)
        else:
            setattr(owner, name, MethodType(hooked, owner))

    def remove(self) -> None:
        """Restore every class, but for methods that somebody else has replaced since."""
        covered = []
        for owner, name, before, hooked in self._replaced:
            if vars(owner).get(name) is not hooked:
                covered.append((owner, name, before, hooked))
            elif before is None:
                delattr(owner, name)
            else:
                setattr(owner, name, before)
        self._replaced = covered


def followed(kind: Any, following: Callable[[Any], Any]) -> Any:
    """Return what `following` makes of a class: its subclass with our hooks. One that none can be made of stays it."""
    try:
        return following(kind)
    except Exception as error:  # a metaclass or an `__init_subclass__` with wishes of its own
        warn_once(f"not-followed-{kind!r}", "%r cannot be followed by wrap(), only by instrument(): %r", kind, error)
        return kind


def _is_covered(kind: type, name: str) -> bool:
    """Say whether a class's method leads to one of our hooks without being one: a second would count all twice.

    Either a subclass's own method calls a hooked one, or somebody else's wrapper stands around it.
    """
    found = [vars(base)[name] for base in kind.__mro__ if name in vars(base)]
    return not is_hook(found[0]) and any(_leads_to_hook(function) for function in found)


def marked_async(function: Function) -> Function:
    """Let a plain function that returns a coroutine pass for a coroutine function, as what it stands for does."""
    if sys.version_info >= (3, 12):
        import inspect  # noqa: PLC0415

        return inspect.markcoroutinefunction(function)
    import asyncio  # noqa: PLC0415

    function._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]
    return function


def is_hook(function: Any) -> bool:
    """Say whether a function, or the function of a method, is one of ours itself."""
    function = getattr(function, "__func__", function)
    return function is not None and getattr(function, "__asyncdsm_hook__", None) is function


def _leads_to_hook(function: Any) -> bool:
    """Say whether a function is one of ours, or a wrapper around one (wrapt's and functools' show what they wrap)."""
    return hasattr(function, "__asyncdsm_original__")


def original_of(function: Function) -> Function:
    """Return what a hook stands around, so that an object wrapped in an instrumented class is counted once."""
    return function.__asyncdsm_original__ if is_hook(function) else function  # type: ignore[attr-defined]


def hook_failed(error: Exception) -> None:
    """Keep an error of ours from the program: counted, and said once a minute. Under test it is raised."""
    aggregator = checkpoint.active()
    if aggregator is None:
        warn_each_minute("hook", checkpoint.HOOK_FAILED, error)
    else:
        aggregator.failed(error, "hook", checkpoint.HOOK_FAILED)
