"""The kinds of settings: which values each one allows, how it is read from the environment, and how it is shown."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any

from asyncdsm._internal.transaction_extractor import EXTRACTOR_TYPES, are_extractors, parse_extractors
from asyncdsm._internal.urls import ALLOWED, is_url, without_password
from asyncdsm.errors import SettingError

LONGEST_SECONDS = 86_400


def _return_as_is(value: Any) -> Any:
    return value


class Kind:
    """One kind of value, such as a number of seconds."""

    def __init__(
        self,
        allowed: str,
        is_allowed: Callable[[Any], bool],
        *,
        parse: Callable[[str], Any] = _return_as_is,
        allowed_text: str | None = None,
        show: Callable[[Any], Any] = _return_as_is,
    ) -> None:
        """Describe a kind.

        `allowed` completes the sentence "NAME must be …"; `allowed_text` does so for environment variables, if that
        differs. `parse` makes a value of the string in an environment variable and raises ValueError if it cannot.
        `show` returns a value as it may be shown, without secrets.
        """
        self.allowed: str = allowed
        self.allowed_text: str = allowed_text or allowed
        self.show: Callable[[Any], Any] = show
        self.is_allowed: Callable[[Any], bool] = is_allowed
        self._parse = parse

    def check(self, name: str, value: object, *, optional: bool = False) -> None:
        """Raise SettingError, which names the setting, unless the value is allowed. `optional` allows None too."""
        if optional and value is None:
            return
        if isinstance(value, str) and not is_encodable(value):
            raise SettingError(name, self.show(value), "a string that can be encoded as UTF-8")
        if not self.is_allowed(value):
            raise SettingError(name, self.show(value), f"None or {self.allowed}" if optional else self.allowed)

    def parse(self, variable: str, text: str) -> Any:
        """Return the value of an environment variable. Raises SettingError, which names the variable."""
        try:
            value = self._parse(text)
        except ValueError:
            raise SettingError(variable, self.show(text), self.allowed_text) from None
        if self.allowed_text != self.allowed and not self.is_allowed(value):
            raise SettingError(variable, self.show(text), self.allowed_text)
        self.check(variable, value)
        return value


def is_encodable(text: str) -> bool:
    """Return whether a string can be encoded as UTF-8."""
    try:
        text.encode()  # bytes of the environment that are not UTF-8 become surrogates, which cannot be encoded
    except UnicodeEncodeError:
        return False
    return True


def _is_string(value: object) -> bool:
    return isinstance(value, str)


def _is_non_empty_string(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_header(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isprintable() and bool(value.strip())


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_positive(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= sys.maxsize


def _is_count(value: object) -> bool:
    return isinstance(value, int) and _is_positive(value)


def _parse_flag(text: str) -> bool:
    lowered = text.strip().lower()
    if lowered in {"true", "1", "yes", "on"}:
        return True
    if lowered in {"false", "0", "no", "off"}:
        return False
    raise ValueError


def _parse_seconds(text: str) -> float:
    seconds = float(text) if text.isascii() else 0.0
    if not 0 < seconds <= LONGEST_SECONDS:
        raise ValueError
    return seconds


def _are_patterns(value: object) -> bool:
    return isinstance(value, tuple) and all(map(_is_pattern, value))


def _is_pattern(value: object) -> bool:
    """Say whether a name could match: no part is empty, a wildcard is a whole part, and `>` is the last one."""
    return isinstance(value, str) and _PATTERN.fullmatch(value) is not None


def _parse_patterns(text: str) -> tuple[str, ...]:
    patterns = tuple(pattern.strip() for pattern in text.split(","))
    if not _are_patterns(patterns):
        raise ValueError
    return patterns


def _hide(value: object) -> object:
    return None if value is None else "…"


_PATTERN = re.compile(r"((\*|[^.:*>]+)[.:])*(\*|>|[^.:*>]+)")  # NATS' names have dots, those of Redis colons
_HEADER = "printable ASCII (it is sent as an HTTP header)"

FLAG = Kind("True or False", _is_flag, parse=_parse_flag, allowed_text="true or false")
STRING = Kind("a string", _is_string)
NON_EMPTY_STRING = Kind("a non-empty string", _is_non_empty_string)
HEADER = Kind(_HEADER, _is_header)
SECRET = Kind(_HEADER, _is_header, parse=str.strip, show=_hide)
AGENT_URL = Kind(ALLOWED, is_url, parse=str.strip, show=without_password)
EXTRACTORS = Kind(
    f"a tuple of TransactionExtractor with a name, a value and one of the types {', '.join(EXTRACTOR_TYPES)}",
    are_extractors,
    parse=parse_extractors,
    allowed_text='a JSON list such as [{"name": "paid", "type": "KAFKA_CONSUME_HEADERS", "value": "order-id"}], with '
    f"one of the types {', '.join(EXTRACTOR_TYPES)}",
)
PATTERNS = Kind(
    "a tuple of patterns, in which * stands for one part and a last > for all further ones",
    _are_patterns,
    parse=_parse_patterns,
    allowed_text="patterns separated by commas, such as orders.*.created,events.>, whose * and > are whole parts",
)
COUNT = Kind("a whole number above 0", _is_count)
SECONDS = Kind(
    "a number of seconds above 0",
    _is_positive,
    parse=_parse_seconds,
    allowed_text=f"a number of seconds above 0 and at most {LONGEST_SECONDS}",
)
