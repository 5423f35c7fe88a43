"""What services say of themselves besides their counts, in memory: the latest of each."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from asyncdsm.agent.intake.payload import Report


class Facts(NamedTuple):
    """What the latest payload of a service said. `negatives_at` is when one last had latencies below zero (seconds)."""

    version: str = ""
    process_tags: tuple[str, ...] = ()
    lang: str = ""
    negatives_at: float = 0.0


class ServiceFacts:
    """The facts of the services that reported last, `most` of them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._facts: OrderedDict[tuple[str, str], Facts] = OrderedDict()

    def note(self, report: Report, received: float) -> None:
        """Take what a payload says that was received at a time (seconds since the epoch)."""
        key = report.service, report.env
        negatives_at = received if report.negatives else self.lookup(*key).negatives_at
        self._facts[key] = Facts(report.version, report.process_tags, report.lang, negatives_at)
        self._facts.move_to_end(key)
        if len(self._facts) > self._most:
            self._facts.popitem(last=False)

    def lookup(self, service: str, env: str) -> Facts:
        """Return the facts of a service; empty ones of a service that is not known."""
        return self._facts.get((service, env)) or Facts()
