"""The map as one SVG image: light or dark as its reader prefers, with nothing to be loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from xml.sax.saxutils import escape

from asyncdsm.map.descriptions import describe_link, describe_nodes, find_environments, label_nodes
from asyncdsm.map.graph import Graph, Link, Node
from asyncdsm.map.layout import LINE_HEIGHT, SIZES, Layout, PlacedLabel, curve_path, label_origin, lay_out_graph
from asyncdsm.map.layout.routes import Point
from asyncdsm.map.levels import LEVELS, stroke_width
from asyncdsm.map.strings import cut_to_cells, plain_text

LONGEST = {"service": 18, "queue": 15}
# Cells of a name, 8.5 px each, which is wide for 13 px: an image does not know the fonts of its reader.
LONGEST_BELOW = {"service": 21, "queue": 18}
# Cells of the line below the name, 7.2 px each.
_STYLE = """
  text { font: 13px system-ui, sans-serif; text-anchor: middle; fill: #1b2330 }
  .what { font-size: 11px; fill: #5b6675 }
  .label { paint-order: stroke; stroke: #ffffff; stroke-width: 4; stroke-linejoin: round }
  .background { fill: #ffffff }
  rect { fill: #ffffff; stroke: #b9c1cc; stroke-width: 1.5 }
  .queue rect { fill: #f1f3f6 }
  .link { fill: none; stroke-linecap: round }
  marker path { fill: #8793a2 }
  .carried { stroke-dasharray: 2 5; stroke: #9aacc1 }
  .idle { stroke-dasharray: 6 5 }
  .silent rect { stroke-dasharray: 5 4 } .silent .what { fill: #b3261e; font-weight: 600 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e7eaef } .what { fill: #95a0ae } .background { fill: #0f1317 } .label { stroke: #0f1317 }
    .silent .what { fill: #ff8a80 }
    rect { fill: #171c22; stroke: #465260 } .queue rect { fill: #1f262e }
  }
"""
_LEVEL_STYLE = "".join(
    f"  .warm{number} {{ stroke: {level.light} }}\n"
    f"  @media (prefers-color-scheme: dark) {{ .warm{number} {{ stroke: {level.dark} }} }}\n"
    for number, level in enumerate(LEVELS)
)
_ARROW = (
    '<marker id="to" orient="auto" markerUnits="userSpaceOnUse" markerWidth="9" markerHeight="9" refX="8" refY="5" '
    'viewBox="0 0 10 10"><path d="M0 0.5L9 5L0 9.5Z"/></marker>'
)


def write_svg(graph: Graph, states: Mapping[Node, str]) -> str:
    """Return the graph as an SVG image, laid out from left to right. `states` are those of `describe_states`."""
    layout = lay_out_graph(graph)
    environments = find_environments(link.edge for link in graph.links if link.edge)
    titles = label_nodes(graph.nodes, environments)
    size = f'width="{layout.width:.0f}" height="{layout.height:.0f}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {layout.width:.0f} {layout.height:.0f}">',
        f"<style>{_STYLE}{_LEVEL_STYLE}</style>",
        _ARROW,
        f'<rect class="background" stroke="none" {size}/>',
        *(_link(link, points) for link, points in zip(graph.links, layout.links, strict=True)),
        *(text for link, label in zip(graph.links, layout.labels, strict=True) for text in _label(link, label)),
        *(
            _draw_node(node, (description, states.get(node, "")), titles[node], layout)
            for node, description in describe_nodes(graph.nodes, environments).items()
        ),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _link(link: Link, points: list[Point]) -> str:
    if link.edge is None:
        return f'<path class="link carried" marker-end="url(#to)" d="{curve_path(points)}"/>'
    present = link.edge.present
    kind = f"link warm{present.level}" + (" idle" if present.state == "idle" else "")
    width = stroke_width(present.rate)
    return (
        f'<path class="{kind}" stroke-width="{width:.1f}" marker-end="url(#to)" '
        f'd="{curve_path(points)}"><title>{escape(describe_link(link))}</title></path>'
    )


def _label(link: Link, label: PlacedLabel) -> Iterator[str]:
    """Yield the lines of a link's label, as many as have room."""
    if link.edge is None:
        return
    present = link.edge.present
    lines = [line for line in (present.label, present.tail and f"p99 {present.tail}") if line][: label.lines]
    x, y, _ = label_origin(label, len(lines))
    for index, line in enumerate(lines):
        yield f'<text class="what label" x="{x:.1f}" y="{y + LINE_HEIGHT * index:.1f}">{escape(line)}</text>'


def _draw_node(node: Node, about: tuple[str, str], title: str, layout: Layout) -> str:
    """Draw a node, about which there are a description and a state; where not both have room, the state is shown."""
    (x, y), (width, height) = layout.nodes[node], SIZES[node.kind]
    description, state = about
    below, kind = _join(description, state), f"{node.kind} silent" if state else node.kind
    if state and cut_to_cells(below, LONGEST_BELOW[node.kind]) != plain_text(below):
        below = state
    return (
        f'<g class="{kind}"><title>{escape(_join(title, state))}</title>'
        f'<rect x="{x - width / 2:.1f}" y="{y - height / 2:.1f}" width="{width}" height="{height}" '
        f'rx="{height / 2 if node.kind == "queue" else 10}"/>'
        f'<text x="{x:.1f}" y="{y:.1f}">{_text(node.label, LONGEST[node.kind])}</text>'
        f'<text class="what" x="{x:.1f}" y="{y + 13:.1f}">{_text(below, LONGEST_BELOW[node.kind])}</text></g>'
    )


def _text(name: str, cells: int) -> str:
    return escape(cut_to_cells(name, cells))


def _join(text: str, state: str) -> str:
    return ", ".join(filter(None, (text, state)))
