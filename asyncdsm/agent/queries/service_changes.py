"""Which services are quiet although they reported before, and which report another version."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from asyncdsm.agent.queries.answers import Change, ChangeKind
from asyncdsm.agent.queries.change_rules import QUIET_SECONDS, find_silence, find_version_changes
from asyncdsm.agent.queries.edge_history import EdgeHistory
from asyncdsm.agent.queries.late_reports import Delays, read_delays
from asyncdsm.agent.queries.usual_levels import DAY, HOUR, MINUTE
from asyncdsm.agent.store.histograms import EDGE
from asyncdsm.agent.store.protocol import Store
from asyncdsm.agent.store.resolutions import BUCKET_SECONDS, TimeRange
from asyncdsm.agent.store.versions import ServiceKey
from asyncdsm.map.graph import Node

MOST_SILENT = 20
"""How many of the services that are quiet for longer than the histories are looked at."""


def find_quiet_services(store: Store, end: float, histories: Sequence[EdgeHistory], *, is_live: bool) -> list[Change]:
    """Return the services that are quiet at the end of a time range.

    If that is now (`is_live`), these are also services that have been quiet for longer, but for less than a day; and a
    service of which a report has just come is not quiet, whatever it is about.
    """
    seen = store.services() if is_live else {}
    settled_at = histories[0].settled_at
    delays = read_delays(store, settled_at - BUCKET_SECONDS)
    found: dict[ServiceKey, float] = {}
    for history in histories:
        for service, slots in history.slots_of_services().items():
            if is_live and not is_silent(seen.get(service), end, settled_at):
                continue
            starts = [history.start_of(slot) + delays.get(service, 0) for slot in slots]
            since = find_silence(starts, history.width, settled_at)
            if since is not None and _could_report(store, since, end, settled_at):
                found.setdefault(service, _last_report(starts, since, seen.get(service)))
    listed = {service for history in histories for service in history.slots_of_services()}
    longer = {
        service: last for service, last in seen.items() if service not in listed and is_silent(last, end, settled_at)
    }
    found |= _find_long_silences(store, longer, end, settled_at, delays)
    return [change_of_service(service, "quiet", since) for service, since in found.items()]


def is_silent(last_seen: float | None, end: float, settled_at: float) -> bool:
    """Return whether a service that reported last at a moment may be quiet now, at `end`. All are in seconds."""
    return last_seen is not None and (end - DAY < last_seen <= settled_at - QUIET_SECONDS or last_seen > end)


def _could_report(store: Store, since: float, end: float, settled_at: float) -> bool:
    """Return whether the agent had been running for long enough at `end` to say that a service is quiet."""
    return not since < store.opened_at <= end or settled_at - store.opened_at >= QUIET_SECONDS


def _find_long_silences(
    store: Store, seen: dict[ServiceKey, float], end: float, settled_at: int, delays: Delays
) -> dict[ServiceKey, float]:
    """Return which services are quiet, and since when, by what they reported in the hour before."""
    found: dict[ServiceKey, float] = {}
    for service, last in sorted(seen.items(), key=lambda each: -each[1])[:MOST_SILENT]:
        delay = delays.get(service, 0)
        minutes = [minute + delay for minute in _reported_minutes(store, service, last - delay)]
        since = find_silence(minutes, MINUTE, settled_at)
        if since is not None and _could_report(store, since, end, settled_at):
            found[service] = _last_report(minutes, since, last)
    return found


def _last_report(starts: Sequence[int], since: int, last_seen: float | None) -> float:
    """Return when a service reported last, which was in the last of some slots: the end of that, or before."""
    return float(since if last_seen is None or not starts[-1] <= last_seen < since else last_seen)


def _reported_minutes(store: Store, service: ServiceKey, last: float) -> list[int]:
    """Return the minutes, as seconds since the epoch, in which a service reported in the hour before it ended."""
    number = store.points.services.get(service)
    if number is None:
        return []
    labels, _ = store.merge_rows(
        TimeRange(last - HOUR, last + MINUTE),
        lambda rows: rows.starts // MINUTE,
        service=number,
        coarsest=MINUTE,
        sketch=EDGE,
    )
    return [minute * MINUTE for minute in labels.tolist()]


def find_versions(store: Store, time_range: TimeRange) -> Iterator[Change]:
    """Yield the changes of versions in a time range."""
    for service, runs in store.versions().items():
        for change in find_version_changes(runs, *time_range):
            yield change_of_service(service, "version", change.since, (change.before, change.now))


def change_of_service(
    service: ServiceKey, kind: ChangeKind, since: float, versions: tuple[str | None, str | None] = (None, None)
) -> Change:
    """Return a change of a whole service; `versions` are those before and now."""
    return Change(
        kind=kind,
        edge=None,
        node=Node("service", *service).id,
        service=service[0],
        env=service[1],
        direction="",
        type="",
        queue="",
        group=None,
        since=since,
        before=versions[0],
        now=versions[1],
        usual=None,
        is_usual=False,
    )
