"""The agent's own state as JSON, for `/api/health`."""

from __future__ import annotations

from asyncdsm.agent.metrics.exposition import AgentState
from asyncdsm.agent.queries.answers import Forwarded, Health, Problem, StoreGrowth
from asyncdsm.agent.store.conditions import WARNINGS
from asyncdsm.agent.store.growth import Growth
from asyncdsm.core.counters import Stats


def measure_health(state: AgentState) -> Health:
    """Return what the agent has counted, and what is wrong with it: what, since when, how often."""
    intake, problems = state.intake, state.store.conditions.present()
    return Health(
        status="ok" if all(problem["name"] in WARNINGS for problem in problems) else "degraded",
        **state.store.counters(),
        refused=intake.rejected(),
        repeated=intake.repeated,
        negative_latencies=intake.negatives,
        unread=dict(sorted(intake.unread.items())),
        problems=[Problem(**problem) for problem in problems],
        forwarded=None if state.forwarded is None else _forwarded(state.forwarded),
        alerts=state.alerts,
        growth=_growth(state.store.growth()),
    )


def _growth(growth: Growth | None) -> StoreGrowth | None:
    if growth is None:
        return None
    return StoreGrowth(
        used_bytes=growth.used_bytes,
        limit_bytes=growth.limit_bytes,
        bytes_a_day=growth.bytes_a_day,
        needed_bytes=growth.needed_bytes,
        reach_seconds={str(width): seconds for width, seconds in growth.reach_seconds.items()},
        full_in_seconds=growth.full_in_seconds,
    )


def _forwarded(stats: Stats) -> Forwarded:
    return Forwarded(
        recorded=stats.recorded, delivered=stats.delivered, pending=stats.pending, dropped=dict(stats.dropped_by)
    )
