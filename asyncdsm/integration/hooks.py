"""Hooks: putting them on a client, removing them, and keeping their errors from the program."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from operator import attrgetter
from types import MethodType
from typing import Any, ParamSpec, TypeVar

from asyncdsm._internal.log import warn_once
from asyncdsm.core.checkpoint import report_hook_error

P = ParamSpec("P")
T = TypeVar("T")

Function = Callable[..., Any]
Hook = Callable[[Function], Function]
"""Takes the original function and returns the function to call in its place."""


_in_force: set[tuple[type, str]] = set()
# The methods of classes that are hooked. A wrapper that somebody else put around a hook need not show the hook.


class Hooks:
    """The hooks of one integration. Each replaces a method of a class or of one object by a function that calls it."""

    def __init__(self, *, is_removable: bool = True) -> None:
        """`is_removable` is false for hooks on classes that asyncdsm has derived: it saves them 0.1 µs a call."""
        self.is_on_classes: bool = False
        """Whether `put` was called for a class since the last `remove`. What lives longer than the hooks on classes,
        such as a callback that a client was given, asks it each time."""
        self._is_removable = is_removable
        self._replaced: list[tuple[type, str, Any, Function, Callable[[], None]]] = []

    def put(self, owner: Any, name: str, hook: Hook, *, hot: bool = False) -> None:
        """Put a hook around `owner.name`, unless it has one. A missing method is logged once.

        The hook of an object looks its class's method up at each call, since somebody may patch the class. If the
        object has an attribute of that name, as a test may give it, the hook calls that. `hot` is for methods that
        take keywords for every message: it saves 0.3 µs, but a message is counted twice if the class is hooked as well
        and somebody else has wrapped the hook of the class.
        """
        of_class = isinstance(owner, type)
        kind = owner if of_class else type(owner)
        original = getattr(kind, name, None)
        if original is None:
            warn_once(
                f"no-{name}",
                "asyncdsm cannot instrument %s.%s, because the installed version has no such method",
                kind.__qualname__,
                name,
            )
            return
        self.is_on_classes |= of_class
        own = vars(owner).get(name)
        if _leads_to_hook(own) or (of_class and (owner, name) in _in_force):
            return
        if of_class:
            self._put_on_class(owner, name, own, original, hook)
        elif own is not None:
            setattr(owner, name, MethodType(_mark_hook(original, hook(_call_own_attribute(own))), owner))
        elif not _is_covered(kind, name):
            hooked = hook(look_up_in_class(kind, name)) if hot else _hook_for_object(kind, name, hook)
            setattr(owner, name, MethodType(_mark_hook(original, hooked), owner))

    def put_all(self, owner: Any, by_name: Mapping[str, Hook]) -> None:
        """Put hooks around several methods of `owner`, by their names."""
        for name, hook in by_name.items():
            self.put(owner, name, hook)

    def put_on_client(self, client: Any, cls: type, name: str, hook: Hook) -> None:
        """Put a hook on `client.name`, unless the client's class has replaced `cls.name` by one with other parameters.

        A hook passes on what the client's own method takes, so it fits no other. That is logged once.
        """
        kind = type(client)
        function = getattr(kind, name)
        if takes_parameters_of(function, getattr(cls, name)):
            self.put(client, name, hook)
            return
        warn_once(
            f"other-parameters-{kind!r}-{name}",
            "asyncdsm.wrap() cannot instrument %r, only asyncdsm.instrument() can: its parameters are not those of "
            "%s.%s",
            function,
            cls.__qualname__,
            name,
        )

    def _put_on_class(self, owner: type, name: str, own: Any, original: Function, hook: Hook) -> None:
        hooked = _name_like(original, hook(original_of(original)))
        if self._is_removable:
            hooked, turn_off = _make_switchable(hooked, original_of(original))
            self._replaced.append((owner, name, own, hooked, turn_off))
        _in_force.add((owner, name))
        setattr(owner, name, _mark_hook(original, hooked))

    def remove(self) -> None:
        """Restore every class. A hook that somebody else has wrapped meanwhile stays there, and does nothing."""
        for owner, name, own, hooked, turn_off in self._replaced:
            if vars(owner).get(name) is hooked:
                _restore(owner, name, own)
            _in_force.discard((owner, name))
            turn_off()
        self._replaced = []
        self.is_on_classes = False


def _restore(owner: type, name: str, own: Any) -> None:
    if own is None:
        delattr(owner, name)
    else:
        setattr(owner, name, own)


def after(observe: Function) -> Hook:
    """Make a hook that calls `observe(result, *args, **kwargs)` once the original has returned.

    For plain functions. The arguments are those of the call, the object first; an `observe` that ends with
    `*_args, **_more` works with arguments that a later release of the client adds. What the original raises goes to
    the caller, and is not observed; what `observe` raises is counted and logged.
    """

    def hook(original: Function) -> Function:
        def observed(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            try:
                observe(result, *args, **kwargs)
            except Exception as error:
                report_hook_error(error)
            return result

        return observed

    return functools.wraps(observe)(hook)


def after_await(observe: Function) -> Hook:
    """Make a hook that calls `observe(result, *args, **kwargs)` once the original has returned: for coroutines.

    As `after`; `observe` is a plain function, so that nothing is awaited between the client and its caller.
    """

    def hook(original: Function) -> Function:
        async def observed(*args: Any, **kwargs: Any) -> Any:
            result = await original(*args, **kwargs)
            try:
                observe(result, *args, **kwargs)
            except Exception as error:
                report_hook_error(error)
            return result

        return observed

    return functools.wraps(observe)(hook)


def before(observe: Function) -> Hook:
    """Make a hook that calls `observe(*args, **kwargs)`, then the original: for plain functions and coroutines.

    As `after`; for a coroutine function, `observe` is called when the coroutine is made.
    """

    def hook(original: Function) -> Function:
        def observed(*args: Any, **kwargs: Any) -> Any:
            try:
                observe(*args, **kwargs)
            except Exception as error:
                report_hook_error(error)
            return original(*args, **kwargs)

        return _mark_async_like(original, observed)

    return functools.wraps(observe)(hook)


def guarded(function: Callable[P, T]) -> Callable[P, T | None]:
    """Return a function that does the same, and returns None where `function` raises: the error is counted and logged.

    For the part of a hook that is asyncdsm's own, never for a call of the client, whose errors are the program's.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T | None:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            report_hook_error(error)
            return None

    return call


