"""A program that calls AWS under ddtrace: steps as JSON on stdin, ddtrace's pathways as JSON on stdout.

Each step is {"service", "options", "operation", "params", "until"}; one with `until` is repeated until its answer has
something under that key. Back come `hashes`, of the pathway that is current behind each step, and ddtrace's `version`.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from typing import Any

MOST_TRIES = 20


def main() -> None:
    """Make the calls in their order. A message that is sent right after another begins a pathway of its own."""
    ddtrace: Any = import_module("ddtrace")
    ddtrace.patch(botocore=True)
    processor: Any = import_module("ddtrace.internal.datastreams").data_streams_processor()
    session: Any = import_module("botocore.session").get_session()
    hashes, answer = list[int | None](), dict[str, Any]()
    for step in json.load(sys.stdin):
        answer = call(session.create_client(step["service"], **step["options"]), step, answer)
        current = getattr(processor._current_context, "value", None)
        hashes.append(None if current is None else current.hash)
    json.dump({"version": ddtrace.__version__, "hashes": hashes}, sys.stdout)


def call(client: Any, step: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """Make one call; a parameter that is a key of the answer before, as `["ShardIterator"]`, becomes its value."""
    params = {name: before[name] if value == [name] else value for name, value in step["params"].items()}
    answer = dict[str, Any]()
    for _ in range(MOST_TRIES):
        answer = getattr(client, step["operation"])(**params)
        if not step["until"] or answer.get(step["until"]):
            break
    return answer


if __name__ == "__main__":
    main()
