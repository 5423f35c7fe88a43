"""Which versions of a service reported, and since when: for markers on charts, and to say what changed.

Old and new instances report side by side for a while, so a version may be reported again and again. A version that is
reported again after a newer one replaced it has begun anew: a rollback. It was replaced if it was silent for
`RETURN_SECONDS`, three reports in a row, while the newer one reported. Two versions of which each is seldom reported
look like that too: so each time that a version has returned, it must have been silent for four times as long to begin
anew once more, but for no longer than `GAP_SECONDS`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, NamedTuple, TypeVar

from asyncdsm.agent.store.resolutions import FOREVER

ServiceKey = tuple[str, str]
"""Name and environment of a service."""
Owner = TypeVar("Owner")

GAP_SECONDS = 600
"""A version that nobody reported for this long, while a newer one was reported, has ended."""
RETURN_SECONDS, RETURN_FACTOR = 30, 4
"""How long a version is silent, the first time that a newer one replaces it; and how many times longer each time."""
MOST_VERSIONS = 20
"""How many versions of a service are kept: those that began last."""
LONGEST_VERSION = 100
"""How many characters of a version are kept."""


class VersionRun(NamedTuple):
    """A version, and when it was reported first and last, in seconds since the epoch."""

    version: str
    since: float
    last: float


class VersionHistory(Generic[Owner]):
    """The versions of services, or of others, the one that began first first. Not safe for threads."""

    def __init__(self, longest: int = LONGEST_VERSION) -> None:
        """Keep at most `longest` characters of a version."""
        self._longest = longest
        self._runs: dict[Owner, tuple[VersionRun, ...]] = {}
        self._changed: set[Owner] = set()

    def restore(self, runs: Iterable[tuple[Owner, VersionRun]]) -> None:
        """Take what the file has, in the order of time."""
        for owner, run in runs:
            self._runs[owner] = (*self._runs.get(owner, ()), run)

    def add_version(self, owner: Owner, version: str, moment: float, last: float | None = None) -> None:
        """Record that a service reported a version at a moment, or from then to another one, `last`.

        A service without a version has an empty one, which is ignored.
        """
        if version:
            run = VersionRun(version[: self._longest], moment, moment if last is None else last)
            self._runs[owner] = add_run(self._runs.get(owner, ()), run)
            self._changed.add(owner)

    def combine(self, owner: Owner, runs: Iterable[VersionRun]) -> None:
        """Add what another agent recorded of an owner."""
        combined: tuple[VersionRun, ...] = ()
        for run in sorted({*self._runs.get(owner, ()), *runs}, key=lambda run: run.since):
            combined = add_run(combined, run)
        self._runs[owner] = combined

    def forget(self, owner: Owner) -> None:
        """Forget a service."""
        self._runs.pop(owner, None)
        self._changed.discard(owner)

    def copy_all(self) -> dict[Owner, tuple[VersionRun, ...]]:
        """Return the versions of each service that has any."""
        return dict(self._runs)

    def pop_changed(self) -> dict[Owner, tuple[VersionRun, ...]]:
        """Return the versions of those that reported since the last call; none for those that were forgotten since."""
        changed, self._changed = self._changed, set()
        return {owner: self._runs.get(owner, ()) for owner in changed}


def add_run(runs: tuple[VersionRun, ...], added: VersionRun) -> tuple[VersionRun, ...]:
    """Return the versions of a service after it reported one of them from a moment to another."""
    for place, run in enumerate(runs):
        until = run.last + _longest_pause(runs, place, added.since)
        if run.version == added.version and run.since - GAP_SECONDS <= added.since < until:
            return (*runs[:place], run._replace(last=max(run.last, added.last)), *runs[place + 1 :])
    return tuple(sorted((*runs, added), key=lambda run: run.since)[-MOST_VERSIONS:])


def _longest_pause(runs: tuple[VersionRun, ...], place: int, moment: float) -> float:
    """Return after how many seconds without a report a run has ended, for a report of its version at a moment."""
    run, newer = runs[place], runs[place + 1 :]
    if not any(run.last < each.last and each.since < moment for each in newer if each.version != run.version):
        return FOREVER
    returns = sum(each.version == run.version for each in runs[:place])
    return float(min(GAP_SECONDS, RETURN_SECONDS * RETURN_FACTOR**returns))


def version_at(runs: tuple[VersionRun, ...], moment: float) -> str:
    """Return the version that a service had at a moment: of those that were in use, the newest one; or empty."""
    begun = [run for run in runs if run.since <= moment]
    in_use = [run for run in begun if run.last >= moment - GAP_SECONDS]
    return (in_use or begun or [VersionRun("", 0.0, 0.0)])[-1].version


def read_versions(connection: sqlite3.Connection) -> Iterator[tuple[ServiceKey, VersionRun]]:
    """Yield the versions of the file in the order of time, each with its service."""
    query = (
        "SELECT name, env, version, since, last FROM versions JOIN services ON services.id = versions.service "
        "ORDER BY since"
    )
    for name, env, *run in connection.execute(query):
        yield (name, env), VersionRun(*run)


def write_versions(
    connection: sqlite3.Connection,
    numbers: Mapping[ServiceKey, int],
    versions: Iterable[tuple[ServiceKey, tuple[VersionRun, ...]]],
) -> None:
    """Replace the versions of services, whose `numbers` are those of the file; services without one are left out."""
    known = [(numbers[service], runs) for service, runs in versions if service in numbers]
    connection.executemany("DELETE FROM versions WHERE service = ?", [(number,) for number, _ in known])
    rows = [(number, *run) for number, runs in known for run in runs]
    connection.executemany("INSERT INTO versions VALUES (?, ?, ?, ?)", rows)


def delete_unused_versions(connection: sqlite3.Connection) -> None:
    """Delete the versions of services that are not in the file any more."""
    connection.execute("DELETE FROM versions WHERE service NOT IN (SELECT id FROM services)")
