"""Buckets, the counts of ten seconds: of the native core, or of the plain one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncdsm.core.implementation import native
from asyncdsm.core.plain.bucket import Histograms
from asyncdsm.core.plain.buckets import Tallies

if TYPE_CHECKING or native is None:
    from asyncdsm.core.plain.bucket import Bucket
    from asyncdsm.core.plain.buckets import Buckets
else:
    Bucket = native.Bucket
    Buckets = native.Buckets

__all__ = ["Bucket", "Buckets", "Histograms", "Tallies"]
