"""Reads a file of rules, in TOML, and says everything that is wrong with it at once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard, get_args
from urllib.parse import urlsplit

from asyncdsm.agent.alerts.kinds import EVERYWHERE, KINDS, LONGEST_FOR, QUANTILES, Kind, Limit
from asyncdsm.agent.alerts.rules import LONGEST_NAME, Rule, Severity
from asyncdsm.agent.queries.answers import Unit
from asyncdsm.errors import RulesError
from asyncdsm.map.strings import plain_text

MOST_RULES, MOST_BYTES, MOST_PROBLEMS = 200, 1 << 20, 50
MOST_MESSAGES = 1 << 63
SHORTEST_SILENCE = 60.0
_LONGEST_PATTERN = 300
_UNITS = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?) ?(ms|s|min|h)")
_SHARE = re.compile(r"([0-9]{1,2}(?:\.[0-9]{1,6})?) ?%")
_A_DURATION = 'a duration such as "500 ms", "60 s", "5 min" or "1 h"'
_LIMITS: dict[Limit, str] = {
    "duration": _A_DURATION,
    "messages": "a number of messages",
    "share": 'a share such as "5 %", below "100 %"',
}


class RuleFile(NamedTuple):
    """What is in a file of rules."""

    rules: list[Rule]
    tables: list[dict[str, Any]]
    """The rules as they are written."""
    webhook: str | None
    """That of all rules that have none of their own."""


NO_RULES = RuleFile([], [], None)


def read_rules(path: Path) -> list[Rule]:
    """Return the rules of a file, in its order. Raises RulesError, which names everything that is wrong."""
    return read_rule_file(path).rules


def read_rule_file(path: Path, *, may_be_empty: bool = False) -> RuleFile:
    """Return what is in a file of rules. Raises RulesError, which names everything that is wrong."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise RulesError(str(path), [f"the file must have at most {MOST_BYTES} bytes"])
        return parse_rule_file(content.decode(), str(path), may_be_empty=may_be_empty)
    except OSError as error:
        raise RulesError(str(path), [error.strerror or str(error)]) from None
    except UnicodeDecodeError:
        raise RulesError(str(path), ["the file must be text in UTF-8"]) from None


def parse_rules(text: str, path: str) -> list[Rule]:
    """Return the rules in the text of a file; `path` is for errors. Raises RulesError."""
    return parse_rule_file(text, path).rules


