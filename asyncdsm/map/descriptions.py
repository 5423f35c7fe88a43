"""What a map says of its nodes and links: in one line, with nothing in it that a terminal or a browser would obey.

A node is called by its name, and by what tells it from others of that name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from asyncdsm.map.graph import Link, Node, build_link
from asyncdsm.map.strings import NOTHING, format_age, format_duration, format_moment, format_percent, plain_text
from asyncdsm.map.topology import Edge, EdgeTraffic, Present, Topology

LONGEST = 60
"""How many characters of a name `label_nodes` and `describe_link` show at most."""
SHORTEST_ID = 6
"""How many characters of a cluster's id are shown at least."""
REDELIVERED_SHARE = 0.01
"""From which share of messages on redeliveries need attention: single ones are usual when a service restarts."""
LONGEST_SINCE = 58 * 60.0
NO_ENV, NO_CLUSTER = "no env", "no cluster id"
Environments = Mapping[Node, str]
"""The environment of each queue at which all services are of one."""
NO_ENVIRONMENTS: Environments = MappingProxyType({})


def find_environments(edges: Iterable[Edge]) -> Environments:
    """Return the environment of each queue of edges at which all services are of one."""
    ends = ((queue, edge.env) for edge in edges for queue in build_link(edge)[:2] if queue.kind == "queue")
    return single_environments(ends)


def single_environments(used: Iterable[tuple[Node, str]]) -> Environments:
    """Return the environment of each queue that has only one, from queues and the environments of their services."""
    found: dict[Node, set[str]] = {}
    for queue, env in used:
        found.setdefault(queue, set()).add(env)
    return {queue: env for queue, envs in found.items() if len(envs) == 1 for env in envs if env}


def qualify_nodes(nodes: Iterable[Node], environments: Environments = NO_ENVIRONMENTS) -> dict[Node, str]:
    """Return what tells each node from others of its kind and name; an empty string if there are no others.

    That is a service's environment; or a queue's type, and the environment of its services or its cluster, or both.
    """
    by_name: dict[tuple[str, str], list[Node]] = {}
    listed = list(dict.fromkeys(nodes))
    for node in listed:
        by_name.setdefault((node.kind, node.label), []).append(node)
    return {node: _qualifier(node, by_name[node.kind, node.label], environments) for node in listed}


def _qualifier(node: Node, namesakes: list[Node], environments: Environments) -> str:
    if len(namesakes) == 1:
        return ""
    if node.kind == "service":
        return node.where or NO_ENV
    where = node.where if len({other.where for other in namesakes}) > 1 else ""
    place = _tell_place(node, [other for other in namesakes if other.where == node.where], environments)
    return ", ".join(filter(None, (where, place)))


def _tell_place(node: Node, namesakes: list[Node], environments: Environments) -> str:
    """Return what tells a queue from others of its name and type: its environment, if that is no other's, or more.

    A person knows `prod`, and no id of a cluster. The environment is left out if all have the same one.
    """
    envs = [environments.get(other, "") for other in namesakes]
    env = environments.get(node, "") if len(set(envs)) > 1 else ""
    cluster = "" if env and envs.count(env) == 1 else _short_cluster(node, namesakes)
    return ", ".join(filter(None, (env, cluster)))


def _short_cluster(node: Node, namesakes: list[Node]) -> str:
    """Return a node's cluster id, cut to what tells it from the others'; an empty string if there are no others."""
    if len(namesakes) == 1:
        return ""
    others = [other.cluster for other in namesakes if other is not node]
    length = SHORTEST_ID
    while length < len(node.cluster) and any(other.startswith(node.cluster[:length]) for other in others):
        length += 1
    return (node.cluster[:length] + ("…" if length < len(node.cluster) else "")) or NO_CLUSTER


def label_node(node: Node, qualifier: str, longest: int = 200) -> str:
    """Return what to call a node: its name, cut to `longest` characters, and its qualifier."""
    return plain_text(node.label, longest) + (f" ({plain_text(qualifier)})" if qualifier else "")


def describe_nodes(nodes: Iterable[Node], environments: Environments = NO_ENVIRONMENTS) -> dict[Node, str]:
    """Return what there is to say of each node besides its name: its environment or type, and what else tells it apart.

    That is, of a queue, the environment of its services or its cluster, or both.
    """
    by_queue: dict[tuple[str, str, str], list[Node]] = {}
    listed = list(dict.fromkeys(nodes))
    for node in listed:
        by_queue.setdefault((node.kind, node.where, node.name), []).append(node)
    return {
        node: ", ".join(filter(None, (node.where if node.name else "", _tell_place(node, namesakes, environments))))
        for node in listed
        for namesakes in [by_queue[node.kind, node.where, node.name]]
    }


