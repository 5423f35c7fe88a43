"""Entries that are added. The context is one more field, at the end of the command's arguments.

An entry counts when the server has answered with its id.
"""

from __future__ import annotations

from typing import Any

from asyncdsm.integration import (
    HEADER,
    PendingProduce,
    begin_produce,
    ensure_recorder,
    finish_produce,
    record_not_propagated,
)
from asyncdsm_redis.names import as_text, measure, out_edges, topics

FIELD: bytes = HEADER.encode()
"""The name of the field with the context."""
OWN_NAMES: frozenset[bytes | str] = frozenset((FIELD, HEADER))
"""The forms in which a program may have that name."""
_BY_CONTENT = "IDMPAUTO"  # the server makes an id of the fields, and adds what has the same id once
_OPTION_LENGTHS = {"NOMKSTREAM": 1, "KEEPREF": 1, "DELREF": 1, "ACKED": 1, _BY_CONTENT: 2, "IDMP": 3, "LIMIT": 2}
_NAMES = (str, bytes)
_TRIMMING = ("MAXLEN", "MINID")
_EXACTNESS = ("=", "~")
_QUEUED = (b"QUEUED", "QUEUED", "OK")  # the answers within a `MULTI` that the program itself has sent


def _find_id(args: tuple[Any, ...]) -> int:
    """Return where the id is among the arguments of XADD: after its options."""
    at = 2
    while at < len(args):
        option = as_text(args[at]).upper()
        if option in _TRIMMING:
            at += 3 if any(as_text(each) in _EXACTNESS for each in args[at + 1 : at + 2]) else 2
        elif (length := _OPTION_LENGTHS.get(option)) is not None:
            at += length
        else:
            break
    return at


def _is_known_by_content(options: tuple[Any, ...]) -> bool:
    """Say whether the server tells an entry that is added once more by its fields, so that they must not differ."""
    return any(as_text(each).upper() == _BY_CONTENT for each in options)


class AddCall:
    """A call of XADD whose entry counts."""

    __slots__ = ("_pending", "args")

    def __init__(self, args: tuple[Any, ...], pending: PendingProduce) -> None:
        self.args: tuple[Any, ...] = args
        """The arguments to call the client with."""
        self._pending = pending

    def clear_current(self) -> None:
        """Do nothing: what is current is the parent of further entries."""

    def finish_call(self, result: Any) -> Any:
        """Count the entry, and return the client's result. A stream that was not to be made has returned None."""
        if result is not None and not isinstance(result, Exception) and result not in _QUEUED:
            finish_produce(self._pending)
        return result


def begin_entry(args: tuple[Any, ...]) -> AddCall | None:
    """Return the call of XADD with the context among its fields. None for one that does not count. **Hot**.

    What goes without context, by the setting or since the server tells it by its fields, counts all the same.
    """
    if ensure_recorder() is None:
        return None
    fields_at = _find_id(args) + 1
    fields = args[fields_at:]
    if not fields or len(fields) % 2:  # the server refuses it
        return None
    stream = as_text(args[1])
    edge = out_edges[topics[stream]]
    if topics.goes_without_context(stream) or _is_known_by_content(args[2 : fields_at - 1]):
        pending = begin_produce(edge, sum(map(measure, fields)))
        if pending is None:
            return None
        record_not_propagated()
        return AddCall(args, pending)
    fields = _remove_context(fields)
    pending = begin_produce(edge, sum(map(measure, fields)), len(FIELD))
    return None if pending is None else AddCall((*args[:fields_at], *fields, FIELD, pending.header), pending)


def hide_context(command: Any) -> Any:
    """Return a command as the program has given it: without the field that was added to it."""
    is_ours = isinstance(command, tuple | list) and len(command) > 2 and command[-2] is FIELD
    return command[:-2] if is_ours else command


def _remove_context(fields: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the fields of an entry without the context of another one, from which a program may have copied them."""
    if not any(isinstance(name, _NAMES) and name in OWN_NAMES for name in fields[::2]):
        return fields
    pairs = zip(fields[::2], fields[1::2], strict=True)
    return tuple(each for name, value in pairs if name not in OWN_NAMES for each in (name, value))
