"""The types of ASGI 3: loose, for each framework has its own, and apps of all of them are taken."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = Any
Message = MutableMapping[str, Any]
Receive = Callable[..., Awaitable[Any]]
Send = Callable[..., Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]
