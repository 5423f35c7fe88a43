"""The map in the language of Graphviz."""

from __future__ import annotations

from collections.abc import Mapping

from asyncdsm.map.descriptions import describe_link, find_environments, label_nodes
from asyncdsm.map.graph import Graph, Link, Node

_HEAD = """digraph asyncdsm {
  rankdir=LR
  node [fontname="sans-serif", style="filled", fillcolor="white"]
  edge [fontname="sans-serif", fontsize=10]
"""


def write_dot(graph: Graph, states: Mapping[Node, str]) -> str:
    """Return the graph in the language of Graphviz; `dot -Tsvg` draws it. `states` are those of `describe_states`."""
    environments = find_environments(link.edge for link in graph.links if link.edge)
    nodes = [
        _format_dot_node(node, label, states.get(node, ""))
        for node, label in label_nodes(graph.nodes, environments).items()
    ]
    return _HEAD + "".join(nodes) + "".join(map(_link, graph.links)) + "}\n"


def _format_dot_node(node: Node, label: str, state: str) -> str:
    shape = "box" if node.kind == "service" else "cylinder"
    style = ', style="filled,dashed"' if state else ""
    return f"  {node.id} [shape={shape}{style}, label={_quote(label, state)}]\n"


def _link(link: Link) -> str:
    if link.edge is None:
        return f"  {link.source.id} -> {link.target.id} [style=dashed]\n"
    return f"  {link.source.id} -> {link.target.id} [label={_quote(describe_link(link))}]\n"


def _quote(*lines: str) -> str:
    """Return a string literal of the language, with backslashes and HTML entities escaped. Empty lines are left out."""
    escaped = (line.replace("\\", "\\\\").replace("&", "&amp;").replace('"', '\\"') for line in lines if line)
    return '"' + "\\n".join(escaped) + '"'
