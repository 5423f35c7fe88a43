"""The commands of streams: where their arguments are, and where the entries are in what they return."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from asyncdsm_redis.names import as_text

NEW_ENTRIES = ">"
"""The id by which a consumer of a group asks for entries that nobody was given yet."""
_READ_AT = {"XREAD": 1, "XREADGROUP": 4}  # where options begin
_GROUP_AT = {"XREADGROUP": 2, "XCLAIM": 2, "XAUTOCLAIM": 2}
_STREAMS = "STREAMS"
_IDS = (str, bytes)

READS: frozenset[str] = frozenset({"XREAD", "XREADGROUP", "XCLAIM", "XAUTOCLAIM"})
"""The commands whose entries count as consumed."""
RANGES: frozenset[str] = frozenset({"XRANGE", "XREVRANGE"})
"""The commands that look at what is in a stream."""
INFO = "XINFO STREAM"
"""The command that shows the first and the last entries of a stream. The client has its name in one argument."""
LOOKS: frozenset[str] = RANGES | {INFO}
"""The commands whose entries do not count."""
_XINFO = "XINFO"
_NAMES = frozenset({"XADD", _XINFO}) | READS | LOOKS


def find_stream_command(args: tuple[Any, ...]) -> str | None:
    """Return the name of a command, in capitals; None if it is not one that this package follows. **Hot**."""
    try:
        name = _find_name(args[0])
    except (IndexError, TypeError, ValueError):  # no command, or a name that cannot be hashed: the client refuses it
        return None
    if name is not _XINFO:
        return name
    return INFO if len(args) > 1 and f"{name} {as_text(args[1]).upper()}" == INFO else None


@lru_cache(1024)
def _find_name(command: Any) -> str | None:
    """Return what is in `_NAMES`: the server takes the names of commands in any case."""
    return next((name for name in _NAMES if name == as_text(command).upper()), None)


class Batch(NamedTuple):
    """Some entries of one stream, and where they are in what a command returned: `holder[key]`."""

    stream: Any
    entries: list[Any]
    holder: Any
    key: Any


def find_batches(name: str, args: tuple[Any, ...], holder: list[Any], at: int) -> Iterator[Batch]:
    """Yield the entries that a command returned, of any of the shapes that the client makes. `holder[at]` is it.

    By protocol, version and `legacy_responses`, XREAD returns `[[stream, entries], …]`, `{stream: entries}` or
    `{stream: [entries]}`. A program's own response callback may return anything else: then there are none.
    """
    result = holder[at]
    if name in _READ_AT:
        if isinstance(result, dict):
            for stream, value in list(result.items()):
                yield _unnest(stream, value, result)
        elif isinstance(result, list):
            for pair in result:
                if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[1], list):
                    yield Batch(pair[0], pair[1], pair, 1)
    elif name != "XAUTOCLAIM":
        if isinstance(result, list):
            yield Batch(args[1], result, holder, at)
    elif isinstance(result, list) and len(result) > 1 and isinstance(result[1], list):
        yield Batch(args[1], result[1], result, 1)


def _unnest(stream: Any, value: Any, result: dict[Any, Any]) -> Batch:
    if not isinstance(value, list):
        return Batch(stream, [], result, stream)
    is_nested = len(value) == 1 and isinstance(value[0], list) and (not value[0] or not _is_id(value[0][0]))
    return Batch(stream, value[0], value, 0) if is_nested else Batch(stream, value, result, stream)


def _is_id(value: Any) -> bool:
    return isinstance(value, _IDS)


def find_shown(info: Any) -> Iterator[Any]:
    """Yield the entries within what XINFO STREAM returned, parsed by the client or, from `execute_command`, not."""
    if not isinstance(info, dict | list):
        return
    for key, value in info.items() if isinstance(info, dict) else zip(info[::2], info[1::2], strict=False):
        name = as_text(key)
        if name in ("first-entry", "last-entry"):
            yield value
        elif name == "entries" and isinstance(value, dict | list):  # all that `full=True` asks for
            yield from value.items() if isinstance(value, dict) else value


def find_group(name: str, args: tuple[Any, ...]) -> str:
    """Return the consumer group of a command; "" for XREAD, which has none."""
    at = _GROUP_AT.get(name)
    return "" if at is None else as_text(args[at])


def find_asked(name: str, args: tuple[Any, ...]) -> dict[str, str]:
    """Return what XREAD or XREADGROUP asks for: the id after which it reads, by stream. Empty for other commands."""
    begin = _READ_AT.get(name)
    if begin is None:
        return {}
    at = next(at for at in range(begin, len(args)) if as_text(args[at]).upper() == _STREAMS)
    rest = [as_text(each) for each in args[at + 1 :]]
    half = len(rest) // 2
    return dict(zip(rest[:half], rest[half:], strict=False))
