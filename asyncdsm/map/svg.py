"""The map as one image by itself: light or dark as its reader is, nothing loaded from anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from math import log10
from typing import Any
from xml.sax.saxutils import escape

from asyncdsm.agent.graph import Graph, Link, Node
from asyncdsm.agent.layout import SIZES, Layout, curve, layout_of
from asyncdsm.agent.routes import Point
from asyncdsm.agent.table import duration
from asyncdsm.map.names import plain, says

LONGEST = {"service": 19, "queue": 17}
WARMTHS = 6
_STYLE = """
  text { font: 13px system-ui, sans-serif; text-anchor: middle; fill: #1b2330 }
  .what { font-size: 11px; fill: #5b6675 }
  .background { fill: #ffffff }
  rect { fill: #ffffff; stroke: #b9c1cc; stroke-width: 1.5 }
  .queue rect { fill: #f1f3f6 }
  .link { fill: none; stroke-linecap: round; stroke: #9aacc1 }
  marker path { fill: #8793a2 }
  .carried { stroke-dasharray: 2 5 }
  .warm1 { stroke: #7f9dc4 } .warm2 { stroke: #c5a243 } .warm3 { stroke: #e08a26 }
  .warm4 { stroke: #dc5a2b } .warm5 { stroke: #c0263c }
  @media (prefers-color-scheme: dark) {
    text { fill: #e7eaef } .what { fill: #95a0ae } .background { fill: #0f1317 }
    rect { fill: #171c22; stroke: #465260 } .queue rect { fill: #1f262e }
  }
"""


_ARROW = (
    '<marker id="to" orient="auto" markerUnits="userSpaceOnUse" markerWidth="9" markerHeight="9" refX="8" refY="5" '
    'viewBox="0 0 10 10"><path d="M0 0.5L9 5L0 9.5Z"/></marker>'
)


def svg(graph: Graph) -> str:
    """Return the image, laid out from left to right."""
    layout = layout_of(graph)
    size = f'width="{layout.width:.0f}" height="{layout.height:.0f}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {layout.width:.0f} {layout.height:.0f}">',
        f"<style>{_STYLE}</style>",
        _ARROW,
        f'<rect class="background" stroke="none" {size}/>',
        *(part for drawn in zip(graph.links, layout.links, layout.labels, strict=True) for part in _link(*drawn)),
        *(_node(node, layout) for node in graph.nodes),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _link(link: Link, points: list[Point], label: Point) -> Iterator[str]:
    if link.edge is None:
        yield f'<path class="link carried" marker-end="url(#to)" d="{curve(points)}"/>'
        return
    width = min(11.0, 1.5 + 1.6 * log10(1 + 4 * link.edge["rate"]))
    yield (
        f'<path class="link warm{warmth(link.edge)}" stroke-width="{width:.1f}" marker-end="url(#to)" '
        f'd="{curve(points)}"><title>{_text(says(link))}</title></path>'
    )
    said = _text(duration(link.edge["edge_latency"]["p50"]).plain)
    yield f'<text class="what" x="{label[0]:.1f}" y="{label[1] - 7:.1f}">{said}</text>'


def _node(node: Node, layout: Layout) -> str:
    (x, y), (width, height) = layout.nodes[node], SIZES[node.kind]
    return (
        f'<g class="{node.kind}"><title>{_text(node.label)}</title>'
        f'<rect x="{x - width / 2:.1f}" y="{y - height / 2:.1f}" width="{width}" height="{height}" '
        f'rx="{height / 2 if node.kind == "queue" else 10}"/>'
        f'<text x="{x:.1f}" y="{y:.1f}">{_text(node.label, LONGEST[node.kind])}</text>'
        f'<text class="what" x="{x:.1f}" y="{y + 13:.1f}">{_text(node.where, LONGEST[node.kind])}</text></g>'
    )


def warmth(edge: dict[str, Any]) -> int:
    """Return how warm an edge is drawn: 0 below a millisecond, a step for each power of ten, 5 from ten seconds on."""
    seconds = edge["edge_latency"]["p50"] or 0.0
    return 0 if seconds < 1e-3 else min(WARMTHS - 1, int(log10(seconds) + 4 + 1e-9))


def _text(name: str, longest: int = 200) -> str:
    return escape(plain(name, longest))
