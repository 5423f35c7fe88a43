"""The pathway of a message, as a value: of the native core, or of the plain one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncdsm.core.implementation import native

if TYPE_CHECKING or native is None:
    from asyncdsm.core.plain.pathway import Pathway
else:
    Pathway = native.Pathway

__all__ = ["Pathway"]