def subclass_or_same(cls: Any, make_subclass: Callable[[Any], Any]) -> Any:
    """Return the instrumented subclass that `make_subclass` makes of `cls`, or `cls` itself if it cannot be subclassed.

    A metaclass or an `__init_subclass__` may refuse: that is logged once.
    """
    try:
        return make_subclass(cls)
    except Exception as error:
        warn_once(
            f"not-followed-{cls!r}",
            "asyncdsm.wrap() cannot instrument %r, only asyncdsm.instrument() can: %r",
            cls,
            error,
        )
        return cls


def takes_parameters_of(function: Function, original: Function) -> bool:
    """Say whether a method takes what another one takes, by position and by name."""
    from inspect import Parameter, signature  # noqa: PLC0415

    given = iter(signature(function).parameters.values())
    for wanted in signature(original).parameters.values():
        parameter = next(given, None)
        if parameter is not None and parameter.kind is Parameter.VAR_POSITIONAL:
            return True
        if parameter is None or parameter.name != wanted.name:
            return False
        if parameter.kind is Parameter.KEYWORD_ONLY and wanted.kind is not Parameter.KEYWORD_ONLY:
            return False
    return True


def _hook_for_object(kind: Any, name: str, hook: Hook) -> Function:
    """Return a hook for one object, around the method that its class has at the time of each call.

    Somebody may patch the class after the object was wrapped, and remove the patch later.
    """
    at_wrap, class_attribute = getattr(kind, name), attrgetter(name)
    hooked = _name_like(at_wrap, hook(original_of(at_wrap)))
    patched = _name_like(at_wrap, hook(look_up_in_class(kind, name)))
    overridden = [(base, name) for base in kind.__mro__ if name in vars(base)][1:]  # methods that `at_wrap` may call

    def call(owner: Any, /, *args: Any, **kwargs: Any) -> Any:
        found = class_attribute(kind)
        if found is at_wrap and (not overridden or _in_force.isdisjoint(overridden)):  # 0.1 µs
            return hooked(owner, *args, **kwargs) if args or kwargs else hooked(owner)
        if _is_covered(kind, name):  # a wrapper around a hook of the class, or a method that calls it: that hook counts
            return _class_method(owner, kind, name)(*args, **kwargs)
        return patched(owner, *args, **kwargs)

    return _mark_async_like(hooked, call)


def _call_own_attribute(own: Any) -> Function:
    """Return a function that calls an object's own attribute, without the object as the first argument."""

    def call(_owner: Any, /, *args: Any, **kwargs: Any) -> Any:
        return own(*args, **kwargs)

    return _mark_async_like(own, call)


