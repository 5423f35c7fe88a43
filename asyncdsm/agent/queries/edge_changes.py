"""Which hops are slower or faster, and which have more or fewer messages, than before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import numpy as np

from asyncdsm.agent.queries import latency_changes
from asyncdsm.agent.queries.answers import Change, ChangeKind
from asyncdsm.agent.queries.change_begins import ChangeBegins, LatencyBegins, ReturnBegins
from asyncdsm.agent.queries.change_rules import RATE_FACTOR, RateChange, find_rate_change
from asyncdsm.agent.queries.earlier_slots import EarlierSlots
from asyncdsm.agent.queries.edge_history import EdgeHistory
from asyncdsm.agent.queries.kafka_clusters import hop_fields, split_tags
from asyncdsm.agent.queries.late_reports import Delays
from asyncdsm.agent.queries.latency_changes import changed_quantile, find_trouble, last_change, state_of
from asyncdsm.agent.queries.rate_begins import RateBegins
from asyncdsm.agent.queries.usual_levels import UsualLevels
from asyncdsm.agent.queries.usual_slots import FACTOR, Slot
from asyncdsm.agent.store.histograms import Floats
from asyncdsm.agent.store.protocol import Store
from asyncdsm.agent.store.registry import EdgeKey, edge_id
from asyncdsm.map.graph import Node
from asyncdsm.map.topology import Present

Quantile = Literal["p50", "p99"]
LatencyChange = tuple[EdgeKey, ChangeKind, float, Quantile | None, float | None]
"""The edge, whether it is slower, faster or back to usual, since when (seconds since the epoch), which quantile shows
it, and what that was before (seconds)."""
_STATES: dict[str, Literal["slower", "faster"]] = {"slower": "slower", "faster": "faster"}
_QUARTERS = 0.25, 0.75


def find_latency_changes(
    store: Store, histories: Sequence[EdgeHistory], states: Mapping[EdgeKey, Present], usual: UsualLevels
) -> list[Change]:
    """Return which edges are slower or faster: what is known of the present first, then what the histories show.

    Of a slow change the present shows only the end: it began when a history says so.
    """
    found = {each[0]: each for each in _changes_of_present(states)}
    returns: dict[EdgeKey, LatencyChange] = {}
    for history in histories:
        changes = _changes_in_history(store, history, states)
        earlier = {
            edge: change
            for edge, change in changes.items()
            if (kind := _state_now(states[edge], change)) in _STATES
            and _is_earlier(change, kind, found.get(edge), history.width)
        }
        returns = {**_list_returns(store, changes, states, history.width), **returns}
        for edge, change in LatencyBegins.refine(store, earlier, history.width).items():
            kind = _STATES[_state_now(states[edge], change)]
            quantile = changed_quantile(states[edge].edge_latency.p50 or 0.0, change, kind)
            found[edge] = edge, kind, float(change.since), quantile, change.p50 if quantile == "p50" else change.p99
    told = {**returns, **found}  # what has changed since then is told instead of a return
    return [_latency_change(change, states[change[0]], usual) for change in told.values()]


def _changes_of_present(states: Mapping[EdgeKey, Present]) -> Iterator[LatencyChange]:
    for edge, present in states.items():
        if present.state in _STATES and present.since is not None:
            yield edge, _STATES[present.state], present.since, present.quantile, present.before


def _state_now(present: Present, change: latency_changes.Change) -> str:
    return state_of(change.choose_latency(present.slowness, present.edge_latency.p50 or 0.0), change)


def _changes_in_history(
    store: Store, history: EdgeHistory, states: Mapping[EdgeKey, Present]
) -> dict[EdgeKey, latency_changes.Change]:
    """Return the last change of each edge that is not idle."""
    slots: dict[EdgeKey, list[Slot]] = {}
    for number in history.edges_of_two_levels(FACTOR):
        present = states.get(history.edges[number])
        if present is not None and present.state != "idle":
            slots[history.edges[number]] = history.latency_slots(number)
    changes = {edge: change for edge, each in slots.items() if (change := last_change(each)) is not None}
    return EarlierSlots.of_store(store).find_returns(changes, slots)


def _list_returns(
    store: Store, changes: Mapping[EdgeKey, latency_changes.Change], states: Mapping[EdgeKey, Present], width: int
) -> dict[EdgeKey, LatencyChange]:
    """Return the edges that are back to usual after trouble, each with what it was like until then."""
    ends = {edge: change for edge, change in changes.items() if states[edge].state == "steady" and find_trouble(change)}
    returns: dict[EdgeKey, LatencyChange] = {}
    for edge, end in ReturnBegins.refine(store, ends, width).items():
        trouble = end.trouble or end
        before = end._replace(p50=trouble.p50, p99=trouble.p99)
        quantile = changed_quantile(states[edge].edge_latency.p50 or 0.0, before, "faster")
        returns[edge] = edge, "back to usual", float(end.since), quantile, getattr(before, quantile)
    return returns


def _is_earlier(change: latency_changes.Change, kind: str, known: LatencyChange | None, width: int) -> bool:
    return known is None or (known[1] == kind and change.since + width <= known[2])


def _latency_change(change: LatencyChange, present: Present, usual: UsualLevels) -> Change:
    edge, kind, since, quantile, before = change
    now = present.edge_latency.p99 if quantile == "p99" else present.edge_latency.p50
    # Where slots with few messages are compared, the tail of all may say the opposite, and is not told.
    agrees = now is not None and before is not None and (now > before) == (kind == "slower")
    levels = (before, now) if agrees else (None, None)
    level = usual.edges.get(edge) if usual.is_day_before and kind != "back to usual" else None
    if level is None:
        return change_of_edge(edge, kind, since, levels, quantile=quantile)
    usually = level.p99 if quantile == "p99" else level.p50
    # A tail that was always long says nothing about a median that changed.
    then, slowness = (level.slowness, present.slowness) if now is None or quantile == "p99" else (usually, now)
    is_usual = slowness < FACTOR * then if kind == "slower" else slowness * FACTOR > then
    return change_of_edge(edge, kind, since, levels, usually, is_usual=is_usual, quantile=quantile)


def find_rate_changes(
    store: Store, histories: Sequence[tuple[EdgeHistory, Mapping[EdgeKey, int]]], usual: UsualLevels, delays: Delays
) -> list[Change]:
    """Return which edges have more or fewer messages than before, as the first history that shows it says.

    Each history comes with the first slots of edges that did not exist before: their rate was not zero until then. Nor
    is it zero in the slots of which services that are late (`delays`) have not reported yet.
    """
    changes: dict[EdgeKey, Change] = {}
    for history, firsts in histories:
        found = {edge: each for edge, each in _rates_in_history(history, firsts, delays).items() if edge not in changes}
        finder = RateBegins({edge: change.kind for edge, (change, _) in found.items()})
        starts = {edge: start for edge, (_, start) in found.items()}
        begins = ChangeBegins.of_store(store).refine(starts, history.width, finder)
        for edge, (change, _) in found.items():
            changes[edge] = _rate_change(edge, change, float(begins[edge]), history.width, usual)
    return list(changes.values())


def _rates_in_history(
    history: EdgeHistory, firsts: Mapping[EdgeKey, int], delays: Delays
) -> dict[EdgeKey, tuple[RateChange, int]]:
    """Return the edges whose rate changed, with the start of the slot in which it did (seconds since the epoch)."""
    changes: dict[EdgeKey, tuple[RateChange, int]] = {}
    known = np.flatnonzero(history.known_slots()[: history.settled])
    counts = history.counts[:, known]
    for number in _find_uneven(counts):
        edge = history.edges[number]
        settled = (history.settled_at - delays.get(edge[:2], 0) - history.first) // history.width
        begin, end = (int(np.searchsorted(known, slot)) for slot in (firsts.get(edge, 0), settled))
        found = find_rate_change(counts[number, begin:end].tolist())
        if found is not None:
            changes[edge] = found, history.start_of(int(known[begin + found.slot]))
    return changes


def _find_uneven(counts: Floats) -> list[int]:
    """Return the edges whose newest slot is not like most of their slots: the others need no closer look."""
    if not counts.size:
        return []
    low, high = np.quantile(counts, _QUARTERS, axis=1)
    newest = counts[:, -1]
    uneven: list[int] = np.flatnonzero((newest * RATE_FACTOR <= high) | (newest >= low * RATE_FACTOR)).tolist()
    return uneven


def _rate_change(edge: EdgeKey, found: RateChange, since: float, width: int, usual: UsualLevels) -> Change:
    before, now = found.before / width, found.now / width
    level = usual.edges.get(edge) if usual.is_day_before else None
    if level is None:
        return change_of_edge(edge, found.kind, since, (before, now))
    is_usual = now * RATE_FACTOR > level.rate if found.kind == "rate fell" else now < RATE_FACTOR * level.rate
    return change_of_edge(edge, found.kind, since, (before, now), level.rate, is_usual=is_usual)


def change_of_edge(
    edge: EdgeKey,
    kind: ChangeKind,
    since: float,
    levels: tuple[float | str | None, float | str | None] = (None, None),
    usual: float | None = None,
    *,
    is_usual: bool = False,
    quantile: Quantile | None = None,
) -> Change:
    """Return a change of an edge; `levels` are those before and now, of a quantile if they are latencies."""
    return Change(
        kind=kind,
        edge=edge_id(edge),
        node=Node("service", edge.service, edge.env).id,
        service=edge.service,
        env=edge.env,
        since=since,
        before=levels[0],
        now=levels[1],
        quantile=quantile,
        usual=usual,
        is_usual=is_usual,
        **hop_fields(split_tags(edge.tags)),
    )
