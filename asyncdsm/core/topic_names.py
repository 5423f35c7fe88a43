"""The topics of brokers whose programs put ids into names, such as NATS' `orders.4711.created`: `orders.*.created`.

Each topic is an edge on the map, so there must be few. A setting may name them by patterns, and otherwise the parts of
a name that look like ids are replaced. A producer and a consumer name a message alike, whatever the consumer asks for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from asyncdsm._internal.bounds import make_room
from asyncdsm._internal.log import warn_once

MOST_TOPICS = 1000
"""How many topics are made without a pattern. Further names have the first part of the name only."""
MOST_NAMES = 8192
"""How many names are remembered. The oldest is forgotten and looked at again on its next use."""

_ID = re.compile(
    r"\d+"
    r"|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"  # a UUID
    r"|(?=.*\d)[0-9a-fA-F]{8,}"
    r"|[A-Za-z]*[-_]?\d{3,}"  # order-4711
    r"|(?=.*\d)[0-9A-Za-z_-]{16,}"  # ULIDs and their like
)
_patterns: tuple[str, ...] = ()
_patterns_without_context: tuple[str, ...] = ()
_all_names: list[TopicNames] = []  # each integration has one


class TopicNames(dict[str, str]):
    """The topic of each name that was met: `names["orders.4711.created"]` is `orders.*.created`."""

    def __init__(self, separator: str, one: str, rest: str) -> None:
        """`separator` is between the parts of a name. In a pattern, `one` is any part, `rest` all further ones."""
        super().__init__()
        self._separator, self._one, self._rest = separator, one, rest
        self._topics = set[str]()
        self._without_context: dict[str, bool] = {}
        _all_names.append(self)

    def __missing__(self, name: str) -> str:
        topic = next((pattern for pattern in _patterns if self.matches(pattern, name)), None) or self._shorten(name)
        make_room(self, MOST_NAMES)
        self[name] = topic
        return topic

    def matches(self, pattern: str, name: str) -> bool:
        """Say whether a name is one of those that a pattern stands for."""
        wanted, parts = pattern.split(self._separator), name.split(self._separator)
        if wanted[-1] == self._rest:
            wanted = wanted[:-1]
            if len(parts) <= len(wanted):
                return False
        elif len(parts) != len(wanted):
            return False
        return all(want in (self._one, part) for want, part in zip(wanted, parts, strict=False))

    def goes_without_context(self, name: str) -> bool:
        """Say whether messages of a name get no context, by a setting: their readers would see it."""
        if not _patterns_without_context:
            return False
        known = self._without_context.get(name)
        if known is None:
            make_room(self._without_context, MOST_NAMES)
            known = any(self.matches(pattern, name) for pattern in _patterns_without_context)
            self._without_context[name] = known
        return known

    def forget(self) -> None:
        """Forget all names: the patterns have changed."""
        self.clear()
        self._without_context.clear()
        self._topics.clear()

    def _shorten(self, name: str) -> str:
        parts = name.split(self._separator)
        topic = self._separator.join(self._one if _ID.fullmatch(part) else part for part in parts)
        if topic in self._topics:
            return topic
        if len(self._topics) >= MOST_TOPICS:
            warn_once(
                "topic-names",
                "asyncdsm counts further topics by the first part of their names, since there are more than %d, such "
                "as %r: name them by patterns in ASYNCDSM_TOPIC_PATTERNS",
                MOST_TOPICS,
                name,
            )
            return self._separator.join([*parts[:-1][:1], self._rest])
        self._topics.add(topic)
        return topic


def set_topic_patterns(patterns: Iterable[str]) -> None:
    """Name topics by these patterns, in the place of those before. The first one that a name matches is its topic."""
    global _patterns  # noqa: PLW0603
    if (patterns := tuple(patterns)) != _patterns:
        _patterns = patterns
        for names in _all_names:
            names.forget()


def set_patterns_without_context(patterns: Iterable[str]) -> None:
    """Let messages whose names match one of these patterns go without context, in the place of those before."""
    global _patterns_without_context  # noqa: PLW0603
    if (patterns := tuple(patterns)) != _patterns_without_context:
        _patterns_without_context = patterns
        for names in _all_names:
            names.forget()
