"""ddtrace in the same process: its tracing is none of our business, its Data Streams counts what we count."""

from __future__ import annotations

import sys
from typing import Any

from asyncdsm._internal.log import warn_once

_silenced = False


def disable_ddtrace_streams(*, measuring: bool = True) -> None:
    """Turn ddtrace's Data Streams off in this process if it is on; one warning, once something is `measuring`.

    Both at once would count every message twice and write one context over the other. What ddtrace has counted up to
    now it still delivers.
    """
    global _silenced  # noqa: PLW0603
    theirs: Any = sys.modules.get("ddtrace.internal.datastreams")
    config: Any = getattr(theirs, "config", None)
    if getattr(config, "_data_streams_enabled", False):
        config._data_streams_enabled = False
        theirs._processor = None
        _silenced = True
    if _silenced and measuring:
        warn_once(
            "ddtrace",
            "ddtrace's Data Streams was on in this process too, and would have counted every message a second time: "
            "it is off here now. Its tracing goes on. Leave DD_DATA_STREAMS_ENABLED unset, and only asyncdsm is on",
        )
