"""The services that reported last: when that was, what their latest payload said about them, and their versions."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple

from asyncdsm.agent.store.reports import Report
from asyncdsm.agent.store.versions import ServiceKey, VersionHistory

DAY = 86_400
STEADY_SECONDS, STEADY_RANGE = 60, 30
"""For how long reports are about as late, and within how many seconds, until that counts as a steady delay."""


class Facts(NamedTuple):
    """What the latest payload of a service said about it."""

    version: str = ""
    process_tags: tuple[str, ...] = ()
    lang: str = ""
    negatives_at: float = 0.0
    """When a payload with latencies below zero was last received, in seconds since the epoch; 0 for never."""
    newest_start: float = 0.0
    """The start of its last bucket, in seconds since the epoch; 0 if it has none."""
    latest_start: float = 0.0
    """The same of all payloads since the agent was started, without buckets that are ahead of its clock."""
    delay: float = 0.0
    """How old the latest bucket was when a payload came, in seconds; those that came since were about as late."""
    delay_since: float = 0.0
    """Since when payloads are about as late, in seconds since the epoch."""
    steady_delay: float = 0.0
    """How late payloads were when that was last steady; 0 if it never was. Not steady: those that waited for an agent.

    A clock that is behind stays behind; what waited comes all at once, each payload less late than the one before.
    """


class ServiceFacts:
    """When each service last reported, and its facts: for the `most` services that reported last.

    The times and the versions are also in the store's file; the facts are in memory only. Not safe for threads.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._last_seen: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._facts: dict[tuple[str, str], Facts] = {}
        self.versions: VersionHistory[ServiceKey] = VersionHistory()

    def restore(self, last_seen: Mapping[tuple[str, str], float]) -> None:
        """Take from the file when each (service, env) last reported, least recently first."""
        self._last_seen.update(last_seen)

    def record(self, report: Report, received: float) -> None:
        """Take the facts from a payload that was received at a time in seconds since the epoch."""
        key = report.service, report.env
        known, newest = self.lookup(*key), _newest_start(report)
        negatives_at = received if report.negatives else known.negatives_at
        latest = max(known.latest_start, newest) if newest <= received else known.latest_start
        begin = _begin_of(report, received)
        self.versions.add_version(key, report.version, begin, max(begin, min(received, newest or received)))
        facts = Facts(report.version, report.process_tags, report.lang, negatives_at, newest, latest)
        self._set(key, _follow_delay(facts, known, received), received)

    def combine(self, key: tuple[str, str], facts: Facts, last_seen: float) -> None:
        """Take what another agent knows of a (service, env), unless something newer is known."""
        known = self._last_seen.get(key)
        if known is None or known < last_seen:
            self._set(key, facts, last_seen)

    def _set(self, key: tuple[str, str], facts: Facts, last_seen: float) -> None:
        self._facts[key], self._last_seen[key] = facts, last_seen
        self._last_seen.move_to_end(key)
        if len(self._last_seen) > self._most:
            oldest, _ = self._last_seen.popitem(last=False)
            self._facts.pop(oldest, None)
            self.versions.forget(oldest)

    def lookup(self, service: str, env: str) -> Facts:
        """Return the facts of a service; all of them are empty for an unknown service."""
        return self._facts.get((service, env)) or Facts()

    def report_after(self, moment: float, now: float) -> bool:
        """Return whether the latest payload of any service has a bucket after a moment; in seconds since the epoch.

        Payloads that were received after `now`, by a clock that was ahead, do not count.
        """
        late = [key for key, facts in dict(self._facts).items() if facts.newest_start > moment]
        return any(self._last_seen.get(key, now) <= now for key in late)

    def last_seen(self) -> dict[tuple[str, str], float]:
        """Return when each (service, env) last reported, in seconds since the epoch."""
        return dict(self._last_seen)


def _follow_delay(facts: Facts, known: Facts, received: float) -> Facts:
    """Return facts with how late payloads are, given what was known before the last one was received."""
    delay, since = received - facts.latest_start, received
    if known.delay_since and abs(delay - known.delay) <= STEADY_RANGE:
        delay, since = known.delay, known.delay_since
    steady = delay if received - since >= STEADY_SECONDS else known.steady_delay
    return facts._replace(delay=delay, delay_since=since, steady_delay=steady)


def _newest_start(report: Report) -> float:
    return max((bucket.start_ns / 1e9 for bucket in report.buckets), default=0.0)


def _begin_of(report: Report, received: float) -> float:
    """Return the time of a report's first bucket, which may have waited for the agent for a day at most."""
    return max(received - DAY, min([received, *(bucket.start_ns / 1e9 for bucket in report.buckets)]))
