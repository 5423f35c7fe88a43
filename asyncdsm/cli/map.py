"""`asyncdsm map`: prints the map once, or what is downstream of a node, for scripts and README files."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import httpx2
from msgspec import to_builtins

from asyncdsm._internal.log import pluralize
from asyncdsm.agent.queries.answers import Downstream
from asyncdsm.agent.queries.version_answers import ServiceVersions
from asyncdsm.cli.agent_client import NoAnswerError, fetch_downstream, fetch_topology, fetch_versions, open_client
from asyncdsm.cli.related_nodes import Direction, write_related
from asyncdsm.cli.terminal_width import find_width
from asyncdsm.cli.version_tables import write_versions
from asyncdsm.errors import AsyncDSMError
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


def _write_json(answer: object) -> str:
    return json.dumps(to_builtins(answer), indent=2) + "\n"


FORMATS: dict[str, Callable[[Topology], str]] = {
    "text": _write_table,
    "dot": lambda topology: write_dot(build_graph(topology), describe_states(topology)),
    "mermaid": lambda topology: write_mermaid(build_graph(topology), describe_states(topology)),
    "json": _write_json,
    "svg": lambda topology: write_svg(build_graph(topology), describe_states(topology)),
}


Asked = Literal["downstream", "upstream", "versions"]
ASKED: tuple[Asked, ...] = get_args(Asked)
"""What can be asked about a node; these are options of the command, too."""


class UnclearNameError(AsyncDSMError, LookupError):
    """A name means no node, or several. The message says which these are."""


class Question(NamedTuple):
    """What is asked about the node that a name means: in one environment or, for None, in all of them."""

    asked: Asked
    name: str
    env: str | None


def print_map(url: str, token: str | None, minutes: int, format_: str, question: Question | None = None) -> int:
    """Print the map in a format, or the answer to a question about a node, as `text` or `json`; return the exit code.

    That is 1 if the agent does not answer, or if the name means no node or several (`find_nodes`).
    """
    try:
        with open_client(url, token) as client:
            topology = fetch_topology(client, minutes)
            if question is None:
                printed = FORMATS[format_](topology)
            else:
                printed = _write_answer(client, topology, minutes, question, format_)
    except (NoAnswerError, UnclearNameError) as error:
        print(f"asyncdsm map: {error}{getattr(error, 'hint', '')}", file=sys.stderr)
        return 1
    sys.stdout.write(printed)
    return 0


def _write_answer(client: httpx2.Client, topology: Topology, minutes: int, question: Question, format_: str) -> str:
    node = _find_node(topology, minutes, question)
    if question.asked == "versions":
        return _VERSIONS_FORMATS[format_](fetch_versions(client, minutes, node))
    label = label_nodes(build_graph(topology).nodes, find_environments(topology.edges))[node]
    return _RELATED_FORMATS[format_](fetch_downstream(client, minutes, node), question.asked, label)


def _find_node(topology: Topology, minutes: int, question: Question) -> Node:
    """Return the node that a question is about, for versions a service. Raises UnclearNameError."""
    if question.asked == "versions":
        nodes, environments = [Node("service", each.name, each.env) for each in topology.services], NO_ENVIRONMENTS
    else:
        nodes, environments = build_graph(topology).nodes, find_environments(topology.edges)
    if question.env is not None:
        nodes = keep_environment(nodes, topology.edges, question.env)
    found = find_nodes(nodes, question.name, environments)
    if len(found) != 1:
        raise UnclearNameError(_explain_choice(question, found, minutes, environments))
    return found[0]


def _explain_choice(question: Question, found: list[Node], minutes: int, environments: Environments) -> str:
    name = shorten_name(question.name)
    if found:
        envs = {node.where if node.kind == "service" else environments.get(node, "") for node in found}
        how = "with --env or by its id" if len(envs) == len(found) else "by its id"
        return f"{name} names {len(found)} nodes, choose one {how}: {list_candidates(found, environments)}"
    kind = "service" if question.asked == "versions" else "service and no queue"
    where = "" if question.env is None else f" in env {shorten_name(question.env)}"
    return f"no {kind} is named {name}{where} on the map of the last {pluralize(minutes, 'minute')}"


def _write_related_json(related: Downstream, direction: Direction, _: str) -> str:
    shown = {"node": related.nodes[0], "direction": direction, "nodes": getattr(related, direction)}
    cut = related.cut.get(direction, 0)
    return _write_json({**shown, **({"cut": cut} if cut else {})})


def _write_related_table(related: Downstream, direction: Direction, label: str) -> str:
    title = f"{direction} of {related.nodes[0].kind} {label}"
    return write_related(title, getattr(related, direction), related.cut.get(direction, 0), find_width())


_RELATED_FORMATS: dict[str, Callable[[Downstream, Direction, str], str]] = {
    "text": _write_related_table,
    "json": _write_related_json,
}
_VERSIONS_FORMATS: dict[str, Callable[[ServiceVersions], str]] = {
    "text": lambda versions: write_versions(versions, find_width()),
    "json": _write_json,
}
