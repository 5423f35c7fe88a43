"""What stands in for an object of C's own classes, which can neither take hooks nor become something else.

It is no subclass: C's methods would look for a client in it, and up to 2.12 they crash when they find none. It has
every method that the object has, and says that it is of its class.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any
from weakref import ref

from asyncdsm.integration.hooks import Hooks
from asyncdsm_confluent import names
from asyncdsm_confluent.client import adopted
from asyncdsm_confluent.kinds import c_kinds, put

_CALLBACKS = ("on_assign", "on_revoke", "on_lost")

_hooks = Hooks()


class StandIn:
    """Stands in for one object; its subclasses have the methods of one class."""

    __slots__ = ("__weakref__", "_asyncdsm", "_object")

    _own: type

    def __init__(self, client: Any) -> None:
        self._object, self._asyncdsm = client, adopted(client)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The class that `isinstance` asks for."""
        return names.shown(self._own)

    def __repr__(self) -> str:
        return repr(self._object)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self._object.__reduce_ex__(protocol)  # C's objects cannot be pickled: in their own words

    def __dir__(self) -> list[str]:
        return dir(self._object)


def stand_in_for(client: Any) -> Any:
    """Return what stands in for an object of one of C's own classes."""
    kind: Any = type(client)
    return _stand_ins(kind)(client)


def is_stand_in(client: Any) -> bool:
    """Say whether this is one."""
    return issubclass(type(client), StandIn)


@functools.cache
def _stand_ins(own: Any) -> Any:
    shown = {name: getattr(own, name) for name in ("__module__", "__qualname__", "__doc__")}
    methods = {name: _handing_on(name, getattr(own, name)) for name in dir(own) if name not in vars(object)}
    kind = type(own.__name__, (StandIn,), {**shown, "__slots__": (), "_own": own, **methods})
    put(_hooks, kind, {name: hook for name, hook in c_kinds()[own].items() if name != "__init__"})
    return kind


def _handing_on(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    if name == "__enter__":

        def handing_on(self: Any, *args: Any, **kwargs: Any) -> Any:
            method(self._object, *args, **kwargs)
            return self

    elif name == "subscribe":

        def handing_on(self: Any, *args: Any, **kwargs: Any) -> Any:
            args = tuple(_meeting(self, given) for given in args)
            kwargs = {key: _meeting(self, given) for key, given in kwargs.items()}
            return method(self._object, *args, **kwargs)

    else:

        def handing_on(self: Any, *args: Any, **kwargs: Any) -> Any:
            return method(self._object, *args, **kwargs)

    return functools.wraps(method)(handing_on)


def _meeting(stand_in: Any, given: Any) -> Any:
    """Return a rebalance callback that gets the stand-in for its consumer; what is no callback stays as it is."""
    if not callable(given):
        return given
    standing = ref(stand_in)

    @functools.wraps(given)
    def callback(consumer: Any, *rest: Any) -> Any:
        return given(standing() or consumer, *rest)

    return callback
