"""Figures of sketches as they are shown."""

from __future__ import annotations

from typing import NamedTuple

from asyncdsm.agent.cells import EDGE, PATHWAY, SIZE, Cells, Summary, summary


class Figures(NamedTuple):
    """The three sketches of some groups."""

    edge: Summary
    pathway: Summary
    size: Summary

    @classmethod
    def of(cls, cells: Cells, groups: int) -> Figures:
        """Return the figures of merged cells."""
        return cls(*(summary(cells, groups, sketch) for sketch in (EDGE, PATHWAY, SIZE)))

    def stats(self, group: int) -> dict[str, dict[str, float | None]]:
        """Return what is shown of one group."""
        return {
            "edge_latency": self.edge.stats(group),
            "pathway_latency": self.pathway.stats(group),
            "payload_size": self.size.stats(group),
        }
