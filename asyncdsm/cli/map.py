"""`asyncdsm map`: prints the map once, or what is downstream of a node, for scripts and README files."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

from msgspec import to_builtins

from asyncdsm._internal.log import pluralize
from asyncdsm.agent.queries.answers import Downstream
from asyncdsm.cli.agent_client import NoAnswerError, fetch_downstream, fetch_topology, fetch_versions, open_client
from asyncdsm.cli.related_nodes import Direction, write_related
from asyncdsm.cli.terminal_width import find_width
from asyncdsm.cli.version_tables import write_versions
from asyncdsm.map.descriptions import NO_ENVIRONMENTS, Environments, describe_states, find_environments, label_nodes
from asyncdsm.map.dot import write_dot
from asyncdsm.map.graph import Node, build_graph
from asyncdsm.map.mermaid import write_mermaid
from asyncdsm.map.node_lookup import find_nodes, keep_environment, list_candidates, shorten_name
from asyncdsm.map.svg import write_svg
from asyncdsm.map.text import write_text
from asyncdsm.map.topology import Topology


def _write_table(topology: Topology) -> str:
    return write_text(topology, find_width())


FORMATS: dict[str, Callable[[Topology], str]] = {
    "text": _write_table,
    "dot": lambda topology: write_dot(build_graph(topology), describe_states(topology)),
    "mermaid": lambda topology: write_mermaid(build_graph(topology), describe_states(topology)),
    "json": lambda topology: json.dumps(to_builtins(topology), indent=2) + "\n",
    "svg": lambda topology: write_svg(build_graph(topology), describe_states(topology)),
}


def print_map(url: str, token: str | None, minutes: int, format_: str) -> int:
    """Print the map in a format; return the exit code."""
    try:
        with open_client(url, token) as client:
            topology = fetch_topology(client, minutes)
    except NoAnswerError as error:
        return _explain(f"{error}{error.hint}")
    sys.stdout.write(FORMATS[format_](topology))
    return 0


def print_related(
    url: str, token: str | None, minutes: int, *, direction: Direction, name: str, env: str | None, format_: str
) -> int:
    """Print what is downstream or upstream of a node, as `text` or `json`; return the exit code.

    That is 1 if the agent does not answer, or if `name` means no node or several (`find_nodes`). If an environment is
    given, only its services and their queues are meant.
    """
    try:
        with open_client(url, token) as client:
            topology = fetch_topology(client, minutes)
            nodes, environments = build_graph(topology).nodes, find_environments(topology.edges)
            found = find_nodes(_choose_nodes(nodes, topology, env), name, environments)
            if len(found) != 1:
                return _explain(_explain_choice(name, found, minutes, environments, env=env))
            related = fetch_downstream(client, minutes, found[0])
            label = label_nodes(nodes, environments)[found[0]]
    except NoAnswerError as error:
        return _explain(f"{error}{error.hint}")
    sys.stdout.write(_RELATED_FORMATS[format_](related, direction, label))
    return 0


def print_versions(url: str, token: str | None, minutes: int, *, name: str, env: str | None, format_: str) -> int:
    """Print the versions of a service side by side, as `text` or `json`; return the exit code.

    That is 1 if the agent does not answer, or if `name` means no service or several (`find_nodes`).
    """
    try:
        with open_client(url, token) as client:
            topology = fetch_topology(client, minutes)
            nodes = [Node("service", service.name, service.env) for service in topology.services]
            found = find_nodes(_choose_nodes(nodes, topology, env), name)
            if len(found) != 1:
                return _explain(_explain_choice(name, found, minutes, kind="service", env=env))
            versions = fetch_versions(client, minutes, found[0])
    except NoAnswerError as error:
        return _explain(f"{error}{error.hint}")
    if format_ == "json":
        sys.stdout.write(json.dumps(to_builtins(versions), indent=2) + "\n")
    else:
        sys.stdout.write(write_versions(versions, find_width()))
    return 0


def _choose_nodes(nodes: list[Node], topology: Topology, env: str | None) -> list[Node]:
    return nodes if env is None else keep_environment(nodes, topology.edges, env)


def _explain_choice(
    name: str,
    found: list[Node],
    minutes: int,
    environments: Environments = NO_ENVIRONMENTS,
    *,
    kind: str = "service and no queue",
    env: str | None = None,
) -> str:
    if found:
        envs = {node.where if node.kind == "service" else environments.get(node, "") for node in found}
        how = "with --env or by its id" if len(envs) == len(found) else "by its id"
        candidates = list_candidates(found, environments)
        return f"{shorten_name(name)} names {len(found)} nodes, choose one {how}: {candidates}"
    period, where = pluralize(minutes, "minute"), "" if env is None else f" in env {shorten_name(env)}"
    return f"no {kind} is named {shorten_name(name)}{where} on the map of the last {period}"


def _explain(problem: str) -> int:
    """Print why there is nothing to print; return the exit code."""
    print(f"asyncdsm map: {problem}", file=sys.stderr)
    return 1


def _write_related_json(related: Downstream, direction: Direction, _: str) -> str:
    shown = {"node": related.nodes[0], "direction": direction, "nodes": getattr(related, direction)}
    cut = related.cut.get(direction, 0)
    return json.dumps(to_builtins({**shown, **({"cut": cut} if cut else {})}), indent=2) + "\n"


def _write_related_table(related: Downstream, direction: Direction, label: str) -> str:
    title = f"{direction} of {related.nodes[0].kind} {label}"
    return write_related(title, getattr(related, direction), related.cut.get(direction, 0), find_width())


_RELATED_FORMATS: dict[str, Callable[[Downstream, Direction, str], str]] = {
    "text": _write_related_table,
    "json": _write_related_json,
}
