"""The map in the language of Graphviz."""

from __future__ import annotations

from asyncdsm.map.descriptions import describe_link, label_nodes
from asyncdsm.map.graph import Graph, Link, Node

_HEAD = """digraph asyncdsm {
  rankdir=LR
  node [fontname="sans-serif", style="filled", fillcolor="white"]
  edge [fontname="sans-serif", fontsize=10]
"""


def write_dot(graph: Graph) -> str:
    """Return the graph in the language of Graphviz; `dot -Tsvg` draws it."""
    nodes = [_format_dot_node(node, label) for node, label in label_nodes(graph.nodes).items()]
    return _HEAD + "".join(nodes) + "".join(map(_link, graph.links)) + "}\n"


def _format_dot_node(node: Node, label: str) -> str:
    shape = "box" if node.kind == "service" else "cylinder"
    return f"  {node.id} [shape={shape}, label={_quote(label)}]\n"


def _link(link: Link) -> str:
    if link.edge is None:
        return f"  {link.source.id} -> {link.target.id} [style=dashed]\n"
    return f"  {link.source.id} -> {link.target.id} [label={_quote(describe_link(link))}]\n"


def _quote(text: str) -> str:
    """Return a string literal of the language, with backslashes and HTML entities escaped."""
    return '"' + text.replace("\\", "\\\\").replace("&", "&amp;").replace('"', '\\"') + '"'
