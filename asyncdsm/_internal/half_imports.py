"""Modules that a thread was importing at a fork. The thread is not in the child, so there they would stay half."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from importlib import _bootstrap
from types import FrameType, ModuleType
from typing import Any


def forget_half_imports() -> None:
    """In a forked child, have what another thread of the parent was importing be imported anew.

    What the thread imports that forked goes on in the child, and stays. A package that was half imported is forgotten
    with all that is in it: only the import of a submodule binds its name in the package.
    """
    _forget_locks()
    own = _own_globals()
    others = {name: module for name, module in list(sys.modules.items()) if id(_content(module)) not in own}
    half = [name for name, module in others.items() if _is_half(module)]
    for name in others:
        if any(name == each or name.startswith(f"{each}.") for each in half):
            sys.modules.pop(name, None)


def _forget_locks() -> None:
    """Forget the locks of modules that threads hold which are not in this process: nobody would release them.

    Python does not (3.13). Its locks are private: where they are kept otherwise, this does nothing.
    """
    locks: Any = getattr(_bootstrap, "_module_locks", {})
    for name, reference in list(locks.items()):
        if getattr(reference(), "owner", None) not in {None, threading.get_ident()}:
            locks.pop(name, None)


def _own_globals() -> set[int]:
    """Return the ids of the globals of the modules whose code this thread is running, or whose import it waits for."""
    return {id(found) for frame in _frames() for found in (frame.f_globals, _imported_by(frame))}


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        yield frame
        frame = frame.f_back


def _imported_by(frame: FrameType) -> dict[str, Any] | None:
    """Return the content of the module that a frame of Python's import system loads: that in C has no frame."""
    if frame.f_globals.get("__name__") != _bootstrap.__name__:
        return None
    return _content(frame.f_locals.get("module"))


def _is_half(module: object) -> bool:
    content = _content(module)
    return content is not None and getattr(content.get("__spec__"), "_initializing", False) is True


def _content(module: object) -> dict[str, Any] | None:
    """Return the globals of a module, without calling its code; None for another object in `sys.modules`."""
    if not issubclass(type(module), ModuleType):
        return None
    content: dict[str, Any] = object.__getattribute__(module, "__dict__")
    return content
