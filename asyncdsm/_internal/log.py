"""Messages to the user's log: each problem once, or once a minute, never a flood."""

from __future__ import annotations

from time import monotonic

MINUTE = 60.0
MOST_SAID = 1000
"""Some keys have a topic's name in them, which may come from outside: beyond, nothing new is said once."""

_said: dict[str, float] = {}


def warn_once(key: str, message: str, *values: object) -> None:
    """Warn about something that will not change while the process lives."""
    if key not in _said and len(_said) < MOST_SAID:
        _said[key] = monotonic()
        warn(message, *values)


def warn_each_minute(key: str, message: str, *values: object, error: BaseException | None = None) -> None:
    """Warn about something that goes on, at most once a minute for each key.

    The traceback of `error` is logged at DEBUG, every time.
    """
    now = monotonic()
    if now - _said.get(key, -MINUTE) >= MINUTE:
        _said[key] = now
        warn(message, *values)
    if error is not None:
        from logging import getLogger  # noqa: PLC0415

        getLogger("asyncdsm").debug("Traceback of: %s", message, exc_info=error)


def error_once(key: str, message: str, *values: object) -> None:
    """Log, at ERROR and once per process, why nothing is measured; to stderr where logging is not configured."""
    if key not in _said:
        _said[key] = monotonic()
        from logging import getLogger  # noqa: PLC0415

        getLogger("asyncdsm").error(message, *map(_on_one_line, values))


def info(message: str, *values: object) -> None:
    """Say that something is well again."""
    from logging import getLogger  # noqa: PLC0415

    getLogger("asyncdsm").info(message, *map(_on_one_line, values))


def warn(message: str, *values: object) -> None:
    """Warn, every time. A text among the values, a topic's name for one, adds no line of its own to the log."""
    from logging import getLogger  # noqa: PLC0415  (a fifth of `import asyncdsm`, and needed only now)

    getLogger("asyncdsm").warning(message, *map(_on_one_line, values))


def pluralize(number: int, what: str) -> str:
    """Return how many there are of something, as in `1 queue` and `2 queues`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def forget_warnings() -> None:
    """Let everything be said again."""
    _said.clear()


def _on_one_line(value: object) -> object:
    if not isinstance(value, str) or value.isprintable():
        return value
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in value)
