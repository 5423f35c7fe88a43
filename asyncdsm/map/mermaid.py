"""The map in the language of Mermaid, which README files are often drawn from."""

from __future__ import annotations

from asyncdsm.map.descriptions import describe_link, label_nodes
from asyncdsm.map.graph import Graph, Link, Node


def write_mermaid(graph: Graph) -> str:
    """Return the graph as a Mermaid flowchart."""
    nodes = [_format_mermaid_node(node, label) for node, label in label_nodes(graph.nodes).items()]
    lines = ["flowchart LR", *nodes, *map(_link, graph.links)]
    return "\n".join(lines) + "\n"


def _format_mermaid_node(node: Node, label: str) -> str:
    left, right = ("[", "]") if node.kind == "service" else ("([", "])")
    return f"  {node.id}{left}{_quote(label)}{right}"


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
