"""`instrument`: a subclass takes the place of each of C's classes, under all the names that these have by now.

In the modules that imported them, and among the bases of classes derived from them: SerializingProducer, the
program's own. It has C's layout, without which a class cannot change its base.
"""

from __future__ import annotations

import gc
import sys
from abc import ABCMeta
from typing import Any

from asyncdsm_confluent.client import Beside, forget

_in_place: dict[type, type] = {}


def shown(own: type) -> type:
    """Return the class that goes by the name of C's at the moment."""
    return _in_place.get(own, own)


def subclass(own: type, metaclass: type = type) -> Any:
    """Return a subclass, of what is in the place of C's class, that shows itself as that."""
    names = {name: getattr(own, name) for name in ("__module__", "__qualname__", "__doc__")}
    return metaclass(own.__name__, (shown(own),), {**names, "__slots__": (), "_asyncdsm": Beside(), "__del__": forget})


def swap(own: type) -> type:
    """Put a subclass in the place of C's class, once, and return it."""
    if own not in _in_place:
        # A metaclass keeps the program from having one of its own that is not derived from it: only where needed.
        made_before = any(type(one) is own for one in gc.get_objects())
        _in_place[own] = subclass(own, _Takes if made_before else type)
        _replace(own, _in_place[own])
    return _in_place[own]


def restore(own: type) -> None:
    """Give C's class its names and its subclasses back."""
    other = _in_place.pop(own, None)
    if other is not None:
        _replace(other, own)


class _Takes(ABCMeta):
    """Lets objects that C's class made before pass for those of the class in its place."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return super().__instancecheck__(instance) or _in_place.get(type(instance)) is cls


def _replace(one: Any, other: Any) -> None:
    for kind in type.__subclasses__(one):
        if kind is not other:
            kind.__bases__ = tuple(other if base is one else base for base in kind.__bases__)
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == __name__.partition(".")[0]:
            continue
        for key, value in _names_in(module):
            if value is one:
                module.__dict__[key] = other


def _names_in(module: Any) -> list[tuple[str, Any]]:
    try:
        return list(module.__dict__.copy().items())
    except Exception:  # anything may stand among the modules: None, what loads itself later, what refuses
        return []
