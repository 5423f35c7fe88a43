"""A rule: what must not happen on the map, where, for how long, and how bad it is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import ceil
from typing import Literal

from asyncdsm.agent.alerts.kinds import KINDS, Kind
from asyncdsm.agent.queries.answers import Unit, When
from asyncdsm.map.strings import format_duration, plain_text

Severity = Literal["critical", "warning"]
LONGEST_NAME = 100
MINUTES = 10
"""The range of the map over which rules are evaluated, unless `for` of a silence asks for more."""


@dataclass(frozen=True)
class Rule:
    """One rule of a file, checked. Two rules are equal if all of their fields are."""

    name: str
    when: When
    above: float = 0.0
    """The highest value that is allowed, in `unit`; without meaning for a silence."""
    unit: Unit = "seconds"
    quantile: str = "p99"
    """Which quantile of a latency counts; without meaning for other rules."""
    for_seconds: float = 0.0
    """How long the value must be too high, or how long nothing must have come."""
    severity: Severity = "warning"
    where: tuple[tuple[str, str], ...] = ()
    """Pairs of a field in `Kind.filters` and a pattern, which all have to match."""
    webhook: str | None = field(default=None, repr=False)  # its path is a secret

    @property
    def kind(self) -> Kind:
        """What all rules of this kind have in common."""
        return KINDS[self.when]

    @property
    def is_silence(self) -> bool:
        """Whether the rule is about what does not come."""
        return not self.kind.limits

    @property
    def hold_seconds(self) -> float:
        """How long the condition must hold before the alert begins, and must not hold before it ends."""
        return 0.0 if self.is_silence else self.for_seconds

    @property
    def names_one(self) -> bool:
        """Whether the rule names one service or queue, so that it must be on the map."""
        exact = {name for name, pattern in self.where if "*" not in pattern}
        return "service" in exact if self.when == "missing" else bool(exact & {"service", "queue"})

    def is_broken_by(self, value: float) -> bool:
        """Return whether a value is one that the rule does not allow."""
        return value >= self.for_seconds if self.is_silence else value > self.above


def needed_minutes(rules: Iterable[Rule]) -> int:
    """Return how long a range of the map the rules need: what is silent must have been there within it."""
    longest = max((rule.for_seconds for rule in rules if rule.is_silence), default=0.0)
    return MINUTES + ceil(longest / 60)


def describe_rule(rule: Rule) -> str:
    """Return what a rule watches, as in `lag above 60 s for 2 min, group billing`."""
    duration = f" for {format_duration(rule.for_seconds)}" if rule.for_seconds else ""
    limit = "" if rule.is_silence else f" above {format_limit(rule, rule.above)}"
    condition = f"{_describe_measure(rule)}{limit}{duration}"
    return ", ".join([condition, *(f"{name} {plain_text(pattern, LONGEST_NAME)}" for name, pattern in rule.where)])


def _describe_measure(rule: Rule) -> str:
    """Return what a rule measures, as in `lag` and `p99 of the time in queue`."""
    return f"{rule.quantile} {rule.kind.measure}" if rule.kind.has_quantile else rule.kind.measure


def format_limit(rule: Rule, value: float) -> str:
    """Return a value in the unit of a rule, as a person reads it."""
    match rule.unit:
        case "messages":
            return f"{value:.15g} {'message' if value == 1 else 'messages'}"
        case "share":
            return f"{100 * value:.3g} %"
        case "seconds":
            return format_duration(value)


def describe_value(rule: Rule, value: float) -> str:
    """Return what is wrong, as in `lag is 95 s, above 60 s`."""
    limit = format_limit(rule, rule.above)
    return rule.kind.broken.format(measure=_describe_measure(rule), value=format_limit(rule, value), limit=limit)


def matches(pattern: str, name: str) -> bool:
    """Return whether a name matches a pattern, in which each `*` stands for any characters.

    Nothing else is special. It takes time in proportion to the lengths of both, whatever they contain.
    """
    first, *others = pattern.split("*")
    if not others:
        return name == pattern
    *middles, last = others
    if len(name) < len(first) + len(last) or not (name.startswith(first) and name.endswith(last)):
        return False
    position, end = len(first), len(name) - len(last)
    for middle in middles:  # the leftmost match leaves most room for those after it
        found = name.find(middle, position, end)
        if found < 0:
            return False
        position = found + len(middle)
    return True
