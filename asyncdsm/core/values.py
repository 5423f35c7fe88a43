"""Checks of values that clients, messages and calls hand over, before asyncdsm uses them."""

from __future__ import annotations

from collections.abc import Iterable
from operator import index

from asyncdsm.errors import MalformedValueError

MAX_INT64 = (1 << 63) - 1


def check_offset(value: object) -> int:
    """Return a Kafka offset as an int. Raises MalformedValueError unless it is a whole number from 0 to 2^63 - 1."""
    return _check_whole("an offset", value)


def check_partition(value: object) -> int:
    """Return a partition as an int. Raises MalformedValueError unless it is a whole number from 0 to 2^63 - 1."""
    return _check_whole("a partition", value)


def check_name(what: str, value: object) -> str:
    """Return a name, such as a topic's, as it is. Raises MalformedValueError, naming `what`, unless it is a string."""
    if isinstance(value, str):
        return value
    raise MalformedValueError(f"{what} must be a string, got {type(value).__name__}")


def check_tags(tags: object) -> tuple[str, ...]:
    """Return tags as a tuple; None is none. Raises MalformedValueError for what cannot be iterated, and for a string.

    A string is one tag that somebody forgot to put in a list: its letters are not meant.
    """
    if tags is None:
        return ()
    if isinstance(tags, str) or not isinstance(tags, Iterable):
        raise MalformedValueError(f"the tags of a checkpoint must be a list of strings, got {type(tags).__name__}")
    return tuple(tags)


def wire_text(string: str) -> str:
    """Return a string with `?` for what has no bytes in UTF-8: lone surrogates, which JSON may bring."""
    return string if string.isascii() else string.encode("utf-8", "replace").decode()


def _check_whole(what: str, value: object) -> int:
    try:
        number = index(value)  # type: ignore[arg-type]  # of numpy's whole numbers too
    except TypeError:
        number = -1
    if isinstance(value, bool) or not 0 <= number <= MAX_INT64:
        raise MalformedValueError(f"{what} must be a whole number from 0 to 2^63 - 1, got {_described(value)}")
    return number


def _described(value: object) -> str:
    kind = type(value).__name__
    return f"{kind} {value}" if isinstance(value, int) and -MAX_INT64 <= value <= MAX_INT64 else kind
