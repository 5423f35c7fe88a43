"""The kinds of rules: for each, where it applies, what its limit is, and how it is told.

A new kind has its name in `answers.When`, an entry here, and a function in `readings` that finds its values; the form
on the page, the errors of a file, the texts and the API follow from these.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from asyncdsm.agent.queries.answers import RuleKind, When

Limit = Literal["duration", "messages", "share"]
"""What a limit is: a duration such as `"5 s"`, a number of messages, or a share of messages such as `"5 %"`."""
LONGEST_FOR, HOUR = 12 * 3600.0, 3600.0
EVERYWHERE = ("service", "env", "queue", "group", "type", "cluster")
QUANTILES = ("p50", "p95", "p99", "max")


class Kind(NamedTuple):
    """A kind of rules."""

    filters: tuple[str, ...]
    """The fields that say where such a rule applies."""
    limits: tuple[Limit, ...]
    """What `above` may be. None of a kind about what does not come: its `for` says how long nothing may come."""
    measure: str
    """What it measures, as in `lag above 60 s`; of a kind without a limit, as in `no messages for 10 min`."""
    broken: str
    """What is wrong, with places for `measure`, `value` and `limit`."""
    unknown: str
    """What is not known if there is no value."""
    has_quantile: bool = False
    is_remembered: bool = False
    """Whether what has left the map is still watched: that is silent too."""
    longest_for: float = LONGEST_FOR
    """How long `for` may be at most, in seconds."""


_IS_ABOVE = "{measure} is {value}, above {limit}"
KINDS: dict[When, Kind] = {
    "lag": Kind(("group", "queue", "cluster"), ("duration", "messages"), "lag", _IS_ABOVE, "the lag"),
    "time in queue": Kind(
        EVERYWHERE, ("duration",), "of the time in queue", _IS_ABOVE, "the time in queue", has_quantile=True
    ),
    "time in service": Kind(
        ("service", "env", "queue", "type", "cluster"),
        ("duration",),
        "of the time in service",
        _IS_ABOVE,
        "the time in service",
        has_quantile=True,
    ),
    "end to end": Kind(EVERYWHERE, ("duration",), "end to end", _IS_ABOVE, "the end to end", has_quantile=True),
    "dead letters": Kind(
        EVERYWHERE,
        ("share", "messages"),
        "dead letters",
        "{value} dead-lettered before, above {limit}",
        "how many messages were dead-lettered",
    ),
    "redelivered": Kind(
        EVERYWHERE,
        ("share", "messages"),
        "redelivered",
        "{value} redelivered, above {limit}",
        "how many messages were redelivered",
    ),
    "unread": Kind(
        ("queue", "type", "cluster"),
        (),
        "not read",
        "messages come in, and no service was seen reading them for {value}",
        "how long it has not been read",
        longest_for=HOUR,  # a map knows no more of the past than this
    ),
    "quiet": Kind(
        EVERYWHERE, (), "no messages", "no messages for {value}", "how long nothing has come", is_remembered=True
    ),
    "missing": Kind(
        ("service", "env"),
        (),
        "no report",
        "has not reported for {value}",
        "how long nothing has come",
        is_remembered=True,
    ),
}
_EXAMPLES: dict[Limit, str] = {"duration": "5 s", "messages": "a number of messages", "share": "5 %"}


def list_kinds() -> list[RuleKind]:
    """Return all kinds as the form of the page needs them."""
    return [
        RuleKind(when=when, fields=_list_fields(kind), above=", or ".join(_EXAMPLES[limit] for limit in kind.limits))
        for when, kind in KINDS.items()
    ]


def _list_fields(kind: Kind) -> list[str]:
    above, quantile = ["above"] if kind.limits else [], ["quantile"] if kind.has_quantile else []
    return [*above, "for", *quantile, "severity", *kind.filters, "webhook"]
