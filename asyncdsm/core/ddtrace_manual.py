"""The manual checkpoints of ddtrace, which asyncdsm records while it measures.

A program that calls `ddtrace.data_streams.set_produce_checkpoint` keeps working when asyncdsm turns off ddtrace's own
Data Streams: those functions ask for a processor at each call (seen in ddtrace 4.16), and get the one in this module.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import Any

from asyncdsm._internal.ddtrace_compat import disable_ddtrace_streams
from asyncdsm._internal.log import warn_once
from asyncdsm.core import checkpoint
from asyncdsm.core.edge import Edge
from asyncdsm.core.pathway import Pathway


def take_over_from_ddtrace(*, measuring: bool = True) -> None:
    """Turn ddtrace's Data Streams off in this process, and let its manual checkpoints reach asyncdsm.

    `measuring` is False where asyncdsm waits for the first checkpoint, which may be one of those.
    """
    disable_ddtrace_streams(measuring=measuring)
    module: Any = sys.modules.get("ddtrace.data_streams")
    if module is None:
        return
    original = getattr(module, "data_streams_processor", None)
    if original is None:
        warn_once(
            "ddtrace-manual",
            "asyncdsm cannot record the manual checkpoints of this release of ddtrace: they are lost",
        )
    elif not isinstance(original, _Processor):
        module.data_streams_processor = _Processor(original)


class _Processor:
    """Replaces the function that returns ddtrace's processor. It calls the original while nothing is measured."""

    def __init__(self, original: Any) -> None:
        self._original = original

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self._original(*args, **kwargs) if checkpoint.ensure_recorder() is None else _Call()


class _Call:
    """Records one manual checkpoint: it has those methods of ddtrace's processor that the manual functions call."""

    def __init__(self) -> None:
        self._header: Any = None

    def decode_pathway_b64(self, header: Any) -> None:
        """Take the header of a consumed message, if it has one."""
        self._header = header

    def set_checkpoint(self, tags: list[str], *_args: Any, **_more: Any) -> Context | None:
        """Record the checkpoint of these edge tags; return its pathway, or None after an error of asyncdsm."""
        try:
            edge = _edge(tuple(tags))
            if "direction:out" in tags:
                pending = checkpoint.begin_produce(edge)
                if pending is None:
                    return None
                checkpoint.finish_produce(pending)
                return Context(pending.pathway)
            consumed = checkpoint.consume(edge, self._header or None)
            return None if consumed is None else Context(consumed)
        except Exception as error:
            checkpoint.report_hook_error(error)
            return None


class Context:
    """A pathway with the attributes of ddtrace's `DataStreamsCtx` that a program may read. Times in seconds."""

    def __init__(self, pathway: Pathway) -> None:
        self._pathway = pathway
        self.hash: int = pathway.hash
        self.pathway_start_sec: float = pathway.pathway_start_ns / 1e9
        self.current_edge_start_sec: float = pathway.edge_start_ns / 1e9

    def encode(self) -> bytes:
        """Return the context as bytes (protocol §3)."""
        return self._pathway.encode()

    def encode_b64(self) -> str:
        """Return the context's base64 text, as a message carries it."""
        return self._pathway.encode_base64()


@lru_cache(1024)
def _edge(tags: tuple[str, ...]) -> Edge:
    return Edge(*tags)
