"""ddtrace's answers, from a process of its own: questions as JSON on stdin, answers as JSON on stdout.

{"hashes": [{"service", "env", "tags", "parent"}], "contexts": [[hash, pathway_start_ns, edge_start_ns]],
"headers": [base64 text], "sketches": [[value]]} is answered by the same keys: the hash behind a checkpoint; the
header of a context; [hash, pathway start ms, edge start ms] of a header; the hex of the sketch's protobuf. Beside
them `version` says whose answers these are.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from typing import Any

ddtrace: Any = import_module("ddtrace")
datastreams: Any = import_module("ddtrace.internal.datastreams.processor")
native: Any = import_module("ddtrace.internal.native")


def hash_behind(processor: Any, question: dict[str, Any]) -> int:
    """Return the hash of the pathway that `parent` becomes at a checkpoint with these tags."""
    ddtrace.config.service, ddtrace.config.env = question["service"], question["env"]
    context = datastreams.DataStreamsCtx(processor, question["parent"], 1.0, 1.0)
    context.set_checkpoint(question["tags"])
    return int(context.hash)


def header_of(processor: Any, hash_: int, pathway_start_ns: int, edge_start_ns: int) -> str:
    """Return the base64 text of a context."""
    return str(datastreams.DataStreamsCtx(processor, hash_, pathway_start_ns / 1e9, edge_start_ns / 1e9).encode_b64())


def decoded(processor: Any, header: str) -> list[int]:
    """Return what a base64 text says: the hash, the pathway's start and the edge's start in ms."""
    context = processor.decode_pathway_b64(header)
    starts = (context.pathway_start_sec, context.current_edge_start_sec)
    return [context.hash, *(round(start * 1e3) for start in starts)]


def sketch_of(values: list[float]) -> str:
    """Return the protobuf of a sketch of these values, in hex."""
    sketch = native.DDSketch()
    for value in values:
        sketch.add(value)
    return bytes(sketch.to_proto()).hex()


def main() -> None:
    """Answer once."""
    questions = json.load(sys.stdin)
    processor = datastreams.DataStreamsProcessor()
    processor._enabled = False  # what these checkpoints count is nobody's
    answers = {
        "version": ddtrace.__version__,
        "hashes": [hash_behind(processor, question) for question in questions["hashes"]],
        "contexts": [header_of(processor, *context) for context in questions["contexts"]],
        "headers": [decoded(processor, header) for header in questions["headers"]],
        "sketches": [sketch_of(values) for values in questions["sketches"]],
    }
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
