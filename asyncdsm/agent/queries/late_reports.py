"""Services whose reports are old when they come: their clock is behind, or something keeps their reports back.

They report now, so they are not silent, although their newest bucket is of a time that is long over. What is said of
their present is said of the last minute that they reported, and silence is counted from when a report is due.
"""

from __future__ import annotations

from collections.abc import Mapping

from asyncdsm.agent.queries.time_ranges import SETTLED_SECONDS
from asyncdsm.agent.store.protocol import Store
from asyncdsm.agent.store.registry import FIRST_POINT
from asyncdsm.agent.store.resolutions import BUCKET_SECONDS
from asyncdsm.agent.store.versions import ServiceKey
from asyncdsm.agent.store.write_buffer import MAX_AHEAD_SECONDS

Delays = Mapping[ServiceKey, int]
"""By how many seconds, a multiple of ten, the reports of services are late; those that are in time are not in it."""


def read_delays(store: Store, settled: int) -> Delays:
    """Return how late each service is where others have nothing to add to a bucket that starts at `settled`.

    Of the past, the late reports have come meanwhile.
    """
    over = max(0, int(store.now() - SETTLED_SECONDS) // BUCKET_SECONDS * BUCKET_SECONDS - settled)
    found = {service: _round_up(delay) - over for service, delay in _all_delays(store)}
    return {service: delay for service, delay in found.items() if delay > 0}


def read_clocks_behind(store: Store) -> Mapping[ServiceKey, int]:
    """Return by how many seconds, a multiple of ten, the clocks of services are behind; others are not in it.

    Only reports that are late all the time tell it: those that waited while the agent was away are late for a moment.
    """
    steady = {service: store.facts.lookup(*service).steady_delay for service in store.services()}
    delays = {service: _round_up(delay - SETTLED_SECONDS) for service, delay in steady.items()}
    return {service: behind_of(delay) for service, delay in delays.items() if delay > 0}


def came_at(end: int, delay: int | None) -> float:
    """Return when a bucket came that ended at some time of its service's clock, at least; in time if there is no delay.

    What is reported in time is told by the time of its bucket.
    """
    return float(end if delay is None else end + behind_of(delay))


def behind_of(delay: int) -> int:
    """Return by how many seconds, a multiple of ten, a clock is behind with which reports are late by `delay`."""
    return delay + SETTLED_SECONDS - 2 * BUCKET_SECONDS


def age_of_reports(store: Store, service: ServiceKey, last_seen: float | None) -> float | None:
    """Return how old the newest bucket of a service is when it comes, if its clock may be behind; None if it is not.

    In seconds. A clock may be wrong by as much as the store allows of one that is ahead.
    """
    newest = store.facts.lookup(*service).latest_start
    if not newest or last_seen is None or last_seen - newest - SETTLED_SECONDS <= MAX_AHEAD_SECONDS:
        return None
    return last_seen - newest


def began_reporting(store: Store) -> float | None:
    """Return from when on the agent hears of services, in seconds since the epoch; None if it has heard of none.

    That is when its data begin, unless all of them came since it was started: a late report is not what was before.
    """
    oldest = store.oldest_start()
    is_first = oldest is not None and store.point_ages.first_new_number(store.opened_at) == FIRST_POINT
    return max(oldest, store.opened_at) if oldest is not None and is_first else oldest


def _all_delays(store: Store) -> list[tuple[ServiceKey, float]]:
    found = [(service, last, store.facts.lookup(*service).latest_start) for service, last in store.services().items()]
    return [(service, last - newest - SETTLED_SECONDS) for service, last, newest in found if newest]


def _round_up(seconds: float) -> int:
    return int(seconds // -BUCKET_SECONDS) * -BUCKET_SECONDS
