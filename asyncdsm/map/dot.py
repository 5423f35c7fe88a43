"""The map in the language of Graphviz."""

from __future__ import annotations

from asyncdsm.map.escaping import labels, says
from asyncdsm.map.graph import Graph, Link, Node

_HEAD = """digraph asyncdsm {
  rankdir=LR
  node [fontname="sans-serif", style="filled", fillcolor="white"]
  edge [fontname="sans-serif", fontsize=10]
"""


def dot(graph: Graph) -> str:
    """Return the graph; `dot -Tsvg` draws it."""
    nodes = [_node(node, label) for node, label in labels(graph.nodes).items()]
    return _HEAD + "".join(nodes) + "".join(map(_link, graph.links)) + "}\n"


def _node(node: Node, label: str) -> str:
    shape = "box" if node.kind == "service" else "cylinder"
    return f"  {node.id} [shape={shape}, label={quoted(label)}]\n"


def _link(link: Link) -> str:
    if link.edge is None:
        return f"  {link.source.id} -> {link.target.id} [style=dashed]\n"
    return f"  {link.source.id} -> {link.target.id} [label={quoted(says(link))}]\n"


def quoted(text: str) -> str:
    """Return a string of the language; a backslash in it stands for itself, and an entity of HTML too."""
    return '"' + text.replace("\\", "\\\\").replace("&", "&amp;").replace('"', '\\"') + '"'