def label_nodes(nodes: Iterable[Node], environments: Environments = NO_ENVIRONMENTS) -> dict[Node, str]:
    """Return what to call each node, with all that there is to say of it."""
    descriptions = describe_nodes(nodes, environments)
    return {node: label_node(node, description[:LONGEST], LONGEST) for node, description in descriptions.items()}


def describe_states(topology: Topology) -> dict[Node, str]:
    """Return what is wrong with nodes that messages do not leave: `quiet since 14:05:20`, or `not read`."""
    quiet = {
        Node("service", service.name, service.env): f"quiet since {format_moment(service.quiet_since)}"
        for service in topology.services
        if service.quiet_since is not None
    }
    unread = (Node("queue", queue.name, queue.type, queue.cluster or "") for queue in topology.queues if queue.unread)
    return quiet | dict.fromkeys(unread, "not read")


def describe_link(link: Link) -> str:
    """Return what a hop is like now, its consumer group, and how far that is behind; empty for a link without edge."""
    if link.edge is None:
        return ""
    parts = [describe_present(link.edge.present)]
    if link.edge.group:
        parts.append(f"group {plain_text(link.edge.group, LONGEST)}")
    if link.edge.lag:
        parts.append(describe_lag(link.edge))
    return ", ".join(part for part in parts if part)


def describe_lag(edge: EdgeTraffic) -> str:
    """Return the lag of a hop, as in `1,240 messages unread, 3 min old, catching up, done in about 4 min`."""
    age = None if edge.lag_seconds is None else f"{format_age(edge.lag_seconds)} old"
    done = None if edge.lag_done_in is None else f"done in about {format_age(edge.lag_done_in)}"
    messages = f"{edge.lag or 0:,} message{'' if edge.lag == 1 else 's'} unread"
    return ", ".join(filter(None, (messages, age, edge.lag_trend, done)))


def describe_present(present: Present) -> str:
    """Return what a hop is like now, as in `5 ms, p99 30 s, 12/s, slower since 14:05:20`.

    Where pathways begin there is no latency, and only the rate is told.
    """
    since = "" if present.since is None else f" since {format_moment(present.since)}"
    if present.state == "idle":
        return f"idle{since}"
    tail = f"p99 {present.tail}" if present.tail else ""
    change = f"{present.state}{since}" if since else ""
    median = "" if present.label == NOTHING else present.label
    return ", ".join(filter(None, (median, tail, f"{present.rate:.3g}/s", change)))


def describe_silence(seconds: float) -> str:
    """Return for how long a service is silent, as in `has not reported for 12 min`."""
    return f"has not reported for {format_duration(seconds)}"


def describe_deliveries(edge: Edge, to: float) -> list[str]:
    """Return what messages said in the last minutes before `to`, if that needs attention.

    Those are messages that were dead-lettered, and redelivered ones if they are a hundredth of all, or more.
    """
    recent = None if edge.facts is None else edge.facts.recent
    if recent is None:
        return []
    told = [("dead-lettered before", recent.dead_lettered, recent.dead_lettered_since)]
    if recent.redelivered >= REDELIVERED_SHARE * recent.count:
        told.append(("redelivered", recent.redelivered, recent.redelivered_since))
    return [
        f"{what}: {_describe_share(number, recent.count)} in the last 5 minutes, {describe_since(since, to)}"
        for what, number, since in told
        if number
    ]


def _describe_share(number: int, count: float) -> str:
    # Facts are kept in minutes, so there may be more of them than messages.
    share = f" ({format_percent(min(1.0, number / count))})" if count else ""
    return f"{number:,} {'message' if number == 1 else 'messages'}{share}"


def describe_since(since: float | None, to: float) -> str:
    """Return since when something that lasts until `to` is so; the agent looks an hour back, and no further."""
    if since is None:
        return ""
    return "for an hour or longer" if to - since >= LONGEST_SINCE else f"since {format_moment(since)}"


def describe_slower(present: Present) -> str:
    """Return since when a hop is slower, and its median now and before: `slower since 14:05:20: 1.2 s, 5 ms before`."""
    since = "" if present.since is None else f" since {format_moment(present.since)}"
    tail = present.tail and f"p99 {present.tail}"
    before = None if present.before is None else f"{format_duration(present.before)} before"
    return f"slower{since}: {', '.join(filter(None, (present.label, tail, before)))}"


def describe_change(present: Present) -> str:
    """Return since when a hop is slower, faster or idle, as in `slower 14:05:20`; empty if it is steady."""
    return "" if present.since is None else f"{present.state} {format_moment(present.since)}"
