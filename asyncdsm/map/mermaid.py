"""The map in the language of Mermaid, which READMEs are drawn from."""

from __future__ import annotations

from asyncdsm.map.escaping import labels, says
from asyncdsm.map.graph import Graph, Link, Node


def mermaid(graph: Graph) -> str:
    """Return the graph as a flowchart."""
    nodes = [_node(node, label) for node, label in labels(graph.nodes).items()]
    lines = ["flowchart LR", *nodes, *map(_link, graph.links)]
    return "\n".join(lines) + "\n"


def _node(node: Node, label: str) -> str:
    left, right = ("[", "]") if node.kind == "service" else ("([", "])")
    return f"  {node.id}{left}{quoted(label)}{right}"


def _link(link: Link) -> str:
    if link.edge is None:
        return f"  {link.source.id} -.-> {link.target.id}"
    return f"  {link.source.id} -->|{quoted(says(link))}| {link.target.id}"


def quoted(text: str) -> str:
    """Return a string of the language, where all but letters, digits and plain signs goes by its number.

    A `#` begins an entity there, and Markdown and HTML are obeyed inside of quotes too.
    """
    return '"' + "".join(character if _harmless(character) else f"#{ord(character)};" for character in text) + '"'


def _harmless(character: str) -> bool:
    return character.isalnum() or character in " .,/()…" or (ord(character) > 127 and character.isprintable())
