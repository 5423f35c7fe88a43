"""Histograms as columns: for each of the three, an array of bins and one of counts in each row.

Bins are those of the protocol, of gamma 1.015625 and offset 1338; the bin -47001 counts zeros.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from asyncdsm.agent.store.histograms import EDGE, PATHWAY, SIZE, Histograms, concat, encode_key
from asyncdsm.core.histogram import ZERO

SKETCHES = {"edge": EDGE, "pathway": PATHWAY, "size": SIZE}
# Keys of a group are `_GROUP` apart.
_GROUP = encode_key(1, EDGE, ZERO)


def to_columns(histograms: Histograms, rows: int) -> dict[str, pa.Array]:
    """Return the columns of histograms, which come from `merge`: group `g` is row `g` of `rows`."""
    columns, groups, cells = dict[str, pa.Array](), histograms.groups, histograms.keys % _GROUP
    for name, sketch in SKETCHES.items():
        chosen = (cells >= encode_key(0, sketch, ZERO)) & (cells < encode_key(0, sketch + 1, ZERO))
        ends = np.cumsum(np.bincount(groups[chosen], minlength=rows))
        offsets = pa.array(np.concatenate([[0], ends]).astype(np.int32))
        bins = pa.array((cells[chosen] - encode_key(0, sketch, 0)).astype(np.int32))
        columns[f"{name}_bins"] = pa.ListArray.from_arrays(offsets, bins)
        columns[f"{name}_counts"] = pa.ListArray.from_arrays(offsets, pa.array(histograms.counts[chosen]))
    return columns


def column_names(sketch: int | None) -> list[str]:
    """Return the names of the columns of one histogram, or of all."""
    chosen = [name for name, number in SKETCHES.items() if sketch in {None, number}]
    return [f"{name}_{part}" for name in chosen for part in ("bins", "counts")]


def from_columns(batch: pa.RecordBatch, sketch: int | None) -> Histograms:
    """Return the histograms of rows: group `g` is row `g`. They are one histogram, or all three."""
    parts: list[Histograms] = []
    for name in (name for name, number in SKETCHES.items() if sketch in {None, number}):
        bins, counts = batch.column(f"{name}_bins"), batch.column(f"{name}_counts")
        groups = np.repeat(np.arange(len(bins), dtype=np.int64), np.diff(bins.offsets.to_numpy()))
        inner = bins.flatten().to_numpy().astype(np.int64) + encode_key(0, SKETCHES[name], 0)
        parts.append(Histograms(groups * _GROUP + inner, counts.flatten().to_numpy()))
    return concat(parts)
