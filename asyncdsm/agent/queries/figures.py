"""Figures of sketches as they are shown."""

from __future__ import annotations

from typing import NamedTuple

from asyncdsm.agent.store.histograms import EDGE, PATHWAY, SIZE, Histograms, Quantiles, quantiles

SKETCHES = ("edge_latency", "pathway_latency", "payload_size")
NOTHING: dict[str, float | None] = {"p50": None, "p95": None, "p99": None, "max": None}
"""What is shown of a sketch that has counted nothing."""


class Figures(NamedTuple):
    """The three sketches of some groups."""

    edge: Quantiles
    pathway: Quantiles
    size: Quantiles

    @classmethod
    def of(cls, cells: Histograms, groups: int) -> Figures:
        """Return the figures of merged cells."""
        return cls(*(quantiles(cells, groups, sketch) for sketch in (EDGE, PATHWAY, SIZE)))

    def stats(self, group: int) -> dict[str, dict[str, float | None]]:
        """Return what is shown of one group."""
        return {name: sketch.stats(group) for name, sketch in zip(SKETCHES, self, strict=True)}
