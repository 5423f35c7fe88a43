"""What `instrument` does: a subclass takes the place of each C class, under all the names that the class has by then.

That is in the modules that imported the class, and among the bases of classes that are derived from it, such as
SerializingProducer and the program's own. The subclass has C's layout, so that those classes can change their base.
"""

from __future__ import annotations

import gc
import sys
from abc import ABCMeta
from typing import Any

from asyncdsm_confluent.client import ClientSlot, forget_id

_in_place: dict[type, type] = {}  # by C's class, the subclass that has its names at the moment


def public_class(own: type) -> type:
    """Return the class that has the names of a C class at the moment."""
    return _in_place.get(own, own)


def derive_class(own: type, metaclass: type = type) -> Any:
    """Return a subclass of what has the names of a C class, with the same name, module and documentation."""
    shown = {name: getattr(own, name) for name in ("__module__", "__qualname__", "__doc__")}
    members = {**shown, "__slots__": (), "_asyncdsm": ClientSlot(), "__del__": forget_id}
    return metaclass(own.__name__, (public_class(own),), members)


def swap_class(own: type) -> type:
    """Put a subclass in the place of a C class, unless that was done, and return it."""
    if own not in _in_place:
        # Only if needed: a class that the program derives cannot have a metaclass that is unrelated to this one.
        was_used = any(type(one) is own for one in gc.get_objects())
        _in_place[own] = derive_class(own, _AcceptsOriginals if was_used else type)
        _replace_class(own, _in_place[own])
    return _in_place[own]


def restore_class(own: type) -> None:
    """Give a C class its names and its subclasses back."""
    other = _in_place.pop(own, None)
    if other is not None:
        _replace_class(other, own)


class _AcceptsOriginals(ABCMeta):
    """For `isinstance`, objects that a C class made earlier are instances of the class in its place."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return super().__instancecheck__(instance) or _in_place.get(type(instance)) is cls


def _replace_class(one: Any, other: Any) -> None:
    for cls in type.__subclasses__(one):
        if cls is not other:
            cls.__bases__ = tuple(other if base is one else base for base in cls.__bases__)
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == __name__.partition(".")[0]:
            continue
        for key, value in _read_names(module):
            if value is one:
                module.__dict__[key] = other


def _read_names(module: Any) -> list[tuple[str, Any]]:
    try:
        return list(module.__dict__.copy().items())
    except Exception:  # `sys.modules` may hold anything: None, lazy modules, modules that raise
        return []
