"""The headers of a Kafka message, by the native core or the plain one. `core/plain_headers.py` says what each does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncdsm.core.implementation import native
from asyncdsm.core.plain_headers import Header, size_of

if TYPE_CHECKING or native is None:
    from asyncdsm.core.plain_headers import begin_with_headers, copy_headers, scan_headers
else:
    begin_with_headers = native.begin_with_headers
    copy_headers = native.copy_headers
    scan_headers = native.scan_headers

__all__ = ["Header", "begin_with_headers", "copy_headers", "scan_headers", "size_of"]
