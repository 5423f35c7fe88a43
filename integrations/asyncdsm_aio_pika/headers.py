"""What a consumed message remembers."""

from __future__ import annotations

from typing import Any

from asyncdsm.pathway import Context


class ConsumedHeaders(dict[str, Any]):
    """The headers of a message that was consumed, in every way a dict; they know its pathway.

    An `IncomingMessage` has no room for it (slots), nor does it say which queue it came from. Copied and pickled, this
    is a plain dict.
    """

    __slots__ = ("pathway",)

    pathway: Context

    def __reduce_ex__(self, _: Any) -> tuple[Any, ...]:
        return dict, (dict(self),)
