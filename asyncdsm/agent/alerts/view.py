"""How rules look at a map: what they ask of its edges, what its nodes are called, and what they find there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from asyncdsm.agent.alerts.rules import Rule, matches
from asyncdsm.map.descriptions import LONGEST, find_environments, label_node, qualify_nodes
from asyncdsm.map.graph import Node, build_link
from asyncdsm.map.strings import format_hop, plain_text
from asyncdsm.map.topology import Edge, Topology

Span = Literal["present", "range"]
"""Which latencies count: those of the last minute, or those of the whole range of the topology."""


class Reading(NamedTuple):
    """A place, and the value that a rule finds there."""

    key: tuple[str, ...]
    """What tells this place from the rule's others."""
    place: str
    """What to call it, as in `orders → billing`."""
    value: float | None
    """In the unit of the rule; of a silence, the seconds since the last message or report."""
    nodes: tuple[str, ...] = ()
    """The ids of services and queues on the map that this is about."""
    edges: tuple[str, ...] = ()
    at_least: bool = False
    """Whether a silence may be longer than its value: it began before anybody looked."""


class Silence(NamedTuple):
    """How long nothing has come, in seconds; `at_least` says that it may be longer."""

    seconds: float
    at_least: bool


class View(NamedTuple):
    """A topology, and how to look at it."""

    topology: Topology
    fields: Sequence[Mapping[str, str]]
    """What rules may ask of each edge, by the names of their fields."""
    names: Mapping[Node, str]
    span: Span
    watched_since: float
    """Since when all that is reported arrives at the agent, in seconds since the epoch: no silence is longer."""

    @classmethod
    def of(cls, topology: Topology, span: Span, watched_since: float) -> View:
        """Return a view of a topology, in which nodes have the names that they have on the map."""
        nodes = {node for edge in topology.edges for node in build_link(edge)[:2]}
        nodes.update(Node("service", service.name, service.env) for service in topology.services)
        qualifiers = qualify_nodes(nodes, find_environments(topology.edges))
        return cls(
            topology,
            [_fields_of(edge) for edge in topology.edges],
            {node: label_node(node, qualifier[:LONGEST], LONGEST) for node, qualifier in qualifiers.items()},
            span,
            watched_since,
        )

    def silence_since(self, moment: float) -> float:
        """Return how long nothing has come since a moment, in seconds, as far as that was watched."""
        return max(0.0, self.topology.to - max(moment, self.watched_since))

    def measure_silence(self, moment: float, rule: Rule) -> Silence:
        """Return how long nothing has come since a moment, for a rule.

        Only what was watched breaks a rule: while no agent ran, nothing could arrive. Of a rule that is broken, all of
        the silence is told, as the page and the terminal tell it.
        """
        watched = self.silence_since(moment)
        whole = max(watched, self.topology.to - moment)
        return Silence(whole, at_least=False) if rule.is_broken_by(watched) else Silence(watched, watched < whole)


def is_at(rule: Rule, fields: Mapping[str, str]) -> bool:
    """Return whether a rule applies to what has these fields."""
    return all(matches(pattern, fields[name]) for name, pattern in rule.where)


def _fields_of(edge: Edge) -> dict[str, str]:
    return {
        "service": edge.service,
        "env": edge.env,
        "queue": edge.queue,
        "group": edge.group or "",
        "type": edge.type,
        "cluster": edge.cluster or "",
    }


def edges_of(rule: Rule, view: View) -> Iterator[Edge]:
    """Return the hops to which a rule applies."""
    edges = zip(view.topology.edges, view.fields, strict=True)
    return (edge for edge, fields in edges if is_at(rule, fields))


def name_of(node: Node, view: View) -> str:
    """Return what to call a node."""
    return view.names.get(node) or label_node(node, "", LONGEST)


def name_hop(edge: Edge, view: View) -> str:
    """Return what to call a hop: both of its ends, and the consumer group if there is one."""
    source, target, _ = build_link(edge)
    group = f", group {plain_text(edge.group, LONGEST)}" if edge.group else ""
    return f"{format_hop(name_of(source, view), name_of(target, view))}{group}"