def look_up_in_class(kind: Any, name: str) -> Function:
    """Return a function that looks up a class's method at each call, and skips a hook of asyncdsm."""
    at_wrap, class_attribute = getattr(kind, name), attrgetter(name)
    original = original_of(at_wrap)

    def call(*args: Any, **kwargs: Any) -> Any:
        found = class_attribute(kind)
        if found is at_wrap or original_of(found) is original:
            return original(*args, **kwargs)
        return _class_method(args[0], kind, name)(*args[1:], **kwargs)

    return _mark_async_like(original, _name_like(at_wrap, call))


def _class_method(owner: Any, kind: Any, name: str) -> Any:
    """Return what `owner.name` would be if it were found in the class `kind`, and asyncdsm had not replaced it."""
    found = original_of(next(vars(base)[name] for base in kind.__mro__ if name in vars(base)))
    bind = getattr(type(found), "__get__", None)  # a mock has none, and takes no object
    return found if bind is None else bind(found, owner, type(owner))


def _mark_hook(original: Function, hooked: Function) -> Function:
    """Give a hook the name and docstring of the original, and mark it as a hook."""
    hooked = functools.wraps(original)(hooked)
    hooked.__asyncdsm_original__ = original_of(original)  # type: ignore[attr-defined]
    hooked.__asyncdsm_hook__ = hooked  # type: ignore[attr-defined]
    return hooked


def _name_like(original: Function, hooked: Function) -> Function:
    """Give a hook the qualified name of the original, which Python puts into the error of a call without arguments."""
    name = getattr(original, "__qualname__", None)
    if isinstance(name, str):
        hooked.__qualname__ = name
    return hooked


def _make_switchable(hooked: Function, original: Function) -> tuple[Function, Callable[[], None]]:
    """Return a function that calls `hooked`, and a function that makes it call `original` instead.

    Somebody else's wrapper may still call a hook after it was removed from its class.
    """
    called = hooked

    def call(*args: Any, **kwargs: Any) -> Any:  # 0.1 µs, and 0.3 with keywords
        return called(*args, **kwargs)

    def turn_off() -> None:
        nonlocal called
        called = original
        del call.__asyncdsm_original__, call.__asyncdsm_hook__  # type: ignore[attr-defined]

    return _mark_async_like(hooked, call), turn_off


def _is_covered(kind: type, name: str) -> bool:
    """Say whether a class's method calls a hook without being one: another hook would count everything twice.

    Either the method of a subclass calls a hooked one, or somebody else has wrapped the hook.
    """
    holders = [base for base in kind.__mro__ if name in vars(base)]
    if is_hook(vars(holders[0])[name]):
        return False
    return any((base, name) in _in_force or _leads_to_hook(vars(base)[name]) for base in holders)


def mark_async(function: Function) -> Function:
    """Mark a plain function that returns a coroutine as a coroutine function, like the method that it replaces."""
    if sys.version_info >= (3, 12):
        import inspect  # noqa: PLC0415

        return inspect.markcoroutinefunction(function)
    import asyncio  # noqa: PLC0415

    function._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]
    return function


def is_async(function: Function) -> bool:
    """Say whether a function is a coroutine function, or is marked as one by `mark_async`."""
    import asyncio  # noqa: PLC0415
    import inspect  # noqa: PLC0415

    return (inspect.iscoroutinefunction if sys.version_info >= (3, 12) else asyncio.iscoroutinefunction)(function)


def _mark_async_like(function: Function, made: Function) -> Function:
    """Mark `made` as a coroutine function if `function` is one."""
    return mark_async(made) if is_async(function) else made


def is_hook(function: Any) -> bool:
    """Say whether a function, or the function of a method, is a hook of asyncdsm."""
    function = getattr(function, "__func__", function)
    return function is not None and getattr(function, "__asyncdsm_hook__", None) is function


def _leads_to_hook(function: Any) -> bool:
    """Say whether a function is a hook of asyncdsm, or a wrapper around one that is in force.

    The wrappers of functools and wrapt have the attributes of what they wrap.
    """
    hook = getattr(function, "__asyncdsm_hook__", None)
    return hook is not None and is_hook(hook)


def original_of(function: Function) -> Function:
    """Return the original of a hook, or the function itself. So an object of a hooked class is counted once."""
    return function.__asyncdsm_original__ if is_hook(function) else function  # type: ignore[attr-defined]
