"""Messages to the user's log: each problem once, or once a minute, never a flood."""

from __future__ import annotations

import logging
from time import monotonic

logger: logging.Logger = logging.getLogger("asyncdsm")
MINUTE = 60.0

_said: dict[str, float] = {}


def warn_once(key: str, message: str, *values: object) -> None:
    """Warn about something that will not change while the process lives."""
    if key not in _said:
        _said[key] = monotonic()
        logger.warning(message, *values)


def warn_each_minute(key: str, message: str, *values: object) -> None:
    """Warn about something that goes on, at most once a minute for each key."""
    now = monotonic()
    if now - _said.get(key, -MINUTE) >= MINUTE:
        _said[key] = now
        logger.warning(message, *values)


def forget() -> None:
    """Let everything be said again."""
    _said.clear()
