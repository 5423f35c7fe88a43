"""Messages to the user's log: each problem once, or once a minute, never a flood."""

from __future__ import annotations

from time import monotonic

MINUTE = 60.0

_said: dict[str, float] = {}
_MOST_KEYS = 1000
"""What there is one warning of for each queue, there is for so many queues."""


def warn_once(key: str, message: str, *values: object) -> None:
    """Warn about something that will not change while the process lives."""
    if key not in _said and len(_said) < _MOST_KEYS:
        _said[key] = monotonic()
        warn(message, *values)


def warn_each_minute(key: str, message: str, *values: object) -> None:
    """Warn about something that goes on, at most once a minute for each key."""
    now = monotonic()
    if now - _said.get(key, -MINUTE) >= MINUTE:
        _said[key] = now
        warn(message, *values)


def inform(message: str, *values: object) -> None:
    """Say that something is well again."""
    from logging import getLogger  # noqa: PLC0415

    getLogger("asyncdsm").info(message, *map(_on_one_line, values))


def warn(message: str, *values: object) -> None:
    """Warn, every time."""
    from logging import getLogger  # noqa: PLC0415  (a fifth of `import asyncdsm`, and needed only now)

    getLogger("asyncdsm").warning(message, *map(_on_one_line, values))


def _on_one_line(value: object) -> object:
    """Return a text that adds no line to a log and no command to a terminal: topics are named by whoever may.

    Only what is a text as such: pass an error as `%r`, or as `str(error)`.
    """
    if not isinstance(value, str) or value.isprintable():
        return value
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in value)


def forget() -> None:
    """Let everything be said again."""
    _said.clear()
