"""A proxy for an object of one of C's own classes, which takes no hooks and cannot change its class.

It is not an instance of a subclass: C's methods would expect a client inside it, and up to release 2.12 they crash when
there is none. It has every method of its object, and `isinstance` takes it for an instance of the object's class.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any
from weakref import ref

from asyncdsm.integration import Hooks
from asyncdsm_confluent.class_swap import public_class
from asyncdsm_confluent.classes import c_classes, put_hook_set
from asyncdsm_confluent.client import recover_client

_hooks = Hooks(is_removable=False)  # a client that was wrapped stays wrapped


class Proxy:
    """Represents one object. Its subclasses have the methods of one C class each."""

    __slots__ = ("__weakref__", "_asyncdsm", "_object")

    _own: type

    def __init__(self, client: Any) -> None:
        self._object, self._asyncdsm = client, recover_client(client)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The class that `isinstance` looks at."""
        return public_class(self._own)

    def __repr__(self) -> str:
        return repr(self._object)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self._object.__reduce_ex__(protocol)  # C's objects cannot be pickled: they raise their own error

    def __dir__(self) -> list[str]:
        return dir(self._object)


def make_proxy(client: Any) -> Any:
    """Return a proxy for an object of one of C's own classes."""
    cls: Any = type(client)
    return _make_proxy_class(cls)(client)


def is_proxy(client: Any) -> bool:
    """Say whether an object is such a proxy."""
    return issubclass(type(client), Proxy)


@functools.cache
def _make_proxy_class(own: Any) -> Any:
    shown = {name: getattr(own, name) for name in ("__module__", "__qualname__", "__doc__")}
    methods = {name: _forward_method(name, getattr(own, name)) for name in dir(own) if name not in vars(object)}
    cls = type(own.__name__, (Proxy,), {**shown, "__slots__": (), "_own": own, **methods})
    put_hook_set(_hooks, cls, {name: hook for name, hook in c_classes()[own].items() if name != "__init__"})
    return cls


def _forward_method(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    if name == "__enter__":

        def forward(self: Any, /, *args: Any, **kwargs: Any) -> Any:
            method(self._object, *args, **kwargs)
            return self

    elif name == "subscribe":

        def forward(self: Any, /, *args: Any, **kwargs: Any) -> Any:
            args = tuple(_wrap_callback(self, given) for given in args)
            kwargs = {key: _wrap_callback(self, given) for key, given in kwargs.items()}
            return method(self._object, *args, **kwargs)

    else:

        def forward(self: Any, /, *args: Any, **kwargs: Any) -> Any:
            return method(self._object, *args, **kwargs)

    return functools.wraps(method)(forward)


def _wrap_callback(proxy: Any, given: Any) -> Any:
    """Return a rebalance callback that gets the proxy as its consumer. Other arguments stay as they are."""
    if not callable(given):
        return given
    proxy_ref = ref(proxy)

    @functools.wraps(given)
    def callback(consumer: Any, *rest: Any) -> Any:
        return given(proxy_ref() or consumer, *rest)

    return callback