def parse_rule_file(text: str, path: str, *, may_be_empty: bool = False) -> RuleFile:
    """Return what is in the text of a file; `path` is for errors. Raises RulesError."""
    try:
        content = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise RulesError(path, [f"not valid TOML: {error}"]) from None
    problems: list[str] = []
    webhook = _read_webhook(content, problems)
    problems += [f"{_quote(name)} is unknown; allowed are webhook and [[rule]]" for name in content if name not in _TOP]
    tables = content.get("rule", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        problems.append("rule must be written as [[rule]], once for each rule")
        tables = []
    if len(tables) > MOST_RULES:
        problems.append(f"there must be at most {MOST_RULES} rules, got {len(tables)}")
    elif not (tables or problems or may_be_empty):
        problems.append("there is no [[rule]]")
    rules = [
        _RuleReader(number, table).read_rule(webhook, problems) for number, table in enumerate(tables[:MOST_RULES], 1)
    ]
    problems += _repeated_names(rules)
    if problems:
        raise RulesError(path, _cut(problems))
    return RuleFile(rules, tables, webhook)


def check_rule(table: Mapping[str, Any]) -> list[str]:
    """Return everything that is wrong with one rule; each problem begins with the name of the field."""
    reader = _RuleReader(1, table)
    reader.read_rule(None, [])
    return _cut(reader.problems)


_TOP = {"rule", "webhook"}


def _cut(problems: list[str]) -> list[str]:
    more = len(problems) - MOST_PROBLEMS
    return [*problems[:MOST_PROBLEMS], f"and {more} more"] if more > 0 else problems


def _repeated_names(rules: Iterable[Rule]) -> list[str]:
    numbers: dict[str, list[int]] = {}
    for number, rule in enumerate(rules, 1):
        numbers.setdefault(rule.name, []).append(number)
    return [
        f"rules {' and '.join(map(str, each))} have the same name, {_quote(name)}"
        for name, each in numbers.items()
        if name and len(each) > 1
    ]


class _RuleReader:
    """Reads one table of the file. Wrong fields are noted, and have some allowed value in the rule."""

    def __init__(self, number: int, table: Mapping[str, Any]) -> None:
        self._table, self._number = table, number
        self.problems: list[str] = []

    def read_rule(self, webhook: str | None, problems: list[str]) -> Rule:
        """Return the rule, and add to `problems` what is wrong with it. `webhook` is that of the file."""
        name = self._read_text("name", LONGEST_NAME)
        when = self._read_choice("when", tuple(KINDS), None)
        kind = KINDS[when] if when else None
        above, unit = self._read_above(kind)
        rule = Rule(
            name=name,
            when=when or "lag",
            above=above,
            unit=unit,
            quantile=self._read_choice("quantile", QUANTILES, "p99"),
            for_seconds=self._read_for(kind),
            severity=self._read_choice("severity", get_args(Severity), "warning"),
            where=tuple((field, self._read_pattern(field)) for field in EVERYWHERE if field in self._table),
            webhook=_read_webhook(self._table, self.problems) or webhook,
        )
        self._check_fields(when, kind)
        label = f"rule {self._number} ({_quote(name)})" if name else f"rule {self._number}"
        problems += [f"{label}: {problem}" for problem in self.problems]
        return rule

    def _check_fields(self, when: str | None, kind: Kind | None) -> None:
        filters = kind.filters if kind else EVERYWHERE
        for field in self._table:
            if field in EVERYWHERE and field not in filters:
                self.problems.append(f'{field} does not apply to when = "{when}", which takes {", ".join(filters)}')
            elif field == "quantile" and kind and not kind.has_quantile:
                self.problems.append(f'quantile does not apply to when = "{when}", only to latencies')
            elif field == "above" and kind and not kind.limits:
                self.problems.append(f'above does not apply to when = "{when}": for says how long it may last')
            elif field not in _FIELDS and field not in EVERYWHERE:
                self.problems.append(f"{_quote(field)} is unknown; allowed are {', '.join((*_FIELDS, *filters))}")

    def _read_text(self, field: str, longest: int) -> str:
        value = self._table.get(field)
        if isinstance(value, str) and value.strip() and value.isprintable() and len(value) <= longest:
            return value
        allowed = f"a string of 1 to {longest} printable characters"
        self.problems.append(f"{field} must be {allowed}{_got(value)}")
        return ""

    def _read_pattern(self, field: str) -> str:
        value = self._table[field]  # a queue or an environment may have an empty name
        if isinstance(value, str) and len(value) <= _LONGEST_PATTERN:
            return value
        allowed = f"a name, in which * stands for any characters, of at most {_LONGEST_PATTERN} characters"
        self.problems.append(f"{field} must be {allowed}{_got(value)}")
        return ""

    def _read_choice(self, field: str, allowed: tuple[Any, ...], default: Any) -> Any:
        value = self._table.get(field, default)
        if not (isinstance(value, str) and value in allowed):
            self.problems.append(f"{field} must be one of {', '.join(map(_quote, allowed))}{_got(value)}")
            return default
        return value

    def _read_above(self, kind: Kind | None) -> tuple[float, Unit]:
        value = self._table.get("above")
        if kind is None or not kind.limits:
            return 0.0, "seconds"
        limit = _parse_limit(value, kind.limits)
        if limit is None:
            allowed = ", or ".join(_LIMITS[each] for each in kind.limits)
            self.problems.append(f"above must be {allowed}{_got(value)}")
        return limit or (0.0, "seconds")

    def _read_for(self, kind: Kind | None) -> float:
        value = self._table.get("for")
        shortest = SHORTEST_SILENCE if kind and not kind.limits else 0.0
        longest = kind.longest_for if kind else LONGEST_FOR
        seconds = 0.0 if value is None and not shortest else _parse_seconds(value)
        if seconds is not None and shortest <= seconds <= longest:
            return seconds
        limits = f'from "{shortest / 60:g} min" to "{longest / 3600:g} h"'
        self.problems.append(f"for must be {_A_DURATION}, {limits}{_got(value)}")
        return 0.0


_FIELDS = ("name", "when", "above", "quantile", "for", "severity", "webhook")


def _parse_limit(value: object, limits: Collection[Limit]) -> tuple[float, Unit] | None:
    """Return a limit with its unit; None if it is none of those that are allowed."""
    if "messages" in limits and _is_amount(value):
        return float(value), "messages"
    if "share" in limits and isinstance(value, str) and (found := _SHARE.fullmatch(value)):
        return float(found[1]) / 100, "share"
    seconds = _parse_seconds(value) if "duration" in limits else None
    return None if seconds is None else (seconds, "seconds")


def _is_amount(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < MOST_MESSAGES


def _parse_seconds(value: object) -> float | None:
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    return float(found[1]) * _UNITS[found[2]] if found else None


def _read_webhook(table: Mapping[str, Any], problems: list[str]) -> str | None:
    """Return the webhook of a table, None without one. An error does not show it, since its path is a secret."""
    value = table.get("webhook")
    if value is None or (isinstance(value, str) and is_webhook(value)):
        return value
    problems.append("webhook must be an http:// or https:// URL of a host")
    return None


def is_webhook(url: str) -> bool:
    """Return whether a message can be posted to a URL. Unlike that of an agent, it may have a query."""
    if not (url.isprintable() and url.isascii() and " " not in url and len(url) <= 2_000):
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0 and not parts.fragment
    except ValueError:
        return False


def _got(value: object) -> str:
    """Return `, got` and a value as it is written in TOML, cut; what is not there is said to be missing."""
    if value is None:
        return "; it is missing"
    if isinstance(value, bool):
        return f", got {str(value).lower()}"
    return f", got {_quote(value)}" if isinstance(value, str) else f", got {plain_text(str(value), 40)}"


def _quote(text: str) -> str:
    return f'"{plain_text(text, 60)}"'
