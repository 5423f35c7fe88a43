"""Writes to the log of the user's program: each problem once, or once a minute, so that nothing floods it."""

from __future__ import annotations

from time import monotonic

MINUTE = 60.0
MAX_KEYS = 1000
"""How many different warnings are logged once. Some keys contain the name of a topic, which may come from outside."""

_logged_at: dict[str, float] = {}  # by key, in seconds of the monotonic clock


def warn_once(key: str, message: str, *values: object) -> None:
    """Log a warning once for each key: about something that will not change while the process runs."""
    if key not in _logged_at and len(_logged_at) < MAX_KEYS:
        _logged_at[key] = monotonic()
        warn(message, *values)


def warn_each_minute(key: str, message: str, *values: object, error: BaseException | None = None) -> None:
    """Log a warning at most once a minute for each key: about something that may go on.

    The traceback of `error` is logged at DEBUG every time.
    """
    now = monotonic()
    if now - _logged_at.get(key, -MINUTE) >= MINUTE:
        _logged_at[key] = now
        warn(message, *values)
    if error is not None:
        from logging import getLogger  # noqa: PLC0415

        getLogger("asyncdsm").debug("Traceback of: %s", message, exc_info=error)


def error_once(key: str, message: str, *values: object) -> None:
    """Log an error once for each key. If logging is not configured, it goes to stderr."""
    if key not in _logged_at:
        _logged_at[key] = monotonic()
        from logging import getLogger  # noqa: PLC0415

        getLogger("asyncdsm").error(message, *map(_escape_control_characters, values))


def info(message: str, *values: object) -> None:
    """Log, at INFO, that a problem is over."""
    from logging import getLogger  # noqa: PLC0415

    getLogger("asyncdsm").info(message, *map(_escape_control_characters, values))


def warn(message: str, *values: object) -> None:
    """Log a warning, every time. Strings among the values are escaped, so that none can add a line to the log."""
    from logging import getLogger  # noqa: PLC0415  (a fifth of `import asyncdsm`, and needed only now)

    getLogger("asyncdsm").warning(message, *map(_escape_control_characters, values))


def pluralize(number: int, noun: str) -> str:
    """Return a number with its noun, as in `1 queue` and `2 queues`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def forget_warnings() -> None:
    """Forget what was logged once or this minute. For tests."""
    _logged_at.clear()


def _escape_control_characters(value: object) -> object:
    if not isinstance(value, str) or value.isprintable():
        return value
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in value)
