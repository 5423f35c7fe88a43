"""The map in the language of Mermaid, which README files are often drawn from."""

from __future__ import annotations

from collections.abc import Mapping

from asyncdsm.map.descriptions import describe_link, find_environments, label_nodes
from asyncdsm.map.graph import Graph, Link, Node

_STATE = "  classDef silent stroke-dasharray: 5 4"


def write_mermaid(graph: Graph, states: Mapping[Node, str]) -> str:
    """Return the graph as a Mermaid flowchart. `states` are those of `describe_states`."""
    environments = find_environments(link.edge for link in graph.links if link.edge)
    labels = label_nodes(graph.nodes, environments)
    nodes = [_format_mermaid_node(node, label, states.get(node, "")) for node, label in labels.items()]
    styles = [_STATE] if not states.keys().isdisjoint(labels) else []
    lines = ["flowchart LR", *styles, *nodes, *map(_link, graph.links)]
    return "\n".join(lines) + "\n"


def _format_mermaid_node(node: Node, label: str, state: str) -> str:
    left, right = ("[", "]") if node.kind == "service" else ("([", "])")
    style = ":::silent" if state else ""
    return f"  {node.id}{left}{_quote(', '.join(filter(None, (label, state))))}{right}{style}"


def _link(link: Link) -> str:
    if link.edge is None:
        return f"  {link.source.id} -.-> {link.target.id}"
    return f"  {link.source.id} -->|{_quote(describe_link(link))}| {link.target.id}"


def _quote(text: str) -> str:
    """Return a string literal of the language.

    All but letters, digits and plain signs is written as a numeric entity: Markdown and HTML work inside of quotes
    too, and a `#` begins an entity.
    """
    return '"' + "".join(character if _is_safe(character) else f"#{ord(character)};" for character in text) + '"'


def _is_safe(character: str) -> bool:
    return character.isalnum() or character in " .,/()…" or (ord(character) > 127 and character.isprintable())
