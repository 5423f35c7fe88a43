"""Turns the Data Streams of ddtrace off if it runs in the same process. Its tracing is left alone."""

from __future__ import annotations

import sys
from typing import Any

from asyncdsm._internal.log import warn_once

_was_disabled = False


def disable_ddtrace_streams(*, measuring: bool = True) -> None:
    """Turn ddtrace's Data Streams off in this process if it is on, and log that once if asyncdsm is `measuring`.

    Both at once would count every message twice, and each would overwrite the context header of the other. ddtrace
    still delivers what it has counted so far.
    """
    global _was_disabled  # noqa: PLW0603
    theirs: Any = sys.modules.get("ddtrace.internal.datastreams")
    config: Any = getattr(theirs, "config", None)
    if getattr(config, "_data_streams_enabled", False):
        config._data_streams_enabled = False
        theirs._processor = None
        _was_disabled = True
    if _was_disabled and measuring:
        warn_once(
            "ddtrace",
            "asyncdsm has turned off ddtrace's Data Streams in this process, which would have counted each message a "
            "second time. ddtrace's tracing goes on. Leave DD_DATA_STREAMS_ENABLED unset to run only asyncdsm",
        )
